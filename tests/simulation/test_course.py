"""The course of a link: against the emulated link's own reading of a trace, and each change against its definition."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.emulation.traces import Trace, TraceRow, shipped
from hedgerow.errors import UsageError
from hedgerow.simulation.course import NS_PER_MS, NS_PER_S, ROWS_MAX, Course, Moment

STEP_NS = 200 * NS_PER_MS


def course(rows: int = 5, **changes: Any) -> Course:
    """Rows of 200 ms; row i has a round trip of 10 (i + 1) ms, i + 1 kB/s up and 10 (i + 1) kB/s down."""
    steps = np.arange(1, rows + 1)
    fields: dict[str, Any] = {
        "name": "made",
        "radio": "LTE",
        "starts_ns": (steps - 1) * STEP_NS,
        "end_ns": rows * STEP_NS,
        "round_trip_ns": steps * 10.0 * NS_PER_MS,
        "up_bytes_per_s": steps * 1e3,
        "down_bytes_per_s": steps * 1e4,
        "frozen": np.zeros(rows, bool),
    }
    return Course(**{**fields, **changes})


def moments(of: Course, until_ns: int, step_ns: int = 50 * NS_PER_MS) -> list[Moment]:
    return [of.at(now_ns) for now_ns in range(0, until_ns, step_ns)]


@pytest.mark.parametrize("name", sorted(shipped()))
@pytest.mark.parametrize("at_end", ["loop", "hold"])
@pytest.mark.parametrize("rtt_offset_ms", [0.0, -25.0])
def test_a_traces_course_says_what_the_emulated_link_plays(name: str, at_end: Any, rtt_offset_ms: float) -> None:
    trace = Trace.load(name, at_end=at_end, rtt_offset_ms=rtt_offset_ms)
    found = Course.load(name, at_end=at_end, rtt_offset_ms=rtt_offset_ms)
    assert found.name == name
    for time_ms in range(50, round(2.2e3 * trace.duration_s), 100):  # the middle of rows: floats round at their edges
        there, here = trace.at(time_ms / 1e3), found.at(time_ms * NS_PER_MS)
        assert here.round_trip_ns == pytest.approx(there.rtt_ms * 1e6)
        assert (here.up_bytes_per_s, here.down_bytes_per_s) == (there.uplink_bytes_per_s, there.downlink_bytes_per_s)
        assert here.frozen == there.frozen
        change_s = trace.next_change_s(time_ms / 1e3)
        change_ns = found.next_change_ns(time_ms * NS_PER_MS)
        assert (change_s is None) == (change_ns is None)
        assert change_s is None or change_ns == pytest.approx(change_s * 1e9, abs=1000)


def test_the_measured_drives_can_all_be_read(shared_data: Path) -> None:
    paths = sorted((shared_data / "links").glob("*.csv"))
    assert len(paths) >= 49
    for path in paths:
        trace, found = Trace.load(path), Course.load(path)
        assert found.rows == len(trace.rows)
        assert found.frozen.sum() == sum(row.rtt_ms is None for row in trace.rows)
        assert found.durations_ns.sum() == found.end_ns == pytest.approx(trace.duration_s * 1e9, abs=1)


def test_the_radio_is_the_one_that_most_rows_name() -> None:
    radios = ["LTE", "", "5G-mid", "5G-mid", "", ""]
    rows = [TraceRow(0.2 * i, 30.0, 8.0, radio=radio) for i, radio in enumerate(radios)]
    assert Course.of_rows(rows, name="mixed").radio == "5G-mid"
    assert Course.of_rows(rows[1:2], name="nameless").radio == ""


def test_a_lost_probe_freezes_and_keeps_the_last_round_trip() -> None:
    rows = [TraceRow(0.0, 30.0, 8.0), TraceRow(0.2, None, 4.0), TraceRow(0.4, 50.0, 4.0)]
    found = Course.of_rows(rows, name="lost")
    assert found.at(STEP_NS) == (30.0 * NS_PER_MS, 5e5, 2e6, True)
    assert not found.at(2 * STEP_NS).frozen


def test_a_steady_link_never_changes_and_may_be_unlimited() -> None:
    found = Course.steady(round_trip_ms=20, up_mbps=8, name="wire")
    assert found.at(0) == found.at(10**15) == (20e6, 1e6, math.inf, False)
    assert found.next_change_ns(0) is None
    assert found.with_rate(0, NS_PER_S, factor=0.0).at(0).down_bytes_per_s == 0.0


def test_rows_hold_until_the_next_then_loop_or_hold() -> None:
    made = course()
    assert made.at(STEP_NS - 1) == made.at(0) != made.at(STEP_NS)
    assert made.at(5 * STEP_NS + 3) == made.at(3)
    assert made.held().at(50 * STEP_NS) == made.at(4 * STEP_NS)
    assert (made.next_change_ns(STEP_NS), made.next_change_ns(9 * STEP_NS)) == (2 * STEP_NS, 10 * STEP_NS)
    assert made.held().next_change_ns(4 * STEP_NS) is None
    assert made.held().looped().equals(made)
    assert not made.held().equals(made)
    assert made.named("other").equals(made)
    assert made.named("other").name == "other"


@given(st.lists(st.integers(0, 40 * STEP_NS), max_size=20), st.booleans())
def test_many_moments_at_once_are_as_each_alone(moments_ns: list[int], loop: bool) -> None:
    made = course() if loop else course().held()
    assert made.rows_at(np.array(moments_ns, np.int64)).tolist() == [made.row_at(each) for each in moments_ns]


@given(st.integers(0, 4 * STEP_NS * 5), st.booleans(), st.integers(0, 12 * STEP_NS))
def test_a_shifted_course_is_the_same_course_seen_later(by_ns: int, loop: bool, now_ns: int) -> None:
    made = course() if loop else course().held()
    assert made.shifted(by_ns).at(now_ns) == made.at(by_ns + now_ns)


@given(st.integers(1, 30 * STEP_NS), st.booleans(), st.integers(0, 40 * STEP_NS))
def test_an_unrolled_course_says_the_same(until_ns: int, loop: bool, now_ns: int) -> None:
    made = course() if loop else course().held()
    assert made.unrolled(until_ns).end_ns >= until_ns
    assert made.unrolled(until_ns).at(now_ns) == made.at(now_ns)


@given(st.integers(0, 12 * STEP_NS), st.integers(0, 12 * STEP_NS), st.booleans(), st.integers(0, 30 * STEP_NS))
def test_a_stretch_changes_its_own_moments_and_no_other(from_ns: int, for_ns: int, loop: bool, now_ns: int) -> None:
    made = (course() if loop else course().held()).unrolled(6 * 5 * STEP_NS)  # so that no second round is in sight
    before = made.at(now_ns)
    inside = from_ns <= now_ns < from_ns + for_ns
    assert made.with_blackout(from_ns, for_ns).at(now_ns) == before._replace(frozen=inside)
    slower = made.with_rate(from_ns, for_ns, up_bytes_per_s=7.0, factor=0.5).at(now_ns)
    halved = before._replace(up_bytes_per_s=3.5, down_bytes_per_s=before.down_bytes_per_s / 2)
    assert slower == (halved if inside else before)
    farther = made.with_round_trip(from_ns, for_ns, factor=2, added_ns=5e6).at(now_ns)
    assert farther == (before._replace(round_trip_ns=2 * before.round_trip_ns + 5e6) if inside else before)


def test_a_fault_over_a_looping_course_comes_again_each_round_and_once_after_unrolling() -> None:
    made = course()
    assert [each.frozen for each in moments(made.with_blackout(0, STEP_NS), 10 * STEP_NS, STEP_NS)] == (
        [True, *[False] * 4] * 2
    )
    once = made.unrolled(10 * STEP_NS).with_blackout(0, STEP_NS)
    assert [each.frozen for each in moments(once, 10 * STEP_NS, STEP_NS)] == [True, *[False] * 9]


def test_a_fault_past_the_end_of_a_holding_course_ends_again() -> None:
    made = course().held().with_blackout(20 * STEP_NS, STEP_NS)
    assert made.at(20 * STEP_NS).frozen
    assert made.at(21 * STEP_NS) == made.at(19 * STEP_NS) == course().held().at(19 * STEP_NS)


def test_an_offset_leaves_a_millisecond_or_what_was_less() -> None:
    near = course(round_trip_ns=[0.4e6, 10e6, 30e6, 40e6, 599_999e6]).with_rtt_offset(-25)
    assert near.round_trip_ns.tolist() == [0.4e6, 1e6, 5e6, 15e6, 599_974e6]
    assert course().with_rtt_offset(599_999).round_trip_ns.max() == 600_000e6


def test_a_course_can_not_be_written_and_does_not_hold_on_to_what_it_was_given() -> None:
    given = np.full(5, 1.0)
    made = course(round_trip_ns=given)
    given[:] = 9.0
    assert made.round_trip_ns.tolist() == [1.0] * 5
    with pytest.raises(ValueError, match="read-only"):
        made.round_trip_ns[0] = 2.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"starts_ns": [1, 2, 3, 4, 5]}, "the first row begins at 1 ns, not at 0"),
        ({"starts_ns": [0, 2, 2, 4, 5]}, "starts_ns 2 of row 2 does not come after the row before"),
        ({"starts_ns": []}, "starts_ns: give 1 to"),
        ({"end_ns": 4 * STEP_NS}, "end_ns: 800000000 is not after the last row"),
        ({"end_ns": 10**19}, "end_ns"),
        ({"round_trip_ns": [1, 2, 3, 4]}, "round_trip_ns: 4 values for 5 rows"),
        ({"round_trip_ns": [1, 2, math.nan, 4, 5]}, "round_trip_ns nan of row 2 is out of its range"),
        ({"round_trip_ns": [1, 2, 3, math.inf, 5]}, "round_trip_ns inf of row 3 is out of its range"),
        ({"up_bytes_per_s": [1, -2, 3, 4, 5]}, "up_bytes_per_s -2.0 of row 1 is out of its range"),
        ({"down_bytes_per_s": ["a", 1, 1, 1, 1]}, "down_bytes_per_s are not numbers"),
        ({"frozen": [True]}, "frozen: another length than 5 rows"),
        ({"at_end": "stop"}, "at_end: 'stop': give 'loop' or 'hold'"),
    ],
)
def test_a_bad_course_is_refused_with_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        course(**changes)


def test_bad_changes_are_refused() -> None:
    made = course()
    for bad in (
        lambda: made.at(-1),
        lambda: made.rows_at(np.array([3, -1])),
        lambda: made.shifted(-1),
        lambda: made.with_blackout(-1, 5),
        lambda: made.with_rate(0, 1, factor=math.nan),
        lambda: made.with_rate(0, 1, up_bytes_per_s=-1.0),
        lambda: made.with_round_trip(0, 1, round_trip_ns=math.inf),
        lambda: made.with_rtt_offset(math.inf),
        lambda: made.unrolled(ROWS_MAX * STEP_NS + 1),
        lambda: Course.steady(round_trip_ms=-1),
        lambda: Course.steady(round_trip_ms=1, up_mbps=1e9),
    ):
        with pytest.raises(UsageError):
            bad()
