"""Very many decisions at once, without queues: for each moment of a link the arm of least expected cost, as `ours` would choose it.

For questions over a whole plane (which arm wins at which deadline, price and link) a world with lanes and requests is a million
times too much. Here stands one decision alone: an idle lane that runs as its profile says, the link open, no budget, the next sample
of the stream far off. Under these the figures are those of the core and of `core/policies/ours.py` to the last bit: the same products
and sums in the same order (tests hold the two against each other).

Moments are taken by reserve (which local models fit is the same between two deadlines), then in chunks that stay in a core's cache;
all buffers are made once. Masked ufuncs are ten times as slow as these products with zeros and ones.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.arms import ArmTable, Floats, LocalModel, RunStep
from hedgerow.core.beliefs import LOST_NS, LinkBelief
from hedgerow.core.records import Margins, Prices
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
    """What holds between two deadlines: the reserve, which local models fit for sure, and in each row what an arm's better
    answer is worth over the reserve's (mJ)."""

    model: LocalModel
    fits: frozenset[str]
    gain_mj: Floats


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
        self._is_remote = self._tiled(table.is_remote.astype(np.float64))
        self._busy_ns, self._up_bytes = self._tiled(table.busy_ns), self._tiled(table.up_bytes)
        self._busy_mj = self._tiled(table.busy_ns * (energy.active_mw * 1e-9) + table.is_remote * energy.radio_tail_mj)
        money = table.up_bytes * (table.money_per_mb * 1e-6) + table.cloud_ns * (table.money_per_cloud_s * 1e-9)
        self._priced = self._tiled(money * self.prices.money_mj + table.disagreement * self.prices.disagreement_mj)
        self._whole = {column: arm.model for column, arm in enumerate(table.arms) if _is_whole(arm.steps, table)}
        self._floats = [np.empty((self._rows, arms)) for _ in range(5)]
        self._limits = [np.empty((self._rows, arms)) for _ in range(2)]
        self._flags = [np.empty((self._rows, arms), np.bool_) for _ in range(2)]

    def _tiled(self, row: Floats) -> Floats:
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
            held = self._held(frozenset(name for _, name in limits[:place]))
            for start in range(0, len(mine), self._rows):
                chosen = mine[start : start + self._rows]
                self._chunk(seen[chosen], share[chosen], left[chosen], held, chosen, found)
        return found

    def _limits_ns(self) -> list[tuple[int, str]]:
        """From how much time on each local model fits an idle lane, in rising order: the shortest by its bound alone, a longer one
        beside the lateness of the timer that would start it (`core/desk.py`, `starts`)."""
        shortest = min(model.tail_bound_ns[0] for model in self.table.locals)
        bounds = [(model.tail_bound_ns[0], model.name) for model in self.table.locals]
        return sorted((bound if bound == shortest else bound + self._timer_ns, name) for bound, name in bounds)

    def _held(self, fits: frozenset[str]) -> _Held:
        fitting = [model for model in self.table.locals if model.name in fits]
        quickest = min(fitting, key=lambda model: model.tail_median_ns[0], default=None)
        model = quickest or min(self.table.locals, key=lambda model: model.tail_bound_ns[0])
        gain_mj = (self.table.quality - model.quality) * self.prices.disagreement_mj
        return _Held(model, fits, self._tiled(gain_mj))

    def _chunk(
        self, seen: Floats, share: Floats, left: Floats, held: _Held, chosen: NDArray[np.int64], found: Swept
    ) -> None:
        rows, model, prices = len(left), held.model, self.prices
        cost, needed, missed, work, _ = (each[:rows] for each in self._floats)
        median_ns = model.tail_median_ns[0]
        if held.fits:
            available = left - model.tail_bound_ns[0]
        else:  # what nothing guarantees is counted with its usual time, if that fits
            likely_ns = median_ns + median_ns // 4
            available = np.where(left >= likely_ns, left - likely_ns, left)
        self._weigh(seen, share, available, left, needed, missed)
        needed *= self._is_remote[:rows]
        missed *= held.gain_mj[:rows]
        np.multiply(needed, prices.reserve_mj + self.table.energy.busy_mj(median_ns), out=work)
        missed += work
        _spread(seen[:, :1, 1] * self.table.energy.radio_mw * 1e-9, self._up_bytes[:rows], cost)
        cost += self._busy_mj[:rows]
        if self._energy_price != 1.0:
            cost *= self._energy_price
        cost += self._priced[:rows]
        missed += cost
        self._admit(available, held, missed)
        np.multiply(missed, STEPS_PER_MJ, out=work)
        arm = np.rint(work, out=work).argmin(axis=1)
        order = np.arange(rows)
        best = missed[order, arm]
        found.arm[chosen] = np.where(np.isinf(best), NO_ARM, arm)
        found.cost_mj[chosen], found.needed[chosen] = best, np.where(np.isinf(best), 0.0, needed[order, arm])

    def _weigh(
        self, seen: Floats, share: Floats, available: Floats, left: Floats, needed: Floats, missed: Floats
    ) -> None:
        """The weight of the samples in which each arm comes after the reserve's start, and after its time."""
        rows, count = share.shape
        beyond, work, weight = (each[:rows] for each in (self._floats[0], self._floats[3], self._floats[4]))
        late = self._flags[0][:rows]
        starts, ends = self._limits[0][:rows], self._limits[1][:rows]
        for limit, moment in ((starts, available), (ends, left)):
            np.copyto(limit, moment[:, None])
            limit -= self._device_ns[:rows]
        for sample in range(count):
            _spread(seen[:, sample, :1], self._amounts[0][:rows], beyond)
            for kind in range(1, len(self._amounts)):
                _spread(seen[:, sample, kind : kind + 1], self._amounts[kind][:rows], work)
                beyond += work
            if count > 1:
                np.copyto(weight, share[:, sample : sample + 1])
            for limit, total in ((starts, needed), (ends, missed)):
                np.greater(beyond, limit, out=late)
                into = work if sample else total
                np.copyto(into, late)
                if count > 1:
                    into *= weight
                if sample:
                    total += work

    def _admit(self, available: Floats, held: _Held, cost: Floats) -> None:
        """Make dear without end what may not be chosen."""
        flags = self._flags[1][: len(cost)]
        np.less_equal(self._busy_ns[: len(cost)], available[:, None], out=flags)
        for column, name in self._whole.items():
            if name in held.fits or not held.fits:
                flags[:, column] = name in held.fits
        penalty = self._floats[3][: len(cost)]
        np.copyto(penalty, flags)
        penalty -= 0.5  # 0.5 where it may be chosen, else -0.5
        penalty *= -np.inf
        np.maximum(cost, penalty, out=cost)


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
