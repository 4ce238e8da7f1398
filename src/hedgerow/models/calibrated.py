"""Scores to calibrated probabilities: divided by one temperature before the softmax (Guo, Pleiss, Sun, Weinberger 2017).

A temperature changes no label, only how sure a model says it is. It is fitted on samples that nothing was trained on
(adaptation/temperature.py) and stands in the task file.
"""

import numpy as np
from numpy.typing import NDArray

from hedgerow.models.tensors import Array

Floats = NDArray[np.float64]
LABELS_KEPT = 5  # of a model's view of one sample, in sessions and in benchmarks alike
_LEAST = 1e-12  # of a probability, where a model gives probabilities and not logits
_WHOLE = 1e-3


def logits_of(scores: Array) -> Floats:
    """Scores (..., labels) as logits: their logarithms where each row already is a distribution."""
    values = np.asarray(scores, dtype=np.float64)
    if values.min(initial=0.0) >= 0.0 and bool((np.abs(values.sum(axis=-1) - 1.0) <= _WHOLE).all()):
        return np.log(np.maximum(values, _LEAST))
    return values


def probabilities(scores: Array, temperature: float = 1.0) -> Floats:
    """Calibrated probabilities (..., labels) of scores of the same shape."""
    values = logits_of(scores) / temperature
    values -= values.max(axis=-1, keepdims=True)
    shares = np.exp(values)
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


def likeliest(shares: Floats, count: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The `count` likeliest labels of one sample (labels,) and their probabilities to six digits; equal ones by index."""
    order = np.argsort(-shares, kind="stable")[:count]
    return tuple(int(label) for label in order), tuple(round(float(shares[label]), 6) for label in order)
