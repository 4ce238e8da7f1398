"""An episode is the very world that `world.run` plays: the same choices, the same cost; leaving early ends its thread."""

import threading

import numpy as np
import pytest

from hedgerow.core.policies import by_name
from hedgerow.core.policies.learned import Learned
from hedgerow.core.policies.learned_features import OWN, SLOTS
from hedgerow.errors import UsageError
from hedgerow.simulation.learning.counterfactual import COST_MAX, rows_of
from hedgerow.simulation.learning.episode import WIDTH, Episode
from hedgerow.simulation.learning.worlds import World, Worlds
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
    made = world(3)
    rows = rows_of(made, 3, np.random.default_rng(0))
    again = rows_of(made, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(rows.cost, again.cost)
    np.testing.assert_array_equal(rows.seen, again.seen)
    assert (rows.world == 3).all()
    assert np.nanmin(rows.cost) > 0
    assert np.nanmax(rows.cost) <= COST_MAX
    known = np.isfinite(rows.cost)
    assert known.any(axis=1).all()
    assert not known[rows.seen[:, :, 0] == 0].any(), "a slot without an arm has no cost"
    best = table_of(made.setup, made.prices[0]).rule_bound(made.prices[0], made.setup)[0].min() / made.base_mj
    assert float(np.nanmin(rows.cost[: len(made.setup.arrivals)])) >= best - 1e-5
