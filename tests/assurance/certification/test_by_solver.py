"""A solver that knows only the rules of the lane looks for a pattern that makes somebody late; the analysis must agree.

The rules: releases of a stream at least its period apart, one segment at a time, earliest deadline first at joints, no idling
while somebody waits, and optional work that may hold the lane at first. Everything is a whole number of ticks.
"""

from random import Random
from typing import Any

import pytest

from hedgerow.assurance.certification.demand import Lane, Load, feasible
from hedgerow.assurance.certification.random_sets import SmallSet, small_set

z3 = pytest.importorskip("z3", reason="z3-solver is not installed: pip install hedgerow[dev]")

JOBS_MAX = 4


def lane_of(found: SmallSet) -> Lane:
    loads = [
        Load(f"s{number}", sum(segments), period, due, max(segments))
        for number, (period, due, segments) in enumerate(found.streams)
    ]
    return Lane(tuple(loads), found.optional, 0)


def jobs_needed(lane: Lane) -> list[int] | None:
    """How many samples of each stream reach as far as a moment may have to be looked at; None if that is too many."""
    horizon = lane.horizon_ns()
    if horizon is None or lane.utilisation == 1:
        return None
    counts = [max(1, (horizon - each.within_ns) // each.distance_ns + 1) for each in lane.loads]
    return counts if sum(counts) <= JOBS_MAX else None


def someone_late(found: SmallSet, counts: list[int]) -> bool:
    """Whether releases and an order of execution exist in which a sample is done after its due."""
    solver = z3.Solver()
    solver.set("timeout", 60_000)
    jobs: list[tuple[Any, Any, list[tuple[Any, int]]]] = []  # release, due, segments (start, length)
    for stream, (period, due, lengths) in enumerate(found.streams):
        before = None
        for number in range(counts[stream]):
            release = z3.Int(f"r{stream}_{number}")
            solver.add(release >= 0 if before is None else release >= before + period)
            parts = [(z3.Int(f"s{stream}_{number}_{at}"), length) for at, length in enumerate(lengths)]
            jobs.append((release, release + due, parts))
            before = release
    first = [(z3.IntVal(0), found.optional)] if found.optional else []
    everything = first + [part for _, _, parts in jobs for part in parts]
    for one in range(len(everything)):
        for other in range(one + 1, len(everything)):
            (a, a_length), (b, b_length) = everything[one], everything[other]
            solver.add(z3.Or(a + a_length <= b, b + b_length <= a))
    for number, (release, due, parts) in enumerate(jobs):
        ready = release
        for start, length in parts:
            solver.add(start >= ready)
            taken = [_overlap(ready, start, begin, begin + held) for begin, held in everything]
            solver.add(z3.Sum(taken) == start - ready)  # the lane is never idle while it waits
            for which, (its_release, its_due, its_parts) in enumerate(jobs):
                if which != number:
                    done = its_parts[-1][0] + its_parts[-1][1]
                    solver.add(z3.Implies(its_due < due, z3.Or(its_release >= start, done <= start)))
            ready = start + length
    solver.add(z3.Or([parts[-1][0] + parts[-1][1] > due for _, due, parts in jobs]))
    answer = solver.check()
    assert answer in (z3.sat, z3.unsat), "the solver gave up"
    return bool(answer == z3.sat)


def _overlap(low: Any, high: Any, begin: Any, end: Any) -> Any:
    """How much of [begin, end) lies in [low, high)."""
    from_, to = z3.If(begin > low, begin, low), z3.If(end < high, end, high)
    return z3.If(to > from_, to - from_, 0)


def sets(count: int, seed: int) -> list[tuple[SmallSet, list[int]]]:
    random = Random(seed)
    found: list[tuple[SmallSet, list[int]]] = []
    while len(found) < count:
        one = small_set(random)
        counts = jobs_needed(lane_of(one))
        if counts is not None and len(one.streams) > 1:
            found.append((one, counts))
    return found


def agree(count: int, seed: int) -> None:
    verdicts = set()
    for found, counts in sets(count, seed):
        late = someone_late(found, counts)
        assert feasible(lane_of(found)) == (not late), found
        verdicts.add(late)
    assert verdicts == {True, False}, "both kinds should be among them"


def test_a_solver_finds_somebody_late_exactly_where_the_analysis_refuses() -> None:
    agree(12, seed=7)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_on_many_more_sets() -> None:
    agree(150, seed=8)
