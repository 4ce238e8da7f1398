"""The scorer: exact p-values, false alarms at the share asked for, what lies far or is unsure is found, files that are none."""

from pathlib import Path

import numpy as np
import pytest

from hedgerow.errors import UsageError
from hedgerow.models.unusual import Scorer, direction, fit_axes, p_value

RANDOM = np.random.default_rng(2)


def usual(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of ten classes in four of their directions, and how sure the answer is."""
    plane = np.random.default_rng(0).normal(size=(4, 10))
    return RANDOM.normal(size=(count, 4)) @ plane + RANDOM.normal(0, 0.05, (count, 10)), RANDOM.uniform(0.5, 1, count)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    (train, _), (calibrate, sure) = usual(200), usual(199)
    seen = direction(train)
    mean, axes = fit_axes(seen)
    bare = Scorer("small", "m", "t", mean, axes, (seen - mean) @ axes, np.zeros(0), np.zeros(0))
    distances = np.sort([bare.distance(each) for each in calibrate])
    return Scorer("small", "m", "t", mean, axes, bare.reservoir, distances, np.sort(1 - sure))


def test_p_values_by_hand() -> None:
    seen = np.array([1.0, 2.0, 2.0, 3.0])
    assert [p_value(seen, each) for each in (0.5, 1.0, 2.0, 2.5, 4.0)] == [1.0, 1.0, 0.8, 0.4, 0.2]


def test_false_alarms_are_the_share_asked_for(scorer: Scorer) -> None:
    scores, sure = usual(2000)
    values = np.array([scorer.judge(*each).p_value for each in zip(scores, sure, strict=True)])
    for share in (0.02, 0.05, 0.2):
        assert float((values <= share).mean()) < share + 3 * np.sqrt(share * (1 - share) / 199)


def test_what_is_elsewhere_or_unsure_is_found_and_said_why(scorer: Scorer) -> None:
    elsewhere = scorer.judge(RANDOM.normal(size=10), 0.9)
    assert (elsewhere.p_value, elsewhere.because) == (0.01, "features")
    scores, _ = usual(1)
    unsure = scorer.judge(scores[0], 0.1)
    assert (unsure.p_value, unsure.because) == (0.01, "confidence")
    assert scorer.judge(np.full(10, np.nan), 0.9).p_value == 0.005


def test_a_file_comes_back_as_it_was_and_what_is_none_is_refused(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "router.npz"
    scorer.save(path)
    again = Scorer.load(path)
    assert (again.model, again.model_id) == ("small", "m")
    assert again.judge(np.ones(10), 0.7) == scorer.judge(np.ones(10), 0.7)
    with pytest.raises(UsageError, match="10 scores"):
        again.judge(np.ones(9), 0.7)
    data = path.read_bytes()
    for bad in (b"", b"no", data[:-100]):
        path.write_bytes(bad)
        with pytest.raises(UsageError, match="router"):
            Scorer.load(path)
    with pytest.raises(UsageError, match="hedgerow adapt route"):
        Scorer.load(tmp_path / "missing.npz")
