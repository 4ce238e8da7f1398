"""An episode is the very world that `world.run` plays: the same choices, the same cost; leaving early ends its thread."""

import threading

import numpy as np
import pytest

from hedgerow.core.policies import Choice, View, by_name
from hedgerow.core.policies.learned import Learned
from hedgerow.core.policies.learned_features import OWN, SLOTS, local_cost
from hedgerow.errors import UsageError
from hedgerow.simulation.learning.counterfactual import COST_MAX, crowded, realised, rows_of
from hedgerow.simulation.learning.episode import WIDTH, Episode
from hedgerow.simulation.learning.worlds import World, Worlds, local_base_mj
from hedgerow.simulation.oracles import table_of
from hedgerow.simulation.world import run

WORLDS = Worlds([], seed=2, requests=40)


def world(number: int) -> World:
    return WORLDS.world(number)


@pytest.mark.parametrize("number", range(6))
def test_the_rewards_of_an_episode_sum_to_what_the_run_costs(number: int) -> None:
    made, policy = world(number), Learned()
    prices = made.prices[0]
    plain = run(made.setup, by_name("learned"), prices)
    episode = Episode(made.setup, prices, made.base_mj)
    total = 0.0
    while episode.seen is not None:
        total -= episode.act(policy.slot(episode.seen))
    assert total * made.base_mj == pytest.approx(float(plain.cost_mj(prices, made.setup.table).sum()), rel=1e-9)
    assert total * made.base_mj == pytest.approx(episode.spent_mj)


def test_an_observation_tells_which_slots_hold_an_arm() -> None:
    made = world(1)
    episode = Episode(made.setup, made.prices[0], made.base_mj)
    found, what = episode.observation, episode.seen
    assert found is not None
    assert what is not None
    assert found.shape == (SLOTS, WIDTH)
    assert found[:, 0].tolist() == [1.0] * len(what.columns) + [0.0] * (SLOTS - len(what.columns))
    np.testing.assert_array_equal(found[: len(what.columns), 1 : 1 + len(OWN)], what.own.T)
    episode.leave()


def test_an_episode_that_is_left_ends_its_thread_and_takes_no_more() -> None:
    before, made = threading.active_count(), world(1)
    episode = Episode(made.setup, made.prices[0], made.base_mj)
    with pytest.raises(UsageError, match="holds no arm"):
        episode.act(SLOTS)
    episode.act(0)
    episode.leave()
    episode.leave()
    assert threading.active_count() == before
    with pytest.raises(UsageError, match="over"):
        episode.act(0)


def test_the_costs_that_it_is_warmed_with_are_those_of_the_oracle() -> None:
    made, ours = world(3), by_name("ours")
    costs = realised(made)
    table = table_of(made.setup, made.prices[1]).cost_mj(made.prices[1], made.setup)
    np.testing.assert_allclose(costs[1], table / local_base_mj(made.setup, made.prices[1]), rtol=1e-5)
    rows, again = (rows_of(made, 3, costs, ours, places=(1,)) for _ in range(2))
    np.testing.assert_array_equal(rows.cost, again.cost)
    np.testing.assert_array_equal(rows.seen, again.seen)
    assert len(rows.world) == len(made.setup.arrivals)
    assert (rows.world == 3).all()
    known = np.isfinite(rows.cost)
    assert known.any(axis=1).all()
    assert not known[rows.seen[:, :, 0] == 0].any(), "a slot without an arm has no cost"


def test_what_others_add_is_charged_to_all_arms_of_the_kind_that_was_taken() -> None:
    costs, remote = np.array((1.0, 2.0, 0.5, np.inf)), np.array((False, False, True, True))
    for alone in (True, False):
        unknown = 0.5 if alone else np.inf
        np.testing.assert_array_equal(crowded(costs, 2, 0.75, remote, alone), (1.0, 2.0, 0.75, np.inf))
        np.testing.assert_array_equal(crowded(costs, 0, 1.5, remote, alone), (1.5, 2.5, unknown, np.inf))
        np.testing.assert_array_equal(crowded(costs, 3, 9.0, remote, alone), (1.0, 2.0, unknown, np.inf))
        np.testing.assert_array_equal(crowded(costs, -1, 9.0, remote, alone), (1.0, 2.0, unknown, np.inf))


def test_rows_hold_what_the_taken_arms_really_cost() -> None:
    made = world(3)
    prices = made.prices[0]
    rows = rows_of(made, 3, realised(made), by_name("ours"), explored=0.0, places=(0,))
    bases: list[float] = []

    class Watching:
        name, uses_reserve = "watching", True

        def choose(self, view: View) -> Choice | None:
            bases.append(local_cost(view))
            return by_name("ours").choose(view)

    real = run(made.setup, Watching(), prices).cost_mj(prices, made.setup.table) / np.array(bases)
    for request, row in enumerate(rows.cost):
        assert np.isclose(row[np.isfinite(row)], min(real[request], COST_MAX), rtol=1e-4).any(), request
