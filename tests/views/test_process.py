"""The live view as a process of its own."""

import time

from hedgerow.views.process import LiveView


def test_a_view_starts_is_fed_and_ends() -> None:
    with LiveView(title="a test", deadline_ms=100.0) as view:
        view.note("a sentence")
        assert view.feed.dropped == 0
    assert view.feed.closed


def test_a_view_that_has_died_delays_nothing() -> None:
    with LiveView(title="a test", deadline_ms=100.0) as view:
        view._process.kill()
        view._process.wait()
        for _ in range(100):
            view.feed.send("note", time.monotonic_ns(), text="anybody?")
    assert view.feed.closed
