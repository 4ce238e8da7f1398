"""Ways to bound the next observation of a link, told one by one what came: what `calibration` compares.

Each is causal: `bound()` is asked before `observe()` tells. Values are ms, above 0 and at most `CAP_MS`; a bound is anywhere
from 0 to `CAP_MS`, where it is never missed. `hedgerow` is the core's own class, not a copy; the others are remakes, from
their papers, for comparison only: they may use what the core may not.
"""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from statistics import NormalDist
from typing import Final, Protocol

from hedgerow.core.beliefs import QuantileBound

CAP_MS: Final = 10_000.0
"""What a lost probe counts as, and the largest bound."""


class Bound(Protocol):
    """A one-step-ahead bound."""

    def observe(self, x: float) -> None:
        """Learn from one observation."""

    def bound(self) -> float:
        """The bound on the next one; infinite where it has none."""


class SortedWindow:
    """The last `size` values in order; `at_rank(share)` is the smallest value with at least that share at or below it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._recent: deque[float] = deque()
        self._order: list[float] = []

    def __len__(self) -> int:
        return len(self._order)

    def add(self, x: float) -> None:
        """Take in a value; the oldest goes."""
        self._recent.append(x)
        insort(self._order, x)
        if len(self._recent) > self._size:
            self._order.pop(bisect_left(self._order, self._recent.popleft()))

    def at_rank(self, rank: int) -> float:
        """The value of this rank, from 1; the largest beyond, the smallest below."""
        return self._order[min(max(rank, 1), len(self._order)) - 1]

    def spread(self) -> float:
        """The largest less the smallest."""
        return self._order[-1] - self._order[0]


class WindowQuantile:
    """The quantile of the last values, with the finite sample's correction: rank ceil((1 - target) (n + 1)), at most n.

    Promises its target where the values can be exchanged and n + 1 is at least 1 / target; a link's values cannot.
    """

    def __init__(self, target: float, size: int) -> None:
        self._target, self._window = target, SortedWindow(size)

    def observe(self, x: float) -> None:
        self._window.add(x)

    def bound(self) -> float:
        count = len(self._window)
        return self._window.at_rank(math.ceil((1 - self._target) * (count + 1) - 1e-9)) if count else math.inf


class TcpRule:
    """TCP's timer: a smoothed mean plus k smoothed absolute deviations (RFC 6298, gains 1/8 and 1/4).

    RFC 6298 has k = 4, taken for a target of 1 %; others scale it as a normal quantile does (50 %: 0, 5 %: 2.83, 0.1 %: 5.31).
    It promises nothing: deviations of a heavy tail say little of how often it is met.
    """

    def __init__(self, target: float) -> None:
        self._k = 4.0 * NormalDist().inv_cdf(1 - target) / NormalDist().inv_cdf(0.99)
        self._mean: float | None = None
        self._deviation = 0.0

    def observe(self, x: float) -> None:
        if self._mean is None:
            self._mean, self._deviation = x, x / 2
            return
        self._deviation += (abs(self._mean - x) - self._deviation) / 4
        self._mean += (x - self._mean) / 8

    def bound(self) -> float:
        return math.inf if self._mean is None else self._mean + self._k * self._deviation


class AdaptiveConformal:
    """The quantile of the last 300 values whose level moves by 0.005 (target - missed) (Gibbs and Candes 2021).

    Below level 0 nothing bounds it, and the bound is infinite; at 1 and above it is 0.
    """

    def __init__(self, target: float, size: int = 300, gamma: float = 0.005) -> None:
        self._target, self._gamma, self._level = target, gamma, target
        self._window = SortedWindow(size)

    def observe(self, x: float) -> None:
        if len(self._window):
            self._level += self._gamma * (self._target - (x > min(self.bound(), CAP_MS)))
        self._window.add(x)

    def bound(self) -> float:
        count = len(self._window)
        if not count or self._level <= 0:
            return math.inf
        return 0.0 if self._level >= 1 else self._window.at_rank(math.ceil((1 - self._level) * (count + 1) - 1e-9))


class ConformalPI:
    """Quantile tracking with an integrator (Angelopoulos, Candes and Tibshirani 2023), without a scorecaster.

    The score is log2 x - EWMA(log2 x, 1/2), as in the recipes below, so that what differs is how misses are answered. P: the bound moves by
    0.1 x (spread of the last 100 scores) x (missed - target). I: 2 tan(sum of those log n / (0.57 n)), one octave's scale, as the
    paper's code has it with a saturation of 2/pi (1 - 1/log 10,000).
    """

    _SATURATION = 2 / math.pi * (1 - 1 / math.log(10_000))

    def __init__(self, target: float) -> None:
        self._target = target
        self._level: float | None = None
        self._window = SortedWindow(100)
        self._quantile = self._sum = 0.0
        self._count = 0
        self._exponent = math.inf

    def observe(self, x: float) -> None:
        place = math.log2(x)
        if self._level is None:
            self._level = place
            return
        if len(self._window):
            error = (place > min(self._exponent, _CAP_EXPONENT)) - self._target
            self._quantile += 0.1 * self._window.spread() * error
            self._sum, self._count = self._sum + error, self._count + 1
        self._window.add(place - self._level)
        self._level += 0.5 * (place - self._level)
        turn = self._sum * math.log(self._count + 1) / (self._SATURATION * (self._count + 1))
        integral = math.copysign(math.inf, turn) if abs(turn) >= math.pi / 2 else 2.0 * math.tan(turn)
        self._exponent = self._level + self._quantile + integral

    def bound(self) -> float:
        return _power(self._exponent)


class LogScores:
    """A quantile of the last 300 scores log2 x - EWMA(log2 x, 1/2), plus theta, which moves by 0.5 (missed - target).

    What the core did before `docs/beliefs.md`: no alarm, no shift. The quantile's level is 1 - 3 target, 0.97 for 1 %.
    """

    def __init__(self, target: float, size: int = 300) -> None:
        self._target, self._share = target, 1 - 3 * target if target < 0.25 else 1 - target
        self._level: float | None = None
        self._window = SortedWindow(size)
        self._theta = 0.0
        self._exponent = math.inf

    def observe(self, x: float) -> None:
        place = math.log2(x)
        if self._level is None:
            self._level = place
            return
        if self._exponent < _CAP_EXPONENT:
            self._theta += 0.5 * ((place > self._exponent) - self._target)
        self._window.add(place - self._level)
        self._level += 0.5 * (place - self._level)
        self._exponent = self._level + self._window.at_rank(int(self._share * len(self._window)) + 1) + self._theta

    def bound(self) -> float:
        return _power(self._exponent)


_CAP_EXPONENT = math.log2(CAP_MS)


def _power(exponent: float) -> float:
    return CAP_MS if exponent >= _CAP_EXPONENT else 2.0**exponent


METHODS: Final[dict[str, Callable[[float], Bound]]] = {
    "window_100": lambda target: WindowQuantile(target, 100),
    "window_300": lambda target: WindowQuantile(target, 300),
    "window_1000": lambda target: WindowQuantile(target, 1000),
    "tcp": TcpRule,
    "adaptive_conformal": AdaptiveConformal,
    "conformal_pi": ConformalPI,
    "log_scores": LogScores,
    "hedgerow": lambda target: QuantileBound(target, ceiling=CAP_MS),
}
"""By name; each is made for a target, the share of observations that may exceed it."""
DEFAULT: Final = "hedgerow"
"""The one that the product uses."""
