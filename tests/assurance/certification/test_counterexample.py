"""Where no certificate can be: somebody is late in the pattern that is shown, nothing can be left out, every mend mends."""

from dataclasses import replace
from itertools import pairwise
from random import Random

from hedgerow.assurance.certification.brute_force import LaneJob, lateness, play_lane
from hedgerow.assurance.certification.counterexample import counterexample
from hedgerow.assurance.certification.mending import mends
from hedgerow.assurance.certification.proving import LanePlan, Problem, prove
from hedgerow.assurance.certification.random_sets import large_set
from hedgerow.views.certificates import timeline
from tests.assurance.certification.examples import STREAMS, inputs


def failing(count: int) -> list[tuple[Problem, LanePlan]]:
    """The first random lanes that are not feasible."""
    found: list[tuple[Problem, LanePlan]] = []
    seed = 0
    while len(found) < count:
        proof = prove(large_set(Random(seed)))
        found += [(proof.problem, plan) for plan in proof.failing]
        seed += 1
    return found


def test_somebody_is_late_in_every_pattern_and_nothing_can_be_left_out() -> None:
    for _, plan in failing(40):
        found = counterexample(plan)
        assert found is not None
        assert found.late_ns > 0
        segments = {each.name: each.load(plan.margins).cost_ns for each in plan.reserved}
        jobs = [LaneJob(each.stream, each.arrives_ns, each.due_ns, (segments[each.stream],)) for each in found.samples]
        latest = max(job.due for job in jobs)
        work = sum(segments[job.name] for job in jobs)
        assert work + found.held_ns > latest
        for job in jobs:
            others = [each for each in jobs if each is not job]
            if others:
                rest = sum(segments[each.name] for each in others) + found.held_ns
                assert rest <= max(each.due for each in others), "a sample could be left out"
        picture = timeline(found)
        assert "!" in picture[1]


def test_captures_keep_their_least_distance() -> None:
    for _, plan in failing(20):
        found = counterexample(plan)
        assert found is not None
        for reserved in plan.reserved:
            moments = sorted(each.captured_ns for each in found.samples if each.stream == reserved.name)
            distance = reserved.stream.period_ns * reserved.keep_every
            assert all(after - before >= distance for before, after in pairwise(moments))


def test_every_mend_mends() -> None:
    """Each suggestion put into the streams file makes it feasible; a little less does not."""
    tight = STREAMS.replace("deadline_ms = 90", "deadline_ms = 39")
    proof = prove(inputs(tight))
    assert proof.document is None
    found = mends(proof.problem, proof.failing[0])
    kinds = {each.kind for each in found}
    assert {"deadline", "faster", "leave_out", "joint"} <= kinds
    for each in found:
        if each.kind in ("deadline", "period") and each.stream == "front":
            old = "deadline_ms = 39" if each.kind == "deadline" else "period_ms = 100"
            key = old.partition(" ")[0]
            assert prove(inputs(tight.replace(old, f"{key} = {each.ns / 1e6}", 1))).document is not None
            assert prove(inputs(tight.replace(old, f"{key} = {each.ns / 1e6 - 0.1}", 1))).document is None


def test_where_no_single_change_is_enough_it_says_so() -> None:
    crowded = "format = 1\n" + "".join(
        f'[[stream]]\nname = "s{number}"\nperiod_ms = 25\ndeadline_ms = 200\nreserves = ["small"]\n'
        for number in range(5)
    )
    proof = prove(inputs(crowded))
    found = mends(proof.problem, proof.failing[0])
    assert [each.kind for each in found] == ["all_periods"]
    factor = found[0].ns / 1000
    assert prove(inputs(crowded.replace("period_ms = 25", f"period_ms = {25 * factor}"))).document is not None


def test_the_lane_is_played_by_earliest_deadline_one_segment_at_a_time() -> None:
    jobs = [LaneJob("low", 0, 100, (10, 10)), LaneJob("high", 5, 20, (3, 3))]
    turns = play_lane(jobs)
    assert [(turn.job, turn.start, turn.end) for turn in turns] == [(0, 0, 10), (1, 10, 13), (1, 13, 16), (0, 16, 26)]
    assert lateness(jobs, turns) == [-74, -4]
    held = play_lane([replace(jobs[1], release=0)], held_until=7)
    assert [(turn.job, turn.start, turn.end) for turn in held] == [(-1, 0, 7), (1 - 1, 7, 10), (0, 10, 13)]
