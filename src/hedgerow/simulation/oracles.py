"""The clairvoyants: what the best possible choice of each request would have cost, had it known the link's future.

Two of them, each a bound that no policy can go below while requests do not get into each other's way; they find lane and link
idle for every request, which only favours them:

- rule-bound: must arm the same reserve as everybody (latest start, timer, hold and all), so it shows what choosing can gain;
- free: holds nothing in reserve and still answers in time; what is below the rule-bound one only where no reserve is held.

Rules: lane, link and server times are those that the policies meet; an arm is judged by the same calibrated quality and the
same sum. What the core would do with an arm is told again in closed form (`alone.py`, `path.py`), and held equal to the real core,
request by request, by tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hedgerow.core import records as r
from hedgerow.core.arms import Floats
from hedgerow.simulation.alone import Alone, Asked, Told, Way
from hedgerow.simulation.path import follow, own
from hedgerow.simulation.transfer import NEVER_NS
from hedgerow.simulation.world import NO_ARM, Setup

NOT_ALLOWED = np.inf


@dataclass(frozen=True)
class Table:
    """Realised parts of cost of every request under every arm, (requests, arms); energy is infinite where it is not allowed.

    `told_ns`: from capture, infinite for never. `free_*`: the same without any reserve, infinite where the answer would be late.
    `own_*` (requests,): what the core does by itself when its policy wants no arm, or one that is not allowed; infinite for a
    background request, which waits. Where nothing fits, that local arm stands in its column which the core then runs.
    """

    energy_mj: Floats
    up_bytes: Floats
    cloud_ns: Floats
    quality: Floats
    reserve: NDArray[np.bool_]
    late: NDArray[np.bool_]
    told_ns: Floats
    free_energy_mj: Floats
    free_up_bytes: Floats
    free_cloud_ns: Floats
    free_quality: Floats
    own_energy_mj: Floats
    own_quality: Floats
    own_late: NDArray[np.bool_]

    @classmethod
    def empty(cls, requests: int, arms: int) -> "Table":
        """Nothing is allowed yet."""
        flags = ("reserve", "late", "own_late")
        never = ("energy_mj", "told_ns", "free_energy_mj", "own_energy_mj")
        made: dict[str, NDArray[np.generic]] = {}
        for each in fields(cls):
            shape = (requests,) if each.name.startswith("own") else (requests, arms)
            kind = np.bool_ if each.name in flags else np.float64
            made[each.name] = np.full(shape, NOT_ALLOWED if each.name in never else 0, kind)
        return cls(**made)  # type: ignore[arg-type]

    def cost_mj(self, prices: r.Prices, setup: Setup) -> Floats:
        """(requests, arms): the realised cost under the reserve rule, infinite where it does not allow the arm."""
        money = _money(self.up_bytes, self.cloud_ns, setup) * prices.money_mj
        cost = self.energy_mj + money + prices.disagreement_mj * (1.0 - self.quality)
        found: Floats = cost + prices.reserve_mj * self.reserve
        return found

    def own_cost_mj(self, prices: r.Prices) -> Floats:
        """(requests,): the cost of the core's own plan."""
        found: Floats = self.own_energy_mj + prices.disagreement_mj * (1.0 - self.own_quality)
        return found

    def rule_bound(self, prices: r.Prices, setup: Setup) -> tuple[Floats, NDArray[np.intp]]:
        """(cost of each request, the arm taken, NO_ARM for the core's own plan) of the clairvoyant that holds the reserve."""
        cost, own = self.cost_mj(prices, setup), self.own_cost_mj(prices)
        arm = cost.argmin(axis=1)
        best = cost[np.arange(len(arm)), arm]
        return np.minimum(best, own), np.where(own < best, NO_ARM, arm)

    def free(self, prices: r.Prices, setup: Setup) -> tuple[Floats, NDArray[np.intp]]:
        """The same without a reserve; a request that no arm answers in time costs what the rule-bound one pays."""
        money = _money(self.free_up_bytes, self.free_cloud_ns, setup) * prices.money_mj
        cost = self.free_energy_mj + money + prices.disagreement_mj * (1.0 - self.free_quality)
        bound, arm = self.rule_bound(prices, setup)
        if not cost.shape[1]:
            return bound, arm
        taken = cost.argmin(axis=1)
        best = cost[np.arange(len(taken)), taken]
        return np.minimum(best, bound), np.where(bound < best, arm, taken)


def _money(up_bytes: Floats, cloud_ns: Floats, setup: Setup) -> Floats:
    table = setup.table
    found: Floats = up_bytes * (table.money_per_mb * 1e-6) + cloud_ns * (table.money_per_cloud_s * 1e-9)
    return found


def table_of(setup: Setup, prices: r.Prices) -> Table:
    """Every arm of every request of this setup, each alone in the world; prices only tell which plan is the cheaper one."""
    return tables_of(setup, (prices,))[0]


def tables_of(setup: Setup, prices: Sequence[r.Prices]) -> list[Table]:
    """The same under each of several prices, of which only that of disagreement matters here; equal ones share a table."""
    worth = list(dict.fromkeys(each.disagreement_mj for each in prices))
    if len(worth) > 1 and any(each.criticality is r.Criticality.SAFETY for each in setup.streams):
        return [tables_of(setup, (each,))[0] for each in prices]  # the price decides which reserve such a stream holds
    tables = {each: Table.empty(len(setup.arrivals), len(setup.table.arms)) for each in worth}
    alone = Alone(setup, worth)
    for number, arrival in enumerate(setup.arrivals):
        asked = alone.arrive(number, arrival)
        for way in alone.ways:
            _put_all(tables, alone, asked, way, arrival.captured_ns)
        for disagreement_mj, table in tables.items():
            mine = own(alone, asked, disagreement_mj)
            if mine is not None:
                table.own_energy_mj[number], table.own_quality[number] = mine.energy_mj, mine.quality
                table.own_late[number] = mine.late
    return [tables[each.disagreement_mj] for each in prices]


def _put_all(tables: dict[float, Table], alone: Alone, asked: Asked, way: Way, captured_ns: int) -> None:
    """One request under one arm into every table; worked out again only where a price decided something."""
    told: Told | None = None
    free: Told | None = None
    for place, (disagreement_mj, table) in enumerate(tables.items()):
        if place == 0 or (told is not None and told.priced):
            told = follow(alone, asked, way, disagreement_mj)
        if place == 0:
            free = alone.free(asked, way, told)
        if told is not None:
            _put(table, asked.number, way.column, told, captured_ns)
        if free is not None:
            at = (asked.number, way.column)
            table.free_energy_mj[at], table.free_up_bytes[at] = free.energy_mj, free.up_bytes
            table.free_cloud_ns[at], table.free_quality[at] = free.cloud_ns, free.quality


def _put(table: Table, number: int, column: int, told: Told, captured_ns: int) -> None:
    at = (number, column)
    table.energy_mj[at], table.up_bytes[at], table.cloud_ns[at] = told.energy_mj, told.up_bytes, told.cloud_ns
    table.quality[at], table.reserve[at], table.late[at] = told.quality, told.reserve, told.late
    if told.told_ns < NEVER_NS:
        table.told_ns[at] = told.told_ns - captured_ns
