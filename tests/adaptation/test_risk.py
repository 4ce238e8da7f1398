"""The promise is held on synthetic samples, and the tails against sums over all cases."""

import itertools
import math

import numpy as np
import pytest

from hedgerow.adaptation.risk import (
    binomial_tail,
    errors_allowed,
    hypergeometric_tail,
    outcome,
    row_for,
    samples_needed,
    threshold_for,
    upper_bound,
)
from hedgerow.errors import UsageError

REPETITIONS = 1_000
SLACK = 3.0 * math.sqrt(0.05 * 0.95 / REPETITIONS)


@pytest.mark.parametrize(
    ("errors", "samples", "share"), list(itertools.product((0, 1, 3, 7), (7, 12), (0.01, 0.3, 0.9)))
)
def test_the_binomial_tail_is_the_sum_over_all_counts(errors: int, samples: int, share: float) -> None:
    plain = sum(
        math.comb(samples, k) * share**k * (1 - share) ** (samples - k) for k in range(min(errors, samples) + 1)
    )
    assert binomial_tail(errors, samples, share) == pytest.approx(plain)


def test_the_hypergeometric_tail_is_the_count_of_all_draws() -> None:
    for marked, drawn, whole in ((3, 4, 9), (5, 2, 8), (6, 6, 9)):
        draws = [sum(thing < marked for thing in draw) for draw in itertools.combinations(range(whole), drawn)]
        for errors in range(-1, marked + 1):
            plain = sum(found <= errors for found in draws) / len(draws)
            assert hypergeometric_tail(errors, marked, drawn, whole) == pytest.approx(plain)


def test_tails_stand_large_counts() -> None:
    assert binomial_tail(10_000, 1_000_000, 0.01) == pytest.approx(0.5, abs=0.01)
    assert hypergeometric_tail(500, 1_001, 100_000, 200_000) == pytest.approx(0.5, abs=0.02)


def test_the_bound_is_where_the_tail_is_one_minus_the_level() -> None:
    assert upper_bound(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert binomial_tail(3, 200, upper_bound(3, 200, 0.9)) == pytest.approx(0.1)
    assert upper_bound(4, 4) == 1.0


def test_samples_needed_are_the_known_ones() -> None:
    assert (samples_needed(0.05), samples_needed(0.01)) == (59, 299)
    for at_most, unseen in ((0.05, 60), (0.05, 10), (0.2, 7)):
        enough = samples_needed(at_most, 0.95, unseen)
        assert errors_allowed(enough, at_most, 0.95, unseen) >= 0 > errors_allowed(enough - 1, at_most, 0.95, unseen)


def test_too_few_samples_are_refused_and_told_how_many_would_do() -> None:
    with pytest.raises(UsageError, match="59 samples without a disagreement"):
        threshold_for(np.full(58, 0.9), np.ones(58, dtype=bool), at_most=0.05)
    assert threshold_for(np.full(59, 0.9), np.ones(59, dtype=bool), at_most=0.05).threshold == 0.9


@pytest.mark.parametrize("value", [(0.0, 0.95, 0), (1.0, 0.95, 0), (0.1, 1.0, 0), (0.1, 0.9, -1)])
def test_what_cannot_be_asked_is_refused(value: tuple[float, float, int]) -> None:
    at_most, level, unseen = value
    with pytest.raises(UsageError, match="between 0 and 1"):
        threshold_for(np.full(100, 0.9), np.ones(100, dtype=bool), at_most=at_most, level=level, unseen=unseen)


def test_broken_numbers_and_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="not a finite number"):
        threshold_for(np.array([0.5, np.nan]), np.ones(2, dtype=bool), at_most=0.5)
    with pytest.raises(UsageError, match="shape"):
        threshold_for(np.ones(3), np.ones(2, dtype=bool), at_most=0.5)
    with pytest.raises(UsageError, match="path"):
        row_for(np.ones((99, 2)), np.ones((99, 2), dtype=bool), np.ones((3, 1)), at_most=0.5)


def _drawn(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    confidence = random.beta(6, 1, count)
    return confidence, random.random(count) < confidence**0.5


def test_the_population_s_disagreement_is_kept() -> None:
    random = np.random.default_rng(1)
    confidence, agrees = _drawn(random, 1_000_000)
    order = np.sort(confidence[~agrees])
    broken = 0
    for _ in range(REPETITIONS):
        found = threshold_for(*_drawn(random, 400), at_most=0.05)
        truth = (len(order) - np.searchsorted(order, found.threshold)) / len(confidence)
        broken += int(truth > 0.05)
    assert 0.02 < broken / REPETITIONS <= 0.05 + SLACK  # kept, and not by never stopping


def test_the_unseen_samples_own_share_is_kept_in_resplits_of_one_pool() -> None:
    random = np.random.default_rng(2)
    confidence, agrees = _drawn(random, 800)
    broken = 0
    for _ in range(REPETITIONS):
        order = random.permutation(800)
        here, there = order[:400], order[400:]
        found = threshold_for(confidence[here], agrees[here], at_most=0.05, unseen=400)
        broken += int(float(((confidence[there] >= found.threshold) & ~agrees[there]).mean()) > 0.05)
    assert 0.01 < broken / REPETITIONS <= 0.05 + SLACK


def test_a_path_of_several_exits_keeps_the_unseen_share_too() -> None:
    random = np.random.default_rng(3)
    pool = [_drawn(random, 800) for _ in range(3)]
    confidence, agrees = np.stack([c for c, _ in pool], axis=1), np.stack([a for _, a in pool], axis=1)
    path = np.linspace(1.0, 0.6, 60)[:, None] + np.array([0.02, 0.0, -0.02])
    broken = 0
    for _ in range(REPETITIONS):
        order = random.permutation(800)
        here, there = order[:400], order[400:]
        found = row_for(confidence[here], agrees[here], path, at_most=0.05, unseen=400)
        if found.row >= 0:
            broken += int(float(outcome(confidence[there], agrees[there], path[found.row])[1].mean()) > 0.05)
    assert broken / REPETITIONS <= 0.05 + SLACK


def test_one_exit_is_a_path_of_one_column() -> None:
    confidence, agrees = _drawn(np.random.default_rng(4), 300)
    alone = threshold_for(confidence, agrees, at_most=0.06)
    path = np.sort(confidence)[::-1, None]
    found = row_for(confidence[:, None], agrees[:, None], path, at_most=0.06)
    assert (found.threshold, found.stop_share, found.bound) == (alone.threshold, alone.stop_share, alone.bound)


def test_asking_for_more_never_stops_fewer() -> None:
    confidence, agrees = _drawn(np.random.default_rng(5), 2_000)
    for level in (0.8, 0.95, 0.99):
        found = [
            threshold_for(confidence, agrees, at_most=share, level=level) for share in (0.005, 0.01, 0.02, 0.05, 0.1)
        ]
        assert [one.stop_share for one in found] == sorted(one.stop_share for one in found)
        assert all(one.bound <= one.asked for one in found)
    strict, lax = (threshold_for(confidence, agrees, at_most=0.02, level=level) for level in (0.99, 0.9))
    assert strict.stop_share <= lax.stop_share
    assert threshold_for(confidence, agrees, at_most=0.02, unseen=2_000).stop_share <= lax.stop_share


def test_equal_confidences_stop_together_or_not_at_all() -> None:
    confidence, agrees = np.full(1_000, 0.7), np.ones(1_000, dtype=bool)
    agrees[:100] = False
    assert math.isinf(threshold_for(confidence, agrees, at_most=0.05).threshold)
    assert threshold_for(confidence, agrees, at_most=0.05).stop_share == 0.0


def test_the_threshold_reached_is_the_one_tested() -> None:
    confidence, agrees = _drawn(np.random.default_rng(6), 500)
    found = threshold_for(confidence, agrees, at_most=0.08)
    stopping = confidence >= found.threshold
    assert stopping.mean() == found.stop_share
    assert (stopping & ~agrees).mean() == found.disagreement
