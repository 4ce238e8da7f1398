"""Chooses which exits to keep, and the one path of thresholds along which their promise is then tested.

Both are chosen on samples that calibrate nothing. Work is in any unit (multiply-adds, microseconds); a sample that stops at an exit
has paid for the model up to its joint and for every exit it was asked at on the way.

The path is greedy: from "nobody stops", the next step lowers one exit's threshold by a little, the one that saves most work for each
sample that it newly gets wrong. Exits that are not worth asking never move, and are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hedgerow.adaptation.risk import Flags, Floats, outcome

LEVELS = 400  # thresholds tried for each exit: quantiles of its confidences
STRIDES = (1, 2, 4, 8, 16, 32)  # how many of them one step may pass
ROWS_MAX = 2_000
SHY = 0.25  # wrong samples added to each step's count, so that a step without one has a price too


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


def path_of(confidence: Floats, agrees: Flags, costs: Costs, *, wrong_max: float) -> Floats:
    """(rows, exits) thresholds from strict to lax, until the share `wrong_max` of these samples disagrees or all are lowered."""
    grid = [np.append(np.inf, np.quantile(column, np.linspace(1.0, 0.0, LEVELS))) for column in confidence.T]
    place = np.zeros(len(grid), dtype=np.int64)
    rows = [_thresholds(grid, place)]
    paid = float(costs.paid(confidence, rows[0]).mean())
    wrong = 0.0
    while len(rows) < ROWS_MAX:
        best = None
        for exit_number, stride in _moves(grid, place):
            moved = place.copy()
            moved[exit_number] += stride
            thresholds = _thresholds(grid, moved)
            saved = paid - float(costs.paid(confidence, thresholds).mean())
            now_wrong = float(outcome(confidence, agrees, thresholds)[1].mean())
            worth = saved / (max(0.0, now_wrong - wrong) + SHY / len(confidence))
            if saved > 0.0 and (best is None or worth > best[0]):
                best = (worth, moved, paid - saved, now_wrong, thresholds)
        if best is None:
            break
        _, place, paid, wrong, thresholds = best
        if wrong > wrong_max:
            break
        rows.append(thresholds)
    return np.array(rows)


def expected_paid(confidence: Floats, agrees: Flags, costs: Costs, *, at_most: float) -> float:
    """Mean cost at the last row of these samples' own path that keeps `at_most` on them: an estimate to choose by, no promise."""
    path = path_of(confidence, agrees, costs, wrong_max=at_most)
    return float(costs.paid(confidence, path[-1]).mean())


def exits_worth(
    confidence: Floats, agrees: Flags, costs: Costs, *, at_most: float, exits_max: int, gain_min: float = 0.01
) -> list[int]:
    """Which exits to keep: one more at a time, the one that lowers the expected cost most, while that is by `gain_min` of the
    whole model's; in the end each pair is looked at too, since two may be worth keeping where neither is alone. In order."""
    count = confidence.shape[1]

    def cost(exits: Sequence[int]) -> float:
        chosen = sorted(exits)
        if not chosen:
            return costs.whole
        return expected_paid(confidence[:, chosen], agrees[:, chosen], costs.of(chosen), at_most=at_most)

    kept: list[int] = []
    paid = costs.whole
    while len(kept) < min(exits_max, count):
        found = {(*kept, each): cost([*kept, each]) for each in range(count) if each not in kept}
        if not kept and exits_max > 1:
            found |= {pair: cost(pair) for pair in combinations(range(count), 2)}
        # a pair must earn the gain twice
        best = min(found, key=lambda exits: found[exits] + gain_min * costs.whole * len(exits))
        if paid - found[best] < gain_min * costs.whole * (len(best) - len(kept)):
            break
        kept, paid = list(best), found[best]
    return sorted(kept)


def _moves(grid: Sequence[Floats], place: np.ndarray) -> Iterator[tuple[int, int]]:
    for exit_number, levels in enumerate(grid):
        for stride in STRIDES:
            if place[exit_number] + stride < len(levels):
                yield exit_number, stride


def _thresholds(grid: Sequence[Floats], place: np.ndarray) -> Floats:
    return np.array([levels[at] for levels, at in zip(grid, place, strict=True)])
