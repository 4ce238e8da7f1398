"""What every arm would have cost in each of many decisions: what the learned policy's network is warmed up with.

`oracles.tables_of` knows the realised cost of each request under each arm, on the link as it will be; beside it stands what a policy
saw at that moment. Such rows teach a network the cost to expect, without trying arms one by one as reinforcement must; what they
miss (what a choice does to the next request, and what it teaches) is left to reinforcement.

A request alone in the world meets no other's upload or reserve: where the path that was taken shows that it did, all arms of the
kind that was taken are charged for it (`crowded`).

Rules: what a policy comes to see depends on what it chose, so rows are made with the choices of `ours` first and then, round by round,
with those of the network as it is (Ross et al. 2011, "DAgger"); now and then any arm is taken, so that beliefs of all kinds are
seen. The realised costs do not depend on who chooses and are made once. All depends on seed and world alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.arms import Flags, Floats
from hedgerow.core.policies import Choice, Policy, View
from hedgerow.core.policies.expecting import chosen
from hedgerow.core.policies.learned_features import SLOTS, local_cost, seen
from hedgerow.simulation.learning.episode import WIDTH, observation
from hedgerow.simulation.learning.worlds import World, local_base_mj
from hedgerow.simulation.oracles import tables_of
from hedgerow.simulation.world import run

EXPLORED: Final = 0.2
COST_MAX: Final = 8.0
"""In local costs; what is worse is as bad."""
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """`seen` (rows, SLOTS, WIDTH) observations; `cost` (rows, SLOTS) in local costs, of the view, NaN where there is no arm or it is unknown;
    `world` (rows,) its number."""

    seen: Singles
    cost: Singles
    world: NDArray[np.int64]


class _Wandering:
    """`guide`, or any arm of the slots; keeps what was seen."""

    name, uses_reserve = "wandering", True

    def __init__(self, guide: Policy, random: np.random.Generator, explored: float) -> None:
        self._guide, self._random, self._explored = guide, random, explored
        self.requests: list[int] = []
        self.columns: list[NDArray[np.intp]] = []
        self.seen: list[Singles] = []
        self.base_mj: list[float] = []
        self.alone: list[bool] = []

    def choose(self, view: View) -> Choice | None:
        what = seen(view)
        if what is None:
            return None
        self.requests.append(view.request)
        self.columns.append(what.columns)
        self.seen.append(observation(what).astype(np.float32))
        self.base_mj.append(local_cost(view))
        self.alone.append(view.in_flight == 0)
        if self._random.random() < self._explored:
            return chosen(view, int(self._random.choice(what.columns)))
        return self._guide.choose(view)


def realised(world: World) -> Singles:
    """(prices, requests, arms): what each arm would have cost, in local costs; infinite where the rule does not allow it."""
    setup = world.setup
    tables = tables_of(setup, world.prices)
    found = [
        table.cost_mj(prices, setup) / local_base_mj(setup, prices)
        for prices, table in zip(world.prices, tables, strict=True)
    ]
    return np.array(found, np.float32)


def rows_of(
    world: World,
    number: int,
    costs: Singles,
    guide: Policy,
    *,
    seed: int = 0,
    explored: float = EXPLORED,
    places: Sequence[int] = (0, 1, 2),
) -> Rows:
    """All decisions of one world, at its prices of these `places`, on the path that `guide` leads to; `costs` is `realised`."""
    seen_, found, remote = [], [], world.setup.table.is_remote
    for place in places:
        prices = world.prices[place]
        wandering = _Wandering(guide, np.random.default_rng((seed, number, place)), explored)
        made = run(world.setup, wandering, prices)
        unit = local_base_mj(world.setup, prices)
        real = made.cost_mj(prices, world.setup.table) / unit
        for row, (request, columns) in enumerate(zip(wandering.requests, wandering.columns, strict=True)):
            cost, taken = costs[place, request].astype(np.float64), int(made.chosen[request])
            cost = crowded(cost, taken, float(real[request]), remote, wandering.alone[row])[columns]
            cost *= unit / wandering.base_mj[row]
            told = np.full(SLOTS, np.nan)
            told[: len(columns)] = np.where(np.isfinite(cost), np.clip(cost, 0.0, COST_MAX), np.nan)
            seen_.append(wandering.seen[row])
            found.append(told)
    shape = np.array(seen_, np.float32).reshape(-1, SLOTS, WIDTH)
    return Rows(shape, np.array(found, np.float32).reshape(-1, SLOTS), np.full(len(shape), number, np.int64))


def crowded(costs: Floats, taken: int, real: float, remote: Flags, alone: bool) -> Floats:
    """The costs that a request has alone, with what other requests added to it; infinite where that is unknown.

    It is known of the arm that was taken; the other arms of its kind (remote or local) are held to share it, since they would have
    met the same backlog or the same busy lane. Of remote arms beside other requests it is unknown when a local arm was taken;
    a local arm is only offered when it fits, so it costs what it costs alone.
    """
    found = costs if alone else np.where(remote, np.inf, costs)
    if taken < 0 or not np.isfinite(costs[taken]):
        return found
    return np.where(remote == remote[taken], costs + (real - costs[taken]), found)


def join(parts: Sequence[Rows]) -> Rows:
    """One after another."""
    return Rows(
        np.concatenate([each.seen for each in parts]),
        np.concatenate([each.cost for each in parts]),
        np.concatenate([each.world for each in parts]),
    )
