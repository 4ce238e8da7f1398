"""The statistics against figures worked out by hand and against processes whose figures are known."""

import numpy as np
import pytest

from hedgerow.emulation.traces import TraceRow
from hedgerow.errors import UsageError
from hedgerow.simulation.course import Course
from hedgerow.simulation.links.statistics import LAGS_S, PROBABILITIES, measure, memory, runs, sample

STEP_S = 0.2


def course(trips_ms: list[float | None], up_mbps: list[float] | None = None) -> Course:
    rates = up_mbps or [8.0] * len(trips_ms)
    rows = [TraceRow(i * STEP_S, trip, rate) for i, (trip, rate) in enumerate(zip(trips_ms, rates, strict=True))]
    return Course.of_rows(rows, name="test")


def test_quantiles_leave_lost_probes_out() -> None:
    trips: list[float | None] = [float(each) for each in range(1, 1002)]
    told = measure([course([*trips, None, None, 7.0])], STEP_S)
    assert told.rows == 1004
    assert told.round_trip_ms[PROBABILITIES.index(0.5)] == pytest.approx(500.5, abs=1)
    assert told.lost_share == pytest.approx(2 / 1004)


def test_runs_are_sorted_into_bursts_and_blackouts() -> None:
    trips: list[float | None] = [9.0] * 1000
    for begin, length in ((10, 1), (20, 1), (30, 3), (50, 4), (70, 5), (90, 10)):
        trips[begin : begin + length] = [None] * length
    told = measure([course(trips)], STEP_S)
    hours = 200 / 3600
    assert told.bursts_per_hour == pytest.approx([2 / hours, 0, 1 / hours, 1 / hours, 0])
    assert told.burst_mean_probes == pytest.approx(9 / 4)
    assert told.blackouts_per_hour == pytest.approx(2 / hours)
    assert told.blackout_mean_s == pytest.approx(1.5)


def test_runs_at_both_ends_count() -> None:
    assert runs(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
    assert runs(np.zeros(3, np.bool_)) == []


def test_the_memory_of_an_ar1_is_its_factor_to_the_lag() -> None:
    random, factor = np.random.default_rng(3), 0.8
    series = np.zeros(200_000)
    news = random.standard_normal(len(series))
    for place in range(1, len(series)):
        series[place] = factor * series[place - 1] + news[place]
    found = memory([series], STEP_S)
    for lag_s, value in zip(LAGS_S, found, strict=True):
        assert value == pytest.approx(factor ** round(lag_s / STEP_S), abs=0.02)


def test_what_differs_from_course_to_course_counts_as_memory() -> None:
    random = np.random.default_rng(4)
    series = [level + random.standard_normal(2000) for level in (-1.0, 1.0)]
    assert memory(series, STEP_S)[-1] == pytest.approx(0.5, abs=0.05)


def test_a_still_quantity_and_a_lag_beyond_the_course_have_no_memory() -> None:
    told = measure([course([20.0] * 300)], STEP_S)
    assert set(told.round_trip_memory) == {None}
    assert memory([np.random.default_rng(0).standard_normal(50)], STEP_S) == (None,) * len(LAGS_S)


def test_sampling_looks_at_the_row_in_force() -> None:
    rows = [TraceRow(0.0, 10.0, 1.0), TraceRow(0.5, 20.0, 2.0), TraceRow(1.0, 30.0, 3.0)]
    seen = sample(Course.of_rows(rows, name="uneven"), 0.2)
    assert seen.round_trip_ms.tolist() == [10, 10, 10, 20, 20, 30, 30, 30]


def test_nothing_and_nothing_but_losses_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        measure([], STEP_S)
    with pytest.raises(UsageError, match="every probe"):
        measure([course([None] * 10)], STEP_S)
