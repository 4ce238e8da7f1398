"""The demand test beside a plain one that looks at every moment, and what is derived from it."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.assurance.certification.demand import (
    Lane,
    Load,
    exceeded,
    extra_blocking_ns,
    feasible,
    largest_blocking,
    slack_ns,
    tightest,
)

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@st.composite
def lanes(draw: st.DrawFn) -> Lane:
    """One to four loads in small whole units, with segments no longer than their cost."""
    loads = []
    for number in range(draw(st.integers(1, 4))):
        cost = draw(st.integers(1, 6))
        distance = draw(st.integers(cost, 30))
        loads.append(Load(f"s{number}", cost, distance, draw(st.integers(1, 40)), draw(st.integers(1, cost))))
    return Lane(tuple(loads), draw(st.integers(0, 6)), draw(st.integers(0, 1)))


def plainly_feasible(lane: Lane, until: int = 1500) -> bool:
    """Every moment, not only dues, far beyond any busy period of such loads below a load of 1."""
    if sum(each.cost_ns / each.distance_ns for each in lane.loads) > 1:
        return False
    if any(each.within_ns < each.cost_ns for each in lane.loads):
        return False
    for moment in range(1, until):
        demand = 0
        for each in lane.loads:
            if moment >= each.within_ns:
                demand += ((moment - each.within_ns) // each.distance_ns + 1) * each.cost_ns
        if not demand:
            continue
        later = [each.segment_ns for each in lane.loads if each.within_ns > moment]
        if demand + max([lane.optional_ns, *later]) + lane.handover_ns > moment:
            return False
    return True


@SETTINGS
@given(lanes())
def test_it_agrees_with_looking_at_every_moment(lane: Lane) -> None:
    assert feasible(lane) == plainly_feasible(lane)


@SETTINGS
@given(lanes())
def test_the_moment_it_names_is_exceeded(lane: Lane) -> None:
    moment = exceeded(lane)
    if moment:
        short = any(each.within_ns == moment and each.within_ns < each.cost_ns for each in lane.loads)
        assert short or lane.taken_ns(moment) > moment


@settings(SETTINGS, max_examples=50)
@given(lanes())
def test_slack_extra_blocking_and_the_tightest_moment_are_exact(lane: Lane) -> None:
    if not feasible(lane):
        return
    found = tightest(lane)
    assert found.taken_ns == lane.taken_ns(found.moment_ns) <= found.moment_ns
    for load in lane.loads:
        slack = slack_ns(lane, load)
        for cut in range(slack + 1):
            assert plainly_feasible(lane.with_load(replace(load, within_ns=load.within_ns - cut)), 1000)
        assert not plainly_feasible(lane.with_load(replace(load, within_ns=load.within_ns - slack - 1)))
        dues = range(load.within_ns, 4000, load.distance_ns)
        assert extra_blocking_ns(lane, load) == min(due - lane.taken_ns(due) for due in dues)


@SETTINGS
@given(lanes(), st.lists(st.integers(0, 20), max_size=6))
def test_the_largest_blocking_is_the_largest(lane: Lane, candidates: list[int]) -> None:
    bears = [each for each in {0, *candidates} if plainly_feasible(replace(lane, optional_ns=each))]
    assert largest_blocking(lane, candidates) == max(bears, default=None)
