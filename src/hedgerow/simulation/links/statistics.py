"""What a set of courses is like, in numbers: quantiles, memory, losses. Recorded and generated courses pass through the same.

Courses are looked at every `step_s` within their first round. A probe counts as lost where the course is frozen; round trips of
lost probes are left out. Memory is the autocorrelation of logarithms around the mean of *all* courses, over pairs within one
course: what differs from drive to drive counts as memory, as it does for whoever meets one drive. A run of lost probes of a
second or more is a blackout, a shorter one a burst.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.emulation.conditions import BYTES_PER_S_PER_MBPS, MBPS_MAX
from hedgerow.emulation.traces import BLACKOUT_S
from hedgerow.errors import UsageError
from hedgerow.simulation.course import NS_PER_MS, NS_PER_S, Course
from hedgerow.simulation.links.model import RATE_FLOOR_MBPS

PROBABILITIES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
LAGS_S: Final = (0.2, 0.4, 1.0, 2.0, 5.0, 10.0, 20.0)
BURSTS_COUNTED: Final = 5
"""Bursts of one to so many probes are counted each for themselves; the last count holds the longer ones too."""
_PAIRS_MIN: Final = 100
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One course, looked at every step: (rows,) round trip in ms, uplink and downlink in Mbit/s, whether lost."""

    round_trip_ms: Floats
    up_mbps: Floats
    down_mbps: Floats
    lost: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """Quantiles stand at PROBABILITIES, autocorrelations at LAGS_S (None: fewer than 100 pairs, or a quantity that stands still).

    `bursts`: how many runs of exactly 1, 2, ... lost probes an hour, none of a second or more; `blackouts` are those, an hour.
    """

    seconds: float
    rows: int
    round_trip_ms: tuple[float, ...]
    up_mbps: tuple[float, ...]
    down_mbps: tuple[float, ...]
    round_trip_memory: tuple[float | None, ...]
    up_memory: tuple[float | None, ...]
    lost_share: float
    bursts_per_hour: tuple[float, ...]
    burst_mean_probes: float
    blackouts_per_hour: float
    blackout_mean_s: float


def sample(course: Course, step_s: float) -> Series:
    """The course's first round, every `step_s` from its start. An unlimited rate counts as the largest one there is."""
    moments_ns = np.round(np.arange(0, course.end_ns / NS_PER_S, step_s) * NS_PER_S).astype(np.int64)
    rows = course.rows_at(moments_ns[moments_ns < course.end_ns])
    up, down = (
        np.minimum(each[rows] / BYTES_PER_S_PER_MBPS, MBPS_MAX)
        for each in (course.up_bytes_per_s, course.down_bytes_per_s)
    )
    return Series(course.round_trip_ns[rows] / NS_PER_MS, up, down, course.frozen[rows])


def measure(courses: Sequence[Course], step_s: float) -> LinkStatistics:
    """The statistics of all courses together. UsageError when there are none, or when every probe was lost."""
    if not courses:
        raise UsageError("no course, no statistics: give at least one")
    series = [sample(course, step_s) for course in courses]
    rows = sum(len(each.lost) for each in series)
    hours = rows * step_s / 3600
    known_ms = np.concatenate([each.round_trip_ms[~each.lost] for each in series])
    if not len(known_ms):
        raise UsageError("every probe of these courses was lost: there is no round trip to tell of")
    lengths = [end - begin for each in series for begin, end in runs(each.lost)]
    bursts = [length for length in lengths if length * step_s < BLACKOUT_S - 1e-9]
    blackouts = [length * step_s for length in lengths if length * step_s >= BLACKOUT_S - 1e-9]
    counts = np.bincount(np.minimum(bursts, BURSTS_COUNTED).astype(np.int64), minlength=BURSTS_COUNTED + 1)[1:]
    return LinkStatistics(
        seconds=rows * step_s,
        rows=rows,
        round_trip_ms=_quantiles(known_ms),
        up_mbps=_quantiles(np.concatenate([each.up_mbps for each in series])),
        down_mbps=_quantiles(np.concatenate([each.down_mbps for each in series])),
        round_trip_memory=memory([np.where(each.lost, np.nan, _log(each.round_trip_ms)) for each in series], step_s),
        up_memory=memory([_log(each.up_mbps) for each in series], step_s),
        lost_share=sum(lengths) / rows,
        bursts_per_hour=tuple(float(each / hours) for each in counts),
        burst_mean_probes=float(np.mean(bursts)) if bursts else 0.0,
        blackouts_per_hour=len(blackouts) / hours,
        blackout_mean_s=float(np.mean(blackouts)) if blackouts else 0.0,
    )


def runs(lost: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(begin, end) of each run of lost probes, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], lost, [False])).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def memory(series: Sequence[Floats], step_s: float, lags_s: Sequence[float] = LAGS_S) -> tuple[float | None, ...]:
    """The autocorrelation around the mean of all series, at each lag; NaN is left out."""
    everything = np.concatenate(series)
    middle, spread = float(np.nanmean(everything)), float(np.nanvar(everything))
    return tuple(_correlation(series, max(1, round(lag_s / step_s)), middle, spread) for lag_s in lags_s)


def _correlation(series: Sequence[Floats], lag: int, middle: float, spread: float) -> float | None:
    nothing: Floats = np.empty(0)
    products = [(each[lag:] - middle) * (each[:-lag] - middle) for each in series if len(each) > lag]
    pairs = np.concatenate([nothing, *products])
    pairs = pairs[~np.isnan(pairs)]
    return float(pairs.mean() / spread) if len(pairs) >= _PAIRS_MIN and spread > 1e-12 else None


def _quantiles(values: Floats) -> tuple[float, ...]:
    return tuple(float(each) for each in np.quantile(values, PROBABILITIES))


def _log(values: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(values, RATE_FLOOR_MBPS)))
