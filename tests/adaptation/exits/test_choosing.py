"""Costs, paths and chosen exits, on samples whose answer is known beforehand."""

import numpy as np

from hedgerow.adaptation.exits.choosing import Costs, best_dealing, dealings, path_of, thresholds_of
from hedgerow.adaptation.risk import outcome

COSTS = Costs(np.array([1.0, 5.0]), np.array([0.5, 0.5]), 10.0)


def _samples(count: int = 2_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    easy = chance.random(count)
    sure = np.stack([easy, np.minimum(1.0, easy * 1.3)], axis=1)
    return sure, chance.random((count, 2)) < sure


def test_a_sample_pays_up_to_where_it_stops_and_for_every_exit_on_the_way() -> None:
    confidence = np.array([[0.9, 0.9], [0.1, 0.9], [0.1, 0.1]])
    assert COSTS.paid(confidence, np.array([0.5, 0.5])).tolist() == [1.5, 6.0, 11.0]
    assert COSTS.paid(confidence, np.array([np.inf, 0.5])).tolist() == [5.5, 5.5, 10.5]
    assert COSTS.paid(confidence, np.array([np.inf, np.inf])).tolist() == [10.0, 10.0, 10.0]


def test_a_path_goes_from_strict_to_lax_and_keeps_its_allowance() -> None:
    confidence, agrees = _samples()
    path = path_of(confidence, agrees, np.array([0.5, 0.5]), wrong_max=0.05)
    assert np.isinf(path[0]).all()
    assert (path[1:] <= path[:-1]).all()
    stopped = [outcome(confidence, agrees, row)[0].mean() for row in path]
    assert stopped == sorted(stopped)
    assert 0.02 < outcome(confidence, agrees, path[-1])[1].mean() <= 0.05
    strict = [row for row in path if not outcome(confidence, agrees, row)[1].any()]
    assert len(strict) > 5


def test_thresholds_are_the_laxest_by_brute_force() -> None:
    confidence, agrees = _samples(60)
    found = thresholds_of(confidence, agrees, np.array([0.05, 0.1]))
    best = {}
    for first in confidence[:, 0]:
        stopping = confidence[:, 0] >= first
        if (stopping & ~agrees[:, 0]).mean() <= 0.05:
            best[first] = stopping
    assert found[0] == min(best)
    left = ~best[found[0]]
    later = [t for t in confidence[left, 1] if (left & (confidence[:, 1] >= t) & ~agrees[:, 1]).mean() <= 0.1]
    assert found[1] == min(later)


def test_an_exit_that_is_never_right_gets_no_share() -> None:
    confidence, agrees = _samples()
    agrees[:, 0] = False
    shares, _ = best_dealing(confidence, agrees, COSTS, at_most=0.05, exits_max=2)
    assert shares.tolist() == [0.0, 1.0]


def test_an_exit_that_costs_as_much_as_the_rest_gets_no_share() -> None:
    confidence, agrees = _samples()
    dear = Costs(np.array([1.0, 5.0]), np.array([9.0, 0.5]), 10.0)
    assert best_dealing(confidence, agrees, dear, at_most=0.05, exits_max=2)[0][0] == 0.0


def test_more_exits_never_cost_more_than_fewer() -> None:
    confidence, agrees = _samples()
    costs = [best_dealing(confidence, agrees, COSTS, at_most=0.05, exits_max=most)[1] for most in (1, 2)]
    assert costs[1] <= costs[0]
    assert len(list(dealings(3, 3))) == 28
    assert all(np.count_nonzero(shares) == 1 for shares in dealings(3, 1))
