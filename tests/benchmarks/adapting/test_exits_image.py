"""Resplits keep what was asked as often as they promise, and a gate that ignores it would not."""

import numpy as np

from hedgerow.adaptation.exits.running import Answers
from hedgerow.benchmarks.adapting.exits_image import resplits


def _answers(count: int) -> Answers:
    chance = np.random.default_rng(0)
    confidence = chance.beta(12, 1, (count, 1))
    whole = chance.integers(0, 10, count)
    right = chance.random((count, 1)) < confidence**0.5
    return Answers(confidence, np.where(right, whole[:, None], (whole[:, None] + 1) % 10), whole)


def test_at_least_ninety_one_of_a_hundred_resplits_keep_it() -> None:
    answers = _answers(4_000)
    path = np.append(2.0, np.linspace(1.0, 0.3, 400))[:, None]
    shares = resplits(answers, path, seed=1)
    assert (shares <= 0.01).sum() >= 91
    assert shares.mean() > 0.003  # it does stop


def test_a_path_on_which_nothing_may_stop_disagrees_never() -> None:
    assert resplits(_answers(1_000), np.full((1, 1), 2.0), seed=1, count=5).tolist() == [0.0] * 5
