"""Policies beside each other in the same worlds, and beside what the best single arm and the clairvoyants would have cost.

A cell is compared as a whole. Its oracles:

- `hindsight`: the one arm that would have been cheapest over all links of the cell, run by the real core as a fixed policy with its
  reserve. Every arm's realised cost, each request alone, is known from the table of `oracles.py`; the three cheapest by
  it are run, and the cheapest of these is taken;
- `clairvoyant`: the rule-bound one, which holds the same reserve; `clairvoyant_free` holds none.

Rules: a cell counts if the rule-bound clairvoyant takes no arm for more than 95 % of its requests (the others prove nothing, and
are listed). A policy that fails in a world is told with what it raised; all else is kept. `late_above_device_only` counts
requests that are late though the device kept its bounds and that the device alone, in the very same world, answered in time.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.core import records as r
from hedgerow.core.arms import Floats
from hedgerow.core.policies import ONLY, by_name
from hedgerow.core.policies import names as policy_names
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.simulation.campaign import CRASHES
from hedgerow.simulation.cells import Cell, Unit, build, profile_of
from hedgerow.simulation.oracles import Table, tables_of
from hedgerow.simulation.scenario import Scenario
from hedgerow.simulation.spread import spread
from hedgerow.simulation.world import NO_ARM, Run, Setup, run

DEVICE_ONLY: Final = "device-only"
CANDIDATES: Final = 3
SHARE_MAX: Final = 0.95
ORACLES: Final = ("hindsight", "clairvoyant", "clairvoyant_free")
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Judged:
    """Phase one of one unit, by price: what each arm would have cost in all, (arms,); the clairvoyants' sums; what they took, (arms + 1,): the last place counts the core's own plan."""

    arms: tuple[str, ...]
    requests: int
    arm_cost_mj: tuple[Floats, ...]
    clairvoyant_mj: tuple[float, ...]
    free_mj: tuple[float, ...]
    taken: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True)
class Ran:
    """One policy in one unit at one price: sums over requests; `told_us` the latencies from capture, -1 for none.

    `stood_in`: the device answered for a remote arm of which nothing came, and no gate had stopped it (`world.Run`).
    `radio_mj`: by the scenario's [radio], tails included, beside the core's simpler sum in `energy_mj`; `battery`: what is left.
    """

    policy: str
    price: int
    requests: int
    late: int = 0
    late_above: int | None = 0
    cost_mj: float = 0.0
    energy_mj: float = 0.0
    up_bytes: float = 0.0
    money: float = 0.0
    agreeing: int = 0
    reserves: int = 0
    remote: int = 0
    stopped: int = 0
    reused: int = 0
    stood_in: int = 0
    stood_in_agreeing: int = 0
    radio_mj: float = 0.0
    battery: float | None = None
    told_us: Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Judge:
    scenario: Scenario
    unit: Unit


@dataclass(frozen=True, slots=True)
class Play:
    """Policies, each at the price of that place, in one unit."""

    scenario: Scenario
    unit: Unit
    policies: tuple[tuple[str, int], ...]  # name and price


@dataclass
class Compared:
    """Everything that came of it: by unit what was judged, and by unit what ran."""

    scenario: Scenario
    units: list[Unit]
    judged: list[Judged]
    ran: list[list[Ran]]
    policies: tuple[str, ...]

    @property
    def cells(self) -> list[Cell]:
        """Each once, in order."""
        return sorted({unit.cell for unit in self.units})


def chosen_policies(text: str) -> tuple[str, ...]:
    """The policies that "a,b" or "all" names; UsageError for one that is unknown. "only:ARM" may stand in a list."""
    found = policy_names() if text == "all" else tuple(dict.fromkeys(each.strip() for each in text.split(",")))
    known: dict[str, str] = {}
    for each in found:
        name = by_name(each).name
        if name in known:
            raise UsageError(f"'{known[name]}' and '{each}' are the same policy: name it once")
        known[name] = each
    return found


def compare(
    scenario: Scenario,
    units: Sequence[Unit],
    policies: Sequence[str],
    *,
    workers: int = 0,
    ray: str | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Compared:
    """Run everything. `progress` is told how many more steps are done, of two a unit."""
    judges = [_Judge(scenario, unit) for unit in units]
    judged = spread(judge, judges, workers=workers, ray=ray, progress=progress)
    found = Compared(scenario, list(units), judged, [], tuple(policies))
    wanted = {cell: _wanted(found, cell) for cell in found.cells}
    plays = [Play(scenario, unit, wanted[unit.cell]) for unit in units]
    found.ran = spread(play, plays, workers=workers, ray=ray, progress=progress)
    return found


def _wanted(found: Compared, cell: Cell) -> tuple[tuple[str, int], ...]:
    """What is run in each unit of a cell: all policies, the device alone, and the candidates for the best arm."""
    pairs = []
    for price in range(len(found.scenario.price)):
        names = [DEVICE_ONLY, *found.policies, *(ONLY + arm for arm in candidates(found, cell, price))]
        pairs += [(name, price) for name in dict.fromkeys(names)]
    return tuple(pairs)


def candidates(found: Compared, cell: Cell, price: int) -> list[str]:
    """The arms that may be the cell's best, by the table, the cheapest first."""
    total, arms = arm_costs(found, cell, price)
    return [arms[place] for place in np.argsort(total, kind="stable")[:CANDIDATES]]


def arm_costs(found: Compared, cell: Cell, price: int) -> tuple[Floats, tuple[str, ...]]:
    """(cost of all requests of a cell under each arm, the arms' names), by the table."""
    every = [each for unit, each in zip(found.units, found.judged, strict=True) if unit.cell == cell]
    total = np.zeros(len(every[0].arms))
    for each in every:
        total += each.arm_cost_mj[price]
    return total, every[0].arms


def judge(task: _Judge) -> Judged:
    """What every arm of every request of one unit would have cost."""
    setup = build(task.scenario, profile_of(task.scenario), task.unit)
    prices = [point.prices() for point in task.scenario.price]
    costs, bound, free, taken = [], [], [], []
    for each, table in zip(prices, tables_of(setup, prices), strict=True):
        costs.append(_single(table, each, setup).sum(axis=0))
        cost, arm = table.rule_bound(each, setup)
        bound.append(float(cost.sum()))
        width = len(setup.table.arms)  # beyond the last arm: the core's own plan
        taken.append(np.bincount(np.where(arm == NO_ARM, width, arm), minlength=width + 1))
        free.append(float(table.free(each, setup)[0].sum()))
    names = tuple(arm.name for arm in setup.table.arms)
    return Judged(names, len(setup.arrivals), tuple(costs), tuple(bound), tuple(free), tuple(taken))


def _single(table: Table, prices: r.Prices, setup: Setup) -> Floats:
    """(requests, arms): one arm for all; where it is not allowed, the core's own plan answers in its place."""
    cost = table.cost_mj(prices, setup)
    found: Floats = np.where(np.isfinite(cost), cost, table.own_cost_mj(prices)[:, None])
    return found


def play(task: Play) -> list[Ran]:
    """Run these policies in one unit, the device alone first."""
    setup = build(task.scenario, profile_of(task.scenario), task.unit)
    twins: dict[int, Run] = {}
    return [_played(task.scenario, setup, name, price, twins) for name, price in task.policies]


def _played(scenario: Scenario, setup: Setup, name: str, price: int, twins: dict[int, Run]) -> Ran:
    prices = scenario.price[price].prices()
    try:
        made = run(setup, by_name(name, setup.table), prices)
    except (HedgerowError, *CRASHES) as error:
        return Ran(name, price, len(setup.arrivals), error=f"{type(error).__name__}: {error}")
    if name == DEVICE_ONLY:
        twins[price] = made
    table, count = setup.table, len(setup.arrivals)
    up_bytes = float(made.up_bytes.sum()) + made.probe_bytes
    return Ran(
        name,
        price,
        count,
        late=int(made.late.sum()),
        late_above=None if (twin := twins.get(price)) is None else late_above(setup, made, twin),
        cost_mj=float(made.cost_mj(prices, table).sum()),
        energy_mj=float(made.energy_mj.sum()) + made.probe_mj,
        up_bytes=up_bytes,
        money=float(made.money(table).sum()),
        agreeing=int(made.agrees.sum()),
        reserves=int(made.reserve.sum()),
        remote=made.source.count("remote"),
        stopped=int(made.stopped.sum()),
        reused=made.source.count("reused"),
        stood_in=int(made.stood_in.sum()),
        stood_in_agreeing=int((made.stood_in & made.agrees).sum()),
        radio_mj=made.radio_mj,
        battery=None if made.gauges is None else made.gauges.battery_left,
        told_us=np.where(made.told_ns < 0, -1, made.told_ns // 1000).astype(np.int32),
    )


def late_above(setup: Setup, made: Run, twin: Run) -> int:
    """Late, no device bound exceeded between capture and answer, and in time on the device alone."""
    moments, count = sorted(made.exceeded_ns), 0
    for request in np.flatnonzero(made.late & ~twin.late).tolist():
        captured, told = setup.arrivals[request].captured_ns, int(made.told_ns[request])
        place = bisect_left(moments, captured)
        excused = place < len(moments) and (told < 0 or moments[place] <= captured + told)
        count += not excused
    return count
