"""The calendar against brute force: every order of small jobs, and arrivals at every moment they may come."""

import itertools
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.core.lanes import (
    Forecast,
    Reservation,
    backward_start,
    fits_behind,
    latest_free,
    latest_start,
    sustainable,
)
from hedgerow.core.records import MS

JOBS = st.lists(st.builds(Reservation, st.integers(1, 30), st.integers(1, 8)), min_size=1, max_size=4)
SETTINGS = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def feasible(jobs: Sequence[Reservation], start: int) -> bool:
    """Whether some order, begun at `start`, meets every due moment."""
    for order in itertools.permutations(jobs):
        now, met = start, True
        for job in order:
            now += job.bound_ns
            met = met and now <= job.due_ns
        if met:
            return True
    return False


@SETTINGS
@given(JOBS)
def test_backward_start_is_the_last_feasible_moment(jobs: list[Reservation]) -> None:
    start = backward_start(jobs)
    assert start is not None
    assert feasible(jobs, start)
    assert not feasible(jobs, start + 1)


def test_nothing_has_no_start() -> None:
    assert backward_start([]) is None
    assert latest_start([], [Forecast(0, 10, 10, 1)], blocking_ns=0, now_ns=0) is None


def test_without_forecasts_the_start_is_the_backward_one_or_now() -> None:
    jobs = [Reservation(100, 30), Reservation(80, 20)]
    assert latest_start(jobs, [], blocking_ns=5, now_ns=0) == 50
    assert latest_start(jobs, [], blocking_ns=5, now_ns=70) == 70


def earliest_deadline_first(work: list[tuple[int, int, int]], idle_until: int) -> bool:
    """Whether preemptive earliest-deadline-first meets all (release, due, bound) when nothing runs before `idle_until`."""
    left = [[release, due, bound] for release, due, bound in work]
    now = 0
    while any(bound for _, _, bound in left):
        ready = [job for job in left if job[0] <= now and job[2] and now >= idle_until]
        if ready:
            first = min(ready, key=lambda job: job[1])
            first[2] -= 1
            if now + 1 > first[1]:
                return False
        now += 1
    return True


@SETTINGS
@given(
    st.lists(st.builds(Reservation, st.integers(10, 40), st.integers(1, 6)), min_size=1, max_size=3),
    st.builds(Forecast, st.integers(0, 15), st.integers(8, 20), st.integers(6, 30), st.integers(1, 6)),
    st.integers(0, 12),
    st.booleans(),
)
def test_after_the_latest_start_arrivals_whenever_they_may_come_are_met(
    jobs: list[Reservation], forecast: Forecast, jitter: int, late: bool
) -> None:
    """Times in quarters of a ms. Where nothing could be put off (start is now) the lane promises nothing."""
    quarter = MS // 4
    scaled = [Reservation(job.due_ns * quarter, job.bound_ns * quarter) for job in jobs]
    stream = Forecast(*(each * quarter for each in (
        forecast.earliest_ns, forecast.period_ns, forecast.within_ns, forecast.bound_ns
    )))  # fmt: skip
    start = latest_start(scaled, [stream], blocking_ns=0, now_ns=0)
    assert start is not None
    if start == 0 or not sustainable([stream], blocking_ns=0):
        return
    begin = start // quarter
    first = max(forecast.earliest_ns, begin) + (jitter if late else 0)
    work = [(0, job.due_ns, job.bound_ns) for job in jobs]
    for count in range(4):
        release = first + count * (forecast.period_ns + (jitter if late else 0))
        work.append((release, release + forecast.within_ns, forecast.bound_ns))
    assert earliest_deadline_first(work, begin)


@SETTINGS
@given(
    st.lists(
        st.builds(Forecast, st.just(0), st.integers(5, 20), st.integers(3, 40), st.integers(1, 6)),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 4),
)
def test_what_is_sustainable_is_met_when_all_come_at_once_behind_a_block(
    streams: list[Forecast], blocking: int
) -> None:
    work = [
        (count * each.period_ns, count * each.period_ns + each.within_ns, each.bound_ns)
        for each in streams
        for count in range(12)
    ]
    if sustainable(streams, blocking_ns=blocking):
        assert earliest_deadline_first(work, blocking)
    elif sum(each.bound_ns / each.period_ns for each in streams) <= 0.8:
        assert not earliest_deadline_first(work, blocking)


def test_overload_is_never_sustainable() -> None:
    assert not sustainable([Forecast(0, 10, 1000, 6), Forecast(0, 10, 1000, 5)], blocking_ns=0)


def test_deadlines_of_many_periods_are_counted_to_their_end() -> None:
    stream = Forecast(0, 10, 200, 9)
    assert sustainable([stream], blocking_ns=0)
    assert not fits_behind([Reservation(300, 150)], [stream], blocking_ns=0, free_ns=100, now_ns=0)
    assert fits_behind([Reservation(300, 20)], [stream], blocking_ns=0, free_ns=100, now_ns=0)


def demand_by_the_tick(
    jobs: Sequence[Reservation], stream: Forecast, free: int, blocking: int, released: int, ticks: int
) -> bool:
    """Whether supply keeps up with demand at every tick, counted one by one: the definition, not the algorithm."""
    arrivals = []
    moment = max(stream.earliest_ns, released)
    while moment <= ticks:
        arrivals.append(moment)
        moment += stream.period_ns
    for tick in range(released, ticks + 1):
        due = sum(job.bound_ns for job in jobs if job.due_ns <= tick)
        coming = sum(stream.bound_ns for each in arrivals if each + stream.within_ns <= tick)
        held = blocking if coming and any(job.due_ns > tick for job in jobs) else 0
        if due + coming and due + coming + held > tick - free:
            return False
    return True


@SETTINGS
@given(
    st.lists(st.builds(Reservation, st.integers(5, 40), st.integers(1, 8)), max_size=3),
    st.builds(Forecast, st.integers(0, 25), st.integers(9, 20), st.integers(4, 30), st.integers(1, 6)),
    st.integers(0, 12),
    st.integers(0, 6),
    st.integers(0, 5),
)
def test_fitting_behind_is_the_demand_counted_tick_by_tick(
    jobs: list[Reservation], stream: Forecast, busy: int, blocking: int, now: int
) -> None:
    free = now + busy
    fits = fits_behind(jobs, [stream], blocking_ns=blocking, free_ns=free, now_ns=now)
    assert fits == demand_by_the_tick(jobs, stream, free, blocking, now, 400)


def test_a_start_with_forecasts_is_the_last_that_leaves_their_room() -> None:
    """One job of 20 until 100; a stream whose next comes no sooner than 60, due 25 later, taking 10: until 85."""
    jobs, coming = [Reservation(100 * MS, 20 * MS)], Forecast(60 * MS, 200 * MS, 25 * MS, 10 * MS)
    assert latest_start(jobs, [coming], blocking_ns=0, now_ns=0) == 70 * MS  # 30 of work until 100
    assert latest_start(jobs, [coming], blocking_ns=12 * MS, now_ns=0) == 70 * MS  # at 85 the job itself is not due
    assert latest_start(jobs, [coming], blocking_ns=0, now_ns=71 * MS) == 71 * MS
    late = Forecast(90 * MS, 200 * MS, 25 * MS, 10 * MS)
    assert latest_start(jobs, [late], blocking_ns=0, now_ns=0) == 80 * MS
    assert latest_start([], [coming], blocking_ns=0, now_ns=0) is None


def test_a_stream_may_fill_a_lane_whole_and_no_more() -> None:
    assert sustainable([Forecast(0, 10, 10, 5), Forecast(0, 20, 20, 10)], blocking_ns=0)
    assert not sustainable([Forecast(0, 10, 10, 5), Forecast(0, 20, 20, 10)], blocking_ns=1)
    assert sustainable([Forecast(10**9, 10, 10, 9)], blocking_ns=1)  # when it comes does not matter
    assert not sustainable([Forecast(10**9, 10, 10, 9)], blocking_ns=2)
    assert sustainable([], blocking_ns=5)


@SETTINGS
@given(JOBS, st.integers(1, 40), st.integers(5, 40), st.integers(1, 5), st.integers(0, 5))
def test_the_lane_may_be_kept_until_the_latest_free_and_no_longer(
    jobs: list[Reservation], within: int, period: int, bound: int, earliest: int
) -> None:
    coming = [Forecast(earliest, period, within, bound)]
    free = latest_free(jobs, coming, blocking_ns=0, now_ns=0)
    if free >= 0:
        assert fits_behind(jobs, coming, blocking_ns=0, free_ns=free, now_ns=0)
    assert not fits_behind(jobs, coming, blocking_ns=0, free_ns=max(free, 0) + 1, now_ns=0)


def test_what_may_yet_come_shortens_the_time_the_lane_may_be_kept() -> None:
    """A sample comes at 5 and is due at 68; with the waiting one, due at 68, 36 units are needed before then."""
    waiting, coming = [Reservation(68, 14)], [Forecast(5, 78, 63, 22)]
    assert latest_start(waiting, coming, blocking_ns=0, now_ns=0) == 54  # counts on being asked again when it comes
    assert latest_free(waiting, coming, blocking_ns=0, now_ns=0) == 32
