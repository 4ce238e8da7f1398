"""The demo's drive in the virtual world, for the simulator to be held against the live demo: the same course, profile, arms,
margins, stream and warm-up, scored by the same rules.

Rules: what stands in a live journal's header (arms, margins, limits, prices) is taken from there; the relay's orders are read
by the relay's own reader; the server's death is the declared fault `server-kill`. How long the new server needs until it serves
is a fact of the machine: it is given, not guessed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist, median

import numpy as np

from hedgerow.assurance import Timed
from hedgerow.core import records as r
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.policies import by_name
from hedgerow.demo.course import KILL, RESTART, Course
from hedgerow.demo.device import WARM_UP_REQUESTS
from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.control import changed
from hedgerow.journal import Header, read_steps
from hedgerow.planning import arm_table
from hedgerow.planning.arms import cloud_segments_ns
from hedgerow.planning.settings import margins_of
from hedgerow.profiling import Profile
from hedgerow.profiling.times import Times
from hedgerow.simulation.agreement import Agreements
from hedgerow.simulation.cells import LINK
from hedgerow.simulation.cloud import Cloud, CloudSettings
from hedgerow.simulation.course import Course as LinkCourse
from hedgerow.simulation.declared import DisturbedLanes, DisturbedServer
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.faults import Fault
from hedgerow.simulation.faulty import WARM, Kinds, chance
from hedgerow.simulation.journalling import record
from hedgerow.simulation.lanes import Lane, LaneTimes, quantile_at
from hedgerow.simulation.servers import QueueServer
from hedgerow.simulation.world import Arrival, Setup

STREAM = "main"
LEAD_NS = 1210 * r.MS
"""From the session's opening to the first frame that counts: eight warm-up frames, then what starting takes in the live demo."""
FIRST_NS = 105 * r.MS
"""From the session's opening to the first warm-up frame."""
STRETCH_NS = 10 * r.MS
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Around:
    """What a profile does not know of a live drive's surroundings: the server beside relay and screen on one core takes
    `cloud_factor` times as long; relay, sockets and threads add `added_rtt_ms` to every round trip and, from one stretch of
    STRETCH_NS to the next, an exponential time of mean `jitter_ms`."""

    cloud_factor: float = 1.0
    added_rtt_ms: float = 0.0
    jitter_ms: float = 0.0

    @classmethod
    def of_journal(cls, journal: Path, profile: Profile, course: Course) -> "Around":
        """As a live journal shows it: medians over its answers of computing there against the profile's, and of the round trips
        before the link first changes against those asked for (their tenth, and the mean above it); the plain one where nothing was
        answered."""
        header, steps = read_steps(journal)
        core, sent = header.core(), dict[int, float]()
        there = {model.name: cloud_segments_ns(profile, model) for model in profile.models}
        factors: list[float] = []
        trips_ms: list[float] = []
        asked_ms = link_course(course).round_trip_ns[0] / r.MS
        changes_ns: float = np.inf
        for _, now_ns, event, _ in steps:
            outcome = core.step(event, now_ns=now_ns)
            if isinstance(event, r.RequestArrived) and event.request == WARM_UP_REQUESTS:
                changes_ns = event.captured_ns + course.happenings[1].at_s * r.SECOND
            for action in outcome.actions:
                if isinstance(action, r.Send):
                    sent[action.request] = sum(there[action.model][action.joint + 1 : action.last + 1])
            if isinstance(event, r.AnswerArrived):
                factors.append(event.compute_ns / sent[event.request])
            for seen in outcome.records:
                if isinstance(seen, r.RemoteObserved) and seen.round_trip_ms > 0 and now_ns < changes_ns:
                    trips_ms.append(seen.round_trip_ms)
        if not factors or not trips_ms:
            return cls()
        least_ms = sorted(trips_ms)[len(trips_ms) // 10]
        jitter_ms = sum(max(0.0, each - least_ms) for each in trips_ms) / len(trips_ms)
        return cls(median(factors), max(0.0, least_ms - asked_ms), jitter_ms)

    def over(self, course: LinkCourse, random: np.random.Generator) -> LinkCourse:
        """The link as it looks through relay, sockets and threads."""
        course = course.with_rtt_offset(self.added_rtt_ms)
        if not self.jitter_ms:
            return course
        starts = np.union1d(course.starts_ns, np.arange(0, course.end_ns, STRETCH_NS))
        rows = course.rows_at(starts)
        late_ns = random.exponential(self.jitter_ms * r.MS, len(starts))
        return replace(
            course,
            starts_ns=starts,
            round_trip_ns=course.round_trip_ns[rows] + late_ns,
            up_bytes_per_s=course.up_bytes_per_s[rows],
            down_bytes_per_s=course.down_bytes_per_s[rows],
            frozen=course.frozen[rows],
        )


def link_course(course: Course, *, lead_ns: int = 0) -> LinkCourse:
    """What the relay is told in a drive, as a course; the drive begins at `lead_ns`, before which all is as at its start."""
    now, held = LinkConditions(), {"stalled": False, "blackout": False}
    starts: list[int] = []
    found: list[LinkConditions] = []
    for happening in course.happenings:
        for order in happening.orders:
            match order.split():
                case ["set", *words]:
                    now = changed(now, words)
                case ["stall" | "blackout" as what, "on" | "off" as state]:
                    held["stalled" if what == "stall" else what] = state == "on"
                case _:
                    assert order in (KILL, RESTART), f"the virtual drive does not know the order {order}"
        starts.append(lead_ns + round(happening.at_s * r.SECOND) if found else 0)
        found.append(replace(now, **held))
    return LinkCourse(
        name=f"demo-{course.seconds:g}s",
        radio="emulated",
        starts_ns=np.array(starts, np.int64),
        end_ns=lead_ns + round(course.seconds * r.SECOND),
        round_trip_ns=np.array([each.rtt_ms * r.MS for each in found]),
        up_bytes_per_s=np.array([_unlimited(each.uplink_bytes_per_s) for each in found]),
        down_bytes_per_s=np.array([_unlimited(each.downlink_bytes_per_s) for each in found]),
        frozen=np.array([each.frozen for each in found]),
        at_end="hold",
    )


def heard_again_s(journal: Path, course: Course, back_s: float) -> float:
    """When the first crossing reached the new server that served from `back_s` on, in seconds of the drive: a connection that was
    refused for a while tries again only after a pause of its own. `back_s` where nothing was sent after it."""
    header, steps = read_steps(journal)
    core, begun_ns, sent = header.core(), 0, False
    for _, now_ns, event, _ in steps:
        outcome = core.step(event, now_ns=now_ns)
        if isinstance(event, r.RequestArrived) and event.request == WARM_UP_REQUESTS:
            begun_ns = event.captured_ns
        if not begun_ns or (at_s := (now_ns - begun_ns) / r.SECOND) < back_s:
            continue
        if isinstance(event, r.ChunkAcked):
            return at_s - float(link_course(course).round_trip_ns[-1]) / r.SECOND / 2
        sent = sent or any(isinstance(action, r.Send) for action in outcome.actions)
    return course.seconds if sent else back_s


def server_fault(course: Course, *, lead_ns: int = 0, back_s: float | None = None) -> Fault:
    """The server's death. `back_s`: when it served again, in seconds of the drive (None: as soon as it is told to start)."""
    moments = {order: happening.at_s for happening in course.happenings for order in happening.orders}
    killed_s = moments[KILL]
    down_s = (moments[RESTART] if back_s is None else back_s) - killed_s
    return Fault("server-kill", lead_ns + round(killed_s * r.SECOND), round(down_s * r.SECOND), stage=WARM, link=LINK)


def header_of(profile: Profile, policy: str, *, factor: float) -> Header:
    """What a live session with a server would write at the head of its journal."""
    table = arm_table(profile, device_factor=factor)
    return Header(table, policy, r.Limits(seed=1), margins_of(profile), r.Prices(), BudgetSettings())


def drive_setup(
    course: Course,
    profile: Profile,
    header: Header,
    *,
    factor: float,
    deadline_ms: float,
    seed: int,
    back_s: float | None = None,
    around: Around | None = None,
) -> Setup:
    """The drive's world: requests 0 to WARM_UP_REQUESTS - 1 do not count, as in the live one."""
    around = around or Around()
    draws = Draws(seed).within("demo")
    times = LaneTimes.of_profile(profile, draws.within("device").generator, device_factor=factor)
    there = LaneTimes.of_cloud(profile, draws.within("cloud").generator, cloud_factor=around.cloud_factor)
    faults = (server_fault(course, lead_ns=LEAD_NS, back_s=back_s),)

    def server() -> DisturbedServer:
        cloud = Cloud(CloudSettings())
        inner = QueueServer.of_profile(cloud, profile, lambda number: there, cloud_factor=around.cloud_factor)
        return DisturbedServer(inner, Kinds(faults), LINK, profile.calibrations())

    agreements = Agreements.of_profile(profile, draws.generator("agreement"))
    warm = [FIRST_NS + place * course.period_ns for place in range(WARM_UP_REQUESTS)]
    counted = [LEAD_NS + place * course.period_ns for place in range(course.requests)]
    deadline_ns = round(deadline_ms * r.MS)
    return Setup(
        name=f"demo {seed}",
        table=header.table,
        margins=header.margins,
        streams=(r.Stream(STREAM, deadline_ns, r.Criticality.MISSION, course.period_ns),),
        arrivals=tuple(
            Arrival(at_ns, at_ns, STREAM, agreements.sample(number)) for number, at_ns in enumerate((*warm, *counted))
        ),
        course=around.over(link_course(course, lead_ns=LEAD_NS), draws.generator("jitter")),
        lanes=lambda: DisturbedLanes(Lane(times), Kinds(faults), seed),
        server=server,
        limits=replace(header.limits, seed=1 + seed),
        budgets=header.budgets,
        confidences={model.name: model.confidence for model in profile.models},
        timer_late_ns=_drawn(profile.timer_lateness, seed, 51),
        cancel_ns=_drawn(profile.cancellation, seed, 52),
        faults=faults,
        seed=seed,
    )


def drive(setup: Setup, header: Header, journal: Path) -> list[Timed]:
    """Drive once; the journal is written as a live session writes its own. Returns the rows of the frames that count."""
    record(setup, by_name(header.policy, header.table), header.prices, journal)
    rows = rows_of(journal, setup.arrivals)
    return [replace(row, index=row.index - WARM_UP_REQUESTS) for row in rows[WARM_UP_REQUESTS:]]


def rows_of(journal: Path, arrivals: Sequence[Arrival]) -> list[Timed]:
    """One row a request, told at the virtual moment at which it is delivered; a second answer would be a second row."""
    header, steps = read_steps(journal)
    core = header.core()
    deadlines: dict[str, int] = {}
    rows: list[Timed] = []
    for _, now_ns, event, _ in steps:
        outcome = core.step(event, now_ns=now_ns)
        if isinstance(event, r.StreamOpened):
            deadlines[event.stream.name] = event.stream.deadline_ns
        models = {each.request: each.model for each in outcome.actions if isinstance(each, r.Deliver)}
        for told in outcome.records:
            if isinstance(told, r.Delivered):
                arrival = arrivals[told.request]
                row = Timed(
                    told.request,
                    told.request,
                    arrival.captured_ns,
                    now_ns,
                    arrival.deadline_ns or deadlines[arrival.stream],
                    told.status,
                    told.source,
                    told.arm,
                    models.get(told.request, ""),
                    told.reason,
                    told.energy_mj,
                    told.uplink_bytes,
                )
                rows.append(row)
    return sorted(rows, key=lambda row: row.index)


def _unlimited(rate: float | None) -> float:
    return np.inf if rate is None else rate


def _drawn(times: Times, seed: int, purpose: int) -> Callable[[int], int]:
    """Lengths (ns) with the measured distribution, a function of the seed and of what is asked for."""

    def length_ns(what: int) -> int:
        return quantile_at(times, _NORMAL.inv_cdf(max(chance(seed, what, purpose), 1e-9)))

    return length_ns
