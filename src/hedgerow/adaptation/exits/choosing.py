"""Chooses which exits to keep, and the one path of thresholds along which their promise is then tested.

Both are chosen on samples that calibrate nothing. Work is in any unit (multiply-adds, microseconds); a sample that stops at an exit
has paid for the model up to its joint and for every exit it was asked at on the way.

The disagreement allowed is dealt out: each exit gets so many sixths of it, none being a choice too (that exit is not asked at all). A
path is one such dealing; along it the whole allowance grows from nothing, and each exit's threshold is the laxest that keeps
its own part on these samples. All dealings are tried, and the one that costs least at the allowance asked for is taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hedgerow.adaptation.risk import Flags, Floats

PARTS = 6
ROWS = 150  # of a path, from the first error on
STRICT_ROWS = 20  # before it: from "nobody stops" to "the first error is the next to stop"
ASKING_OVERHEAD = (
    4_000_000  # multiply-adds in the time of two more calls, the exit's and the rest's (65 us, docs/exits.md)
)


@dataclass(frozen=True, slots=True)
class Costs:
    """What is paid for: `before` (exits,) up to each joint, `asking` (exits,) for each exit, `whole` for the model alone."""

    before: Floats
    asking: Floats
    whole: float

    def of(self, exits: Sequence[int]) -> "Costs":
        """With these exits alone."""
        chosen = list(exits)
        return Costs(self.before[chosen], self.asking[chosen], self.whole)

    def paid(self, confidence: Floats, thresholds: Floats) -> Floats:
        """(n,): what each sample costs when it stops at the first exit whose threshold it reaches. An exit that nothing can
        reach (an infinite threshold) is not asked."""
        asked = np.cumsum(np.where(np.isinf(thresholds), 0.0, self.asking))
        reached = confidence >= thresholds
        stopping = (self.before + asked)[reached.argmax(axis=1)]
        never = self.whole + (asked[-1] if len(asked) else 0.0)
        return np.where(reached.any(axis=1), stopping, never)


def dealings(exits: int, exits_max: int) -> Iterator[Floats]:
    """(exits,) shares of the allowance that sum to 1, at most `exits_max` of them above 0."""

    def dealt(left: int, places: int) -> Iterator[list[int]]:
        if places == 1:
            yield [left]
            return
        for first in range(left + 1):
            for rest in dealt(left - first, places - 1):
                yield [first, *rest]

    for parts in dealt(PARTS, exits):
        if sum(part > 0 for part in parts) <= exits_max:
            yield np.array(parts) / PARTS


def best_dealing(
    confidence: Floats, agrees: Flags, costs: Costs, *, at_most: float, exits_max: int
) -> tuple[Floats, float]:
    """(shares (exits,), mean cost) of the dealing that costs least on these samples when `at_most` of them may be wrong: an
    estimate to choose by, no promise. Of equally good ones the first, which asks fewer early exits."""
    found = [
        (float(costs.paid(confidence, thresholds_of(confidence, agrees, dealt_out(shares, at_most))).mean()), shares)
        for shares in dealings(confidence.shape[1], exits_max)
    ]
    paid, shares = min(found, key=lambda each: each[0])
    return shares, paid


def path_of(confidence: Floats, agrees: Flags, shares: Floats, *, wrong_max: float) -> Floats:
    """(rows, exits) thresholds from strict to lax, for allowances from nothing to `wrong_max`. First row: nobody stops."""
    first = thresholds_of(confidence, agrees, dealt_out(shares, 0.0))
    rows = [np.full(len(shares), np.inf)]
    for fraction in np.linspace(0.0, 1.0, STRICT_ROWS, endpoint=False)[1:]:
        rows.append(np.array([_stricter(column, at, fraction) for column, at in zip(confidence.T, first, strict=True)]))
    for allowance in np.linspace(0.0, wrong_max, ROWS):
        row = thresholds_of(confidence, agrees, dealt_out(shares, allowance))
        rows.append(np.minimum(row, rows[-1]))
    kept = [rows[0], *(row for before, row in pairwise(rows) if (row < before).any())]
    return np.array(kept)


def dealt_out(shares: Floats, allowance: float) -> Floats:
    """(exits,): each exit's part of the allowance, below 0 for one that is not asked."""
    return np.where(shares > 0.0, allowance * shares, -1.0)


def thresholds_of(confidence: Floats, agrees: Flags, allowed: Floats) -> Floats:
    """(exits,): each exit's laxest threshold at which at most the share `allowed` of all samples stops there and is wrong,
    given what stopped at exits before it; infinite where the share is below 0 or nothing may stop."""
    left = np.ones(len(confidence), dtype=np.bool_)
    thresholds = np.full(len(allowed), np.inf)
    for number, share in enumerate(allowed):
        if share < 0.0 or not left.any():
            continue
        sure, right = confidence[left, number], agrees[left, number]
        wrong = np.sort(sure[~right])[::-1]
        count = int(share * len(confidence) + 1e-9)
        limit = wrong[count] if len(wrong) > count else -np.inf
        stopping = sure[sure > limit]
        if len(stopping):
            thresholds[number] = stopping.min()
            left &= ~(confidence[:, number] >= thresholds[number])
    return thresholds


def _stricter(confidence: Floats, threshold: float, fraction: float) -> float:
    """The threshold at which only so large a fraction of those stop that stop at `threshold`."""
    stopping = np.sort(confidence[confidence >= threshold])[::-1]
    return float(stopping[int(fraction * (len(stopping) - 1))]) if len(stopping) else float("inf")
