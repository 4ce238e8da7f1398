"""Exits are settled so that the promise holds on samples of neither kind, or not at all."""

import numpy as np
import pytest

from hedgerow.adaptation.exits.choosing import Costs
from hedgerow.adaptation.exits.running import Answers
from hedgerow.adaptation.exits.settling import Promise, judged, settle, stop_shares, summary
from hedgerow.errors import UsageError

COSTS = Costs(np.array([1.0, 5.0]), np.array([0.5, 0.5]), 10.0)


def _answers(count: int, seed: int, skill: float = 1.0) -> Answers:
    chance = np.random.default_rng(seed)
    confidence = np.stack([chance.beta(8, 1, count), chance.beta(16, 1, count)], axis=1)
    right = chance.random((count, 2)) < confidence**0.3 * skill
    whole = chance.integers(0, 5, count)
    return Answers(confidence, np.where(right, whole[:, None], (whole[:, None] + 1) % 5), whole)


def test_the_promise_holds_on_samples_of_neither_kind() -> None:
    kept = 0
    for seed in range(60):
        settled = settle(_answers(500, seed), _answers(500, 1_000 + seed), COSTS, Promise(0.05, unseen=500))
        figures = judged(
            _answers(500, 2_000 + seed).of(range(500), settled.exits), None, settled.gates, COSTS.of(settled.exits)
        )
        kept += int(figures["disagreement_got"] <= 0.05)
        assert settled.path.shape[1] == len(settled.exits) > 0
    assert kept >= 52


def test_useless_exits_are_left_out_with_the_reason() -> None:
    settled = settle(_answers(500, 0, skill=0.3), _answers(500, 1, skill=0.3), COSTS, Promise(0.01))
    assert settled.exits == []
    assert settled.calibrated is None
    assert "no exit saves" in settled.why_not


def test_too_few_calibrating_samples_are_refused() -> None:
    with pytest.raises(UsageError, match="299 samples"):
        settle(_answers(500, 0), _answers(200, 1), COSTS, Promise(0.01))


def test_shares_and_words() -> None:
    answers = Answers(np.array([[0.9, 0.9], [0.1, 0.9], [0.1, 0.1]]), np.ones((3, 2), np.int64), np.ones(3, np.int64))
    assert stop_shares(answers, np.array([0.5, 0.5])) == pytest.approx([1 / 3, 1 / 3])
    figures = judged(answers, np.array([1, 1, 0]), np.array([0.5, 0.5]), COSTS)
    assert (figures["accuracy_full"], figures["disagreement_got"]) == (pytest.approx(2 / 3), 0.0)
    settled = settle(_answers(800, 3), _answers(800, 4), COSTS, Promise(0.05))
    assert settled.calibrated is not None
    assert "upper bound" in summary(settled.calibrated)
