"""From which confidence may an answer stand? Thresholds that keep a promise on samples nobody has seen yet.

The promise: of all samples, at most the share asked for stops at a cheaper answer that disagrees with the full one, and the
calibration that says so is wrong in at most 5 of 100 cases (`level` 0.95). It holds for samples drawn as the calibrating ones
were and for no others: a dark camera is not covered.

Method: Learn then Test (Angelopoulos, Bates, Candes, Jordan, Lei 2021, arXiv:2110.01052) with fixed-sequence testing: the
rules are declared beforehand, from strict to lax, and tested in that order until one fails; the last that passed is taken, at
no price for having tried many. Each test is exact: the binomial tail (Clopper, Pearson 1934). Several exits are tested along
one declared path, a row of thresholds a step; a sample that was wrong on a stricter row counts as wrong on every laxer one.
That makes the count grow along the path, and a growing count needs two numbers only: how many errors are allowed, and where
the one too many lies.

With `unseen` m the promise also covers the chance in the next m samples themselves: their own share of disagreement is at most
the one asked for. Where the allowed errors are c and the m samples may have a, it breaks only if, among the first a + 1 + c
wrong ones of both parts along the path, no more than c fell into the calibrating part: a hypergeometric tail, exact too.

Errors: UsageError for values that cannot be, and for too few samples, saying how many would be enough with no error at all.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import UsageError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A promise and the samples behind it. Shares are of all samples, those that do not stop included."""

    threshold: float  # the answer may stand from this confidence; infinite: nothing may stop
    stop_share: float  # of the calibrating samples
    disagreement: float  # stopped and disagreeing, of the calibrating samples
    bound: float  # upper bound of that share among all samples there are, at `level`
    samples: int
    asked: float
    level: float
    unseen: int = 0  # the promise also holds for the next so many samples themselves; 0: only for the population
    row: int = -1  # of a path: the row taken; -1: none passed, or there is no path


def binomial_tail(errors: int, samples: int, share: float) -> float:
    """P(X <= errors) for X binomial of `samples` and `share`."""
    if errors >= samples or share <= 0.0:
        return 1.0
    if errors < 0 or share >= 1.0:
        return 0.0
    up, down, whole = math.log(share), math.log1p(-share), math.lgamma(samples + 1)
    return math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(samples - k + 1) + k * up + (samples - k) * down)
        for k in range(errors + 1)
    )


def hypergeometric_tail(errors: int, marked: int, drawn: int, whole: int) -> float:
    """P(X <= errors): X of `marked` things fall among the `drawn` ones of `whole`."""
    lowest, highest = max(0, drawn + marked - whole), min(marked, drawn)
    if errors >= highest:
        return 1.0

    def choose(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    among = choose(whole, drawn)
    return math.fsum(
        math.exp(choose(marked, k) + choose(whole - marked, drawn - k) - among) for k in range(lowest, errors + 1)
    )


def upper_bound(errors: int, samples: int, level: float = 0.95) -> float:
    """The share that is not exceeded at `level`, one-sided, when `errors` of `samples` were counted (Clopper and Pearson)."""
    if errors >= samples:
        return 1.0
    low, high = errors / samples, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if binomial_tail(errors, samples, middle) > 1.0 - level else (low, middle)
    return high


def errors_allowed(samples: int, at_most: float, level: float = 0.95, unseen: int = 0) -> int:
    """How many of the calibrating `samples` may disagree; -1: not even none of them is proof enough."""

    def proves(errors: int) -> bool:
        if binomial_tail(errors, samples, at_most) > 1.0 - level:
            return False
        return unseen == 0 or _breaks(errors, samples, at_most, unseen) <= 1.0 - level

    return _last(proves, samples)


def samples_needed(at_most: float, level: float = 0.95, unseen: int = 0) -> int:
    """The fewest calibrating samples that prove `at_most`, if none of them disagrees: 59 for 0.05 at 0.95, 299 for 0.01."""
    return 1 + _last(lambda count: errors_allowed(count, at_most, level, unseen) < 0, 2**40)


def threshold_for(
    confidence: Floats, agrees: Flags, *, at_most: float, level: float = 0.95, unseen: int = 0
) -> Calibrated:
    """The laxest threshold that keeps the promise.

    `confidence` (n,) and `agrees` (n,): how sure the cheaper answer was of each calibrating sample and whether it was the full
    one's. The threshold is infinite where even the surest sample disagrees too often.
    """
    confidence, agrees = _checked(confidence, agrees, 1)
    allowed = _allowed(len(confidence), at_most, level, unseen)
    wrong = np.sort(confidence[~agrees])[::-1]
    too_many = wrong[allowed] if len(wrong) > allowed else -math.inf  # the surest error that is one too many
    stopping = confidence > too_many
    errors = int((stopping & ~agrees).sum())
    threshold = float(confidence[stopping].min()) if stopping.any() else math.inf
    return Calibrated(
        threshold=threshold,
        stop_share=float(stopping.mean()),
        disagreement=errors / len(confidence),
        bound=upper_bound(errors, len(confidence), level),
        samples=len(confidence),
        asked=at_most,
        level=level,
        unseen=unseen,
    )


def row_for(
    confidence: Floats, agrees: Flags, path: Floats, *, at_most: float, level: float = 0.95, unseen: int = 0
) -> Calibrated:
    """The laxest row of a declared path of thresholds that keeps the promise, for several exits passed one after another.

    `confidence` (n, exits), `agrees` (n, exits), `path` (rows, exits) from strict to lax, made without these samples. A sample
    stops at the first exit whose threshold it reaches. `threshold` of what is returned is that of the last exit.
    """
    confidence, agrees = _checked(confidence, agrees, 2)
    if path.ndim != 2 or path.shape[1] != confidence.shape[1] or not len(path):
        raise UsageError(
            f"a path for {confidence.shape[1]} exits has shape (rows, {confidence.shape[1]}), not {path.shape}"
        )
    allowed = _allowed(len(confidence), at_most, level, unseen)
    ever_wrong = np.zeros(len(confidence), dtype=np.bool_)
    row, stop_share, errors = -1, 0.0, 0
    for number, thresholds in enumerate(path):
        stopped, wrong = outcome(confidence, agrees, thresholds)
        ever_wrong |= wrong
        if int(ever_wrong.sum()) > allowed:
            break
        row, stop_share, errors = number, float(stopped.mean()), int(ever_wrong.sum())
    return Calibrated(
        threshold=float(path[row, -1]) if row >= 0 else math.inf,
        stop_share=stop_share,
        disagreement=errors / len(confidence),
        bound=upper_bound(errors, len(confidence), level),
        samples=len(confidence),
        asked=at_most,
        level=level,
        unseen=unseen,
        row=row,
    )


def outcome(confidence: Floats, agrees: Flags, thresholds: Floats) -> tuple[Flags, Flags]:
    """Which samples stop at some exit, and which of them disagree at the one they stop at."""
    reached = confidence >= thresholds
    stopped = np.asarray(reached.any(axis=1), dtype=np.bool_)
    first = reached.argmax(axis=1)
    return stopped, stopped & ~agrees[np.arange(len(first)), first]


def _breaks(errors: int, samples: int, at_most: float, unseen: int) -> float:
    """How likely more than `at_most` of the `unseen` disagree before one error too many was met in calibrating."""
    marked = math.floor(at_most * unseen + 1e-9) + 1 + errors
    if marked > samples + unseen:
        return 0.0
    return hypergeometric_tail(errors, marked, samples, samples + unseen)


def _last(holds: Callable[[int], bool], highest: int) -> int:
    """The last whole number from 0 to `highest` for which it holds, given that it holds up to some number and then never."""
    if not holds(0):
        return -1
    low, step = 0, 1
    while low + step <= highest and holds(low + step):
        low, step = low + step, step * 2
    while step > 1:
        step //= 2
        low = low + step if low + step <= highest and holds(low + step) else low
    return low


def _allowed(samples: int, at_most: float, level: float, unseen: int) -> int:
    if not 0.0 < at_most < 1.0 or not 0.0 < level < 1.0 or unseen < 0:
        raise UsageError(
            f"asked for at most {at_most:g} at level {level:g}: both lie between 0 and 1, and the unseen samples are 0 or more"
        )
    allowed = errors_allowed(samples, at_most, level, unseen)
    if allowed < 0:
        raise UsageError(
            f"{samples} samples cannot show that at most {at_most:.3g} disagree at {level:.3g}, even if none does: "
            f"{samples_needed(at_most, level, unseen)} samples without a disagreement would be enough"
        )
    return allowed


def _checked(confidence: Floats, agrees: Flags, axes: int) -> tuple[Floats, Flags]:
    confidence, agrees = np.asarray(confidence, dtype=np.float64), np.asarray(agrees, dtype=np.bool_)
    if confidence.ndim != axes or confidence.shape != agrees.shape:
        raise UsageError(
            f"confidence has shape {confidence.shape} and agrees {agrees.shape}; they are the same, of {axes} axes"
        )
    if not np.isfinite(confidence).all():
        raise UsageError("a confidence is not a finite number: the model's output is broken for that sample")
    return confidence, agrees
