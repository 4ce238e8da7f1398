"""The course: every stretch once told to the relay, and drawn where it is."""

import socket
from itertools import pairwise

import pytest

from hedgerow.demo.course import KILL, RESTART, Course
from hedgerow.emulation.control import obey
from hedgerow.emulation.relay import Relay


def test_all_that_the_drive_promises_happens() -> None:
    states = [happening.state for happening in Course().happenings]
    orders = [order for happening in Course().happenings for order in happening.orders]
    assert {"good", "squeeze", "blackout", "server down"} == set(states)
    assert orders.index(KILL) < orders.index(RESTART)
    assert orders.index("blackout on") < orders.index("blackout off")


@pytest.mark.parametrize("seconds", [3.0, 15.0, 60.0])
def test_another_length_stretches_all_times_alike(seconds: float) -> None:
    course, written = Course(seconds), Course()
    for mine, theirs in zip(course.happenings, written.happenings, strict=True):
        assert mine.at_s / seconds == pytest.approx(theirs.at_s / written.seconds)
    assert course.requests == round(seconds * course.rate_hz)


@pytest.mark.parametrize("back_s", [None, 13.0, 99.0])
def test_bands_cover_the_drive_without_gap(back_s: float | None) -> None:
    bands = Course().bands(back_s)
    assert (bands[0].from_s, bands[-1].until_s) == (0.0, 15.0)
    assert all(one.until_s == other.from_s for one, other in pairwise(bands))
    assert (bands[-1].name == "good") == (back_s == 13.0)


def test_the_relay_knows_every_order() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        relay = Relay("127.0.0.1", server.getsockname()[1])
        relay.start()
        try:
            for happening in Course().happenings:
                for order in set(happening.orders) - {KILL, RESTART}:
                    assert obey(relay, order) == f"ok {order}"
        finally:
            relay.stop()
