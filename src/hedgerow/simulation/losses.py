"""A belief about loss alone: how probable it is that nothing comes back of the next probe.

A bound of 10 s says that a loss would not surprise, never how probable one is. Losses come in runs, so the belief is the
share of losses after what came last (an answer, or a loss: Gilbert 1960), each share decaying over some 500 observations of
its own kind and beginning at a weak prior.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_DECAY: Final = 1 - 1 / 500
_WEIGHT: Final = 2.0
_PRIOR: Final = (0.01, 0.5)
"""Of a loss after an answer and after a loss, each worth `_WEIGHT` observations."""
_EDGES: Final = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 0.5, 0.8, 1.0)


class LossBelief:
    """Probability that the next probe is lost, after what came last."""

    def __init__(self) -> None:
        self._lost = [prior * _WEIGHT for prior in _PRIOR]
        self._seen = [_WEIGHT, _WEIGHT]
        self._last = 0

    def observe(self, lost: bool) -> None:
        """Learn whether a probe was lost."""
        self._lost[self._last] = self._lost[self._last] * _DECAY + lost
        self._seen[self._last] = self._seen[self._last] * _DECAY + 1.0
        self._last = int(lost)

    def probability(self) -> float:
        """That of the next loss, strictly within 0 and 1 but for rounding."""
        return self._lost[self._last] / self._seen[self._last]


@dataclass(frozen=True, slots=True)
class Bin:
    """What was said between two probabilities, and what then happened, as shares."""

    said_from: float
    said_to: float
    moments: int
    said: float
    lost: float


@dataclass(frozen=True, slots=True)
class LossReport:
    """Calibration over all moments. Brier scores are mean squared errors of a probability: smaller is better, and
    `brier_constant` is that of who knew the share of losses beforehand, `brier_last` of who expects the last outcome again."""

    moments: int
    lost: float
    said: float
    brier: float
    brier_constant: float
    brier_last: float
    reliability: tuple[Bin, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def judge(said: NDArray[np.float64], lost: NDArray[np.bool_], last: NDArray[np.bool_]) -> LossReport:
    """Hold what was `said` of each moment against whether it was `lost`; `last`: whether the one before was."""
    share = float(lost.mean())
    found = []
    for low, high in pairwise(_EDGES):
        within = (said >= low) & ((said < high) if high < 1 else (said <= high))
        if within.any():
            found.append(Bin(low, high, int(within.sum()), float(said[within].mean()), float(lost[within].mean())))
    return LossReport(
        moments=int(lost.size),
        lost=share,
        said=float(said.mean()),
        brier=float(((said - lost) ** 2).mean()),
        brier_constant=share * (1 - share),
        brier_last=float((last != lost).mean()),
        reliability=tuple(found),
    )
