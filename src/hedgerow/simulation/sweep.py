"""Very many decisions at once, without queues: for each moment of a link the arm of least expected cost, as `ours` would choose it.

For questions over a whole plane (which arm wins at which deadline, price and link) a world with lanes and requests is a million
times too much. Here stands one decision alone: an idle lane that runs as its profile says, the link open, no budget, the next sample
of the stream far off. Under these the figures are those of the core and of `core/policies/expecting.py` to the last bit: the same
products and sums in the same order (tests hold the two against each other).

Moments are taken by reserve (which local models fit is the same between two deadlines), within it by which heads are done before the
reserve starts (so that the arms that may be chosen are the same, and what stands in for each, `core/insurance.py`), then in chunks
that stay in a core's cache; all buffers are made once. Masked ufuncs are ten times as slow as these products with zeros and ones.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.arms import ArmTable, Floats, RunStep
from hedgerow.core.beliefs import LOST_NS, LinkBelief
from hedgerow.core.flight import Plan
from hedgerow.core.insurance import HEAD_MARGIN, Insurance, insurance
from hedgerow.core.records import Margins, Prices
from hedgerow.core.reserves import ROOM, to_hold
from hedgerow.errors import UsageError
from hedgerow.simulation.course import Course

CHUNK_VALUES: Final = 16_384  # (moments, arms) of one buffer: 128 KiB, and some ten of them are in use
STEPS_PER_MJ: Final = 1e6  # costs are compared in whole nanojoules, as policies do
NO_ARM: Final = -1


@dataclass(frozen=True, slots=True)
class Swept:
    """(moments,): the arm's column, NO_ARM where none is admissible; its expected cost in mJ (inf there); how likely it needs
    the reserve."""

    arm: NDArray[np.int64]
    cost_mj: Floats
    needed: Floats


@dataclass(frozen=True, slots=True)
class _Held:
    """What holds between two deadlines: the reserve, which local models fit for sure, and what stands in for each arm."""

    plan: Plan
    fits: frozenset[str]
    insurance: Insurance
    edges_ns: Floats  # the moments before the reserve's start at which another head is done, in rising order


class Sweep:
    """The arms of `table` over the link of that name. `chunk_values` bounds the size of each buffer, not what is given."""

    def __init__(
        self,
        table: ArmTable,
        prices: Prices | None = None,
        *,
        link: str = "cloud",
        margins: Margins | None = None,
        energy_price: float = 1.0,
        chunk_values: int = CHUNK_VALUES,
    ) -> None:
        self.table, self.prices, self._energy_price = table, prices or Prices(), energy_price
        energy, arms = table.energy, len(table.arms)
        self._rows = max(1, chunk_values // arms)
        self._timer_ns = (margins or Margins()).timer_ns
        self._amounts = [self._tiled(row) for row in table.rows(LinkBelief.COLUMNS, link)]
        lanes = [row for name, row in table.amounts.items() if name.startswith("lane:")]
        self._device_ns = self._tiled(sum(lanes[1:], lanes[0]) if lanes else np.zeros(arms))
        full = sum(lanes, np.zeros(arms)) * table.refines
        self._refining: Floats | None = full if table.refines.any() else None
        self._is_remote, self._up_bytes = table.is_remote.astype(np.float64), self._tiled(table.up_bytes)
        self._begins_ns: Floats = np.unique(
            table.busy_ns
        )  # before the reserve's start, from which another arm may be chosen
        self._busy_mj = self._tiled(table.busy_ns * (energy.active_mw * 1e-9) + table.crosses * energy.radio_tail_mj)
        money = table.up_bytes * (table.money_per_mb * 1e-6) + table.cloud_ns * (table.money_per_cloud_s * 1e-9)
        self._priced: Floats = money * self.prices.money_mj + table.disagreement * self.prices.disagreement_mj
        self._whole = {column: arm.model for column, arm in enumerate(table.arms) if _is_whole(arm.steps, table)}
        self._power = self._tiled(table.is_remote * (energy.active_mw * 1e-9))
        self._floats = [np.empty((self._rows, arms)) for _ in range(7)]
        self._reserve_mj = self._tiled(table.is_remote * self.prices.reserve_mj)
        self._later_ns, self._median_ns, self._gain_mj, self._unsure, self._fixed_mj = (
            np.empty((self._rows, arms)) for _ in range(5)
        )
        self._has_later = self._has_unsure = False
        self._late = np.empty((self._rows, arms), np.bool_)

    def _tiled(self, row: NDArray[np.floating[Any]]) -> Floats:
        """The row once for each moment of a chunk: products of whole arrays are the quickest."""
        return np.tile(row, (self._rows, 1))

    def decide(self, samples: Floats, time_left_ns: Floats, weights: Floats | None = None) -> Swept:
        """Decide at each moment. `samples` (moments, 3) or (moments, S, 3): round trip in ns (the cloud's queue included), ns
        per byte, cloud time over planned; of S the first is the newest, which says what sending costs. `weights` (moments, S), in
        sum 1. `time_left_ns` (moments,): from now until the answer must be known (the deadline less `Margins.deliver_ns`).
        """
        left = np.asarray(time_left_ns, np.float64)
        seen = np.asarray(samples, np.float64)
        seen = seen[:, None, :] if seen.ndim == 2 else seen
        share = np.ones((len(left), 1)) if weights is None else np.asarray(weights, np.float64)
        if seen.shape != (*share.shape, len(LinkBelief.COLUMNS)) or left.shape != share.shape[:1]:
            raise UsageError(
                f"samples {np.shape(samples)}, times {left.shape} and weights {share.shape} do not belong together: give "
                "(moments, 3) or (moments, S, 3), (moments,) and, for more than one sample, (moments, S)"
            )
        found = Swept(np.full(len(left), NO_ARM), np.full(len(left), np.inf), np.zeros(len(left)))
        limits = self._limits_ns()
        level = np.searchsorted(np.array([limit for limit, _ in limits]), left, side="right")
        for place in range(len(limits) + 1):
            mine = np.flatnonzero(level == place)
            if len(mine):
                fits = frozenset(name for _, name in limits[:place] if name)
                held = self._held(fits, limits[place - 1][0] if place else 0)
                self._level(seen, share, left, held, mine, found)
        return found

    def _level(
        self, seen: Floats, share: Floats, left: Floats, held: _Held, mine: NDArray[np.int64], found: Swept
    ) -> None:
        """Decide at those moments that have this reserve."""
        available = self._available_ns(held, left[mine])
        kinds = len(self._begins_ns) + 1
        alike = np.searchsorted(held.edges_ns, available - self._timer_ns, side="right") * kinds
        alike += np.searchsorted(self._begins_ns, available, side="right")
        order = np.argsort(alike, kind="stable")
        mine, available, alike = mine[order], available[order], alike[order]
        starts = np.flatnonzero(np.diff(alike, prepend=-1))
        for first, last in zip(starts, [*starts[1:], len(mine)], strict=True):
            self._prepare(held, *divmod(int(alike[first]), kinds))
            for start in range(first, last, self._rows):
                part = slice(start, min(start + self._rows, last))
                chosen = mine[part]
                self._chunk(seen[chosen], share[chosen], left[chosen], available[part], chosen, found)

    def _available_ns(self, held: _Held, left: Floats) -> Floats:
        """Until when the reserve may wait."""
        if held.fits:
            return left - held.plan.bound_ns
        likely_ns = held.plan.likely_ns  # what nothing guarantees is counted with its usual time, if that fits
        return np.where(left >= likely_ns, left - likely_ns, left)

    def _prepare(self, held: _Held, done: int, begun: int) -> None:
        """What stands in for each arm where this many of the edges have been passed (`core.insurance.insured`), and which arms may
        be chosen: what may not is dear without end."""
        may = self.table.busy_ns <= (self._begins_ns[begun - 1] if begun else -np.inf)
        for column, name in self._whole.items():
            may[column] = name in held.fits or (bool(held.fits) and may[column])
        self._fixed_mj[:] = np.where(may, self._priced, np.inf)
        busy_ns, own, plan = self.table.busy_ns, held.insurance, held.plan
        reached_ns = held.edges_ns[done - 1] if done else -np.inf
        sure, kept = busy_ns * HEAD_MARGIN <= reached_ns, busy_ns <= reached_ns
        quality = np.where(sure, own.quality, plan.model.quality)
        later = np.where(sure, own.later_ns, 0.0)
        unsure = (1.0 - kept.astype(np.float64)) * self.table.is_remote
        self._has_later, self._has_unsure = bool(later.any()), bool(unsure.any())
        self._later_ns[:], self._unsure[:] = later, unsure
        self._median_ns[:] = np.where(sure, own.median_ns, float(plan.median_ns))
        self._gain_mj[:] = (self.table.quality - quality) * self.prices.disagreement_mj

    def _limits_ns(self) -> list[tuple[int, str]]:
        """From how much time on each local model fits an idle lane, in rising order: the shortest by its bound alone, a longer one
        beside the lateness of the timer that would start it (`core/desk.py`, `starts`)."""
        shortest = min(model.tail_bound_ns[0] for model in self.table.locals)
        bounds = [(model.tail_bound_ns[0], model.name) for model in self.table.locals]
        turns = [(ROOM * bound, "") for bound, _ in bounds]  # where another of those that fit may be held (`to_hold`)
        return sorted(turns + [(each if each == shortest else each + self._timer_ns, name) for each, name in bounds])

    def _held(self, fits: frozenset[str], left_ns: int) -> _Held:
        """What is held from that much time left on, until the next limit."""
        held = to_hold([model for model in self.table.locals if model.name in fits], left_ns)
        model = held or min(self.table.locals, key=lambda model: model.tail_bound_ns[0])
        plan, busy_ns = Plan(model, 0), self.table.busy_ns[self.table.is_remote]
        edges_ns = np.unique(np.concatenate((busy_ns, busy_ns * HEAD_MARGIN)))
        return _Held(plan, fits, insurance(self.table, self.prices, plan), edges_ns)

    def _chunk(
        self, seen: Floats, share: Floats, left: Floats, available: Floats, chosen: NDArray[np.int64], found: Swept
    ) -> None:
        rows = len(left)
        cost, needed, missed, runs = (each[:rows] for each in self._floats[:4])
        self._weigh(seen, share, available - self._timer_ns, left - self._timer_ns)
        if self._has_unsure:
            np.maximum(needed, self._unsure[:rows], out=needed)
            np.maximum(missed, self._unsure[:rows], out=missed)
        missed *= self._gain_mj[:rows]
        runs *= self._power[:rows]
        _spread(seen[:, :1, 1] * self.table.energy.radio_mw * 1e-9, self._up_bytes[:rows], cost)
        cost += self._busy_mj[:rows]
        if self._energy_price != 1.0:
            cost *= self._energy_price
        cost += self._fixed_mj[:rows]
        cost += missed
        np.multiply(needed, self._reserve_mj[:rows], out=missed)
        missed += runs
        cost += missed
        if self._refining is not None:  # what could never come to its end in time is not offered
            cost[self._refining[None, :] > left[:, None]] = np.inf
        np.multiply(cost, STEPS_PER_MJ, out=runs)
        arm = np.rint(runs, out=runs).argmin(axis=1)
        order = np.arange(rows)
        best = cost[order, arm]
        found.arm[chosen] = np.where(np.isinf(best), NO_ARM, arm)
        found.cost_mj[chosen] = best
        found.needed[chosen] = np.where(np.isinf(best), 0.0, needed[order, arm] * self._is_remote[arm])

    def _weigh(self, seen: Floats, share: Floats, until: Floats, useful: Floats) -> None:
        """Into the buffers: the weight of the samples in which each arm comes after its reserve's start, and after its time, and how
        long the reserve is expected to run."""
        rows, count = share.shape
        _, needed, missed, runs, work, weight, limit = (each[:rows] for each in self._floats)
        late = self._late[:rows]
        np.copyto(limit, until[:, None])
        if self._has_later:
            limit += self._later_ns[:rows]
        for sample in range(count):
            over = work if sample else runs
            _spread(seen[:, sample, :1], self._amounts[0][:rows], over)
            for kind in range(1, len(self._amounts)):
                _spread(seen[:, sample, kind : kind + 1], self._amounts[kind][:rows], weight)
                over += weight
            over += self._device_ns[:rows]
            if count > 1:
                np.copyto(weight, share[:, sample : sample + 1])
            np.greater(over, useful[:, None], out=late)
            self._count(late, weight, missed, sample, count)
            over -= limit
            np.greater(over, 0.0, out=late)
            self._count(late, weight, needed, sample, count)
            np.maximum(over, 0.0, out=over)
            np.minimum(over, self._median_ns[:rows], out=over)
            if count > 1:
                over *= weight
            if sample:
                runs += over

    def _count(self, late: NDArray[np.bool_], weight: Floats, total: Floats, sample: int, count: int) -> None:
        """Add this sample's weight to the total of those arms that are late in it."""
        into = self._floats[0][: len(total)] if sample else total
        np.copyto(into, late)
        if count > 1:
            into *= weight
        if sample:
            total += into


def _spread(column: Floats, tile: Floats, out: Floats) -> None:
    """column * tile: copied and then multiplied in place, it is a third quicker than one broadcast product."""
    np.copyto(out, column)
    out *= tile


def moments_of(course: Course, at_ns: NDArray[np.int64]) -> Floats:
    """(moments, 3): samples of a link as it is at these moments, its cloud as fast as planned. Where nothing moves the trip is
    LOST_NS, as the core takes a lost attempt."""
    rows = course.rows_at(at_ns)
    with np.errstate(divide="ignore"):
        per_byte = np.minimum(1e9 / course.up_bytes_per_s[rows], LOST_NS)
    trip = np.where(course.frozen[rows], LOST_NS, course.round_trip_ns[rows])
    found: Floats = np.stack((trip, per_byte, np.ones(len(rows))), axis=1)
    return found


def _is_whole(steps: tuple[Any, ...], table: ArmTable) -> bool:
    """Whether an arm is nothing but a local model from end to end."""
    only = steps[0]
    if len(steps) != 1 or not isinstance(only, RunStep) or only.tier != "device":
        return False
    return only.first == 0 and only.last == table.local(only.model).last
