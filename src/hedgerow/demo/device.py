"""The demo's device, a process of its own for each drive: `python -m hedgerow.demo.device` (arguments: see `_arguments`).

It builds the Session, answers a few requests that do not count, says `ready`, waits for `start <monotonic ns>`, offers
one frame each period at its scheduled moment, and writes a row for each: captured when scheduled, told when the future's
callback ran. A feed for the screen goes to standard output; it may lose lines, the rows do not.
"""

import argparse
import sys
import threading
import time
from pathlib import Path

import numpy as np

from hedgerow.assurance.rows import Timed, rows_to_text
from hedgerow.core import records as r
from hedgerow.core.records import Limits, Source, Status
from hedgerow.demo.frames import Frames
from hedgerow.device.answer import Answer
from hedgerow.device.session import Session
from hedgerow.emulation.slow_device import SlowDevice
from hedgerow.models.home import write_whole
from hedgerow.views.feed import Feed

WARM_UP_REQUESTS = 8
SWITCH_INTERVAL_S = 0.0005


class Harness:
    """Offers frames to a session on schedule and notes what came of each."""

    def __init__(self, session: Session, frames: Frames, *, period_ns: int, deadline_ms: float) -> None:
        self._session, self._frames = session, frames
        self._period_ns, self._deadline_ns = period_ns, round(deadline_ms * 1e6)
        self._lock = threading.Condition()
        self._rows: list[Timed] = []

    def drive(self, start_ns: int, count: int) -> list[Timed]:
        """Offer `count` frames, the first captured at `start_ns`; returns their rows by index when all are answered."""
        self._rows = []
        for index in range(count):
            captured_ns = start_ns + index * self._period_ns
            _sleep_until(captured_ns)
            self._offer(index, captured_ns)
        patience_s = self._deadline_ns / 1e9 + Limits().unanswered_wait_ns / 1e9 + 2.0
        with self._lock:
            self._lock.wait_for(lambda: len(self._rows) == count, patience_s)
            known = {row.index: row for row in self._rows}
        now_ns = time.monotonic_ns()
        return [known.get(index) or self._silence(index, start_ns, now_ns) for index in range(count)]

    def _offer(self, index: int, captured_ns: int) -> None:
        frame = self._frames[index % len(self._frames)]
        future = self._session.submit(frame, captured_at=captured_ns / 1e9)
        future.add_done_callback(lambda done: self._told(index, captured_ns, time.monotonic_ns(), done.result()))

    def _told(self, index: int, captured_ns: int, told_ns: int, answer: Answer) -> None:
        row = Timed(
            index=index,
            request=answer.request,
            captured_ns=captured_ns,
            told_ns=told_ns,
            deadline_ns=self._deadline_ns,
            status=answer.status,
            source=answer.source,
            arm=answer.arm,
            model=answer.model,
            reason=answer.reason,
            energy_mj=answer.energy_mj,
            uplink_bytes=answer.uplink_bytes,
            label_index=answer.label_index,
        )
        with self._lock:
            self._rows.append(row)
            self._lock.notify()

    def _silence(self, index: int, start_ns: int, now_ns: int) -> Timed:
        """The row of a request that nobody answered; Hedgerow promises that there is none."""
        captured_ns = start_ns + index * self._period_ns
        nothing = (Status.FAILED, Source.NONE, "", "", "unanswered", 0.0, 0)
        return Timed(index, -1, captured_ns, now_ns, self._deadline_ns, *nothing)


class LinkWatch:
    """Remembers how the breaker stands, for a screen that looks only later."""

    def __init__(self, state: str) -> None:
        self.state = state

    def tell(self, _now_ns: int, _event: r.Event, outcome: r.Outcome) -> None:
        """A listener for Session.listen."""
        for record in outcome.records:
            if isinstance(record, r.BreakerMoved):
                self.state = record.after


def _sleep_until(moment_ns: int) -> None:
    while (left_ns := moment_ns - time.monotonic_ns()) > 0:
        time.sleep(left_ns / 1e9)


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hedgerow.demo.device")
    for name in ("task", "profile", "policy", "frames", "journal", "rows"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--server")
    parser.add_argument("--factor", type=float, required=True)
    parser.add_argument("--deadline-ms", type=float, required=True)
    parser.add_argument("--period-ns", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    return parser.parse_args(words)


def main(words: list[str]) -> None:
    """One drive."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    told = _arguments(words)
    frames = np.load(told.frames)
    with Session(
        Path(told.task),
        told.server,
        profile=told.profile,
        deadline_ms=told.deadline_ms,
        criticality="mission",
        period_ms=told.period_ns / 1e6,
        policy=told.policy,
        journal=told.journal,
        slow_device=SlowDevice(told.factor),
    ) as session:
        link = LinkWatch("not heard of yet")
        session.listen(link.tell)
        harness = Harness(session, frames, period_ns=told.period_ns, deadline_ms=told.deadline_ms)
        harness.drive(time.monotonic_ns() + told.period_ns, WARM_UP_REQUESTS)
        print("ready", flush=True)
        words = sys.stdin.readline().split()
        if len(words) != 2 or words[0] != "start":
            return
        start_ns = int(words[1])
        feed = Feed(sys.stdout.fileno(), since_ns=start_ns)
        feed.send("link", start_ns, state="none: the device alone" if told.server is None else link.state)
        session.listen(feed.tell)
        rows = harness.drive(start_ns, told.requests)
    write_whole(Path(told.rows), rows_to_text(rows).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
