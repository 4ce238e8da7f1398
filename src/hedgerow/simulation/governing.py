"""Certificates for drawn worlds: one to three modes with fewer models, lower rates or safe values alone, and a rule between them.

They are drawn only where each lane bears all streams by their dearest model, but nobody has proven them: what is looked at under
them is that the core keeps to the mode in force, and whatever it promises by itself, not the certificate's own word (`hedgerow
certify --selftest` tries that).
"""

import numpy as np

from hedgerow.core import Criticality
from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable
from hedgerow.core.certificate import Allowance, Blocking, Certificate, Mode, Rule


def bears(table: ArmTable, streams: tuple[r.Stream, ...], margins: r.Margins, *, dearest: bool = False) -> bool:
    """Whether each lane by itself bears all streams at their densest, by the bounds of its cheapest (or dearest) model: the
    demand up to every deadline within the first busy period, plus one longest segment that has just begun, is no more than
    the time until then. A sum of its own, not the core's."""
    held = [each for each in streams if each.criticality is not Criticality.BACKGROUND]
    if any(stream.period_ns is None for stream in held):
        return False
    for lane in {model.lane for model in table.locals}:
        models = [model for model in table.locals if model.lane == lane]
        need = (max if dearest else min)(model.tail_bound_ns[0] for model in models)
        blocking = max(max(model.segment_bound_ns) for model in models) + margins.timer_ns
        rows = [(s.period_ns or 1, s.deadline_ns - s.capture_delay_ns - margins.before(s)) for s in held]
        load = sum(need / period for period, _ in rows)
        if load > 0.97:
            return False
        horizon = int((blocking + need * len(rows)) / (1 - load)) + max((due for _, due in rows), default=0)
        for period, due in rows:
            for moment in range(due, horizon + 1, period):
                work = sum(((moment - other) // gap + 1) * need for gap, other in rows if other <= moment)
                if work + blocking > moment:
                    return False
    return True


def draw_certificate(
    random: np.random.Generator, table: ArmTable, streams: tuple[r.Stream, ...], margins: r.Margins
) -> Certificate | None:
    """A certificate over these streams in most of the worlds that bear one."""
    if random.random() >= 0.7 or not bears(table, streams, margins, dearest=True):
        return None
    names = [model.name for model in table.locals]
    modes = []
    for place in range(int(random.integers(1, 4))):
        allowances = []
        for stream in streams:
            none = stream.has_safe_value and random.random() < 0.15 + 0.25 * place
            some = tuple(name for name in names if random.random() < 0.8 - 0.2 * place) or (names[0],)
            rate = int(random.integers(1, 2 + place))
            allowances.append(Allowance(stream.name, () if none else some, rate))
        modes.append(Mode(f"mode{place}", tuple(allowances), _blocking(random, table)))
    rule = Rule(
        int(random.integers(0, 4)), window_ns=2 * r.SECOND, return_after_ns=int(random.uniform(0.2, 3) * r.SECOND),
        return_after_max_ns=10 * r.SECOND, hot_celsius=85.0, cool_celsius=60.0, hot_step_ns=r.SECOND,
    )  # fmt: skip
    return Certificate("drawn", streams, tuple(modes), rule)


def _blocking(random: np.random.Generator, table: ArmTable) -> tuple[Blocking, ...]:
    lanes = sorted({model.lane for model in table.locals})
    longest = {lane: max(m.segment_longest_ns() for m in table.locals if m.lane == lane) for lane in lanes}
    return tuple(Blocking(lane, int(longest[lane] * random.uniform(0.3, 1.0))) for lane in lanes)
