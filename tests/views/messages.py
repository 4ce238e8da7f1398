"""Messages of a feed for tests of views."""

from typing import Any

from hedgerow.views.state import ViewState


def answer(
    t_ms: float, age_ms: float, *, source: str = "remote", arm: str = "cloud:big:jpeg:75", **more: Any
) -> dict[str, Any]:
    fields = {"status": "answered", "reason": "remote_in_time", "energy_mj": 10.0, "uplink_bytes": 1000, **more}
    return {"kind": "answer", "t_ms": t_ms, "age_ms": age_ms, "source": source, "arm": arm, **fields}


def some_state() -> ViewState:
    """A session of 100 ms deadlines: three answers, one of them late, an open link."""
    state = ViewState()
    for message in (
        {"kind": "start", "t_ms": 0, "title": "a test", "deadline_ms": 100.0},
        {"kind": "link", "t_ms": 5, "state": "closed"},
        {"kind": "observed", "t_ms": 10, "round_trip_ms": 31.0, "mbit_per_s": 24.5, "lost": False},
        {
            "kind": "decision",
            "t_ms": 11,
            "arm": "cloud:big:jpeg:75",
            "reason": "least_expected_cost",
            "slack_ms": 40.0,
            "predicted_ms": 62.0,
        },
        answer(60, 49.0),
        answer(160, 96.0, source="local", reason="hold_ended"),
        answer(900, 130.0, source="local", arm="local:small", status="late"),
        {"kind": "observed", "t_ms": 950, "lost": True},
        {"kind": "bound", "t_ms": 960, "what": "run small"},
    ):
        state.take(message)
    return state
