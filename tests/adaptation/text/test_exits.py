"""The rules and their thresholds: what they mean on cases by hand, and that the promise is kept on texts nobody saw."""

import numpy as np
import pytest

from hedgerow.adaptation.text import exits
from hedgerow.adaptation.text.exits import Floats
from hedgerow.errors import UsageError


def made_up(count: int, seed: int, layers: int = 4, classes: int = 6) -> tuple[Floats, np.ndarray]:
    """Scores of layers that know more and more about a label."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    clue = random.normal(2.0, 2.0, count)
    scores = random.normal(0.0, 1.0, (layers, count, classes))
    for layer in range(layers):
        scores[layer, np.arange(count), labels] += clue * (layer + 1) / layers
    return np.cumsum(scores, axis=0), labels


def test_the_three_confidences_of_a_text() -> None:
    scores = np.log(np.array([[[0.7, 0.2, 0.1]], [[0.5, 0.4, 0.1]], [[0.1, 0.8, 0.1]], [[0.2, 0.7, 0.1]]]))
    np.testing.assert_allclose(exits.top_confidence(scores), [[0.7, 0.5, 0.8]])
    entropy = -sum(share * np.log(share) for share in (0.7, 0.2, 0.1))
    assert exits.entropy_confidence(scores)[0, 0] == pytest.approx(-entropy)
    np.testing.assert_array_equal(exits.patience_confidence(scores), [[1, 2, 1]])
    np.testing.assert_array_equal(exits.agreements(scores), [[False, False, True]])


def test_usage_counts_layers_stops_and_disagreements() -> None:
    scores = np.log(np.array([[[0.7, 0.3], [0.6, 0.4]], [[0.2, 0.8], [0.9, 0.1]]]))
    used = exits.usage(scores, np.array([1, 0]), np.array([0.65]))
    assert used.layers == 1.5
    assert used.stops == (0.5, 0.5)
    assert used.disagreement == 0.5
    assert used.accuracy == 0.5
    never = exits.usage(scores, np.array([1, 0]), np.array([np.inf]))
    assert (never.layers, never.disagreement, never.accuracy) == (2.0, 0.0, 1.0)


@pytest.mark.parametrize("rule", exits.RULES)
def test_paths_go_from_strict_to_lax(rule: str) -> None:
    path = exits.paths(made_up(1000, 0)[0], at_most=0.05)[rule]
    assert (np.diff(path, axis=0) <= 1e-12).all()
    assert path.shape[1] == 3


@pytest.mark.parametrize("rule", exits.RULES)
def test_the_promise_is_kept_on_unseen_texts(rule: str) -> None:
    path = exits.paths(made_up(1000, 0)[0], at_most=0.05)[rule]
    kept = 0
    for seed in range(1, 41):
        scores, labels = made_up(1500, seed)
        thresholds, promise = exits.calibrate(scores[:, :1000], path, rule, at_most=0.05, unseen=500)
        assert promise.disagreement <= 0.05
        kept += exits.usage(scores[:, 1000:], labels[1000:], thresholds, rule).disagreement <= 0.05
    assert kept >= 36  # 38 are promised; fewer than 36 of 40 happens in one run of 200


def test_exits_save_layers_where_early_layers_know_enough() -> None:
    path = exits.paths(made_up(1000, 0)[0], at_most=0.05)[exits.RULES[0]]
    scores, labels = made_up(4000, 1)
    thresholds, _ = exits.calibrate(scores[:, :2000], path, at_most=0.05)
    assert exits.usage(scores[:, 2000:], labels[2000:], thresholds).layers < 3.5


def test_resplits_are_the_same_for_a_seed() -> None:
    path = exits.paths(made_up(1000, 0)[0], at_most=0.05)[exits.RULES[0]]
    scores = made_up(800, 1)[0]
    assert exits.resplits(scores, path, at_most=0.05, count=5) == exits.resplits(scores, path, at_most=0.05, count=5)


def test_too_few_texts_say_how_many_would_be_enough() -> None:
    path = exits.paths(made_up(1000, 0)[0], at_most=0.05)[exits.RULES[0]]
    with pytest.raises(UsageError, match="59 samples without a disagreement would be enough"):
        exits.calibrate(made_up(40, 1)[0], path, at_most=0.05)
    with pytest.raises(UsageError, match="200 would be enough"):
        exits.paths(made_up(100, 0)[0], at_most=0.05)
