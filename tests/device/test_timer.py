"""The timer fires once per moment set, never early, and ends with its session."""

import threading
import time

from hedgerow.core.records import MS
from hedgerow.device.timer import Timer
from tests.wire.serving import until


def test_fires_once_and_never_early() -> None:
    fired: list[int] = []
    timer = Timer(lambda: fired.append(time.monotonic_ns()))
    for _ in range(20):
        at = time.monotonic_ns() + 3 * MS
        before = len(fired)
        timer.set(at)
        until(lambda: len(fired) > before, "the timer")  # noqa: B023
        assert fired[-1] >= at
    time.sleep(0.02)
    timer.close()
    assert len(fired) == 20


def test_an_earlier_moment_replaces_a_later_one_and_none_means_never() -> None:
    fired = threading.Event()
    timer = Timer(fired.set)
    timer.set(time.monotonic_ns() + 60_000 * MS)
    timer.set(time.monotonic_ns() + 5 * MS)
    assert fired.wait(20)
    fired.clear()
    timer.set(time.monotonic_ns() + 30 * MS)
    timer.set(None)
    assert not fired.wait(0.1)
    timer.set(time.monotonic_ns() + 5 * MS)
    timer.set(time.monotonic_ns() + 60_000 * MS)  # put off before it came
    assert not fired.wait(0.1)
    timer.close()


def test_what_is_set_while_it_fires_is_kept() -> None:
    fired: list[int] = []

    def fire() -> None:
        fired.append(1)
        if len(fired) < 50:
            timer.set(time.monotonic_ns())

    timer = Timer(fire)
    timer.set(time.monotonic_ns())
    until(lambda: len(fired) == 50, "fifty in a row")
    timer.close()


def test_closing_ends_the_thread_whatever_it_waits_for() -> None:
    before = set(threading.enumerate())
    for at in (None, time.monotonic_ns() + 60_000 * MS):
        timer = Timer(lambda: None)
        timer.set(at)
        timer.close()
        timer.close()
    assert set(threading.enumerate()) == before
