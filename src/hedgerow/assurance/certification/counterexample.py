"""Why a lane is not feasible, as small as it can be told: who is captured when, who holds the lane, who is late by how much.

Found at the first moment by which more is due than the lane can do, then made smaller: whole streams, what holds the lane, and
single samples are left out as long as more is still due than can be done. Acted out by `brute_force.play_lane`, which
knows nothing of how it was found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hedgerow.assurance.certification.brute_force import LaneJob, Turn, lateness, play_lane
from hedgerow.assurance.certification.demand import MOMENTS_MAX, Lane, demands
from hedgerow.assurance.certification.proving import LanePlan, Reserved

_DOUBLINGS_MAX = 40
_JOBS_MAX = 400


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of the pattern: moments in ns from when the first comes. `due_ns`: when its answer must be known."""

    stream: str
    captured_ns: int
    arrives_ns: int
    due_ns: int
    done_ns: int

    @property
    def late_ns(self) -> int:
        return max(0, self.done_ns - self.due_ns)


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A pattern that makes somebody late. `held_ns`: how long `held_by` still holds the lane when the first sample comes."""

    mode: str
    lane: str
    held_by: str
    held_ns: int
    samples: tuple[Sample, ...]
    turns: tuple[Turn, ...]
    utilisation: float

    @property
    def late_ns(self) -> int:
        return max(each.late_ns for each in self.samples)


def counterexample(plan: LanePlan) -> Counterexample | None:
    """The smallest pattern found for a lane that is not feasible; None if it would take more than 400 samples."""
    lane = plan.demand()
    moment = _first_exceeded(lane)
    if moment is None:
        return None
    jobs = [
        LaneJob(
            reserved.name, number * load.distance_ns, load.within_ns + number * load.distance_ns, _segments(reserved)
        )
        for reserved, load in zip(plan.reserved, lane.loads, strict=True)
        for number in range(max(0, (moment - load.within_ns) // load.distance_ns + 1))
    ]
    if len(jobs) > _JOBS_MAX:
        return None
    holder = max(
        (each for each in lane.loads if each.within_ns > moment), key=lambda each: each.segment_ns, default=None
    )
    held = lane.handover_ns + (holder.segment_ns if holder else 0)
    if holder and _excess(jobs, lane.handover_ns) > 0:
        holder, held = None, lane.handover_ns
    jobs = _smallest(jobs, held)
    who = f"a segment of {holder.name}, just begun, and the hand-over" if holder else "the hand-over"
    return _acted_out(plan, jobs, held, who)


def _segments(reserved: Reserved) -> tuple[int, ...]:
    """The run's bound in the segments' proportions: their own bounds together may be more."""
    cheapest = reserved.reserves[0]
    tails = [*cheapest.tail_ns, 0]
    return tuple(before - after for before, after in pairwise(tails))


def _first_exceeded(lane: Lane) -> int | None:
    """The first moment by which more is due than the lane can do."""
    short = [each.within_ns for each in lane.loads if each.within_ns < each.cost_ns]
    if short:
        return max(0, min(short))
    horizon = lane.horizon_ns()
    until = max(each.within_ns for each in lane.loads) if horizon is None else horizon
    for _ in range(_DOUBLINGS_MAX):
        if sum(until // each.distance_ns for each in lane.loads) > MOMENTS_MAX:
            return None
        moments = lane.moments(until)
        over = np.flatnonzero(demands(lane, moments) > moments)
        if len(over):
            return int(moments[over[0]])
        until *= 2
    return None


def _excess(jobs: list[LaneJob], held: int) -> int:
    """By how much the work exceeds the time until the last due."""
    return held + sum(sum(each.segments) for each in jobs) - max(each.due for each in jobs)


def _smallest(jobs: list[LaneJob], held: int) -> list[LaneJob]:
    """Leave out streams, then samples, as long as too much is still due."""

    def without(jobs: list[LaneJob], gone: Callable[[LaneJob], bool]) -> list[LaneJob]:
        left = [each for each in jobs if not gone(each)]
        return left if left and _excess(left, held) > 0 else jobs

    for name in sorted({each.name for each in jobs}):
        jobs = without(jobs, lambda each, name=name: each.name == name)  # type: ignore[misc]
    for job in sorted(jobs, key=lambda each: sum(each.segments)):
        jobs = without(jobs, lambda each, job=job: each == job)  # type: ignore[misc]
    return jobs


def _acted_out(plan: LanePlan, jobs: list[LaneJob], held: int, who: str) -> Counterexample:
    turns = play_lane(jobs, held)
    late = lateness(jobs, turns)
    arrival = {each.name: each.stream.latest_arrival_ns for each in plan.reserved}
    samples = tuple(
        Sample(job.name, job.release - arrival[job.name], job.release, job.due, job.due + by)
        for job, by in zip(jobs, late, strict=True)
    )
    assert any(each.late_ns for each in samples), "more is due than can be done, and nobody is late"
    return Counterexample(plan.mode, plan.lane, who, held, samples, tuple(turns), float(plan.demand().utilisation))
