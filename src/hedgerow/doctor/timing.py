"""Timers measured: how late the session's own timer fires, alone and beside a Python thread that computes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hedgerow.device.scheduling import thread_first
from hedgerow.device.timer import Timer
from hedgerow.doctor.findings import Finding, Level
from hedgerow.profiling.times import Times, times

_WARN_NS, _DANGER_NS = 2_000_000, 10_000_000
_PATIENCE_S = 2.0


def lateness(count: int) -> Times:
    """Lateness of `count` waits of 1 to 7 ms of the session's own timer."""
    fired, late = threading.Event(), list[int]()

    def fire() -> None:
        late.append(max(0, time.monotonic_ns() - due_ns))
        fired.set()

    timer = Timer(fire)
    thread_first(
        timer.thread, 1
    )  # as a session does by default; where it is refused the timer stays an ordinary thread
    try:
        for number in range(count):
            fired.clear()
            due_ns = time.monotonic_ns() + 1_000_000 * (1 + number % 7)
            timer.set(due_ns)
            fired.wait(_PATIENCE_S)
    finally:
        timer.close()
    return times(late or [round(_PATIENCE_S * 1e9)])


@contextmanager
def computing_thread() -> Iterator[None]:
    """A Python thread beside this one that never waits."""
    stop = threading.Event()

    def compute() -> None:
        number = 1
        while not stop.is_set():
            for _ in range(1000):
                number = (number * 1103515245 + 12345) % 2147483648

    thread = threading.Thread(target=compute, name="hedgerow-doctor-load", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def timing(count: int) -> Iterator[Finding]:
    """Two runs of `count` waits; about 4 ms each, and longer beside the computing thread."""
    alone = lateness(count)
    risk = "a reserve that is started late ends late, unless the profile's margin has room for it"
    do = "see the other findings; profile this machine as it is in use, so that the margin is measured"
    yield Finding("timer", _level(alone), _said(alone, "beside nothing of ours"), risk, do)
    with computing_thread():
        beside = lateness(count)
    level = Level.WARN if _level(beside) is Level.DANGER else _level(beside)  # only if your process has such a thread
    do = "keep computing Python threads out of this process; else Determinism(switch_interval_s=0.0005)"
    yield Finding("timer beside Python", level, _said(beside, "beside a computing Python thread"), risk, do)


def _level(found: Times) -> Level:
    return Level.DANGER if found.p99_ns > _DANGER_NS else Level.WARN if found.p99_ns > _WARN_NS else Level.OK


def _said(found: Times, where: str) -> str:
    p50, p99, most = (each / 1e6 for each in (found.median_ns, found.p99_ns, found.max_ns))
    return f"late by {p50:.2f} ms p50, {p99:.2f} p99, {most:.2f} max of {found.samples} waits, {where}"
