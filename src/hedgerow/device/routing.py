"""Sends now, spools or drops: what becomes of samples beside being answered, as far as they are unusual and there is room.

After each answer of the router's own model its scores are looked at (models/unusual.py). A usual sample is dropped, as nearly all
are. An unusual one is spooled for retraining; one of the more unusual half is also asked about at once, on a background stream
that holds no reserve, as long as the budget of bytes an hour lasts, and what the reference says is written beside it. Answers of other
models, reused and safe ones say nothing here and are passed over.

Rules: nothing here delays an answer. Samples wait in a bounded queue for a thread of this router's own, and are counted when it
is full; a full disk ends spooling, aloud, not answering. A question that is not answered in time costs its sample nothing: it is
spooled with the device's own label.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from queue import Empty, Full, Queue
from typing import Protocol

import numpy as np

from hedgerow.core.records import Source
from hedgerow.device.answer import Answer
from hedgerow.device.spool import Spool
from hedgerow.errors import HedgerowError, HostError, UsageError
from hedgerow.models.preparation import FRAME
from hedgerow.models.task import Task
from hedgerow.models.tensors import Array, Tensors
from hedgerow.models.unusual import Scorer, Verdict, calibrating_needed

STREAM = "unusual"
QUEUE_MAX = 32
WAIT_S = 90.0  # for an answer of the background stream; it expires before that
EXPIRY_MS = 60_000.0


class Asks(Protocol):
    """What is needed of a session."""

    @property
    def task(self) -> Task: ...

    def open_stream(self, name: str, *, deadline_ms: float, criticality: str, expiry_ms: float) -> None: ...

    def submit(self, sample: Tensors, *, stream: str) -> "Future[Answer]": ...


@dataclass(slots=True)
class ByteBudget:
    """Bytes an hour, refilled steadily, an hour's worth at most; None: as many as wanted, 0: none. Time is an argument."""

    bytes_per_hour: int | None
    left: float = 0.0
    filled_s: float = 0.0

    def fill(self, now_s: float) -> bool:
        """Refill; whether anything is left."""
        if self.bytes_per_hour is None:
            return True
        passed, self.filled_s = max(0.0, now_s - self.filled_s), now_s
        self.left = min(float(self.bytes_per_hour), self.left + passed * self.bytes_per_hour / 3600.0)
        return self.left > 0

    def spend(self, used: int) -> None:
        """What was sent; below 0 nothing is sent until it is made up for."""
        self.left -= used


class Router:
    """Watches the answers of one session. `false_alarm`: the share of usual samples that may be kept. A context manager."""

    def __init__(
        self, session: Asks, scorer: Scorer, spool: Spool, *, false_alarm: float = 0.05,
        bytes_per_hour: int | None = 0, say: Callable[[str], None] = lambda text: None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        if scorer.task_id != session.task.task_id and scorer.model_id != session.task.model(scorer.model).model_id:
            raise UsageError(f"the router was made for another model than this task's '{scorer.model}'; make it again")
        if not 0 < false_alarm < 1:
            raise UsageError(f"the share of false alarms lies between 0 and 1; {false_alarm:g} does not")
        calibrating = len(scorer.distances)
        if calibrating < calibrating_needed(false_alarm):
            raise UsageError(
                f"{calibrating} calibrating samples cannot keep false alarms at {false_alarm:g};"
                f" {calibrating_needed(false_alarm)} would be enough"
            )
        if bytes_per_hour != 0 and calibrating < calibrating_needed(false_alarm / 2):
            raise UsageError(
                f"with {calibrating} calibrating samples nothing is ever unusual enough to be sent (the more unusual half"
                f" is); {calibrating_needed(false_alarm / 2)} would be enough, or send nothing"
            )
        self._session, self._scorer, self._spool, self._share = session, scorer, spool, false_alarm
        self._budget, self._say, self._clock_s = ByteBudget(bytes_per_hour), say, clock_s
        self._budget.left, self._budget.filled_s = float(bytes_per_hour or 0), clock_s()
        self.counts: Counter[str] = Counter()
        self._asks = bytes_per_hour != 0
        if self._asks:
            session.open_stream(STREAM, deadline_ms=EXPIRY_MS, criticality="background", expiry_ms=EXPIRY_MS)
        self._queue: Queue[tuple[Array, Answer] | None] = Queue(QUEUE_MAX)
        self._spooling = True
        self._thread = threading.Thread(target=self._serve, name="hedgerow-router", daemon=True)
        self._thread.start()

    def take(self, sample: Array | Tensors, answer: Answer) -> None:
        """One sample with its answer, from any thread; returns at once."""
        if answer.model != self._scorer.model:
            self.counts[f"of another model (the router looks at {self._scorer.model})"] += 1
            return
        if answer.source is not Source.LOCAL or answer.confidence is None:
            self.counts["not looked at"] += 1
            return
        try:
            self._queue.put_nowait((sample[FRAME] if isinstance(sample, dict) else sample, answer))
        except Full:
            self.counts["too many at once"] += 1

    def verdict(self, answer: Answer) -> Verdict:
        """How unusual the sample of this answer is."""
        assert answer.confidence is not None
        return self._scorer.judge(self._session.task.scores(answer.outputs).astype(np.float64), answer.confidence)

    def _serve(self) -> None:
        while (waiting := self._queue.get()) is not None:
            try:
                self._route(*waiting)
            except HedgerowError as error:
                self.counts["not routed"] += 1
                self._say(f"a sample was passed over: {error}")

    def _route(self, frame: Array, answer: Answer) -> None:
        found = self.verdict(answer)
        if found.p_value > self._share:
            self.counts["dropped"] += 1
            return
        label, confidence, by = answer.label, answer.confidence, answer.model
        sent = found.p_value <= self._share / 2 and self._asks and self._budget.fill(self._clock_s())
        if sent:
            asked = self._ask(frame)
            if asked is not None and asked.label is not None:
                label, confidence, by = asked.label, asked.confidence, asked.model
        if not self._spooling:
            self.counts["not spooled"] += 1
            return
        facts = {
            "reason": f"unusual {found.because}",
            "p_value": f"{found.p_value:.6f}",
            "label": label or "",
            "confidence": "" if confidence is None else f"{confidence:.6f}",
            "model": answer.model,
            "by": by,
        }
        captured = datetime.now(UTC) - timedelta(microseconds=(time.monotonic_ns() - answer.captured_ns) / 1e3)
        try:
            self.counts["spooled" if self._spool.keep(frame, facts, captured) else "beyond the quota"] += 1
        except HostError as error:
            self._spooling = False
            self._say(f"nothing more is spooled: {error}")

    def _ask(self, frame: Array) -> Answer | None:
        """What the background stream says of it; None where it says nothing, which is counted."""
        try:
            asked = self._session.submit({FRAME: frame}, stream=STREAM).result(WAIT_S)
        except (TimeoutError, CancelledError, HedgerowError):
            self.counts["asked in vain"] += 1
            return None
        self._budget.spend(asked.uplink_bytes)
        self.counts["sent"] += asked.source is Source.REMOTE
        return asked

    def close(self, timeout_s: float = WAIT_S) -> None:
        """Go through what waits, then end the thread."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except Full:
            while True:  # it hangs: what waits is given up, so that the thread ends when it comes back
                try:
                    self._queue.get_nowait()
                except Empty:
                    break
            self._queue.put_nowait(None)
        self._thread.join(timeout_s)

    def __enter__(self) -> "Router":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
