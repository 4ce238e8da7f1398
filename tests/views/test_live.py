"""The live view: what stands on it, and that it follows a feed to its end."""

import io
import os

import pytest
from rich.console import Console

from hedgerow.views.feed import Feed
from hedgerow.views.live import picture, watch
from hedgerow.views.state import ViewState
from tests.views.messages import some_state


def shown(state: ViewState, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(picture(state, width=width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_everything_that_matters_is_on_it() -> None:
    text = shown(some_state())
    for words in (
        "a test",
        "open for requests",
        "round trip 31 ms",
        "24.5 Mbit/s",
        "cloud:big:jpeg:75",
        "least expected cost",
        "130 of 100 ms",
        "in time 2",
        "late 1",
        "reserve 1",
        "0.00 MB",
        "(modelled)",
        "device bounds exceeded 1",
    ):
        assert words in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_its_terminal(width: int) -> None:
    assert max(len(line) for line in shown(some_state(), width).splitlines()) <= width


def test_before_the_first_request_it_says_so() -> None:
    assert "no request yet" in shown(ViewState())


@pytest.mark.parametrize("last", ["end", "nothing more"])
def test_it_follows_a_feed_until_it_ends(last: str) -> None:
    reader, writer = os.pipe()
    feed = Feed(writer)
    feed.send("start", 0, title="followed", deadline_ms=50.0)
    os.write(writer, b"not a message\n")
    feed.send("answer", 10_000_000, status="answered", source="local", arm="local:small", age_ms=20.0)
    if last == "end":
        feed.send("end", 20_000_000)
    os.close(writer)
    state = watch(reader, Console(file=io.StringIO(), force_terminal=True, width=80))
    os.close(reader)
    assert (state.title, state.answers, state.ended) == ("followed", 1, last == "end")
