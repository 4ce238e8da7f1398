"""Fits a link model to recorded courses. Each part is estimated by itself, in closed form or on a small grid; nothing is random.

rates      A state is a band of the moving mean (SMOOTH_S) of the uplink's normal scores: how good the link is here, rather than
           what it did in this fifth of a second. Transitions are counted in both directions, so that the chain's long-run
           distribution is the share of time that was seen; within a state come its own quantiles, and the memory of scores.
delay      Quantiles; Hill's estimate (1975) of the tail above the last of them; the logarithm's memory, carried over to normal scores, on a grid of two AR(1).
loss       Runs of lost probes shorter than a second; those after which the round trip is twice what it was are gaps,
           the rest is Gilbert-Elliott's (begin = runs a received probe, end = 1 / mean length). Runs of a second or more are blackouts.

What it does not see: the slow part of a rate's memory within a state, once it is slower than the moving mean (it goes to the
states, and the courses are alike); anything that rate and delay have in common; what a rare event looks like of which a few were recorded.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.emulation.conditions import RTT_MS_MAX
from hedgerow.emulation.traces import BLACKOUT_S, DOWNLINK_OVER_UPLINK
from hedgerow.errors import UsageError
from hedgerow.simulation.course import Course
from hedgerow.simulation.links.generated import delay_at, gap_rows_max
from hedgerow.simulation.links.model import (
    RATE_FLOOR_MBPS,
    STEP_S_MAX,
    STEP_S_MIN,
    Blackouts,
    Delay,
    Gaps,
    LinkModel,
    Loss,
    Rates,
    Source,
)
from hedgerow.simulation.links.scores import ranks
from hedgerow.simulation.links.statistics import Floats, Series, memory, runs, sample

ROWS_MIN: Final = 1000
"""So many received probes leave ten above the 0.99 quantile, where the tail begins."""
STATES: Final = 6
SMOOTH_S: Final = 20.0
POINTS: Final = (0.0, 0.005, 0.01, 0.02, 0.06, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 0.995, 1.0)
DELAY_POINTS: Final = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99)
RARE_POINTS: Final = (0.995, 0.998, 0.999)
"""Taken too where ten probes or more lie above them; the tail begins at the last."""
_ABOVE_MIN: Final = 10
RAISED: Final = 2.0
"""A round trip that is so many times what it was before a run of lost probes makes the run a handover."""
_BEFORE, _AFTER = 10, 10
_NODES: Final = 60
_SHARES: Final = tuple(each / 20 for each in range(1, 21))
_SLOW_S: Final = (0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
_FAST_S: Final = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
_MEMORY_LAGS_S: Final = (0.2, 0.4, 0.6, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)


def fit(courses: Sequence[Course], source: Source, *, name: str = "fitted") -> LinkModel:
    """The model of these courses, which were recorded with one probe a row. Figures are rounded to 6 digits.

    UsageError when there are too few probes (it says how many are missing), or when they come less than twice a second.
    """
    step_s = step_of(courses)
    series = [sample(course, step_s) for course in courses]
    received = sum(int((~each.lost).sum()) for each in series)
    if received < ROWS_MIN:
        raise UsageError(
            f"{received} received probes are too few for a model of a link: {ROWS_MIN - received} more are needed "
            f"({ROWS_MIN} in all, {ROWS_MIN * step_s:g} s at one each {step_s:g} s)"
        )
    radios = sorted({course.radio for course in courses if course.radio})
    begin_end, gaps, blackouts, settled = _losses(series, step_s)
    return LinkModel(
        name=name,
        radio="+".join(radios)[:60] or "unknown",
        step_s=step_s,
        rates=_rates(series, step_s),
        delay=_delay(
            [np.where(calm, each.round_trip_ms, np.nan) for each, calm in zip(series, settled, strict=True)], step_s
        ),
        source=source,
        loss=begin_end,
        gaps=gaps,
        blackouts=blackouts,
    )


def step_of(courses: Sequence[Course]) -> float:
    """The usual step between rows in seconds, over all courses. UsageError for one that no model can have."""
    if not courses:
        raise UsageError("no trace, no model: give at least one")
    steps_s = np.concatenate([course.durations_ns for course in courses]) / 1e9
    step_s = rounded(float(np.median(steps_s)))
    if not STEP_S_MIN <= step_s <= STEP_S_MAX:
        raise UsageError(
            f"the probes come every {step_s:g} s: a model of a link takes {STEP_S_MIN:g} to {STEP_S_MAX:g} s; "
            "record with two probes a second or more"
        )
    return step_s


def rounded(value: float) -> float:
    """To six digits: what a reader can take in, far finer than any estimate here."""
    return float(f"{value:.6g}")


def _rates(series: Sequence[Series], step_s: float) -> Rates:
    logs = [np.log(np.maximum(each.up_mbps, RATE_FLOOR_MBPS)) for each in series]
    scores = _split(ranks(np.concatenate(logs)), logs)
    levels = [_smooth(each, max(1, round(SMOOTH_S / step_s))) for each in scores]
    edges = np.unique(np.quantile(np.concatenate(levels), np.arange(1, STATES) / STATES))
    found = [np.searchsorted(edges, each, side="right") for each in levels]
    used = np.unique(np.concatenate(found))
    states = [np.searchsorted(used, each) for each in found]
    counts = np.zeros((len(used), len(used)))
    for each in states:
        np.add.at(counts, (each[:-1], each[1:]), 1.0)
    counts = counts + counts.T + 1e-9 * np.eye(len(used))
    transitions = counts / counts.sum(axis=1, keepdims=True)
    everything, where = np.concatenate(logs), np.concatenate(states)
    moving = np.concatenate([each.up_mbps for each in series]) >= RATE_FLOOR_MBPS
    none = [1 - float(moving[where == state].mean()) for state in range(len(used))]
    table = [_points(everything[(where == state) & moving]) for state in range(len(used))]
    within = _split(_within_scores(everything, where), logs)
    share, slow, fast = _two_memories(_within_memory(within, states, step_s), step_s)
    return Rates(
        points=POINTS,
        transitions=tuple(tuple(rounded(float(each)) for each in row) for row in transitions),
        up_mbps=tuple(table),
        none=tuple(rounded(each) for each in none) if any(none) else (),
        down_over_up=_down_over_up(series),
        slow_share=share,
        slow_memory=slow,
        fast_memory=fast,
    )


def _points(logs: Floats) -> tuple[float, ...]:
    """The rates at POINTS; a state that never had any gets the least there is, which is never drawn."""
    if not len(logs):
        return (RATE_FLOOR_MBPS,) * len(POINTS)
    return tuple(max(RATE_FLOOR_MBPS, rounded(float(each))) for each in np.exp(np.quantile(logs, POINTS)))


def _within_scores(values: Floats, states: NDArray[np.int64]) -> Floats:
    """(n,) the normal score of each value among those of its own state."""
    found = np.empty(len(values))
    for state in np.unique(states):
        found[states == state] = ranks(values[states == state])
    return found


def _within_memory(scores: Sequence[Floats], states: Sequence[NDArray[np.int64]], step_s: float) -> list[float | None]:
    """At each of the lags, the correlation of scores that far apart in the same state; None where there are few."""
    found: list[float | None] = []
    for lag_s in _MEMORY_LAGS_S:
        lag, products, powers, count = max(1, round(lag_s / step_s)), 0.0, 0.0, 0
        for score, state in zip(scores, states, strict=True):
            same = state[lag:] == state[:-lag]
            after, before = score[lag:][same], score[:-lag][same]
            products += float((after * before).sum())
            powers += float((after**2 + before**2).sum()) / 2
            count += len(after)
        found.append(products / powers if count >= ROWS_MIN / 10 and powers > 0 else None)
    return found


def _down_over_up(series: Sequence[Series]) -> float:
    up, down = (np.concatenate([getattr(each, name) for each in series]) for name in ("up_mbps", "down_mbps"))
    moving = up >= RATE_FLOOR_MBPS
    return rounded(min(1000.0, float(np.median(down[moving] / up[moving])))) if moving.any() else DOWNLINK_OVER_UPLINK


def _smooth(values: Floats, width: int) -> Floats:
    """(n,) the mean of the `width` values around each; at the ends of those there are."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    places = np.arange(len(values))
    first, last = np.maximum(0, places - width // 2), np.minimum(len(values), places + (width + 1) // 2)
    return np.asarray((sums[last] - sums[first]) / (last - first))


def _split(values: Floats, like: Sequence[Floats]) -> list[Floats]:
    return np.split(values, np.cumsum([len(each) for each in like])[:-1])


def _losses(series: Sequence[Series], step_s: float) -> tuple[Loss, Gaps, Blackouts, list[NDArray[np.bool_]]]:
    """The three kinds of loss, and (rows,) for each course the probes that no loss has touched."""
    short: list[int] = []
    handovers: list[tuple[int, Floats]] = []
    blackouts_s: list[float] = []
    settled, rows, received = [], 0, 0
    for each in series:
        calm = ~each.lost
        rows, received = rows + len(calm), received + int(calm.sum())
        for begin, end in runs(each.lost):
            if (end - begin) * step_s >= BLACKOUT_S - 1e-9:
                blackouts_s.append((end - begin) * step_s)
                continue
            after = _raised(each, begin, end)
            if len(after) and after[0] >= math.log(RAISED):
                handovers.append((end - begin, after))
                calm[end : end + _AFTER] = False
            else:
                short.append(end - begin)
        settled.append(calm)
    hours = rows * step_s / 3600
    loss = Loss(rounded(len(short) / received), rounded(len(short) / sum(short))) if short else Loss()
    blackouts = (
        Blackouts(rounded(len(blackouts_s) / hours), rounded(float(np.mean(blackouts_s))))
        if blackouts_s
        else Blackouts()
    )
    return loss, _gaps(handovers, hours, step_s), blackouts, settled


def _raised(series: Series, begin: int, end: int) -> Floats:
    """Logarithms of the round trips after a run over the median before it (or of all, where nothing came before)."""
    if series.lost.all():
        return np.empty(0)
    known = np.where(series.lost, np.nan, np.maximum(series.round_trip_ms, 0.001))
    before = known[max(0, begin - _BEFORE) : begin]
    if np.isnan(before).all():
        before = known
    after = known[end : end + _AFTER]
    return np.log(after[~np.isnan(after)] / float(np.nanmedian(before)))


def _gaps(handovers: Sequence[tuple[int, Floats]], hours: float, step_s: float) -> Gaps:
    if not handovers:
        return Gaps()
    mean_s = min(float(np.mean([length for length, _ in handovers])), gap_rows_max(step_s)) * step_s
    long = max(len(after) for _, after in handovers)
    course = [float(np.mean([after[place] for _, after in handovers if len(after) > place])) for place in range(long)]
    fallen = sum(before * after for before, after in pairwise(course))
    memory_ = fallen / sum(before * before for before in course[:-1]) if long > 1 else 0.0
    return Gaps(
        per_hour=rounded(len(handovers) / hours),
        mean_s=rounded(min(mean_s, BLACKOUT_S)),
        raised=rounded(min(1000.0, max(1.0, math.exp(course[0])))),
        memory=rounded(min(0.999, max(0.0, memory_))),
    )


def _delay(series: Sequence[Floats], step_s: float) -> Delay:
    everything = np.concatenate(series)
    known = everything[~np.isnan(everything)]
    chosen = (*DELAY_POINTS, *(each for each in RARE_POINTS if (1 - each) * len(known) >= _ABOVE_MIN))
    points = [(each, rounded(max(0.001, float(np.quantile(known, each))))) for each in chosen]
    top_ms, longest_ms = points[-1][1], min(RTT_MS_MAX, float(known.max()))
    above = known[known > top_ms]
    excess = float(np.mean(np.log(above / top_ms))) if len(above) else 0.0
    still = Delay(
        points=tuple(points),
        longest_ms=rounded(max(longest_ms, top_ms)),
        tail_index=rounded(min(1000.0, 1 / excess)) if excess > 0 else 0.0,
    )
    seen = memory([np.log(np.maximum(each, points[0][1])) for each in series], step_s, _MEMORY_LAGS_S)
    share, slow, fast = _two_memories(_of_scores(still, seen), step_s)
    return replace(still, slow_share=share, slow_memory=slow, fast_memory=fast)


def _of_scores(delay: Delay, seen: Sequence[float | None]) -> list[float | None]:
    """The correlations of the normal scores that give the logarithms these ones, after Cario and Nelson (1997).

    The logarithms' correlation at each of the scores' is an integral over two normal scores, by Gauss-Hermite quadrature.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    own = np.log(delay_at(delay, nodes))
    middle = float(weights @ own)
    spread = float(weights @ (own - middle) ** 2)
    if spread < 1e-12:
        return [None for _ in seen]
    known, given = np.linspace(0, 1, 51), []
    for each in known:
        partners = each * nodes[:, None] + math.sqrt(1 - each * each) * nodes[None, :]
        other = np.log(delay_at(delay, partners.reshape(-1))).reshape(partners.shape) - middle
        given.append(float(weights @ ((own - middle) * (other @ weights))) / spread)
    rising = np.maximum.accumulate(given)
    return [None if each is None else float(np.interp(each, rising, known)) for each in seen]


def _two_memories(seen: Sequence[float | None], step_s: float) -> tuple[float, float, float]:
    """(share of the slow one, its factor a step, the fast one's) that come closest to the autocorrelation seen."""
    lags = [
        (max(1, round(lag / step_s)) * step_s, value)
        for lag, value in zip(_MEMORY_LAGS_S, seen, strict=True)
        if value is not None
    ]
    if not lags:
        return 1.0, 0.0, 0.0
    best = (math.inf, 1.0, 0.0, 0.0)
    for share in _SHARES:
        for slow_s in _SLOW_S:
            for fast_s in _FAST_S:
                if fast_s >= slow_s:
                    continue
                wrong = sum(
                    (share * _decay(lag, slow_s) + (1 - share) * _decay(lag, fast_s) - value) ** 2
                    for lag, value in lags
                )
                best = min(best, (wrong, share, slow_s, fast_s))
    return best[1], rounded(_decay(step_s, best[2])), rounded(_decay(step_s, best[3]))


def _decay(lag_s: float, over_s: float) -> float:
    return math.exp(-lag_s / over_s) if over_s > 0 else 0.0
