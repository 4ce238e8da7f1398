"""Earliest deadline first on one lane, segment by segment, on a virtual clock: what the proof speaks of, acted out.

Used where a release pattern is to be seen (counterexamples) and where every one can be tried (small sets). It knows nothing
of the demand test.
"""

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hedgerow.assurance.certification.random_sets import TICK_NS, SmallSet


@dataclass(frozen=True, slots=True)
class LaneJob:
    """Work released at `release`, due at `due`, that gives the lane back only between segments. One unit for all."""

    name: str
    release: int
    due: int
    segments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """Who held the lane from when to when; `job` is its place in the list of jobs, -1 for what held it at first."""

    job: int
    start: int
    end: int


def play_lane(jobs: Sequence[LaneJob], held_until: int = 0) -> list[Turn]:
    """Every turn on the lane, in order; it is held by something else from 0 to `held_until`."""
    waiting = sorted(range(len(jobs)), key=lambda each: jobs[each].release, reverse=True)
    ready: list[tuple[int, int, int]] = []
    now, turns = held_until, [Turn(-1, 0, held_until)] if held_until else []
    while waiting or ready:
        if not ready:
            now = max(now, jobs[waiting[-1]].release)
        while waiting and jobs[waiting[-1]].release <= now:
            which = waiting.pop()
            heapq.heappush(ready, (jobs[which].due, which, 0))
        due, which, segment = heapq.heappop(ready)
        turns.append(Turn(which, now, now + jobs[which].segments[segment]))
        now = turns[-1].end
        if segment + 1 < len(jobs[which].segments):
            heapq.heappush(ready, (due, which, segment + 1))
    return turns


def lateness(jobs: Sequence[LaneJob], turns: Sequence[Turn]) -> list[int]:
    """By how much each job is done after its due; negative if before."""
    done = {turn.job: turn.end for turn in turns}
    return [done[number] - job.due for number, job in enumerate(jobs)]


def misses(found: SmallSet) -> bool:
    """Whether any release phase makes any request late: all of them are tried, one busy period each.

    A lane that falls idle begins anew, with some other phases. Time has a second, smaller place: a release may come just
    after a moment at which the lane looked for work, so a tick is TICK_NS units and phases are whole ticks, or one unit more.
    """
    held = found.optional * TICK_NS
    tasks = [
        (period * TICK_NS, due * TICK_NS, tuple(each * TICK_NS for each in segments))
        for period, due, segments in found.streams
    ]
    if sum(sum(segments) / period for period, _, segments in tasks) > 1 + 1e-9:
        return True
    last = held + 2 * math.lcm(*(period for period, _, _ in tasks)) + max(due for _, due, _ in tasks)
    return any(
        _late(tasks, phases, first, last)
        for first in ((held, 0) if held else (0,))
        for phases in _phases([period for period, _, _ in found.streams], found.optional if first else 1)
    )


def _phases(periods: list[int], earliest_below: int) -> Iterator[tuple[int, ...]]:
    """Every vector of first releases, with one at least before so many ticks, each with and without the one unit more."""
    for ticks in itertools.product(*(range(period) for period in periods)):
        if min(ticks) < earliest_below:
            for more in itertools.product((0, 1), repeat=len(ticks)):
                yield tuple(tick * TICK_NS + one for tick, one in zip(ticks, more, strict=True))


def _late(tasks: list[tuple[int, int, tuple[int, ...]]], phases: tuple[int, ...], held: int, last: int) -> bool:
    """Whether a request is late in the busy period that begins with these releases behind what holds the lane at 0.

    A lane that is full never falls idle: by `last` all its patterns have been seen.
    """
    ready: list[tuple[int, int, int]] = []
    coming = list(phases)
    now = held or min(phases)
    while now <= last:
        for which, release in enumerate(coming):
            period, due, _ = tasks[which]
            while release <= now:
                heapq.heappush(ready, (release + due, which, 0))
                release += period
            coming[which] = release
        if not ready:
            return False
        due, which, segment = heapq.heappop(ready)
        segments = tasks[which][2]
        now += segments[segment]
        if segment + 1 < len(segments):
            heapq.heappush(ready, (due, which, segment + 1))
        elif now > due:
            return True
    return False
