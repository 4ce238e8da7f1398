"""The processor-demand test of earliest deadline first on one lane that changes its mind only at joints.

A lane carries `Load`s: sporadic work of at most `cost_ns`, due `within_ns` after its latest release, dues `distance_ns` apart.
Work of a later due that has just begun a segment holds the lane to its end; so may optional work, for `optional_ns`; and the
hand-over takes `handover_ns` once. All dues are met, whatever the releases, if for every moment t > 0

    sum over i of max(0, floor((t - D_i) / T_i) + 1) C_i  +  B(t)  <=  t,
    B(t) = max(optional, the longest segment of those with D_j > t) + handover.

Sources: Jeffay, Stanat and Martel 1991 (non-preemptive), George, Rivierre and Spuri 1996 (blocking, busy period), Baruah, Rosier and Howell
1990 (demand); the quick test that looks at few moments only, from the last backwards, is QPA of Zhang and Burns 2009,
here in each stretch between two D_j, where B is constant and the left side therefore never falls. Exact: whole ns only.

How far to look: let w be the least w > 0 with w = B_max + sum of ceil(w / T_i) C_i. As floor((t - D) / T) + 1 <= ceil(t / T),
a moment t > w that is exceeded implies that t - w is; so some moment up to w is. At a utilisation of exactly 1 with no such w,
demand repeats after the least common multiple of the T_i, and that much beyond the largest D_i is looked at.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from hedgerow.errors import UsageError

MOMENTS_MAX = 2_000_000
_ROUNDS_MAX = 100_000
_SURELY_BELOW_1 = 0.999_999


@dataclass(frozen=True, slots=True)
class Load:
    """One stream's reserves on a lane; `segment_ns` is the longest time that they hold it between two joints."""

    name: str
    cost_ns: int
    distance_ns: int
    within_ns: int
    segment_ns: int


@dataclass(frozen=True, slots=True)
class Lane:
    """What one lane must bear at once."""

    loads: tuple[Load, ...]
    optional_ns: int
    handover_ns: int

    @property
    def utilisation(self) -> Fraction:
        """The share of the lane's time that the loads take in the long run."""
        return sum((Fraction(each.cost_ns, each.distance_ns) for each in self.loads), Fraction(0))

    def demand_ns(self, moment: int) -> int:
        """The work released from 0 on and due by `moment`, at most."""
        return sum(
            ((moment - each.within_ns) // each.distance_ns + 1) * each.cost_ns
            for each in self.loads
            if each.within_ns <= moment
        )

    def blocking_ns(self, moment: int) -> int:
        """How long others may hold the lane that has until `moment`."""
        later = (each.segment_ns for each in self.loads if each.within_ns > moment)
        return max(self.optional_ns, *later, 0) + self.handover_ns

    def taken_ns(self, moment: int) -> int:
        """Demand and blocking; in time if at most `moment`."""
        return self.demand_ns(moment) + self.blocking_ns(moment)

    def with_load(self, changed: Load) -> "Lane":
        """The same lane with one load changed, found by its name."""
        return replace(self, loads=tuple(changed if each.name == changed.name else each for each in self.loads))

    def horizon_ns(self) -> int | None:
        """Until when moments must be looked at; at least every load's first due. None: utilisation above 1."""
        last = max(each.within_ns for each in self.loads)
        utilisation: float | Fraction = sum(each.cost_ns / each.distance_ns for each in self.loads)
        if utilisation > _SURELY_BELOW_1:  # only then is it worth to be exact
            utilisation = self.utilisation
        if utilisation > 1:
            return None
        blocking = self.blocking_ns(0)
        if utilisation == 1 and blocking > 0:
            return last + math.lcm(*(each.distance_ns for each in self.loads))
        width = max(1, blocking + sum(each.cost_ns for each in self.loads))
        for _ in range(_ROUNDS_MAX):
            wider = blocking + sum(-(-width // each.distance_ns) * each.cost_ns for each in self.loads)
            if wider <= width:
                return max(wider, last)
            width = wider
        raise _too_close(utilisation)

    def moments(self, horizon_ns: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Every due up to the horizon in the densest pattern, in order, each once."""
        count = sum(max(0, (horizon_ns - each.within_ns) // each.distance_ns + 1) for each in self.loads)
        if count > MOMENTS_MAX or horizon_ns > 2**61:
            raise _too_close(self.utilisation)
        dues = [np.arange(each.within_ns, horizon_ns + 1, each.distance_ns, dtype=np.int64) for each in self.loads]
        return np.unique(np.concatenate(dues))

    def last_due_before(self, moment: int) -> int:
        """The largest due below `moment`; -1 if there is none."""
        return max(
            (
                moment - 1 - (moment - 1 - each.within_ns) % each.distance_ns
                for each in self.loads
                if each.within_ns < moment
            ),
            default=-1,
        )


def _too_close(utilisation: float | Fraction) -> UsageError:
    return UsageError(
        f"a lane is loaded to {float(utilisation) * 100:.4f} %: the proof would have to look at more than"
        f" {MOMENTS_MAX:,} moments; lengthen a period a little"
    )


def exceeded(lane: Lane) -> int | None:
    """A moment by which more is due than the lane can do, or None: QPA, stretch by stretch. None also without loads.

    0 stands for a utilisation above 1, whose moment may lie far ahead.
    """
    if not lane.loads:
        return None
    for each in lane.loads:
        if each.within_ns < each.cost_ns:
            return max(1, each.within_ns)
    horizon = lane.horizon_ns()
    if horizon is None:
        return 0
    edges = sorted({each.within_ns for each in lane.loads})
    for low, high in zip(edges, [*edges[1:], horizon + 1], strict=True):
        moment = lane.last_due_before(high)
        while moment >= low:
            taken = lane.taken_ns(moment)
            if taken > moment:
                return moment
            moment = taken if low <= taken < moment else lane.last_due_before(moment)
            if taken < low:
                break
    return None


def feasible(lane: Lane) -> bool:
    """Whether every due is met, whatever the releases."""
    return exceeded(lane) is None


def demands(
    lane: Lane, moments: "np.ndarray[tuple[int], np.dtype[np.int64]]"
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Demand with blocking at each moment, all at once."""
    total = np.zeros_like(moments)
    held = np.full_like(moments, lane.optional_ns)
    for each in lane.loads:
        total += (
            np.where(moments >= each.within_ns, (moments - each.within_ns) // each.distance_ns + 1, 0) * each.cost_ns
        )
        held = np.maximum(held, np.where(moments < each.within_ns, each.segment_ns, 0))
    return total + held + lane.handover_ns


@dataclass(frozen=True, slots=True)
class Tightest:
    """How many moments there are to the horizon, and the first at which least is left over."""

    horizon_ns: int
    moments: int
    moment_ns: int
    taken_ns: int


def tightest(lane: Lane) -> Tightest:
    """For a feasible lane with loads."""
    horizon = lane.horizon_ns()
    assert horizon is not None, "a lane that is loaded beyond 1 has no tightest moment"
    moments = lane.moments(horizon)
    taken = demands(lane, moments)
    at = int(np.argmin(moments - taken))
    return Tightest(horizon, len(moments), int(moments[at]), int(taken[at]))


def slack_ns(lane: Lane, load: Load) -> int:
    """The largest cut of this load's `within_ns` that a feasible lane bears, all else equal.

    Feasibility never returns as the cut grows: where the load's due passes a moment, its cost, which is no less than its
    longest segment, takes the place of that segment's blocking. So halving finds it.
    """
    bears, breaks = 0, load.within_ns
    while breaks - bears > 1:
        middle = (bears + breaks) // 2
        if feasible(lane.with_load(replace(load, within_ns=load.within_ns - middle))):
            bears = middle
        else:
            breaks = middle
    return bears


def extra_blocking_ns(lane: Lane, load: Load) -> int:
    """The longest that the lane may be held beyond its blocking with this load's dues still met: the least that is left
    at any of them. What is left at t is at least t (1 - U) - rest, so later ones need not be looked at."""
    least: int | None = None
    utilisation = lane.utilisation
    rest = lane.blocking_ns(0) + sum(
        (Fraction(each.cost_ns * max(0, each.distance_ns - each.within_ns), each.distance_ns) for each in lane.loads),
        Fraction(0),
    )
    for moment in _dues(lane, load):
        left = moment - lane.taken_ns(moment)
        least = left if least is None else min(least, left)
        if utilisation < 1 and moment * (1 - utilisation) - rest >= least:
            break
    assert least is not None
    return least


def _dues(lane: Lane, load: Load) -> Iterator[int]:
    """The load's dues; at a utilisation of 1 as far as demand has a pattern that repeats."""
    last = None
    if lane.utilisation == 1:
        last = max(each.within_ns for each in lane.loads) + math.lcm(*(each.distance_ns for each in lane.loads))
    moment = load.within_ns
    for _ in range(MOMENTS_MAX):
        if last is not None and moment > last:
            return
        yield moment
        moment += load.distance_ns
    raise _too_close(lane.utilisation)


def largest_blocking(lane: Lane, candidates: Sequence[int]) -> int | None:
    """The largest of `candidates` (0 among them) that the lane bears as optional work; None if not even 0."""
    ordered = sorted({0, *candidates})
    low, high = -1, len(ordered)
    while high - low > 1:
        middle = (low + high) // 2
        if feasible(replace(lane, optional_ns=ordered[middle])):
            low = middle
        else:
            high = middle
    return ordered[low] if low >= 0 else None
