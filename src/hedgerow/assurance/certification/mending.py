"""What would make a lane feasible: one change at a time, each proven by the same analysis before it is told.

Figures are rounded to what a person would write (0.1 ms, to the safe side) and proven as rounded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from hedgerow.assurance.certification import demand
from hedgerow.assurance.certification.demand import Lane, Load
from hedgerow.assurance.certification.proving import LanePlan, Problem, Reserved
from hedgerow.errors import UsageError

_STEP_NS = 100_000
_FACTOR_MAX = 32


@dataclass(frozen=True, slots=True)
class Mend:
    """One change that suffices. `kind`: period, deadline, reserve, faster, joint, leave_out or all_periods; `ns` its figure."""

    kind: str
    stream: str
    ns: int
    text: str


def mends(problem: Problem, plan: LanePlan) -> list[Mend]:
    """Every single change that makes this lane feasible, the gentlest kinds first; if none does, what all together take."""
    lane = plan.demand()
    found: list[Mend] = []
    for kind in (_joint, _deadline, _period, _reserve, _faster, _leave_out):
        for reserved, load in zip(plan.reserved, lane.loads, strict=True):
            found += kind(problem, plan, lane, reserved, load)
    return found or list(_all_periods(lane))


def feasible(lane: Lane) -> bool:
    """Proven; a lane so full that the proof would take too long is not."""
    try:
        return demand.feasible(lane)
    except UsageError:
        return False


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.1f} ms"


def _least(low: int, high: int, suffices: Callable[[int], bool]) -> int | None:
    """The least multiple of 0.1 ms above `low`, up to `high`, that suffices; None if not even `high` does."""
    first, last = low // _STEP_NS, -(-high // _STEP_NS)
    if not suffices(last * _STEP_NS):
        return None
    while last - first > 1:
        middle = (first + last) // 2
        if suffices(middle * _STEP_NS):
            last = middle
        else:
            first = middle
    return last * _STEP_NS


def _period(problem: Problem, plan: LanePlan, lane: Lane, reserved: Reserved, load: Load) -> Iterator[Mend]:
    keep, now = reserved.keep_every, reserved.stream.period_ns

    def suffices(period: int) -> bool:
        return feasible(lane.with_load(replace(load, distance_ns=period * keep)))

    ns = _least(now, _FACTOR_MAX * now, suffices)
    if ns is not None:
        yield Mend("period", load.name, ns, f"{load.name}: a period of at least {_ms(ns)} (now {_ms(now)})")


def _deadline(problem: Problem, plan: LanePlan, lane: Lane, reserved: Reserved, load: Load) -> Iterator[Mend]:
    now = reserved.stream.deadline_ns

    def suffices(deadline: int) -> bool:
        return feasible(lane.with_load(replace(load, within_ns=load.within_ns + deadline - now)))

    ns = _least(now, _FACTOR_MAX * now, suffices)
    if ns is not None:
        yield Mend("deadline", load.name, ns, f"{load.name}: a deadline of at least {_ms(ns)} (now {_ms(now)})")


def _reserve(problem: Problem, plan: LanePlan, lane: Lane, reserved: Reserved, load: Load) -> Iterator[Mend]:
    for bounds in problem.bounds:
        if bounds.lane == plan.lane and bounds.tail_ns[0] < load.cost_ns:
            changed = replace(load, cost_ns=bounds.tail_ns[0], segment_ns=max(bounds.segment_ns))
            if feasible(lane.with_load(changed)):
                text = f"{load.name}: allow the reserve {bounds.model} ({_ms(bounds.tail_ns[0])} instead of {_ms(load.cost_ns)})"
                yield Mend("reserve", load.name, bounds.tail_ns[0], text)


def _faster(problem: Problem, plan: LanePlan, lane: Lane, reserved: Reserved, load: Load) -> Iterator[Mend]:
    """The largest cost that would do: what a smaller model, an exit or a better measured bound would have to reach."""

    def suffices(less: int) -> bool:
        cost = load.cost_ns - less
        return cost > 0 and feasible(lane.with_load(replace(load, cost_ns=cost, segment_ns=min(load.segment_ns, cost))))

    most = load.cost_ns - load.cost_ns % _STEP_NS - _STEP_NS
    less = _least(0, most, suffices) if most >= _STEP_NS else None
    if less is not None:
        cost = load.cost_ns - less
        text = f"{load.name}: a reserve of at most {cost // _STEP_NS / 10:.1f} ms (now {_ms(load.cost_ns)})"
        yield Mend("faster", load.name, cost, text)


def _joint(problem: Problem, plan: LanePlan, lane: Lane, reserved: Reserved, load: Load) -> Iterator[Mend]:
    """Shorter segments: its longest one holds up the others."""

    def suffices(less: int) -> bool:
        return feasible(lane.with_load(replace(load, segment_ns=load.segment_ns - less)))

    most = load.segment_ns - load.segment_ns % _STEP_NS - _STEP_NS
    less = _least(0, most, suffices) if most >= _STEP_NS else None
    if less is not None:
        ns, model = load.segment_ns - less, reserved.reserves[0].model
        text = (
            f"{load.name}: joints in {model} that leave no segment longer than {ns // _STEP_NS / 10:.1f} ms"
            f" (now {_ms(load.segment_ns)})"
        )
        yield Mend("joint", load.name, ns, text)


def _leave_out(problem: Problem, plan: LanePlan, lane: Lane, reserved: Reserved, load: Load) -> Iterator[Mend]:
    left = replace(lane, loads=tuple(each for each in lane.loads if each.name != load.name))
    if left.loads and feasible(left):
        how = "reserves = [] (its safe value alone)" if reserved.stream.has_safe_value else 'criticality = "background"'
        yield Mend("leave_out", load.name, 0, f"{load.name}: {how}")


def _all_periods(lane: Lane) -> Iterator[Mend]:
    """Where no single change does: all periods by one factor."""

    def suffices(permille: int) -> bool:
        loads = tuple(replace(each, distance_ns=each.distance_ns * permille // 1000) for each in lane.loads)
        return feasible(replace(lane, loads=loads))

    low, high = 1000, _FACTOR_MAX * 1000
    if not suffices(high):
        return
    while high - low > 10:
        middle = (low + high) // 2
        if suffices(middle):
            high = middle
        else:
            low = middle
    yield Mend("all_periods", "", high, f"no single change is enough; all periods times {high / 1000:.2f} are")
