"""A device, link and cloud that one request has to itself: which reserve it gets, when that must start, what a crossing takes.

`path.py` follows the request from there; `tests/simulation/test_oracles.py` holds all of it equal to runs of the real core.

Rules: it follows `core/` for one device lane, punctual timers, no certificate, no budgets and no audits; it knows how sure each
model will be, so a gate stops an arm where it really would; a background request has its first try followed, and what a later one might save is not counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hedgerow.core import records as r
from hedgerow.core.arms import Arm, CrossStep, Floats, GateStep, LocalModel, RunStep, holder
from hedgerow.core.flight import Plan
from hedgerow.core.lanes import Forecast, Reservation, fits_behind, latest_free, latest_start, sustainable
from hedgerow.core.records import Criticality
from hedgerow.core.reserves import to_hold
from hedgerow.errors import UsageError
from hedgerow.simulation.body import ACK_BYTES, OPENING_BYTES, OVERTIME_NS, Ended, Work
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.servers import QueueServer
from hedgerow.simulation.transfer import NEVER_NS, Direction
from hedgerow.simulation.world import Arrival, Setup

Step = RunStep | CrossStep | GateStep


@dataclass(slots=True)
class Told:
    """What came of one request under one arm; `told_ns` is a moment, NEVER_NS when it was never told.

    `priced`: the price of disagreement decided something on the way (which plan goes on from a joint), so that it may be
    another at another price.
    """

    energy_mj: float = 0.0
    up_bytes: int = 0
    cloud_ns: int = 0
    quality: float = 0.0
    reserve: bool = False
    told_ns: int = NEVER_NS
    late: bool = True
    priced: bool = False
    sent_ns: int = -1  # when the payload was sent, if nothing came before it but the arm's own work


@dataclass(frozen=True, slots=True)
class Crossed:
    """What becomes of a payload sent: `answered` or a fault at the moment `ends_ns`."""

    ends_ns: int
    answered: bool
    radio_mj: float
    up_bytes: int
    cloud_ns: int


@dataclass(slots=True)
class Asked:
    """One request as the core sees it when it arrives, and what was already worked out for it."""

    number: int
    now_ns: int
    deadline_ns: int
    due_ns: int
    hold_ns: int
    stream: r.Stream
    coming: tuple[Forecast, ...]
    fits: tuple[Plan, ...] = ()
    plan: Plan | None = None
    guaranteed: bool = True
    likely: bool = False
    available_ns: int = 0
    starts: dict[int, int] = field(default_factory=dict)
    frees: dict[tuple[int, int], int] = field(default_factory=dict)
    times: dict[tuple[str, int, int, int], tuple[int, ...]] = field(default_factory=dict)
    crossings: dict[tuple[str, int, str, int, int, int], Crossed] = field(default_factory=dict)

    @property
    def background(self) -> bool:
        return self.stream.criticality is Criticality.BACKGROUND

    @property
    def safety(self) -> bool:
        return self.stream.criticality is Criticality.SAFETY


@dataclass(frozen=True, slots=True)
class Way:
    """An arm prepared: its steps up to the first crossing, the model that it is when it is one whole local run, and what crosses."""

    column: int
    steps: tuple[Step, ...]
    whole: LocalModel | None
    remote: bool
    sends: tuple[str, int] = ("", 0)
    last: int = 0

    @classmethod
    def of(cls, setup: Setup, column: int, arm: Arm) -> "Way":
        steps: list[Step] = []
        for position, step in enumerate(arm.steps):
            steps.append(step)
            if isinstance(step, CrossStep):
                there = arm.beyond(position)
                return cls(column, tuple(steps), None, True, arm.sends(position), there.last)
        only = steps[0]
        is_whole = len(arm.steps) == 1 and isinstance(only, RunStep) and only.first == 0
        model = setup.table.local(arm.model)
        whole = model if is_whole and isinstance(only, RunStep) and only.last == model.last else None
        return cls(column, tuple(steps), whole, False)


class Alone:
    """A setup's device, link and cloud, always idle."""

    def __init__(self, setup: Setup, disagreement_mj: Sequence[float]) -> None:
        table = setup.table
        if len({model.lane for model in table.locals}) > 1:
            raise UsageError("the clairvoyants know devices of one lane: leave the models of the others out")
        self.setup, self.table, self.energy, self.lanes = setup, table, table.energy, setup.lanes()
        self.timer_ns, self.cancel_ns, self._prices = setup.margins.timer_ns, setup.cancel_ns, tuple(disagreement_mj)
        self.whole = {model.name: Plan(model, 0) for model in table.locals}
        self.ways = [Way.of(setup, column, arm) for column, arm in enumerate(table.arms)]
        self.blocking_ns = max(model.segment_longest_ns() for model in table.locals)
        self._up, self._down = Direction(setup.course, up=True), Direction(setup.course, up=False)
        self._streams = {stream.name: stream for stream in setup.streams}
        self._named = {model.name: model for model in table.locals}
        lanes = [row for name, row in table.amounts.items() if name.startswith("lane:")]
        self._refining: Floats | None = (
            sum(lanes, np.zeros(len(table.arms))) * table.refines if table.refines.any() else None
        )
        self._longest: dict[tuple[str, int, int], int] = {}
        self._coming = self._forecasts()
        self._alone_with: tuple[int, float] | None = None
        if len(self._coming) == 1:
            (only,) = self._coming.values()
            self._alone_with = only.period_ns, max(1.0 - only.bound_ns / only.period_ns, 0.01)
        server = setup.server()
        self._server = server if isinstance(server, QueueServer) and server.is_plain else None

    def offered(self, asked: Asked, way: Way) -> bool:
        """Whether there is time for its work on the lane (`core.choosing.Choosing.view`)."""
        left = asked.available_ns if asked.background else asked.due_ns - asked.now_ns
        in_time = self._refining is None or bool(self._refining[way.column] <= left)
        return in_time and bool(self.table.busy_ns[way.column] <= asked.available_ns)

    def holds(self, model: str, joint: int, joints: Mapping[str, int]) -> bool:
        """Whether what should cross from this joint is still kept."""
        return bool(holder(self._named, model, joint, joints))

    def _forecasts(self) -> dict[str, Forecast]:
        """What the desk keeps room for, by stream (`core.desk.Desk.expect`)."""
        bound = min(model.tail_bound_ns[0] for model in self.table.locals)
        found = {
            each.name: Forecast(
                0, each.period_ns, each.deadline_ns - each.capture_delay_ns - self.setup.margins.before(each), bound
            )
            for each in self._streams.values()
            if each.period_ns and each.criticality is not Criticality.BACKGROUND
        }
        return found if sustainable(list(found.values()), blocking_ns=self.blocking_ns + self.timer_ns) else {}

    def arrive(self, number: int, arrival: Arrival) -> Asked:
        """The next request in order of arrival, with its reserve chosen as the core does."""
        stream, margins, now = self._streams[arrival.stream], self.setup.margins, arrival.arrival_ns
        if stream.name in self._coming:
            forecast = self._coming[stream.name]
            self._coming[stream.name] = forecast._replace(earliest_ns=now + forecast.period_ns)
        deadline = arrival.captured_ns + stream.deadline_ns
        due = deadline - margins.before(stream)
        hold = deadline - margins.deliver_ns - margins.timer_ns
        asked = Asked(number, now, deadline, due, hold, stream, tuple(self._coming.values()))
        if asked.background:
            asked.available_ns = arrival.captured_ns + stream.expiry_ns - now
            return asked
        asked.fits = tuple(self.fitting(asked, now))
        if (
            asked.fits and stream.criticality is Criticality.SAFETY
        ):  # the best, by the one price that such tables are made for
            asked.plan = self.cheapest(asked.fits, self._prices[0])[0]
        else:
            held = to_hold([plan.model for plan in asked.fits], due - now)
            asked.plan = None if held is None else self.whole[held.name]
        asked.available_ns = due - now
        if asked.plan is not None:
            asked.available_ns -= asked.plan.bound_ns
            return asked
        asked.plan, asked.guaranteed = min(self.whole.values(), key=lambda plan: plan.bound_ns), False
        asked.likely = now + asked.plan.likely_ns <= due
        asked.available_ns -= asked.plan.likely_ns if asked.likely else 0
        return asked

    def fitting(self, asked: Asked, now: int) -> list[Plan]:
        """The whole models that fit from then on (`core.desk.Desk.starts`)."""
        shortest = min(plan.bound_ns for plan in self.whole.values())
        found = []
        for plan in self.whole.values():
            fits = now + plan.bound_ns <= asked.due_ns
            if fits and (plan.bound_ns == shortest or self.may_block(asked, plan.bound_ns, 0, now)):
                found.append(plan)
        return found

    def _excess_ns(self, asked: Asked, bound_ns: int, start: int, now: int) -> int | None:
        """`core.lanes._worst_excess` of one plan beside one stream whose next request is due later; None: ask there.

        Each further request adds no more than its distance, so the first one's moment is the worst of all.
        """
        if self._alone_with is None or not bound_ns:
            return None
        period, share = self._alone_with
        earliest, _, within, next_ns = asked.coming[0]
        first = max(earliest, now) + within
        if first <= asked.due_ns or next_ns > period:
            return None
        found = bound_ns - (asked.due_ns - start)
        work = start - now + self.blocking_ns + bound_ns + next_ns
        if first <= max(asked.due_ns, now + int(work / share)):
            found = max(found, bound_ns + next_ns - (first - start))
        return found

    def may_block(self, asked: Asked, bound_ns: int, busy_ns: int, now: int) -> bool:
        """Whether the lane may be taken for so long; `bound_ns` of the plan that counts, 0 for none."""
        free = now + busy_ns + self.timer_ns
        if not asked.coming:
            return not bound_ns or asked.due_ns - bound_ns >= free
        excess = self._excess_ns(asked, bound_ns, free, now)
        if excess is not None:
            return excess <= 0
        jobs = [Reservation(asked.due_ns, bound_ns)] if bound_ns else []
        return fits_behind(jobs, asked.coming, blocking_ns=self.blocking_ns, free_ns=free, now_ns=now)

    def _latest_free_ns(self, asked: Asked, bound_ns: int, now: int) -> int:
        """`core.lanes.latest_free`."""
        free = asked.frees.get((bound_ns, now))
        if free is not None:
            return free
        free = now
        for _ in range(2):
            excess = self._excess_ns(asked, bound_ns, free, now)
            if excess is None:
                jobs = [Reservation(asked.due_ns, bound_ns)]
                free = latest_free(jobs, asked.coming, blocking_ns=self.blocking_ns, now_ns=now)
                break
            free -= excess
        asked.frees[bound_ns, now] = free
        return free

    def start_ns(self, asked: Asked, bound_ns: int, now: int) -> int:
        """The calendar's latest start of a plan."""
        if bound_ns not in asked.starts:
            jobs = [Reservation(asked.due_ns, bound_ns)]
            found = latest_start(jobs, asked.coming, blocking_ns=self.blocking_ns, now_ns=now)
            assert found is not None
            asked.starts[bound_ns] = found
        return asked.starts[bound_ns]

    def turn_ns(self, asked: Asked, bound_ns: int, segment_ns: int, now: int) -> int:
        """When a head is told to give way to its own reserve (`core.desk.Desk._give_way`)."""
        if not asked.coming:
            return max(now, asked.due_ns - bound_ns - segment_ns - 2 * self.timer_ns)
        while True:
            turn = self._latest_free_ns(asked, bound_ns, now) - segment_ns - 2 * self.timer_ns
            if turn <= now:
                return now
            now = turn

    def cheapest(self, plans: Sequence[Plan], disagreement_mj: float) -> tuple[Plan, bool]:
        """(the plan of least energy and disagreement, whether another would be so at another of the prices)."""
        if len(plans) == 1:
            return plans[0], False
        energy = [self.energy.busy_mj(plan.median_ns) for plan in plans]
        wrong = [1.0 - plan.model.quality for plan in plans]

        def at(price: float) -> int:
            costs = [mj + price * share for mj, share in zip(energy, wrong, strict=True)]
            return costs.index(min(costs))

        found = at(disagreement_mj)
        return plans[found], any(at(price) != found for price in self._prices)

    def longest_ns(self, model: str, first: int, last: int) -> int:
        """How long these segments hold the lane between two joints."""
        key = (model, first, last)
        if key not in self._longest:
            self._longest[key] = max(self.table.local(model).segment_bound_ns[first : last + 1])
        return self._longest[key]

    def segments_ns(self, asked: Asked, model: str, first: int, last: int, now: int) -> tuple[int, ...]:
        key = (model, first, last, now)
        if key not in asked.times:
            asked.times[key] = self.lanes.segments_ns(asked.number, model, first, last, now)
        return asked.times[key]

    def cross(self, asked: Asked, way: Way, now: int, useful_ns: int) -> Crossed:
        """Send what this arm sends now; after `useful_ns` nobody wants its answer."""
        codec = way.steps[-1].codec  # type: ignore[union-attr]
        key = (*way.sends, codec, way.last, now, useful_ns)
        if key not in asked.crossings:
            asked.crossings[key] = self._cross(asked.number, *key)
        return asked.crossings[key]

    def _cross(self, number: int, model: str, joint: int, codec: str, last: int, now: int, useful_ns: int) -> Crossed:
        size = self.lanes.payload_bytes(number, model, joint, codec)
        gives_up = useful_ns + OVERTIME_NS
        sending, done = self._up.alone(size + OPENING_BYTES, now, ACK_BYTES + OPENING_BYTES)
        radio = self.energy.radio_mj(self._up.moving_ns(now, min(now + sending, max(now, gives_up))))
        if done >= gives_up:
            return Crossed(gives_up, False, radio, size, 0)
        moment, what = self._serve(Work(0, number, 1, model, joint, last, codec, done, useful_ns))
        if what.fault:
            arrival = min(self._down.pass_by(moment), max(gives_up, moment))
            return Crossed(arrival, False, radio, size, 0)
        used, arrival = what.decode_ns + what.compute_ns, self._down.alone(what.answer_bytes, moment)[1]
        answered = arrival <= gives_up
        return Crossed(arrival if answered else max(gives_up, moment), answered, radio, size, used)

    def _serve(self, work: Work) -> tuple[int, Ended]:
        """(when, how) an idle server ends it."""
        if self._server is not None:
            return self._server.alone(work)
        server, clock, ended = self.setup.server(), Clock(), []
        clock.now_ns = work.arrival_ns
        if not server.alive:
            return work.arrival_ns, Ended("unavailable")
        server.submit(work, clock, lambda what: ended.append((clock.now_ns, what)))
        clock.run(NEVER_NS)
        return ended[0]

    def free(self, asked: Asked, way: Way, held: Told | None) -> Told | None:
        """The same with nothing held in reserve and all the time there is; None if the answer is not in time.

        `held`: the way with the reserve, for what it has worked out already.
        """
        sent, stopped = -1 if held is None else held.sent_ns, ""
        if sent < 0:
            sent, stopped = self._straight_ns(asked, way)
        told = Told(self.energy.busy_mj(sent - asked.now_ns))
        if stopped or not way.remote:
            told.quality = self.local_quality(way, asked, stopped or self._answers(way))
            return told if sent <= asked.deadline_ns else None
        told.quality = self.remote_quality(way, asked)
        crossed = self.cross(asked, way, sent, asked.due_ns)
        if not crossed.answered and crossed.ends_ns <= asked.deadline_ns:  # refused for want of time: it had some yet
            crossed = self.cross(asked, way, sent, asked.due_ns + self.setup.limits.unanswered_wait_ns)
        told.energy_mj += crossed.radio_mj
        told.up_bytes, told.cloud_ns = crossed.up_bytes, crossed.cloud_ns
        return told if crossed.answered and crossed.ends_ns <= asked.deadline_ns else None

    def _straight_ns(self, asked: Asked, way: Way) -> tuple[int, str]:
        """When the arm's own work on the lane is done if nothing is in its way, and the model whose gate it stops at, "" for none."""
        now, model = asked.now_ns, ""
        for step in way.steps:
            if isinstance(step, CrossStep):
                return now + self.lanes.encode_ns(asked.number, *way.sends, step.codec, now), ""
            if isinstance(step, RunStep):
                now, model = now + sum(self.segments_ns(asked, step.model, step.first, step.last, now)), step.model
            elif self.stops(asked, step, model):
                return now, model
        return now, ""

    def _answers(self, way: Way) -> str:
        """The model that answers at the end of a local arm."""
        return self.table.arms[way.column].model

    def stops(self, asked: Asked, step: GateStep, model: str) -> bool:
        """Whether the answer of this model, which has just run to its end, stands at this gate."""
        sure = self.setup.confidence(asked.number, model) if model else None
        return sure is not None and sure >= step.at_least

    def local_quality(self, way: Way, asked: Asked, model: str) -> float:
        """What this model's answer is worth, under this arm at this sample (`answering.py`)."""
        return self.setup.answering.local_quality(way.column, model, self.setup.arrivals[asked.number].sample)

    def remote_quality(self, way: Way, asked: Asked) -> float:
        return self.setup.answering.remote_quality(way.column, self.setup.arrivals[asked.number].sample)
