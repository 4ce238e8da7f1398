"""Makes a certificate: bounds, then a proof for each mode and lane, then for each change between modes.

Rules:

1. A stream costs what its cheapest allowed reserve costs; a dearer one is taken at run time only where the calendar bears it, so
   it counts as optional work, like the arms.
2. Optional work is admitted up to the longest time that the lane bears it; what holds the lane longer is listed as excluded.
3. A stream belongs to one lane, on which all its reserves lie; where several would do, the first that bears it, the heaviest
   streams first (first-fit decreasing).
4. A change of modes is proven, either way, by one lane that carries each stream at its lesser distance of the two and at the cost of
   the dearest reserve that either admits, held for the longer blocking of the two: a dearer reserve or an optional piece that began
   under one mode may be in flight, or hold the lane, when the other begins. Else the change is not proven, and said to be so.
   Assumed: nothing was put off in one mode beyond what the other's rates allow.
5. Cancelling never holds a lane longer than the segment that it ends, so it adds nothing to the longest segment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hedgerow.assurance.certification import document as d
from hedgerow.assurance.certification.demand import (
    Lane,
    Load,
    extra_blocking_ns,
    feasible,
    largest_blocking,
    slack_ns,
    tightest,
)
from hedgerow.assurance.certification.inputs import bounds_of, hold_of, margins_of_inputs
from hedgerow.assurance.certification.streams import Declared, DeclaredMode, DeclaredStream, parse_streams
from hedgerow.errors import UsageError

FEASIBLE = "feasible"


@dataclass(frozen=True, slots=True)
class Reserved:
    """One stream in one mode on its lane: its reserves, cheapest first."""

    stream: DeclaredStream
    reserves: tuple[d.BoundsClaim, ...]
    keep_every: int

    @property
    def name(self) -> str:
        return self.stream.name

    def load(self, margins: d.MarginsClaim) -> Load:
        cheapest = self.reserves[0]
        within = self.stream.deadline_ns - self.stream.latest_arrival_ns - margins.deliver_ns - margins.timer_ns
        distance = self.stream.period_ns * self.keep_every
        return Load(self.name, cheapest.tail_ns[0], distance, within, max(cheapest.segment_ns))


@dataclass(frozen=True, slots=True)
class LanePlan:
    """What one lane carries in one mode, before it is known whether it can."""

    mode: str
    lane: str
    reserved: tuple[Reserved, ...]
    holds: tuple[d.HoldClaim, ...]
    margins: d.MarginsClaim

    def demand(self, optional_ns: int = 0) -> Lane:
        """The lane as the analysis sees it."""
        return Lane(tuple(each.load(self.margins) for each in self.reserved), optional_ns, self.margins.timer_ns)

    @property
    def optional(self) -> list[int]:
        """How long each thing that may be done, but need not, holds the lane."""
        dearer = [max(each.segment_ns) for reserved in self.reserved for each in reserved.reserves[1:]]
        return [*(hold.hold_ns for hold in self.holds), *dearer]


@dataclass(frozen=True, slots=True)
class Problem:
    """All that is to be proven: computed from the inputs alone."""

    inputs: d.Inputs
    declared: Declared
    margins: d.MarginsClaim
    bounds: tuple[d.BoundsClaim, ...]
    holds: tuple[d.HoldClaim, ...]

    @property
    def lanes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.lane for each in self.bounds))

    def plans(self, mode: DeclaredMode) -> tuple[LanePlan, ...]:
        """Each lane of the mode with its streams; UsageError where a stream's reserves do not lie on one lane."""
        chosen: dict[str, list[Reserved]] = {lane: [] for lane in self.lanes}
        options = [self._options(mode, stream) for stream in self.declared.streams if self._holds(mode, stream)]
        for lanes in sorted(options, key=self._weight, reverse=True):
            fitting = (
                lane for lane, each in lanes.items() if feasible(self._plan(mode, lane, [*chosen[lane], each]).demand())
            )
            lane = next(iter(lanes)) if len(lanes) == 1 else next(fitting, next(iter(lanes)))
            chosen[lane].append(lanes[lane])
        order = [stream.name for stream in self.declared.streams]
        return tuple(
            self._plan(mode, lane, sorted(found, key=lambda each: order.index(each.name)))
            for lane, found in chosen.items()
        )

    def _plan(self, mode: DeclaredMode, lane: str, reserved: Sequence[Reserved]) -> LanePlan:
        holds = tuple(each for each in self.holds if each.lane == lane)
        return LanePlan(mode.name, lane, tuple(reserved), holds, self.margins)

    def _holds(self, mode: DeclaredMode, stream: DeclaredStream) -> bool:
        return stream.reserved and self.declared.reserves(mode, stream) != ()

    def _weight(self, lanes: dict[str, Reserved]) -> float:
        each = next(iter(lanes.values()))
        return each.reserves[0].tail_ns[0] / (each.stream.period_ns * each.keep_every)

    def _options(self, mode: DeclaredMode, stream: DeclaredStream) -> dict[str, Reserved]:
        """By lane: the stream there, if all its reserves lie there."""
        known = {each.model for each in self.bounds}
        wanted = self.declared.reserves(mode, stream)
        names = tuple(dict.fromkeys(each.model for each in self.bounds)) if wanted is None else wanted
        where = f"mode '{mode.name}', stream '{stream.name}'"
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            raise UsageError(
                f"{where}: reserve '{unknown}' is not in the profile, which has {', '.join(sorted(known))}"
            )
        found = {}
        for lane in self.lanes:
            there = [each for each in self.bounds if each.lane == lane and each.model in names]
            if len(there) == len(names):
                there.sort(key=lambda each: (each.tail_ns[0], each.model))
                found[lane] = Reserved(stream, tuple(there), mode.change(stream.name).keep_every)
        if not found:
            raise UsageError(f"{where}: its reserves lie on different lanes; name reserves of one lane")
        return found


def problem_of(inputs: d.Inputs) -> Problem:
    """What is to be proven; UsageError for a streams file that is wrong, or does not fit the profile."""
    declared = parse_streams(inputs.streams)
    bounds = tuple(bounds_of(model, declared) for model in inputs.models)
    by_name = {(each.model, each.lane): each for each in bounds}
    lanes = {each.lane for each in bounds}
    unknown = next((lane.name for lane in declared.lanes if lane.name not in lanes), None)
    if unknown is not None:
        raise UsageError(f"lane '{unknown}' is not in the profile, which has {', '.join(sorted(lanes))}")
    holds = tuple(hold_of(arm, by_name, declared) for arm in inputs.arms)
    return Problem(inputs, declared, margins_of_inputs(inputs, declared), bounds, holds)


@dataclass(frozen=True, slots=True)
class Proof:
    """A certificate if every mode is feasible; else the lanes that are not."""

    problem: Problem
    document: d.Document | None
    failing: tuple[LanePlan, ...]


def prove(inputs: d.Inputs) -> Proof:
    """Prove every mode by itself, and the changes between them where that is possible."""
    problem = problem_of(inputs)
    plans = {mode.name: problem.plans(mode) for mode in problem.declared.modes}
    failing = tuple(plan for each in plans.values() for plan in each if not feasible(plan.demand()))
    if failing:
        return Proof(problem, None, failing)
    modes = tuple(_mode(problem, mode, plans[mode.name]) for mode in problem.declared.modes)
    changes = tuple(
        d.ChangeClaim(one.name, other.name, _bears_change(plans[one.name], plans[other.name], one, other))
        for one, other in pairwise(modes)
    )
    document = d.Document(
        format=d.FORMAT,
        kind=d.KIND,
        verdict=FEASIBLE,
        inputs=inputs,
        margins=problem.margins,
        bounds=problem.bounds,
        holds=problem.holds,
        modes=modes,
        changes=changes,
        streams_sha256=d.text_digest(inputs.streams),
        statement=d.statement_of(inputs),
    )
    return Proof(problem, document.sealed(), ())


def _mode(problem: Problem, mode: DeclaredMode, plans: Iterable[LanePlan]) -> d.ModeClaim:
    only = tuple(
        stream.name
        for stream in problem.declared.streams
        if stream.reserved and problem.declared.reserves(mode, stream) == ()
    )
    return d.ModeClaim(mode.name, tuple(_lane(plan) for plan in plans), only)


def _lane(plan: LanePlan) -> d.LaneClaim:
    """All claims about a feasible lane."""
    blocking = largest_blocking(plan.demand(), plan.optional) if plan.reserved else max(plan.optional, default=0)
    assert blocking is not None, "only feasible lanes come here"
    lane = plan.demand(blocking)
    excluded = tuple(each.arm for each in plan.holds if each.hold_ns > blocking)
    dearer = (each for reserved in plan.reserved for each in reserved.reserves[1:])
    reserves = tuple(dict.fromkeys(each.model for each in dearer if max(each.segment_ns) > blocking))
    streams = tuple(_stream(lane, each, blocking, plan.margins) for each in plan.reserved)
    if not plan.reserved:
        return d.LaneClaim(plan.lane, (), blocking, 0, 0, 0, 0, 0, excluded, reserves)
    found = tightest(lane)
    ppm = -(-lane.utilisation.numerator * 1_000_000 // lane.utilisation.denominator)
    return d.LaneClaim(
        plan.lane, streams, blocking, ppm, found.horizon_ns, found.moments, found.moment_ns, found.taken_ns,
        excluded, reserves,
    )  # fmt: skip


def _stream(lane: Lane, reserved: Reserved, blocking_ns: int, margins: d.MarginsClaim) -> d.StreamClaim:
    load = reserved.load(margins)
    cheapest, *dearer = reserved.reserves
    allowed = (cheapest.model, *(each.model for each in dearer if max(each.segment_ns) <= blocking_ns))
    return d.StreamClaim(
        reserved.name, cheapest.model, allowed, load.cost_ns, load.distance_ns, load.within_ns,
        slack_ns(lane, load), extra_blocking_ns(lane, load),
    )  # fmt: skip


def _bears_change(one: Sequence[LanePlan], other: Sequence[LanePlan], first: d.ModeClaim, second: d.ModeClaim) -> bool:
    """Whether each lane bears every stream at the dearest reserve, lesser distance and longer blocking of the two modes, at once."""
    for before, after, left, right in zip(one, other, first.lanes, second.lanes, strict=True):
        loads = {each.name: each for each in _dearest(before, left.blocking_ns)}
        for load in _dearest(after, right.blocking_ns):
            known = loads.get(load.name, load)
            loads[load.name] = replace(
                load,
                cost_ns=max(load.cost_ns, known.cost_ns),
                distance_ns=min(load.distance_ns, known.distance_ns),
                segment_ns=max(load.segment_ns, known.segment_ns),
            )
        held = max(left.blocking_ns, right.blocking_ns)
        if not feasible(Lane(tuple(loads.values()), held, before.margins.timer_ns)):
            return False
    return True


def _dearest(plan: LanePlan, blocking_ns: int) -> Iterable[Load]:
    """The plan's streams, each at the cost of the dearest of its reserves that hold the lane no longer than `blocking_ns`."""
    for each in plan.reserved:
        load = each.load(plan.margins)
        dearer = (more.tail_ns[0] for more in each.reserves[1:] if max(more.segment_ns) <= blocking_ns)
        yield replace(load, cost_ns=max([load.cost_ns, *dearer]))
