"""Deadline figures against counting by hand."""

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.assurance import deadline_figures
from hedgerow.assurance.deadlines import quantile
from hedgerow.core.records import Status
from tests.assurance.rows import row


def test_figures_of_a_small_run() -> None:
    rows = [row(index, latency) for index, latency in enumerate((10.0, 20.0, 30.0, 150.0))]
    found = deadline_figures(rows)
    assert (found.requests, found.in_time, found.late) == (4, 3, 1)
    assert (found.p50_ms, found.p99_ms, found.max_ms) == (20.0, 150.0, 150.0)


def test_a_failure_known_at_once_is_no_quick_answer() -> None:
    rows = [row(0, 40.0), row(1, 60.0), row(2, 5.0, status=Status.FAILED), row(3, 5.0, status=Status.DROPPED)]
    found = deadline_figures(rows)
    assert (found.in_time, found.late) == (2, 2)
    assert found.p50_ms == 60.0
    assert found.max_ms == 100.0  # the deadline, at least


def test_of_nothing_there_are_no_times() -> None:
    found = deadline_figures([])
    assert (found.requests, found.in_time, found.late, found.p50_ms, found.max_ms) == (0, 0, 0, None, None)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_at_least_that_share_does_not_exceed_a_quantile(values: list[float], share: float) -> None:
    found = quantile(sorted(values), share)
    assert found in values
    assert found is not None
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) < share * len(values)
