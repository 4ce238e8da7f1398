"""What is now expected of the link, the cloud and the lanes, learned from what was observed.

Two kinds, both deterministic on any processor (multiply, add and divide only):

- `LinkBelief`: the last few crossings as joint samples (round trip, ns per byte, cloud factor, cloud queue) whose weight
  falls to a quarter in 1 s, beside a weak prior. Expected cost is an average over these samples, never a product of
  separate medians. A lost attempt is a sample of 10 s.
- `QuantileBound`: a one-step-ahead bound: score = log x - EWMA(log x); bound = EWMA + a high quantile of the recent scores
  + theta + alarm + shift. Theta moves by what was missed (adaptive conformal: Gibbs and Candes 2021); the alarm rises at a
  miss and is gone after a few observations; the shift moves as theta does, but for bounds of about one size alone, for one
  bets on the small ones. docs/beliefs.md says how often each is missed.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from math import frexp, ldexp

import numpy as np

from hedgerow.core.arms import Floats
from hedgerow.core.records import Limits

LOST_NS = 10_000_000_000.0
Suspect = Callable[[int, float], tuple[float, float] | None]  # of (now_ns, usual trip in ns): (trip in ns, ns per byte)
_HALF_AGE_NS = 1_000_000_000.0
_LN2 = 0.6931471805599453
_PRIOR_WEIGHT = 0.05
_FLOOR = 0.02
_FIRST = 2  # the first row of what was observed
SILENCE = 1.3  # how many usual trips an attempt may be silent before that says something
_ODD_PARTS = (1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0)


def log2(x: float) -> float:
    """Base-2 logarithm of x > 0 by multiply, add and divide only: the same bits on every processor; error < 1e-9."""
    mantissa, exponent = frexp(x)
    y = (mantissa - 0.75) / (mantissa + 0.75)
    square, total = y * y, 0.0
    for part in _ODD_PARTS:
        total = total * square + part
    return exponent + 2.0 * y * total / _LN2 - 0.4150374992788438


def exp2(x: float) -> float:
    """2 to the power x, by multiply and add only; relative error < 1e-9; capped at 2**60."""
    x = min(max(x, -60.0), 60.0)
    whole = round(x)
    z = (x - whole) * _LN2
    total, term = 1.0, 1.0
    for order in range(1, 11):
        term *= z / order
        total += term
    return ldexp(total, whole)


class QuantileBound:
    """A bound that the next observation (> 0, any unit) exceeds with probability `target`, whatever the process does. A bound
    at `ceiling` (of the same unit, at most 2**60) counts as never exceeded, and its misses teach nothing."""

    def __init__(self, target: float = 0.01, window_max: int = 300, ceiling: float = 2.0**40) -> None:
        self.target, self._window_max, self._ceiling, self._top = target, window_max, ceiling, log2(ceiling)
        self._quantile = min(1.0 - 2.0 * target * (1.0 - target), 0.995) if target < 0.5 else 1.0 - target
        self._theta, self._alarm = min(2.0, 0.005 / target), 0.0  # rare misses teach too slowly to begin at nothing
        self._startle = min(2.0, 0.02 / target)
        self._shifts = [0.0] * 122  # one for each size of the bound, in octaves from 2**-60 on
        self._octave, self._part = 0, 0.0
        self._level: float | None = None
        self._recent: deque[float] = deque()
        self._order: list[float] = []
        self._exponent = self._bound = float("inf")

    def observe(self, x: float) -> None:
        """Learn from one observation."""
        place = log2(x)
        if self._level is None:
            self._level = place
            return
        self._alarm *= 0.8
        if self._exponent < self._top:
            missed = 1.0 if place > self._exponent else 0.0
            self._alarm += self._startle * missed
            step = 0.1 * (missed - self.target)
            self._theta += step
            self._shifts[self._octave] += step * (1.0 - self._part)
            self._shifts[self._octave + 1] += step * self._part
        score = place - self._level
        self._recent.append(score)
        insort(self._order, score)
        if len(self._recent) > self._window_max:
            self._order.pop(bisect_left(self._order, self._recent.popleft()))
        self._level += 0.5 * score
        rank = min(int(self._quantile * len(self._order)), len(self._order) - 1)
        plain = min(max(self._level + self._order[rank] + self._theta + self._alarm, -60.0), 60.0)
        self._octave = int(plain + 60.0)
        self._part = plain + 60.0 - self._octave
        low, high = self._shifts[self._octave], self._shifts[self._octave + 1]
        self._exponent = plain + low + self._part * (high - low)
        self._bound = exp2(self._exponent) if self._exponent < self._top else self._ceiling

    def bound(self) -> float:
        """The bound on the next observation; infinite before the second one."""
        return self._bound


class LinkBelief:
    """Joint recent samples of one link and the cloud behind it.

    `samples` (samples, 3) has the columns of `COLUMNS` (a trip includes the cloud's queue): what one unit of each resource of
    the arm matrix takes, in ns. Row 0 is the prior (as any row is at first: another link's weights may count it), row 1 what an
    attempt that takes longer than usual gives to expect, the others a ring of what was observed. `attach` moves them into a
    larger matrix, so that a decision reads all beliefs in one piece.
    """

    COLUMNS = ("trips", "bytes", "tier")

    def __init__(self, limits: Limits) -> None:
        rows = max(limits.belief_samples_max, _FIRST + 1)
        self.samples: Floats = np.empty((rows, len(self.COLUMNS)))
        self.samples[:] = (60e6, 2000.0, 1.0)  # 60 ms, 4 Mbit/s: weak, and gone with the first observations
        self._queue_ns = [0.0] * rows
        self._at_ns, self._base = np.zeros(rows), np.zeros(rows)
        self._newest = 0
        self._latest: tuple[float, float, float] | None = None
        self.changed = set(range(rows))  # rows that a decision has not read yet
        self.bound = QuantileBound(window_max=limits.belief_window_max)

    def attach(self, place: Floats) -> None:
        """Keep the samples in `place`, a part of the matrix of all beliefs, from now on."""
        place[:] = self.samples
        self.samples = place
        self.changed = set(range(len(place)))

    def observe(self, *, now_ns: int, trip_ns: float, ns_per_byte: float, factor: float, queue_ns: float) -> None:
        """One crossing or probe that came back; `factor`: cloud time over what was planned."""
        row = self._newest = self._newest + 1 if _FIRST <= self._newest < len(self._queue_ns) - 1 else _FIRST
        new = self._latest = (float(trip_ns + queue_ns), float(ns_per_byte), float(factor))
        samples = self.samples
        samples[row, 0], samples[row, 1], samples[row, 2] = new
        self.changed.add(row)
        self._queue_ns[row], self._at_ns[row], self._base[row] = queue_ns, now_ns, 1.0

    def lost(self, now_ns: int) -> None:
        """One attempt of which nothing came back."""
        _, rate, factor = self.latest()
        self.observe(now_ns=now_ns, trip_ns=LOST_NS, ns_per_byte=rate, factor=factor, queue_ns=0.0)

    def forgive_losses(self) -> None:
        """The link is back after an outage: what was lost during it says nothing about now."""
        self._latest = None
        self._base[self.samples[:, 0] >= LOST_NS] = 0.0

    def latest(self) -> tuple[float, float, float]:
        """(trip in ns, ns per byte, cloud factor) of the newest sample, or the prior."""
        if self._latest is None:
            trip, rate, factor = self.samples[self._newest if self._base[self._newest] > 0 else 0].tolist()
            self._latest = (trip, rate, factor)
        return self._latest

    def weights(self, now_ns: int, suspect: Suspect | None = None) -> Floats:
        """(samples,): the weight of each, in sum 1: a quarter after 1 s, but never less than a fiftieth of a new one; the
        prior's stays. `suspect` is asked what an attempt gives to expect that takes longer than the usual trip: it has half
        of the weight, as that attempt is the newest that is known.
        """
        late = (now_ns - self._at_ns) / _HALF_AGE_NS + 1.0
        found: Floats = self._base * (1.0 / (late * late) + _FLOOR)
        found[0] = _PRIOR_WEIGHT
        total = float(np.add.reduce(found))
        slow = None if suspect is None else suspect(now_ns, self._usual_ns(found, total))
        if slow is not None:
            self.samples[1] = (min(slow[0], LOST_NS), slow[1], self.latest()[2])
            self.changed.add(1)
            found[1] = total
            total += total
        found /= total
        return found

    def _usual_ns(self, weights: Floats, total: float) -> float:
        """The median trip under these weights."""
        order = self.samples[:, 0].argsort(kind="stable")
        reached = weights[order].cumsum()
        return float(self.samples[order[int(reached.searchsorted(0.5 * total))], 0])

    def set_queue(self, queue_ns: float) -> None:
        """The cloud told of its queue: it holds for whatever sample the network will resemble."""
        self.samples[:, 0] += queue_ns - np.array(self._queue_ns)
        self._queue_ns, self._latest = [queue_ns] * len(self._queue_ns), None
        self.changed = set(range(len(self.samples)))


class LaneBelief:
    """How this lane runs against its profile: the median of recent measured / profiled medians (1 before any)."""

    def __init__(self, window: int = 31) -> None:
        self._recent: deque[float] = deque()
        self._order: list[float] = []
        self._window = window

    def observe(self, ratio: float) -> None:
        self._recent.append(ratio)
        insort(self._order, ratio)
        if len(self._recent) > self._window:
            self._order.pop(bisect_left(self._order, self._recent.popleft()))

    def factor(self) -> float:
        return self._order[len(self._order) // 2] if self._order else 1.0
