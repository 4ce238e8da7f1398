"""What a policy would have cost, from what another one's choices cost: three estimators, on plain arrays.

With w = 1 / propensity where the logged choice is the policy's own, else 0; y what came of a request; g(a) what is guessed of arm a:

    ips    sum(w y) / n                                   Horvitz and Thompson 1952
    snips  sum(w y) / sum(w)                              Swaminathan and Joachims, NeurIPS 2015
    dr     sum(g(policy's arm) + w (y - g(logged arm))) / n          Dudik, Langford and Li, ICML 2011

IPS is unbiased and wild; SNIPS gives up a little bias for calm; DR needs the weights only for what the guess gets wrong, so it
is the one to read. The guess is the decision's own expectation plus the mean residual of that arm in the other folds of
the journal, shrunk towards none (`corrected`): it never sees the request that it guesses.

Intervals (95 %). `low`, `high`: percentiles over resampled blocks of time, since neighbouring requests share a link; `normal_*`:
the mean of blocks and Student's t; `bernstein`, of IPS alone: half the width of Maurer and Pontil's empirical Bernstein bound
(COLT 2009), which holds for any number of *independent* requests whose weighted costs lie between 0 and the largest possible:
wide, and a check on the others. All are about requests like these, not about these alone: they count how requests differ too.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.arms import Floats

FOLDS = 5
RESIDUALS_MIN = 5.0
"""An arm's mean residual counts as if so many requests more had shown none."""
RESAMPLES = 2000
_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its intervals; `bernstein` is None where it does not apply."""

    mean: float
    low: float
    high: float
    normal_low: float
    normal_high: float
    bernstein: float | None = None

    def covers(self, value: float) -> bool:
        """Whether the interval of resampled blocks has it."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Estimates:
    """One figure by the three estimators; `logged` is what the log itself came to, `saves` DR's difference from it."""

    logged: Estimate
    ips: Estimate
    snips: Estimate
    dr: Estimate
    saves: Estimate


def blocks_of(moments_ns: NDArray[np.int64], block_ns: int, blocks_min: int) -> NDArray[np.int64]:
    """(requests,): the number of the block of time that each lies in, from 0, without gaps; shorter blocks than asked where the
    journal is too short for `blocks_min` of them."""
    if not len(moments_ns):
        return np.zeros(0, np.int64)
    since = moments_ns - moments_ns[0]
    length = max(1, min(block_ns, int(since[-1] + 1) // blocks_min))
    found: NDArray[np.int64] = np.unique(since // length, return_inverse=True)[1].astype(np.int64)
    return found


def corrected(
    outcome: Floats, guesses: Floats, logged: NDArray[np.int64], asked: NDArray[np.int64], folds: NDArray[np.int64]
) -> Floats:
    """(requests, 2): the guesses of the logged and of the policy's arm, each plus its arm's mean residual outside the request's
    own fold: sum / (count + RESIDUALS_MIN)."""
    found = guesses.copy()
    residual = outcome - guesses[:, 0]
    for fold in np.unique(folds).tolist():
        inside = folds == fold
        for arm in np.unique(np.concatenate((logged[inside], asked[inside]))).tolist():
            seen = residual[~inside & (logged == arm)]
            mean = float(seen.sum()) / (len(seen) + RESIDUALS_MIN)
            found[inside & (logged == arm), 0] += mean
            found[inside & (asked == arm), 1] += mean
    return found


def folds_of(blocks: NDArray[np.int64], folds: int = FOLDS) -> NDArray[np.int64]:
    """(requests,): the fold of each, whole blocks together, one stretch of time a fold."""
    if not len(blocks):
        return np.zeros(0, np.int64)
    found: NDArray[np.int64] = blocks * folds // (int(blocks.max()) + 1)
    return found


def estimates(weight: Floats, outcome: Floats, guesses: Floats, blocks: NDArray[np.int64], chance: Floats) -> Estimates:
    """All three, and the log's own mean. `guesses` (requests, 2) as `corrected` gives them; `chance` as in `Logged`."""
    resampled = _Resampled(blocks)
    one, weighted = np.ones(len(weight)), weight * outcome
    direct = guesses[:, 1] + weight * (outcome - guesses[:, 0])
    largest = float(outcome.max()) / float(chance[chance > 0].min()) if (chance > 0).any() else 0.0
    ips = resampled.ratio(weighted, one, _bernstein(weighted, largest))
    return Estimates(
        resampled.ratio(outcome, one),
        ips,
        resampled.ratio(weighted, weight),
        resampled.ratio(direct, one),
        resampled.ratio(outcome - direct, one),
    )


def effective_size(weight: Floats) -> float:
    """(sum w)^2 / sum w^2: so many equally weighted requests would tell as much; 0 of none."""
    square = float((weight * weight).sum())
    return float(weight.sum()) ** 2 / square if square > 0 else 0.0


class _Resampled:
    """Means over blocks drawn with replacement; the same draws for every figure, and the same each time."""

    def __init__(self, blocks: NDArray[np.int64]) -> None:
        self._blocks, self._count = blocks, int(blocks.max()) + 1
        self._times = _times_drawn(self._count)

    def ratio(self, above: Floats, below: Floats, bernstein: float | None = None) -> Estimate:
        """sum(above) / sum(below) with its intervals; a resample without any `below` is left out."""
        top, bottom = (np.bincount(self._blocks, each, self._count) for each in (above, below))
        if not bottom.sum() > 0:
            return Estimate(*[float("nan")] * 5)
        mean = float(top.sum() / bottom.sum())
        tops, bottoms = self._times @ top, self._times @ bottom
        some = bottoms > 0
        low, high = np.quantile(tops[some] / bottoms[some], (_TAIL, 1 - _TAIL)).tolist()
        off = (top - mean * bottom) / (bottom.sum() / self._count)
        half = _student(self._count - 1) * sqrt(float((off * off).sum()) / (self._count * (self._count - 1)))
        return Estimate(mean, low, high, mean - half, mean + half, bernstein)


@lru_cache(maxsize=4)
def _times_drawn(blocks: int) -> Floats:
    """(RESAMPLES, blocks): how often each block comes in each resample."""
    draws = np.random.Generator(np.random.PCG64(blocks))
    found: Floats = draws.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=RESAMPLES).astype(np.float64)
    return found


def _student(freedom: int) -> float:
    """Student's 0.975 quantile, by the first terms of Cornish and Fisher's expansion: within 0.002 from 10 degrees on."""
    z = 1.959964
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def _bernstein(values: Floats, largest: float) -> float | None:
    """Half of the interval's width for the mean of independent values in 0 .. `largest`, both sides together at 95 %."""
    count = len(values)
    if count < 2:
        return None
    bits = log(2 / _TAIL)
    return sqrt(2 * float(values.var(ddof=1)) * bits / count) + 7 * largest * bits / (3 * (count - 1))
