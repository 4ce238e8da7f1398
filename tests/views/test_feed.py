"""The feed: what crosses the pipe, and that a full or closed one costs nothing but lines."""

import json
import os
from collections.abc import Iterator

import pytest

from hedgerow.core import records as r
from hedgerow.views.feed import LINE_BYTES_MAX, Feed, parse

MS = r.MS


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue  # the test closed it


def outcome() -> r.Outcome:
    return r.Outcome(
        (
            r.Decision(3, "cloud:big", r.Reason.LEAST_EXPECTED_COST, "small", 61.0, 1.0, 70.0, 80.0, 90.0, 0.1),
            r.BreakerMoved("cloud", "open", "closed", "probe_answered"),
            r.RemoteObserved("cloud", 31.0, 24.5, 12.0, late=False, lost=False),
            r.BoundExceeded(3, "segment small:0", 8.0, 5.0),
            r.RemoteDistrusted("cloud", 12, 9, 2.44, 1003.2, 0.001),
            r.Ignored("RunDone", -1),
            r.Delivered(3, r.Status.ANSWERED, r.Source.REMOTE, "cloud:big", r.Reason.REMOTE_IN_TIME, 71.5, 12.0, 9000),
        )
    )


def test_a_step_crosses_as_lines_that_parse(pipe: tuple[int, int]) -> None:
    feed = Feed(pipe[1], since_ns=100 * MS)
    feed.tell(150 * MS, r.TimerFired(), outcome())
    found = [parse(line) for line in os.read(pipe[0], 1 << 16).splitlines()]
    assert [each and each["kind"] for each in found] == ["decision", "link", "observed", "bound", "note", "answer"]
    assert all(each is not None and each["t_ms"] == 50.0 for each in found)
    assert found[0] is not None
    assert found[0]["reason"] == "least_expected_cost"
    assert found[4] is not None
    assert found[4]["text"] == "cloud is distrusted: 9 of 12 audited answers differ, 2.4 expected"
    assert found[5] is not None
    assert (found[5]["status"], found[5]["source"], found[5]["uplink_bytes"]) == ("answered", "remote", 9000)


def test_a_full_pipe_loses_lines_and_never_waits(pipe: tuple[int, int]) -> None:
    feed = Feed(pipe[1])
    sent = 0
    while feed.send("note", 0, text="x" * 1000):
        sent += 1
        assert sent < 10_000
    assert feed.dropped == 1
    assert not feed.closed
    os.read(pipe[0], 1 << 16)
    assert feed.send("note", 0, text="room again")


def test_a_line_too_long_to_cross_whole_is_not_sent(pipe: tuple[int, int]) -> None:
    assert not Feed(pipe[1]).send("note", 0, text="x" * LINE_BYTES_MAX)


def test_a_closed_pipe_ends_the_feed(pipe: tuple[int, int]) -> None:
    feed = Feed(pipe[1])
    os.close(pipe[0])
    assert not feed.send("note", 0, text="anybody?")
    assert feed.closed
    assert not feed.send("note", 0, text="anybody?")


@pytest.mark.parametrize("line", ["", "{", "[]", "3", b"\xff\xfe", '{"kind": 3, "t_ms": 1}', '{"kind": "note"}'])
def test_what_is_no_message_is_none(line: str | bytes) -> None:
    assert parse(line) is None


def test_a_message_parses_to_what_was_sent() -> None:
    message = {"kind": "note", "t_ms": 1.5, "text": "hello"}
    assert parse(json.dumps(message)) == message
