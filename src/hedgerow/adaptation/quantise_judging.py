"""How like its float32 original a quantised model answers, and how much quicker: agreement with an interval, time by turns.

Rules: times are taken by turns in one thread, a pair at a time, and stated as the median of the pairs' ratios with its interval,
so that a busy machine slows both; agreement is stated with the interval that its number of pictures allows.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.engines import get_engine
from hedgerow.models.tensors import Tensors

Floats = NDArray[np.float64]
Z = 1.96  # 95 % of a normal distribution
PAIRS = 200
WARM_UP = 10


@dataclass(frozen=True, slots=True)
class Likeness:
    """`agreement`: share of pictures with the same top class. `divergence`: mean Kullback-Leibler divergence of the classes'
    probabilities, which moves long before an answer changes."""

    agreement: float
    divergence: float
    samples: int

    def interval(self) -> tuple[float, float]:
        """Of the agreement, at 95 % (Wilson's score)."""
        return wilson(round(self.agreement * self.samples), self.samples)


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians of one whole run, milliseconds, and the median of the pairs' ratios with its interval (95 %)."""

    first_ms: float
    second_ms: float
    ratio: float
    low: float
    high: float
    pairs: int


def scores(model: bytes, inputs: Sequence[Tensors], threads: int) -> Floats:
    """The first output of each input, a row each."""
    engine = get_engine("onnxruntime")
    program = engine.load(model, threads=threads)
    rows = [next(iter(program.run(tensors, engine.call()).values())).reshape(-1) for tensors in inputs]
    return np.array(rows, np.float64)


def likeness(answers: Floats, reference: Floats) -> Likeness:
    """How like the reference's rows the answers' are."""
    ours, theirs = _log_softmax(answers), _log_softmax(reference)
    divergence = (np.exp(theirs) * (theirs - ours)).sum(axis=1).mean()
    agreement = (answers.argmax(axis=1) == reference.argmax(axis=1)).mean()
    return Likeness(float(agreement), float(divergence), len(answers))


def _log_softmax(rows: Floats) -> Floats:
    """Of scores or of probabilities alike up to the softmax of the latter, which keeps their order."""
    shifted = rows - rows.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def wilson(hits: int, samples: int) -> tuple[float, float]:
    """Interval of a share at 95 %."""
    if samples < 1:
        raise UsageError("there is no sample to judge on")
    share, weight = hits / samples, Z * Z / samples
    centre = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / samples + weight / (4 * samples)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def enough_to_tell(share: float, asked: float) -> int | None:
    """How many samples would tell a share like this one from the one asked for, at 95 %; None where they are equal."""
    gap = abs(share - asked)
    if gap < 1e-9:
        return None
    spread = max(share * (1 - share), asked * (1 - asked))
    return math.ceil(Z * Z * spread / (gap * gap))


def by_turns(
    first: Chain,
    second: Chain,
    tensors: Tensors,
    *,
    pairs: int = PAIRS,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Speed:
    """Both chains on the same prepared input, one after the other, which goes first changing each time."""
    times = np.empty((pairs, 2))
    for pair in range(-WARM_UP, pairs):
        for side in (0, 1) if pair % 2 else (1, 0):
            started = clock()
            (first, second)[side].run(tensors, first=1)
            if pair >= 0:
                times[pair, side] = (clock() - started) / 1e6
    ratios = np.sort(times[:, 0] / times[:, 1])
    reach = Z * math.sqrt(pairs) / 2
    low, high = (int(np.clip(round(pairs / 2 + sign * reach), 0, pairs - 1)) for sign in (-1, 1))
    medians = np.median(times, axis=0)
    return Speed(
        float(medians[0]), float(medians[1]), float(np.median(ratios)), float(ratios[low]), float(ratios[high]), pairs
    )
