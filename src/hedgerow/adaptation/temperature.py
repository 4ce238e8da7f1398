"""How sure does a model say it is, and how sure may it be taken to be? One temperature a model, one weight a model in the pool.

Temperature scaling (Guo, Pleiss, Sun, Weinberger 2017): the scores are divided by the one number under which the labels of
samples that nothing was trained on are likeliest. The weights of the pool are those under which they are likeliest in the mean
of two models' calibrated probabilities, found by expectation and maximisation (Dempster, Laird, Rubin 1977), which for mixture weights
alone climbs to the one maximum. Neither needs PyTorch, chance, or more than seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import UsageError
from hedgerow.models.calibrated import logits_of, probabilities

SAMPLES_MIN = 5  # fewer say nothing; figures from fewer than some hundred are rough, and their number is told
COLDEST, HOTTEST = 0.05, 20.0
WEIGHTS = 0.05, 20.0  # the least and the most
WEIGHING_MIN = 50  # of fewer, chance gives one model all: typed by a person, they are refused
_STEPS = 60
_ROUNDS = 500
_LEAST = 1e-12
_BINS = 10

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A temperature and what it was worth on the samples it was fitted on: loss is the mean negative log-likelihood (nats), gap the
    expected calibration error (share, ten bins of equal width)."""

    temperature: float
    samples: int
    loss_before: float
    loss_after: float
    gap_before: float
    gap_after: float


def fit_temperature(scores: Floats, labels: Labels) -> Fitted:
    """`scores` (n, labels) of one model and the right labels (n,). UsageError for too few samples or labels that cannot be."""
    _check(scores, labels)
    logits = logits_of(scores)
    low, high = np.log(COLDEST), np.log(HOTTEST)
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    for _ in range(_STEPS):  # the loss is convex in 1 / temperature: it falls to one lowest point
        left, right = high - golden * (high - low), low + golden * (high - low)
        if _loss(logits, labels, float(np.exp(left))) <= _loss(logits, labels, float(np.exp(right))):
            high = right
        else:
            low = left
    best = round(float(np.exp((low + high) / 2.0)), 4)
    before, after = probabilities(logits), probabilities(logits, best)
    return Fitted(
        best, len(labels), _loss(logits, labels, 1.0), _loss(logits, labels, best),
        calibration_gap(before, labels), calibration_gap(after, labels),
    )  # fmt: skip


def fit_weights(shares: Mapping[str, Floats], labels: Labels, reference: str) -> dict[str, float]:
    """Weights of each model's calibrated probabilities (n, labels), the reference's being 1.

    Each is fitted beside the reference alone: which models answer for a sample is not known beforehand, and of two that hardly
    differ (a model and its int8 copy) a joint fit would give one all and the other nothing.
    """
    for each in shares.values():
        _check(each, labels)
    rows = np.arange(len(labels))
    likely = {name: np.maximum(each[rows, labels], _LEAST) for name, each in shares.items()}
    return {name: _weight(each, likely[reference]) if name != reference else 1.0 for name, each in likely.items()}


def _weight(one: Floats, reference: Floats) -> float:
    """What `one`, its probabilities of the right labels (n,), weighs beside the reference's, within WEIGHTS."""
    weight = 0.5
    for _ in range(_ROUNDS):
        weight = float((weight * one / (weight * one + (1.0 - weight) * reference)).mean())
    return round(min(max(weight / max(1.0 - weight, 0.01), WEIGHTS[0]), WEIGHTS[1]), 4)


def calibration_gap(shares: Floats, labels: Labels) -> float:
    """Expected calibration error of the top labels: by bins of confidence, the weighted distance of confidence and accuracy."""
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    place = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    total = 0.0
    for each in range(_BINS):
        inside = place == each
        if inside.any():
            total += abs(float(sure[inside].mean()) - float(right[inside].mean())) * float(inside.mean())
    return total


def pooled_loss(shares: Floats, labels: Labels) -> float:
    """Mean negative log-likelihood (nats) of the right labels under probabilities (n, labels)."""
    return float(-np.log(np.maximum(shares[np.arange(len(labels)), labels], _LEAST)).mean())


def _loss(logits: Floats, labels: Labels, temperature: float) -> float:
    return pooled_loss(probabilities(logits, temperature), labels)


def _check(scores: Floats, labels: Labels) -> None:
    if scores.ndim != 2 or len(scores) != len(labels):
        raise UsageError(f"scores of shape {scores.shape} do not go with {len(labels)} labels")
    if len(labels) < SAMPLES_MIN:
        raise UsageError(
            f"{len(labels)} labelled samples are too few to calibrate on; {SAMPLES_MIN} are the least, 300 good"
        )
    if not np.isfinite(scores).all():
        raise UsageError("a model gave scores that are not finite numbers")
    wrong = labels[(labels < 0) | (labels >= scores.shape[1])]
    if wrong.size:
        raise UsageError(
            f"label {int(wrong[0])} is none of the model's {scores.shape[1]}: are they another task's labels?"
        )
    if (scores.argmax(axis=1) != labels).all():
        raise UsageError(
            "the model is right about no sample at all: the labels are of another order, or another task's"
        )
