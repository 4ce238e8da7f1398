"""A random world for one device, all of it drawn from one seed: arms, lanes, streams, links, clouds, limits, faults.

Rules: everything is decided before anything runs, by draws with names of their own, so that taking a fault or a request away
changes nothing else (what shrinking needs), and a twin under another policy meets the very same world. Worlds are drawn to be
various, not likely: half of them are calm and can be carried by the lane, the rest are too busy, jittery or badly measured.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hedgerow.core import Arm, ArmTable, Core, Criticality, CrossStep, GateStep, LocalModel, RunStep
from hedgerow.core import records as r
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.certificate import Certificate
from hedgerow.core.policies import Policy
from hedgerow.simulation.body import Link, Watch
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.course import Course
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.faults import Fault, Sample, disturb_samples, draw_faults, shape
from hedgerow.simulation.faulty import FaultyBody, FaultyLanes, FaultyServer, Kinds, chance
from hedgerow.simulation.foolish import POLICIES
from hedgerow.simulation.governing import draw_certificate
from hedgerow.simulation.kindred import shared_times, with_kin
from hedgerow.simulation.reusing import Scenery
from hedgerow.simulation.transfer import Direction

Ints = np.ndarray[Any, np.dtype[np.int64]]
MS = r.MS
COURSE_NS = 20 * r.SECOND
_CRITICALITIES = (Criticality.SAFETY, Criticality.MISSION, Criticality.MISSION, Criticality.BACKGROUND)
_JOINT_BYTES = (2_000, 40_000)


@dataclass(frozen=True)
class Scene:
    """One drawn world. `times_ns[model][request][segment]`; `spread`, `sizes` and `cloud` are factors by request."""

    seed: int
    requests: int
    table: ArmTable
    margins: r.Margins
    streams: tuple[r.Stream, ...]
    samples: tuple[Sample, ...]  # before any fault
    courses: dict[str, Course]
    faults: tuple[Fault, ...]
    limits: r.Limits
    prices: r.Prices
    budgets: BudgetSettings
    policy: str
    replicas: int
    timer_late_ns: int
    times_ns: dict[str, list[list[int]]]
    spread: list[float]
    sizes: list[float]
    cloud: list[float]
    confident: bool
    certificate: Certificate | None
    exceeding: dict[str, frozenset[int]]  # the requests for which a model alone takes longer than its bounds

    def only(self, faults: tuple[int, ...] | None, requests: frozenset[int] | None) -> "Scene":
        """The same world with these faults (by place) and requests alone; None: all of them."""
        kept = self.faults if faults is None else tuple(self.faults[place] for place in faults)
        samples = tuple(each for each in self.samples if requests is None or each.request in requests)
        return replace(self, faults=kept, samples=samples)

    @cached_property
    def disturbed_samples(self) -> list[Sample]:
        """The samples as the faults make them, in the order of arrival; numbered anew by it where it changed."""
        samples = [Sample(s.request, s.stream, s.captured_ns, s.arrival_ns, s.deadline_ns) for s in self.samples]
        deadlines = [stream.deadline_ns for stream in self.streams]
        for fault in self.faults:
            disturb_samples(samples, fault, deadlines)
        samples.sort(key=lambda each: (each.arrival_ns, each.request))
        for number, each in zip(sorted(each.request for each in samples), samples, strict=True):
            each.request = number
        return samples

    @property
    def end_ns(self) -> int:
        """When everything must be over."""
        last = max((each.arrival_ns for each in self.samples), default=0)
        faults = max((fault.until_ns for fault in self.faults), default=0)
        expiry = max(stream.expiry_ns + stream.deadline_ns for stream in self.streams)
        return max(last, faults) + expiry + self.limits.audit_wait_ns + 20 * r.SECOND


def draw_scene(seed: int, requests: int) -> Scene:
    """The world of this seed with so many requests."""
    draws = Draws(seed).within("campaign")
    table = with_kin(draws.generator("kin"), _table(draws.generator("table")))
    random = draws.generator("settings")
    margins = r.Margins(*(int(each * MS) for each in random.uniform((1, 4, 0.5), (5, 16, 2))))
    streams, samples = _streams(draws.generator("streams"), table, margins, requests)
    streams = _reusing(draws.generator("reuse"), streams)
    span = max(each.arrival_ns for each in samples)
    links = sorted({arm.crossing.link for arm in table.arms if arm.crossing is not None})
    faults = draw_faults(draws.generator("faults"), span, links)
    courses = {name: _course(draws.generator(f"course/{name}")) for name in links}
    drawn = draws.generator("requests").random((3, requests))
    times = _times(draws.generator("lanes"), table, requests)
    shared_times(table, times)
    return Scene(
        seed, requests, table, margins, streams, samples, courses, faults, _limits(random, seed), _prices(random),
        _budgets(random), POLICIES[int(random.integers(len(POLICIES)))],
        int(random.integers(1, 5)), int(random.uniform(0, 0.9) * margins.timer_ns),
        {name: each.tolist() for name, each in times.items()}, (0.6 + drawn[0] * 0.6).tolist(),
        (0.7 + drawn[1] * 0.6).tolist(), np.exp(drawn[2] * 2 - 1).tolist(), bool(random.random() < 0.5),
        draw_certificate(draws.generator("certificate"), table, streams, margins),
        {model.name: _exceeding(model, times[model.name]) for model in table.locals},
    )  # fmt: skip


def _model(random: np.random.Generator, name: str, lane: str, total_ms: float, quality: float) -> LocalModel:
    count = int(random.integers(1, 6))
    shares = random.random(count) + 0.1
    medians = [int(random.uniform(0, 2) * MS) + 1000, *(int(each * total_ms * MS) for each in shares / shares.sum())]
    beyond, loose = random.uniform(1.1, 2.0), random.uniform(1.0, 1.3)
    tails = [sum(medians[place:]) for place in range(len(medians))]
    bounds, tail_bounds = (
        [int(each * beyond * loose) + 1 for each in medians],
        [int(each * beyond) + 1 for each in tails],
    )
    return LocalModel(name, lane, quality, tuple(medians), tuple(bounds), tuple(tails), tuple(tail_bounds))


def _table(random: np.random.Generator) -> ArmTable:
    """One to three local models on one or two lanes; raw input, cuts and a cascade over one or two links."""
    lanes = ("cpu", "npu") if random.random() < 0.2 else ("cpu",)
    links = ("cloud", "edge") if random.random() < 0.15 else ("cloud",)
    total = random.uniform(4, 40)
    models = []
    for place in range(int(random.integers(1, 4))):
        lane = lanes[int(random.integers(len(lanes)))]
        models.append(_model(random, f"m{place}", lane, total, float(random.uniform(0.6, 1.0))))
        total *= random.uniform(1.5, 4)
    arms = [
        Arm(f"local:{each.name}", (RunStep("device", each.name, 0, each.last, each.tail_median_ns[0], each.lane),),
            each.quality) for each in models if random.random() < 0.9
    ]  # fmt: skip
    for link in links:
        arms += _remote(random, models, link)
    energy = dict(zip(("money_per_mb", "money_per_cloud_s"), random.uniform(0, (5, 2)).tolist(), strict=True))
    return ArmTable(tuple(arms), tuple(models), **energy)


def _remote(random: np.random.Generator, models: list[LocalModel], link: str) -> list[Arm]:
    def cross(codec: str, lane: str, low: int, high: int) -> CrossStep:
        encode = int(random.uniform(0.2, 4) * MS)
        return CrossStep(  # the codec's name tells links apart: lane times are by model, joint and codec
            link, f"{link}:{codec}", int(random.integers(low, high)), encode, int(encode * 1.3), int(random.uniform(0, 2) * MS),
            lane=lane,
        )  # fmt: skip

    def beyond(model: LocalModel, first: int) -> RunStep:
        took = int(model.tail_median_ns[first] / random.uniform(2, 20)) + 1
        return RunStep("cloud", model.name, first, model.last, took)

    arms = []
    for model in models:
        quality = float(random.uniform(0.7, 1.0))
        for codec in ("jpeg:50", "jpeg:90")[: int(random.integers(1, 3))]:
            steps = (cross(codec, model.lane, 4_000, 60_000), beyond(model, 0))
            arms.append(Arm(f"{link}:{model.name}:{codec}", steps, quality))
        for joint in range(model.last):
            if random.random() < 0.4:
                head = RunStep("device", model.name, 0, joint, sum(model.segment_median_ns[: joint + 1]), model.lane)
                split = (head, cross(f"q{joint}", model.lane, *_JOINT_BYTES), beyond(model, joint + 1))
                arms.append(Arm(f"{link}:split:{model.name}@{joint}", split, model.quality))
    small, big = models[0], models[-1]
    if small is not big and random.random() < 0.4:  # ask the bigger one only when the small one is unsure
        whole = RunStep("device", small.name, 0, small.last, small.tail_median_ns[0], small.lane)
        steps_ = (whole, GateStep(0.6, 0.4), cross("png", small.lane, 4_000, 60_000), beyond(big, 0))
        arms.append(Arm(f"{link}:cascade", steps_, float(random.uniform(0.8, 1.0))))
    return arms


def _streams(
    random: np.random.Generator, table: ArmTable, margins: r.Margins, requests: int
) -> tuple[tuple[r.Stream, ...], tuple[Sample, ...]]:
    """One to four streams and when their samples come; together they ask for 0.1 to 1.4 of the lane."""
    count = int(random.integers(1, 5))
    load = random.uniform(0.1, 0.6) if random.random() < 0.7 else random.uniform(0.6, 1.4)
    shares = random.random(count) + 0.2
    shares *= load / shares.sum()
    cheapest = min(model.tail_bound_ns[0] for model in table.locals)
    longest = max(model.segment_longest_ns() for model in table.locals)
    streams, arrivals = [], []
    for place in range(count):
        period = int(max(cheapest / shares[place], MS))
        delay = int(random.uniform(0, 20) * MS) if random.random() < 0.25 else 0
        roomy = random.random() < 0.7
        need = cheapest + margins.deliver_ns + 2 * margins.timer_ns + delay + longest * roomy
        deadline = int(need * random.uniform(1.1, 5) if roomy else need * random.uniform(0.5, 2))
        kind = _CRITICALITIES[int(random.integers(4))]
        way = random.choice(("periodic", "jittery", "poisson", "clumps"), p=(0.45, 0.25, 0.1, 0.2))
        gaps = _gaps(random, str(way), period, requests)
        streams.append(
            r.Stream(f"s{place}", deadline, kind, None if way == "poisson" else period, bool(random.random() < 0.3),
                     expiry_ns=int(random.uniform(0.2, 3) * r.SECOND), capture_delay_ns=delay)
        )  # fmt: skip
        captured = int(random.uniform(0, period)) + np.cumsum(gaps)
        late = (random.random(requests) * delay).astype(np.int64)
        arrivals += [
            (arrival, moment, place)
            for arrival, moment in zip((captured + late).tolist(), captured.tolist(), strict=True)
        ]
    arrivals.sort()
    return tuple(streams), tuple(
        Sample(number, stream, moment, arrival) for number, (arrival, moment, stream) in enumerate(arrivals[:requests])
    )


def _reusing(random: np.random.Generator, streams: tuple[r.Stream, ...]) -> tuple[r.Stream, ...]:
    """In a quarter of the worlds every other stream declares that its last answer may stand, for up to two seconds."""
    declares = (random.random(len(streams)) < 0.5) & (random.random() < 0.25)
    ages = random.uniform(0, 2, len(streams))
    return tuple(
        replace(stream, reuse_below=0.1, reuse_age_max_ns=int(age * r.SECOND)) if declared else stream
        for stream, declared, age in zip(streams, declares.tolist(), ages.tolist(), strict=True)
    )


def _gaps(random: np.random.Generator, way: str, period_ns: int, count: int) -> Ints:
    """Distances between captures; never less than the period but for "poisson"."""
    if way == "poisson":
        gaps = random.exponential(period_ns, count)
    elif way == "jittery":
        gaps = period_ns * (1.0 + random.exponential(0.4, count))
    elif way == "clumps":  # some in a row at the least distance, then none for long
        gaps = period_ns * np.where(random.random(count) < 0.15, random.uniform(3, 20, count), 1.0)
    else:
        gaps = np.full(count, float(period_ns))
    return np.ceil(gaps).astype(np.int64)


def _course(random: np.random.Generator) -> Course:
    """A steady link, or one whose rate, round trip and outages wander like a Markov chain."""
    trip, rate = float(random.uniform(2, 120)), float(np.exp(random.uniform(np.log(1), np.log(100))))
    if random.random() < 0.25:
        return Course.steady(round_trip_ms=trip, up_mbps=rate, down_mbps=2 * rate)
    rows = int(random.integers(10, 120))
    starts = np.concatenate(([0], np.sort(random.choice(np.arange(1, 20_000), rows - 1, replace=False)))) * MS
    moods = np.exp(np.cumsum(random.normal(0, 0.5, rows)) * 0.5)
    up = np.clip(rate * moods * np.exp(random.normal(0, 0.4, rows)), 0.05, 500) * 125_000.0
    trips = np.clip(trip * np.exp(np.abs(random.standard_t(3, rows)) * random.uniform(0, 0.8)), 1, 5_000) * MS
    frozen = random.random(rows) < random.choice((0.0, 0.02, 0.15))
    frozen[0] = False
    return Course("drawn", "", starts, COURSE_NS, trips, up, 2 * up, frozen, "loop")


def _exceeding(model: LocalModel, times_ns: Ints) -> frozenset[int]:
    """Requests (rows) of which a segment, or a run to the model's end from any segment on, takes longer than its bound."""
    tails = times_ns[:, ::-1].cumsum(axis=1)[:, ::-1]
    beyond = (times_ns > model.segment_bound_ns).any(axis=1) | (tails > model.tail_bound_ns).any(axis=1)
    return frozenset(np.flatnonzero(beyond).tolist())


def _times(random: np.random.Generator, table: ArmTable, requests: int) -> dict[str, Ints]:
    """What each segment of each model takes for each request: log-normal, correlated within a run; in three worlds of four
    never beyond the bounds (of the run: a share of each segment's time is cut off)."""
    exceeds = random.random() < 0.25
    found: dict[str, Ints] = {}
    width = random.uniform(0.02, 0.25)
    common = random.normal(0, width, requests)
    for model in table.locals:
        medians = np.array(model.segment_median_ns, np.float64)
        beyond = model.tail_bound_ns[0] / model.tail_median_ns[0]
        factors = np.exp(common[:, None] + random.normal(0, width, (requests, len(medians))))
        if not exceeds:
            factors = np.minimum(factors, beyond * 0.999)
        found[model.name] = np.maximum(1, medians * factors).astype(np.int64)
    return found


def _limits(random: np.random.Generator, seed: int) -> r.Limits:
    limits = r.Limits(seed=seed, audit_share=(0.0, 0.02, 1.0)[int(random.integers(3))])
    if random.random() < 0.3:
        limits = replace(limits, audit_spacing_ns=0, audit_wait_ns=300 * MS)
    if random.random() < 0.2:
        limits = replace(limits, requests_in_flight_max=int(random.integers(2, 12)))
    if random.random() < 0.2:
        limits = replace(limits, late_answers_kept_max=int(random.integers(1, 6)))
    if random.random() < 0.2:
        limits = replace(limits, probe_timeout_ns=200 * MS, probe_silence_ns=300 * MS, reopen_last_ns=400 * MS)
    return limits


def _prices(random: np.random.Generator) -> r.Prices:
    money, disagreement, reserve = (float(each) for each in 10.0 ** random.uniform((-2, 1, 0), (2, 4, 3)))
    return r.Prices(money, disagreement, reserve)


def _budgets(random: np.random.Generator) -> BudgetSettings:
    wanted = random.random(2) < 0.25
    bytes_per_s, power = float(random.uniform(1e3, 1e6)), float(random.uniform(50, 3000))
    return BudgetSettings(bytes_per_s if wanted[0] else None, power if wanted[1] else None)


def build(scene: Scene, policy: Policy, watch: Watch | None, on_excess: Callable[[int], None]) -> FaultyBody:
    """A device in this world under this policy; everything that will come by itself is planned on its clock."""
    clock, kinds, seed = Clock(), Kinds(scene.faults), scene.seed
    core = Core(
        scene.table, policy=policy, streams=scene.streams, limits=scene.limits, margins=scene.margins,
        prices=scene.prices, budgets=scene.budgets, certificate=scene.certificate,
    )  # fmt: skip
    links, servers = {}, {}
    for name, course in scene.courses.items():
        for fault in scene.faults:
            if fault.link == name:
                course = shape(course, fault)
        links[name] = Link(Direction(course, up=True), Direction(course, up=False))
        servers[name] = FaultyServer(clock, scene.table, kinds, link=name, replicas=scene.replicas, factors=scene.cloud)
    lies, scenery = kinds["liar"], Scenery(scene.streams, seed)
    places = {model.name: place for place, model in enumerate(scene.table.locals)}

    def confidence(request: int, model: str) -> float | None:
        return chance(seed, request, 40 + places[model]) if scene.confident else None

    def arrive(event: r.RequestArrived) -> None:
        body.post(scenery.compared(event))

    def agrees(compare: r.Compare) -> bool | None:
        lying = any(fault.from_ns <= clock.now_ns < fault.until_ns for fault in lies)
        drawn = chance(seed, compare.request, 31)
        return None if drawn > 0.99 else drawn < (0.2 if lying else 0.95)

    body = FaultyBody(
        core, clock, FaultyLanes(scene.table, scene.times_ns, scene.exceeding, scene.spread, scene.sizes, kinds, seed), links, servers,
        faults=kinds, seed=seed, on_excess=on_excess, confidence=confidence, agrees=agrees, watch=watch,
        timer_late_ns=lambda wake_ns: int(scene.timer_late_ns * chance(seed, wake_ns, 32)),
        cancel_ns=lambda request: int(scene.margins.cancel_ns * chance(seed, request, 33)),
    )  # fmt: skip
    body.tell_deliveries(scenery.delivered)
    withdrawing = kinds["withdraw"]
    for each in scene.disturbed_samples:
        event = r.RequestArrived(each.request, scene.streams[each.stream].name, each.captured_ns, each.deadline_ns)
        clock.line_up(each.arrival_ns, arrive, event)
        for fault in withdrawing:
            if fault.from_ns <= each.arrival_ns < fault.until_ns and chance(seed, each.request, 34) < 0.3:
                after = int(chance(seed, each.request, 35) * 100 * MS)
                clock.at(each.arrival_ns + after, body.post, r.RequestWithdrawn(each.request))
    return body
