"""Timer lateness: as many waits as asked for, and a judgement by the 99th percentile."""

import threading

import pytest

from hedgerow.doctor import timing
from hedgerow.doctor.findings import Level
from hedgerow.profiling.times import Times, times


def test_counts_every_wait_and_leaves_no_thread() -> None:
    before = threading.active_count()
    found = list(timing.timing(30))
    assert [each.name for each in found] == ["timer", "timer beside Python"]
    assert all("of 30 waits" in each.seen for each in found)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("late_ms", "alone", "beside"),
    [(0.3, Level.OK, Level.OK), (5.0, Level.WARN, Level.WARN), (30.0, Level.DANGER, Level.WARN)],
)
def test_is_judged_by_its_99th_percentile(
    monkeypatch: pytest.MonkeyPatch, late_ms: float, alone: Level, beside: Level
) -> None:
    def lateness(count: int) -> Times:
        return times([round(late_ms * 1e6)] * count)

    monkeypatch.setattr(timing, "lateness", lateness)
    assert [each.level for each in timing.timing(100)] == [alone, beside]
