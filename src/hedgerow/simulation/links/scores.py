"""Probabilities and normal scores of whole arrays. NumPy has no error function; Python's own is exact and quick enough."""

import math
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

_NORMAL: Final = NormalDist()
_ROOT_HALF: Final = math.sqrt(0.5)


def score(probability: float) -> float:
    """The standard normal score of a probability between 0 and 1."""
    return _NORMAL.inv_cdf(probability)


def probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) the share of a standard normal below each score."""
    return np.array([0.5 * math.erfc(-each * _ROOT_HALF) for each in scores.tolist()], np.float64)


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) the normal score of each value's rank; equal values share the middle of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middles = (last - counts / 2) / len(values)
    known = np.array([_NORMAL.inv_cdf(each) for each in middles.tolist()])
    return np.asarray(known[place])
