"""The three estimators: by hand on five requests, by their definition on random bandits, and against a truth that is known."""

from math import comb, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from hedgerow.assurance.evaluation.estimators import (
    RESIDUALS_MIN,
    Estimates,
    _student,
    blocks_of,
    corrected,
    effective_size,
    estimates,
    folds_of,
)
from hedgerow.core.arms import Floats

Ints = NDArray[np.int64]


def test_by_hand() -> None:
    """Five requests, two arms; the policy always wants arm 1, which was drawn in requests 0, 2 and 3 with these propensities."""
    outcome = np.array([10.0, 4.0, 20.0, 30.0, 6.0])
    propensity = np.array([0.5, 0.8, 0.25, 0.5, 0.9])
    weight = np.array([1.0, 0.0, 1.0, 1.0, 0.0]) / propensity  # 2, 0, 4, 2, 0
    guesses = np.array([[12.0, 12.0], [5.0, 12.0], [18.0, 18.0], [25.0, 25.0], [5.0, 11.0]])
    found = estimates(weight, outcome, guesses, np.arange(5), np.array([0.5, 0.2, 0.25, 0.5, 0.1]))
    assert found.logged.mean == 14.0
    assert found.ips.mean == pytest.approx((2 * 10 + 4 * 20 + 2 * 30) / 5)  # 32
    assert found.snips.mean == pytest.approx((2 * 10 + 4 * 20 + 2 * 30) / 8)  # 20
    assert found.dr.mean == pytest.approx((12 + 12 + 18 + 25 + 11 + 2 * (10 - 12) + 4 * (20 - 18) + 2 * (30 - 25)) / 5)
    assert found.saves.mean == pytest.approx(14.0 - found.dr.mean)
    assert effective_size(weight) == pytest.approx(64 / 24)
    assert effective_size(np.zeros(3)) == 0.0


def test_the_correction_by_hand() -> None:
    """Two folds; what a request's own fold showed never enters its guess."""
    outcome = np.array([10.0, 12.0, 3.0, 7.0])
    guesses = np.array([[8.0, 1.0], [8.0, 8.0], [1.0, 8.0], [8.0, 8.0]])
    logged, asked, folds = np.array([0, 0, 1, 0]), np.array([1, 0, 0, 0]), np.array([0, 0, 1, 1])
    found = corrected(outcome, guesses, logged, asked, folds)
    first, second = (7.0 - 8.0) / (1 + RESIDUALS_MIN), (2.0 + 4.0) / (2 + RESIDUALS_MIN)
    other = (3.0 - 1.0) / (1 + RESIDUALS_MIN)
    assert found == pytest.approx(
        np.array([[8 + first, 1 + other], [8 + first, 8 + first], [1.0, 8 + second], [8 + second] * 2])
    )


def test_where_the_policy_is_the_log_all_three_are_the_logs_own_mean() -> None:
    draws = np.random.default_rng(1)
    outcome, guess = draws.exponential(10, 300), draws.normal(5, 2, 300)
    found = estimates(np.ones(300), outcome, np.stack((guess, guess), 1), np.arange(300) // 10, np.ones(300))
    for each in (found.ips, found.snips, found.dr, found.logged):
        assert each.mean == pytest.approx(outcome.mean())
        assert (each.low, each.high) == pytest.approx((found.logged.low, found.logged.high))
    assert found.saves.mean == pytest.approx(0)


class Bandit:
    """Three arms whose mean costs depend on a context in 0..1; the log draws with known propensities, the policy takes the arm
    that is best by a rule. `truth`: the policy's mean cost, by summing over all there is."""

    costs = np.array([[10.0, 4.0], [6.0, 9.0], [30.0, 20.0]])  # arm, context 0 or 1

    def __init__(self, seed: int, count: int, wanted: tuple[int, int] = (1, 2), bias: float = 0.0) -> None:
        draws = np.random.default_rng(seed)
        context = draws.integers(0, 2, count)
        shares = np.array([[0.8, 0.15, 0.05], [0.6, 0.2, 0.2]])[context]
        self.logged: Ints = (draws.random(count)[:, None] > shares.cumsum(1)).sum(1)
        self.asked: Ints = np.array(wanted)[context]
        rows = np.arange(count)
        self.chance: Floats = shares[rows, self.asked]
        self.weight: Floats = (self.logged == self.asked) / shares[rows, self.logged]
        self.outcome: Floats = self.costs[self.logged, context] + draws.exponential(3.0, count) - 3.0
        logged, asked = self.costs[self.logged, context], self.costs[self.asked, context]
        self.guesses: Floats = np.stack((logged, asked), 1) + bias
        self.truth = float((self.costs[wanted[0], 0] + self.costs[wanted[1], 1]) / 2)

    def estimates(self, blocks: int = 40) -> Estimates:
        block = np.arange(len(self.weight)) * blocks // len(self.weight)
        guesses = corrected(self.outcome, self.guesses, self.logged, self.asked, folds_of(block))
        return estimates(self.weight, self.outcome, guesses, block, self.chance)


def test_ips_is_unbiased_by_summing_over_every_log_of_four_requests() -> None:
    """Each of the 2^4 logs with its probability: the expectation is the truth to the last digits, whatever the guess."""
    share, cost, wrong = 0.3, np.array([5.0, 11.0]), np.array([1.0, 40.0])
    expected_ips = expected_dr = 0.0
    for bits in range(16):
        arms = np.array([bits >> place & 1 for place in range(4)])
        weight = np.where(arms == 1, 1 / share, 0.0)
        guesses = np.stack((wrong[arms], np.full(4, wrong[1])), 1)
        found = estimates(weight, cost[arms], guesses, np.arange(4), np.full(4, share))
        likely = share ** arms.sum() * (1 - share) ** (4 - arms.sum())
        expected_ips += likely * found.ips.mean
        expected_dr += likely * found.dr.mean
    assert expected_ips == pytest.approx(11.0)
    assert expected_dr == pytest.approx(11.0)


def most_misses(tries: int, share: float) -> int:
    """So many misses at most, but for one chance in a thousand, if each try misses with this probability."""
    reached, count = 0.0, -1
    while reached < 0.999:
        count += 1
        reached += comb(tries, count) * share**count * (1 - share) ** (tries - count)
    return count


@pytest.mark.parametrize("bias", [0.0, 8.0])
def test_intervals_cover_a_known_truth_as_often_as_they_say(bias: float) -> None:
    seeds = 200
    missed = dict.fromkeys(("ips", "snips", "dr"), 0)
    normal_missed = bernstein_missed = 0
    errors: dict[str, list[float]] = {name: [] for name in missed}
    for seed in range(seeds):
        bandit = Bandit(seed, 2000, bias=bias)
        found = bandit.estimates()
        for name in missed:
            each = getattr(found, name)
            missed[name] += not each.covers(bandit.truth)
            errors[name].append(each.mean - bandit.truth)
        normal_missed += not found.dr.normal_low <= bandit.truth <= found.dr.normal_high
        assert found.ips.bernstein is not None
        bernstein_missed += abs(found.ips.mean - bandit.truth) > found.ips.bernstein
    allowed = most_misses(seeds, 0.06)  # resampling forty blocks is a little too sure of itself
    assert max(*missed.values(), normal_missed) <= allowed
    assert bernstein_missed <= most_misses(seeds, 0.05)
    spread = {name: sqrt(float(np.mean(np.square(each)))) for name, each in errors.items()}
    assert spread["dr"] < spread["snips"] < spread["ips"]
    for name, each in errors.items():
        assert abs(np.mean(each)) < 4 * np.std(each) / sqrt(seeds) + 0.02, name


def test_neighbours_that_are_alike_widen_the_interval() -> None:
    """Costs that stay for fifty requests at a time: by single requests the interval would be far too narrow."""
    draws = np.random.default_rng(4)
    outcome = np.repeat(draws.normal(10, 3, 60), 50)
    ones, guesses = np.ones(3000), np.zeros((3000, 2))
    by_blocks = estimates(ones, outcome, guesses, np.arange(3000) // 50, ones).ips
    by_requests = estimates(ones, outcome, guesses, np.arange(3000), ones).ips
    assert by_blocks.high - by_blocks.low > 5 * (by_requests.high - by_requests.low)
    assert by_blocks.high - by_blocks.low == pytest.approx(2 * 1.96 * outcome.std() / sqrt(60), rel=0.15)


def test_blocks_are_of_time_and_folds_of_whole_blocks() -> None:
    moments = np.array([0, 5, 9, 10, 31, 32, 47])
    assert blocks_of(moments, 10, 2).tolist() == [0, 0, 0, 1, 2, 2, 3]
    assert blocks_of(moments, 1000, 4).tolist() == [0, 0, 0, 0, 1, 1, 2]
    folds = folds_of(np.arange(100) // 7)
    assert np.unique(folds).tolist() == [0, 1, 2, 3, 4]
    for block in range(15):
        assert len(set(folds[np.arange(100) // 7 == block])) == 1


@pytest.mark.parametrize(("freedom", "quantile"), [(10, 2.2281), (19, 2.0930), (39, 2.0227), (199, 1.9720)])
def test_students_quantile_as_in_the_tables(freedom: int, quantile: float) -> None:
    assert _student(freedom) == pytest.approx(quantile, abs=0.003)
