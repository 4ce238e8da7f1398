"""The calendar of one device lane: how late may the reserves in flight start so that all of them still finish in time?

Jobs are local plans. The lane runs one segment at a time, earliest deadline first, and can change its mind at joints.
`latest_start` is the processor-demand test (Jeffay, Stanat and Martel 1991; Baruah, Rosier and Howell 1990) solved for the
moment at which the lane must begin. Besides the requests in flight it counts those that the streams may still send at their
least distance, because a reserve that was put off must not fall upon the next stream's. With an unknown least distance a
stream counts as silent; a certificate demands it.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from hedgerow.core.records import MS

_ROUNDS_MAX = 24
_ARRIVALS_MAX = 32
_BY_DUE = itemgetter(0)


class Reservation(NamedTuple):
    """Work that must be done by `due_ns` (a moment) and takes at most `bound_ns`; a bare pair, quicker made, does as well."""

    due_ns: int
    bound_ns: int


Jobs = Sequence[tuple[int, int]]
"""Reservations."""


class Forecast(NamedTuple):
    """The next requests of a stream: none before `earliest_ns`, then every `period_ns`; each due `within_ns` of arrival."""

    earliest_ns: int
    period_ns: int
    within_ns: int
    bound_ns: int


def backward_start(reservations: Jobs) -> int | None:
    """The latest moment from which these alone fit (exactly, as all are released already); None without any."""
    if len(reservations) > 1:
        reservations = sorted(reservations, key=_BY_DUE, reverse=True)
    start: int | None = None
    for due_ns, bound_ns in reservations:
        start = (due_ns if start is None or due_ns < start else start) - bound_ns
    return start


def latest_start(reservations: Jobs, forecasts: Sequence[Forecast], *, blocking_ns: int, now_ns: int) -> int | None:
    """The latest moment at which the lane must turn to the reservations; None without any, at least `now_ns`.

    `now_ns` means that nothing may be put off: the lane then works earliest deadline first, as a device alone would.
    """
    start = backward_start(reservations)
    if start is None or (start > now_ns and not forecasts):
        return start
    for _ in range(_ROUNDS_MAX):
        if start <= now_ns:
            break
        excess = _worst_excess(reservations, forecasts, start, blocking_ns)
        if excess <= 0:
            return start
        start -= max(excess, MS // 4)
    return now_ns


def fits_behind(
    reservations: Jobs, forecasts: Sequence[Forecast], *, blocking_ns: int, free_ns: int, now_ns: int
) -> bool:
    """Whether everything promised, and what the streams may yet send, still fits if the lane is free from then only."""
    if not forecasts:
        start = backward_start(reservations)
        return start is None or start >= free_ns
    return _worst_excess(reservations, forecasts, free_ns, blocking_ns, released_ns=now_ns) <= 0


def latest_free(reservations: Jobs, forecasts: Sequence[Forecast], *, blocking_ns: int, now_ns: int) -> int:
    """Until when something else may keep the lane from the reservations, whatever the streams send meanwhile."""
    free = now_ns
    for _ in range(2):  # the later it is free, the further one must look: so twice
        free -= _worst_excess(reservations, forecasts, free, blocking_ns, released_ns=now_ns)
    return free


def sustainable(forecasts: Sequence[Forecast], *, blocking_ns: int) -> bool:
    """Whether the streams by themselves, all at once and each at its least distance, fit the lane."""
    if sum(each.bound_ns / each.period_ns for each in forecasts) > 1.0:
        return False
    fresh = [Forecast(0, each.period_ns, each.within_ns, each.bound_ns) for each in forecasts]
    return _worst_excess([], fresh, blocking_ns, 0, released_ns=0) <= 0


def _worst_excess(
    jobs: Jobs, forecasts: Sequence[Forecast], start: int, blocking_ns: int, released_ns: int | None = None
) -> int:
    """By how much the demand exceeds the supply at the worst moment, when the lane begins at `start`.

    `released_ns` None: the streams' next requests count from `start` on, and moments at which none of `jobs` is due do not
    matter, for putting the jobs off did not cause their excess. Else they count from `released_ns`, and all moments do.
    """
    begin = start if released_ns is None else released_ns
    horizon = _busy_until(jobs, forecasts, begin, start - begin + blocking_ns)
    firsts: list[tuple[int, int, int]] = []
    moments = {due for due, _ in jobs}
    for earliest, period, within, bound in forecasts:
        first = (earliest if earliest > begin else begin) + within
        if first <= horizon:  # else it is due after all that matters
            firsts.append((first, period, bound))
            last = first + _ARRIVALS_MAX * period
            moments.update(range(first, (last if last < horizon else horizon) + 1, period))
    worst: int | None = None
    for moment in moments:
        known = coming = later = 0
        for due, bound in jobs:
            if due <= moment:
                known += bound
            else:
                later = blocking_ns
        if known == 0 and released_ns is None:
            continue
        for first, period, bound in firsts:
            if first <= moment:
                coming += ((moment - first) // period + 1) * bound
        excess = known + coming + (later if coming else 0) - (moment - start)
        if worst is None or excess > worst:
            worst = excess
    return -1 if worst is None else worst


def _busy_until(jobs: Jobs, forecasts: Sequence[Forecast], begin: int, lost_ns: int) -> int:
    """When the lane has caught up at the latest, after `lost_ns` and with all arrivals at their densest: later moments
    cannot be missed on account of what is known now."""
    work, load = lost_ns, 0.0  # plain loops: it is asked some ten times a request
    last_due = jobs[0][0] if jobs else begin
    for due, bound in jobs:
        work += bound
        if due > last_due:
            last_due = due
    for _, period, _, bound in forecasts:
        work += bound
        load += bound / period
    spare = 1.0 - load
    until = begin + int(work / (spare if spare > 0.01 else 0.01))
    return until if until > last_due else last_due
