"""Quantiles against their definition, and bounds that widen as samples get fewer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.errors import UsageError
from hedgerow.profiling.times import IdleAndLoaded, Times, times

DURATIONS = st.lists(st.integers(0, 10**10), min_size=1, max_size=300)


@given(DURATIONS)
def test_a_quantile_is_the_least_value_that_enough_samples_do_not_exceed(durations: list[int]) -> None:
    found = times(durations)
    ordered = sorted(durations)
    for share, value in ((0.5, found.median_ns), (0.9, found.p90_ns), (0.99, found.p99_ns), (0.999, found.p999_ns)):
        assert value == ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
    assert (found.samples, found.max_ns) == (len(durations), ordered[-1])


@given(DURATIONS)
def test_a_bound_is_never_less_than_what_was_seen_by_few(durations: list[int]) -> None:
    assert times(durations).bound_ns >= max(durations)


@pytest.mark.parametrize(("count", "margin"), [(10, 1.5), (99, 1.5), (100, 1.2), (999, 1.2)])
def test_fewer_samples_widen_the_margin_above_the_largest(count: int, margin: float) -> None:
    assert times([100] * (count - 1) + [1000]).bound_ns == round(1000 * margin)


def test_from_a_thousand_samples_the_bound_is_above_the_quantile_and_not_the_largest() -> None:
    durations = [1000] * 1999 + [9000]
    assert times(durations).bound_ns == 1100


def test_the_promise_counts_both_and_takes_the_larger_and_the_expectation_is_the_idle_median() -> None:
    few = IdleAndLoaded(times([10, 10, 90]), times([20, 20, 30]))
    assert (few.median_ns, few.bound_ns) == (10, 135)
    some = IdleAndLoaded(times([10] * 40), times([20] * 59 + [100]))
    assert some.bound_ns == 120
    many = IdleAndLoaded(times([10] * 400), times([20] * 599 + [100]))
    assert many.bound_ns == 110


@pytest.mark.parametrize(("count", "margin_ns"), [(20, 3000), (999, 3000), (1000, 1100)])
def test_few_samples_do_not_lower_a_margin_below_the_usual_one(count: int, margin_ns: int) -> None:
    assert times([1000] * count).margin_ns(3000) == margin_ns
    assert times([9000] * count).margin_ns(3000) == times([9000] * count).bound_ns


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(UsageError, match="no duration"):
        times([])


def test_times_are_plain_whole_numbers() -> None:
    assert times([3]) == Times(1, 3, 3, 3, 3, 3)
    assert type(times([3]).median_ns) is int
