"""The device's harness: on schedule, one row a frame, whatever comes of it."""

import time
from concurrent.futures import Future
from typing import cast

import numpy as np

from hedgerow.core.records import MS, Source, Status
from hedgerow.demo.device import Harness
from hedgerow.device.answer import Answer
from hedgerow.device.session import Session


def answer(request: int, status: Status = Status.ANSWERED) -> Answer:
    return Answer(
        request=request,
        stream="main",
        status=status,
        source=Source.LOCAL,
        outputs={},
        label=None,
        label_index=request,
        confidence=None,
        arm="local:small",
        model="small",
        reason="local_done",
        captured_ns=0,
        deadline_ms=100.0,
        age_ms=1.0,
        agreement=1.0,
        energy_mj=2.0,
        uplink_bytes=3,
    )


class Recorder:
    """Stands for a session: keeps when each frame came, answers at once, in threads' stead."""

    def __init__(self) -> None:
        self.captured_s: list[float] = []
        self.offered_s: list[float] = []

    def submit(self, frame: np.ndarray, *, captured_at: float) -> "Future[Answer]":
        self.captured_s.append(captured_at)
        self.offered_s.append(time.monotonic())
        future: Future[Answer] = Future()
        future.set_result(
            answer(len(self.captured_s) - 1, Status.FAILED if len(self.captured_s) == 2 else Status.ANSWERED)
        )
        return future


def test_frames_are_offered_on_schedule_and_each_has_its_row() -> None:
    session, frames = Recorder(), np.zeros((2, 4, 4, 3), np.uint8)
    harness = Harness(cast(Session, session), frames, period_ns=10 * MS, deadline_ms=100.0)
    start_ns = time.monotonic_ns() + 20 * MS
    rows = harness.drive(start_ns, 5)
    assert [row.index for row in rows] == [0, 1, 2, 3, 4]
    assert [row.captured_ns for row in rows] == [start_ns + index * 10 * MS for index in range(5)]
    assert [round(each * 1e9) // 1000 for each in session.captured_s] == [row.captured_ns // 1000 for row in rows]
    assert all(offered >= captured for offered, captured in zip(session.offered_s, session.captured_s, strict=True))
    assert all(row.told_ns >= row.captured_ns for row in rows)
    assert [row.in_time for row in rows][1] is False
    assert [row.label_index for row in rows] == [0, 1, 2, 3, 4]
