"""Autodidactic Neurosurgeon (ANS), a remake: learn by trying what lies beyond each cut, linear in what the cut leaves to be done.

Idea     the device's own times are known, those beyond are not and need not be profiled: a ridge regression over features of what
         is sent and left to compute is learned from the delays that come back, and its doubt is a reason to try.
Formula  argmin over cuts of  device + theta.x - alpha * sqrt((1 - L) * x.A^-1.x);   theta = A^-1 b
         after a delay d:  A += x x', b += d x  (A^-1 by Sherman and Morrison's formula, entry by entry, in this order)
         L is the frame's weight: key frames explore less. Forced sampling: at every (T^mu)-th request of a phase of T = 2^i requests
         staying on the device is not allowed, for it teaches nothing.
Source   L. Zhang, L. Chen, J. Xu, "Autodidactic Neurosurgeon: Collaborative Deep Inference for Mobile Edge Intelligence via
         Online Learning", WWW 2021 (muLinUCB).
Remade   features: one, bytes sent and planned cloud time (the paper: counts and operations of layer kinds, and bytes); cuts and
         codecs as in `splits`; mu = 1/4 by square roots. The paper's key frames are told by the pictures (structural
         similarity), which the core never sees: here each 15th request is one. An attempt that never came back, or never left
         because the reserve had to start, counts as twice the time that was left. It learns from `learn` alone; the beliefs of the view are not read.
Fails    it forgets nothing: what a link was an hour ago weighs as much as now. It gambles on forced requests whatever
         they cost, sees no price, and with the reserve held a gamble costs energy and money, never time.

>>> from hedgerow.core.policies import Feedback, by_name
>>> from hedgerow.core.policies.examples import chain, steady
>>> table = chain(device_ms=(10, 40, 40), cloud_ms=(1, 1, 1), kilobytes=(200, 10, 5))
>>> policy, taken = by_name("ans"), []
>>> for request in range(60):  # an answer takes 20 ms and 1 ms per kB (8 Mbit/s) more than the device
...     view = steady(table, request=request)
...     arm = policy.choose(view).arm
...     taken.append(table.arms[arm].name)
...     if table.is_remote[arm]:
...         policy.learn(Feedback(request, arm, round(view.latency_ns(arm)[0])))
>>> taken[-5:], [round(each) for each in policy.theta]  # ms a trip, 10 kB, 10 ms of cloud: two cuts tried, so one is a guess
(['cut 1', 'cut 1', 'cut 1', 'cut 1', 'cut 1'], [21, 10, 4])
"""

from dataclasses import dataclass, field
from math import isqrt, sqrt

import numpy as np

from hedgerow.core.policies import Choice, Feedback, View
from hedgerow.core.policies.expecting import chosen, least
from hedgerow.core.policies.splits import Splits
from hedgerow.core.records import MS

_PENDING_MAX = 256
_KEY_EVERY, _KEY_WEIGHT, _PLAIN_WEIGHT = 15, 0.9, 0.1
_FIRST_PHASE = 16  # requests
_SILENCE_NS = 500 * MS  # past the deadline: the core has told of everything that was sent
_SPAN = range(3)
Vector = list[float]


@dataclass
class Ans:
    """`alpha`: how much doubt is worth, in ms; `ridge`: what A begins with. `pending`: of attempts under way the features, the
    device's time and the time left (ms), and when nothing more can come."""

    name: str = "ans"
    alpha: float = 20.0
    ridge: float = 1.0
    uses_reserve: bool = True
    count: int = 0
    inverse: list[Vector] = field(default_factory=list)
    b: Vector = field(default_factory=lambda: [0.0 for _ in _SPAN])
    pending: dict[int, tuple[Vector, float, float, int]] = field(default_factory=dict)
    _splits: Splits = field(default_factory=Splits, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.inverse = self.inverse or [[1.0 / self.ridge if i == j else 0.0 for j in _SPAN] for i in _SPAN]

    @property
    def theta(self) -> Vector:
        """What is believed of one attempt, 10 kB and 10 ms of planned cloud time, in ms."""
        return [sum(self.inverse[i][j] * self.b[j] for j in _SPAN) for i in _SPAN]

    def choose(self, view: View) -> Choice | None:
        """The admissible cut of least optimistic latency; when it is forced to, of those that cross the network."""
        self._give_up(view.now_ns)
        table, theta = view.table, self.theta
        allowed = view.admissible & self._splits.faithful(table)
        forced, self.count = forces(self.count), self.count + 1
        if forced and (allowed & table.is_remote).any():
            allowed = allowed & table.is_remote
        doubt = self.alpha * sqrt(1.0 - (_PLAIN_WEIGHT if view.request % _KEY_EVERY else _KEY_WEIGHT))
        score = np.full(len(table.arms), np.inf)
        for each in np.flatnonzero(allowed).tolist():
            score[each] = float(view.device_ns[each]) / MS
            if table.is_remote[each]:
                x = features(view, each)
                score[each] += sum(theta[i] * x[i] for i in _SPAN) - doubt * sqrt(max(0.0, self._spread(x)))
        arm = least(score, allowed, steps=1e3)
        if arm is None:
            return None
        if table.is_remote[arm]:
            if len(self.pending) >= _PENDING_MAX:
                del self.pending[next(iter(self.pending))]
            times_ms = float(view.device_ns[arm]) / MS, view.time_left_ns / MS
            self.pending[view.request] = (features(view, arm), *times_ms, view.deadline_ns + _SILENCE_NS)
        return chosen(view, arm)

    def learn(self, feedback: Feedback) -> None:
        """The delay beyond the device of one attempt; one that was given up has taken twice the time there was."""
        found = self.pending.pop(feedback.request, None)
        if found is None:
            return
        x, device_ms, left_ms, _ = found
        took_ms = 2.0 * left_ms if feedback.latency_ns is None else feedback.latency_ns / MS
        beyond_ms = max(0.0, took_ms - device_ms)
        ax = [sum(self.inverse[i][j] * x[j] for j in _SPAN) for i in _SPAN]
        scale = 1.0 + sum(x[i] * ax[i] for i in _SPAN)
        self.inverse = [[self.inverse[i][j] - ax[i] * ax[j] / scale for j in _SPAN] for i in _SPAN]
        self.b = [self.b[i] + beyond_ms * x[i] for i in _SPAN]

    def _give_up(self, now_ns: int) -> None:
        for request in [each for each, (*_, until_ns) in self.pending.items() if until_ns < now_ns]:
            self.learn(Feedback(request, -1, None))

    def _spread(self, x: Vector) -> float:
        return sum(x[i] * sum(self.inverse[i][j] * x[j] for j in _SPAN) for i in _SPAN)


def features(view: View, arm: int) -> Vector:
    """One, bytes sent in 10 kB, planned cloud time in 10 ms."""
    return [1.0, float(view.table.up_bytes[arm]) / 1e4, float(view.table.cloud_ns[arm]) / (10.0 * MS)]


def forces(count: int) -> bool:
    """Whether the request with this number may not stay: every T^(1/4)-th of a phase, each phase twice as long as the last."""
    phase, first = _FIRST_PHASE, 0
    while count >= first + phase:
        first, phase = first + phase, 2 * phase
    return (count - first + 1) % max(2, isqrt(isqrt(phase))) == 0


POLICY = Ans()
