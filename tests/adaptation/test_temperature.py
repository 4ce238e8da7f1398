"""Temperatures and weights that are known beforehand are found again; what cannot be fitted on is refused."""

import numpy as np
import pytest

from hedgerow.adaptation.temperature import calibration_gap, fit_temperature, fit_weights, pooled_loss
from hedgerow.adaptation.weighing import fit, rules_text, summary, write_temperatures
from hedgerow.errors import UsageError
from hedgerow.models.calibrated import probabilities

RANDOM = np.random.default_rng(3)
TRUE = RANDOM.normal(0, 2, (4000, 6))
LABELS = np.array([RANDOM.choice(6, p=row) for row in probabilities(TRUE)])


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_the_scores_is_found(temperature: float) -> None:
    found = fit_temperature(TRUE * temperature, LABELS)
    assert found.temperature == pytest.approx(temperature, rel=0.06)
    assert found.loss_after <= found.loss_before + 1e-9
    assert found.gap_after < 0.02
    assert found.samples == 4000


def test_probabilities_are_calibrated_as_well_as_logits() -> None:
    shares = probabilities(TRUE * 2.5)
    assert fit_temperature(shares, LABELS).temperature == pytest.approx(2.5, rel=0.06)


def test_the_gap_of_one_that_is_sure_and_wrong() -> None:
    shares = np.tile([0.95, 0.05], (10, 1))
    assert calibration_gap(shares, np.zeros(10, np.int64)) == pytest.approx(0.05)
    assert calibration_gap(shares, np.ones(10, np.int64)) == pytest.approx(0.95)


def test_weights_are_those_of_a_grid() -> None:
    """One model knows half of the samples and guesses the rest; the pool's best weight is a grid's best weight."""
    knows = RANDOM.random(4000) < 0.5
    blurred = np.where(knows[:, None], probabilities(TRUE), 1 / 6)
    guess = np.where(knows[:, None], 1 / 6, probabilities(TRUE * 0.7))
    shares = {"blurred": blurred, "guess": guess}
    weight = fit_weights(shares, LABELS, "guess")
    assert weight["guess"] == 1.0
    grid = np.geomspace(0.05, 20, 400)
    best = min(grid, key=lambda each: pooled_loss((each * blurred + guess) / (1 + each), LABELS))
    assert weight["blurred"] == pytest.approx(best, rel=0.05)


def test_a_model_that_knows_nothing_weighs_next_to_nothing() -> None:
    shares = {"good": probabilities(TRUE), "none": np.full(TRUE.shape, 1 / 6)}
    assert fit_weights(shares, LABELS, "good")["none"] == 0.05


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        (TRUE[:4], LABELS[:4], "4 labelled samples are too few"),
        (TRUE[:20], LABELS[:19], "do not go with 19 labels"),
        (TRUE[:20], np.full(20, 6), "label 6 is none of the model's 6"),
        (TRUE[:20], (TRUE[:20].argmax(1) + 1) % 6, "right about no sample"),
        (np.full((20, 6), np.nan), LABELS[:20], "not finite"),
    ],
)
def test_what_cannot_be_calibrated_on_is_refused(scores: np.ndarray, labels: np.ndarray, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fit_temperature(scores, labels)


def test_a_fit_names_its_model_and_is_said_in_words_and_as_rules() -> None:
    fitted, weights = fit({"a": TRUE * 2, "b": TRUE}, LABELS, "b")
    lines = list(summary(fitted, weights))
    assert lines[0].startswith("a: temperature 1.9")
    assert '"b" = 1.0' in rules_text(weights, 4000)
    with pytest.raises(UsageError, match="b: the model is right about no sample"):
        fit({"a": TRUE[:9], "b": np.roll(TRUE[:9], 1, axis=1) * 0 - np.eye(6)[LABELS[:9]]}, LABELS[:9], "a")


def test_a_task_file_is_copied_with_its_temperatures_and_never_overwritten(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from hedgerow.models.task import Task
    from tests.device.small import pair_task

    (tmp_path / "there").mkdir()
    pair_task(tmp_path)
    target = tmp_path / "there" / "task.toml"
    write_temperatures(tmp_path / "pair.toml", {"small": 1.5, "big": 0.75}, target)
    made = Task.load(target)
    assert [made.model(name).temperature for name in ("small", "big")] == [1.5, 0.75]
    assert made.task_id == Task.load(tmp_path / "pair.toml").task_id
    with pytest.raises(UsageError, match="not overwritten"):
        write_temperatures(tmp_path / "pair.toml", {}, target)
