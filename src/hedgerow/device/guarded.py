"""A `Session` below the guard: each frame is announced before it is worked on, and its answer goes to the guard's consumers.

Rules: the session is asked to answer earlier than the stream's deadline, by the guard's bound and the time that handing over
takes, or the guard would always be first; a lost guard never stops the session, which goes on answering its caller.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from hedgerow.core.records import Status
from hedgerow.device.answer import Answer
from hedgerow.device.session import Sample, Session
from hedgerow.errors import GuardLost, HedgerowError, HostError, UsageError
from hedgerow.guard.attach import Attachment

MS = 1_000_000
HANDOVER_MS = 2.0
"""Held back from the session's own deadline beyond the guard's bound: encoding, and one wake-up of the guard."""
_REASON_CHARS_MAX = 500


def encode(answer: Answer, outputs: tuple[str, ...] = ()) -> bytes:
    """An answer as JSON, without its outputs but those named here, which stand in it as nested lists of numbers."""
    found: dict[str, object] = {
        "status": answer.status.value,
        "label": answer.label,
        "label_index": answer.label_index,
        "confidence": None if answer.confidence is None else round(float(answer.confidence), 6),
        "model": answer.model,
        "source": answer.source.value,
        "arm": answer.arm,
        "age_ms": round(answer.age_ms, 3),
        "reason": answer.reason[:_REASON_CHARS_MAX],
    }
    if outputs:
        found["outputs"] = {name: answer.outputs[name].tolist() for name in outputs}
    return json.dumps(found).encode()


class Guarded:
    """Gives a session's answers to the guard that started this process.

    `path` is the guard's socket (default: from the environment); `encode_answer` makes an answer's bytes, at most the
    stream's payload_bytes_max; `on_problem` hears, on a thread of the session, of a lost guard and of an answer that could not
    be handed over (then the guard's safe value stands for it). The session's streams must have the names of the guard's.
    Raises GuardLost if there is no guard at the beginning, UsageError for streams that do not fit.
    """

    def __init__(
        self,
        session: Session,
        *,
        path: str | os.PathLike[str] | None = None,
        encode_answer: Callable[[Answer], bytes] = encode,
        on_problem: Callable[[HedgerowError], None] | None = None,
    ) -> None:
        self._session, self._encode = session, encode_answer
        self._on_problem = on_problem or (lambda error: None)
        self._guard = Attachment(path)
        try:
            self._deadlines_ms = self._fitting(self._guard.bound_ns / MS + HANDOVER_MS)
        except UsageError:
            self._guard.close()
            raise
        self._lock = threading.Lock()
        self._lost: GuardLost | None = None
        self._guard.watch(self._lose)

    def _fitting(self, held_back_ms: float) -> dict[str, float | None]:
        """What each stream's requests are given as deadline; None: the certified one, which must leave the guard its time."""
        opened, found = self._session.deadlines_ms, dict[str, float | None]()
        for name, stream in self._guard.streams.items():
            if name not in opened:
                raise UsageError(f"the guard's stream '{name}' is none of the session's; it has: {', '.join(opened)}")
            left_ms = stream["deadline_ns"] / MS - held_back_ms
            if left_ms < (opened[name] if self._session.governed else 0.1):
                raise UsageError(
                    f"stream '{name}': the guard and the handover need {held_back_ms:g} ms of its {stream['deadline_ns'] / MS:g}; "
                    f"give [guard.stream.{name}] a deadline_ms so much later"
                )
            found[name] = None if self._session.governed else left_ms
        return found

    @property
    def lost(self) -> GuardLost | None:
        """Why the guard is no longer there, if it is not."""
        return self._lost

    def submit(
        self, sample: Sample, *, stream: str | None = None, captured_at: float | None = None, frame: int | None = None
    ) -> "Future[Answer]":
        """Announce one frame, then admit it as `Session.submit` does. `captured_at`: seconds of time.monotonic();
        `stream`: "main" unless said, or the guard's only one.

        `frame`: its number, where the camera's own process has announced it. A sample that the session refuses
        (UsageError) is announced all the same: its consumer gets the safe value.
        """
        if stream is None:
            stream = next(iter(self._deadlines_ms)) if len(self._deadlines_ms) == 1 else "main"
        if stream not in self._deadlines_ms:
            raise UsageError(f"the guard has no stream '{stream}'; there are: {', '.join(self._deadlines_ms)}")
        captured_ns = time.monotonic_ns() if captured_at is None else int(captured_at * 1e9)
        if frame is None:
            frame = self._announce(stream, captured_ns)
        future = self._session.submit(
            sample, stream=stream, captured_at=captured_ns / 1e9, deadline_ms=self._deadlines_ms[stream]
        )
        if frame is not None:
            number = frame
            future.add_done_callback(lambda done: self._hand_over(stream, number, done))
        return future

    def _announce(self, stream: str, captured_ns: int) -> int | None:
        if self._lost is not None:
            return None
        try:
            return self._guard.announce(stream, captured_ns)
        except GuardLost as error:
            self._lose(error)
        except HostError as error:
            self._on_problem(error)
        return None

    def _hand_over(self, stream: str, frame: int, done: "Future[Answer]") -> None:
        """Only what a model answered; for all else the guard's safe value is the right message."""
        if self._lost is not None or done.cancelled() or done.exception() is not None:
            return
        answer = done.result()
        if answer.status not in (Status.ANSWERED, Status.LATE):
            return
        try:
            self._guard.answer(stream, frame, self._encode(answer))
        except GuardLost as error:
            self._lose(error)
        except HedgerowError as error:
            self._on_problem(error)

    def _lose(self, error: GuardLost) -> None:
        with self._lock:
            first, self._lost = self._lost is None, self._lost or error
        if first:
            self._on_problem(error)

    def close(self) -> None:
        """Leave the guard; the session is the caller's to close."""
        with contextlib.suppress(GuardLost):
            self._guard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
