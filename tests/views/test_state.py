"""What a view knows after some messages."""

from hedgerow.views.kinds import Kind
from hedgerow.views.state import SHOTS_MAX, ViewState
from tests.views.messages import answer, some_state


def test_messages_add_up() -> None:
    state = some_state()
    assert (state.answers, state.late, state.bounds_exceeded) == (3, 1, 1)
    assert state.kinds == {Kind.CLOUD: 1, Kind.RESERVE: 1, Kind.DEVICE: 1}
    assert (state.uplink_bytes, state.energy_mj) == (3000, 30.0)
    assert (state.link.state, state.link.round_trip_ms, state.link.mbit_per_s, state.link.lost) == (
        "closed",
        31.0,
        24.5,
        1,
    )
    assert (state.arm, state.now_ms, state.title, state.ended) == ("cloud:big:jpeg:75", 960.0, "a test", False)


def test_a_crossing_too_short_to_tell_a_rate_leaves_the_last_one() -> None:
    state = some_state()
    state.take({"kind": "observed", "t_ms": 970, "round_trip_ms": 40.0, "mbit_per_s": 0.0})
    assert (state.link.round_trip_ms, state.link.mbit_per_s) == (40.0, 24.5)


def test_late_by_age_or_by_status() -> None:
    state = ViewState(deadline_ms=100.0)
    for message in (answer(1, 100.0), answer(2, 100.1), answer(3, 5.0, status="failed", source="none", arm="")):
        state.take(message)
    assert [shot.late for shot in state.shots] == [False, True, True]
    assert state.kinds[Kind.NONE] == 1


def test_unknown_and_bare_messages_change_nothing_that_counts() -> None:
    state = ViewState()
    for kind in ("weather", "decision", "link", "observed", "note", "start"):
        state.take({"kind": kind, "t_ms": 3})
    assert (state.answers, state.late, state.now_ms) == (0, 0, 3.0)


def test_only_so_many_answers_are_kept() -> None:
    state = ViewState()
    for number in range(SHOTS_MAX + 10):
        state.take(answer(number, 1.0))
    assert (len(state.shots), state.answers) == (SHOTS_MAX, SHOTS_MAX + 10)
