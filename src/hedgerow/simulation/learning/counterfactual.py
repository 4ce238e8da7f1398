"""What every arm would have cost in each of many decisions: what the learned policy's network is warmed up with.

`oracles.tables_of` knows the realised cost of each request under each arm, on the link as it will be; beside it stands what a policy
saw at that moment. Such rows teach a network the cost to expect, without trying arms one by one as reinforcement must; what they
miss (requests that get into each other's way, what a choice teaches) is left to reinforcement.

Rules: the choices that lead from view to view are those of `ours`, and now and then any arm, so that beliefs of all kinds are seen;
a row depends on seed and world alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.policies import Choice, View, by_name
from hedgerow.core.policies.expecting import chosen
from hedgerow.core.policies.learned_features import SLOTS, seen
from hedgerow.simulation.learning.episode import WIDTH, observation
from hedgerow.simulation.learning.worlds import World, Worlds, local_base_mj
from hedgerow.simulation.oracles import tables_of
from hedgerow.simulation.world import run

EXPLORED: Final = 0.2
COST_MAX: Final = 8.0
"""In local costs; what is worse is as bad."""
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """`seen` (rows, SLOTS, WIDTH) observations; `cost` (rows, SLOTS) in local costs, NaN where no arm is or none is told;
    `world` (rows,) its number."""

    seen: Singles
    cost: Singles
    world: NDArray[np.int64]


class _Wandering:
    """`ours`, or any arm of the slots, and keeps what was seen."""

    name, uses_reserve = "wandering", True

    def __init__(self, random: np.random.Generator) -> None:
        self._random, self._ours = random, by_name("ours")
        self.requests: list[int] = []
        self.columns: list[NDArray[np.intp]] = []
        self.seen: list[Singles] = []

    def choose(self, view: View) -> Choice | None:
        what = seen(view)
        if what is None:
            return None
        self.requests.append(view.request)
        self.columns.append(what.columns)
        self.seen.append(observation(what).astype(np.float32))
        if self._random.random() < EXPLORED:
            return chosen(view, int(self._random.choice(what.columns)))
        return self._ours.choose(view)


def rows_of(world: World, number: int, random: np.random.Generator) -> Rows:
    """All decisions of one world, at each of its prices."""
    setup, seen_, costs = world.setup, [], []
    for prices, table in zip(world.prices, tables_of(setup, world.prices), strict=True):
        wandering = _Wandering(random)
        run(setup, wandering, prices)
        realised = table.cost_mj(prices, setup) / local_base_mj(setup, prices)
        for request, columns, each in zip(wandering.requests, wandering.columns, wandering.seen, strict=True):
            cost = np.full(SLOTS, np.nan, np.float32)
            cost[: len(columns)] = realised[request, columns]
            seen_.append(each)
            costs.append(np.where(np.isfinite(cost), np.minimum(cost, COST_MAX), np.nan))
    shape = np.array(seen_, np.float32).reshape(-1, SLOTS, WIDTH)
    return Rows(shape, np.array(costs, np.float32).reshape(-1, SLOTS), np.full(len(shape), number, np.int64))


def collect(
    worlds: Worlds, numbers: Sequence[int], *, seed: int, progress: Callable[[int, int], None] = lambda done, rows: None
) -> Rows:
    """The rows of these worlds; `progress` is told how many worlds are done and how many rows there are."""
    found: list[Rows] = []
    for number in numbers:
        found.append(rows_of(worlds.world(number), number, np.random.default_rng((seed, number))))
        progress(len(found), sum(len(each.world) for each in found))
    return join(found)


def join(parts: Sequence[Rows]) -> Rows:
    """One after another."""
    return Rows(
        np.concatenate([each.seen for each in parts]),
        np.concatenate([each.cost for each in parts]),
        np.concatenate([each.world for each in parts]),
    )
