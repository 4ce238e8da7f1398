"""The deadline figures of a run: how many, how many in time, and how long it took.

Rules: a request that ended without an answer is late, and in the quantiles no answer is worse than the slowest one: it
counts with the longest time of the run, its own deadline at least (a failure that is known at once is not quick). Quantiles
are order statistics: the smallest latency that at least that share does not exceed; below 100 requests p99 is the largest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hedgerow.assurance.rows import Timed


@dataclass(frozen=True, slots=True)
class DeadlineFigures:
    """`in_time + late == requests`; times in ms, None where there was no request."""

    requests: int
    in_time: int
    late: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


def deadline_figures(rows: Sequence[Timed]) -> DeadlineFigures:
    """Count and sort; nothing is left out."""
    longest = max((max(row.latency_ms, 0.0 if row.answered else row.deadline_ns / 1e6) for row in rows), default=0.0)
    latencies = sorted(row.latency_ms if row.answered else longest for row in rows)
    in_time = sum(row.in_time for row in rows)
    return DeadlineFigures(
        requests=len(rows),
        in_time=in_time,
        late=len(rows) - in_time,
        p50_ms=quantile(latencies, 0.5),
        p99_ms=quantile(latencies, 0.99),
        max_ms=quantile(latencies, 1.0),
    )


def quantile(ascending: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of them do not exceed; None of nothing.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    if not ascending:
        return None
    place = math.ceil(share * len(ascending) - 1e-9)
    return ascending[min(max(place, 1), len(ascending)) - 1]
