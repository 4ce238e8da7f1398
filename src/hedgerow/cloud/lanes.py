"""The lanes: threads that compute, one job each at a time, earliest deadline first among those that wait.

Earliest deadline first meets every deadline on one processor whenever any order does (Liu and Layland, 1973), as long as
the load fits; what does not fit is refused before it gets here (`admission`). A job that is stopped or out of time ends
before its next segment, since its work asks `Job.should_stop` there.
"""

import asyncio
import heapq
import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from hedgerow.errors import HedgerowError
from hedgerow.wire.faults import FaultKind, Measure, refuse

T = TypeVar("T")
log = logging.getLogger(__name__)


class Job(Generic[T]):
    """Work that waits for a lane; `work(job)` runs there. All times are time.monotonic_ns."""

    def __init__(self, work: "Callable[[Job[T]], T]", *, deadline_ns: int, expected_ns: int) -> None:
        self.work = work
        self.deadline_ns = deadline_ns
        self.expected_ns = expected_ns
        self.queued_ns = time.monotonic_ns()
        self.started_ns: int | None = None
        self.stopped = False
        self._result: T | None = None
        self._error: HedgerowError | None = None
        self._done = threading.Event()
        self._on_done: Callable[[], object] | None = None
        self._lock = threading.Lock()

    @property
    def queue_ns(self) -> int:
        """How long it waited for its lane."""
        return (self.started_ns or time.monotonic_ns()) - self.queued_ns

    def should_stop(self) -> bool:
        """Whether nobody wants the result any more."""
        return self.stopped or time.monotonic_ns() >= self.deadline_ns

    def stopped_fault(self, done: str) -> HedgerowError:
        """The error for work that ended because of should_stop, after `done`."""
        if self.stopped:
            return refuse(FaultKind.CANCELLED, f"cancelled; stopped {done}")
        return refuse(FaultKind.TOO_LATE, f"its time is up; stopped {done}", Measure.TIME_OF_LIFE)

    def run(self) -> None:
        """Do the work on this thread, or find that it is not wanted."""
        self.started_ns = time.monotonic_ns()
        try:
            if self.should_stop():
                raise self.stopped_fault("before the first segment")
            self._result = self.work(self)
        except HedgerowError as error:
            self._error = error
        except Exception:
            log.exception("a job failed in a way that no rule foresees")
            self._error = refuse(FaultKind.ENGINE, "the server failed; its log says how")
        self._finish()

    def refuse(self, error: HedgerowError) -> None:
        """End it without running."""
        self._error = error
        self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._done.set()
            on_done = self._on_done
        if on_done is not None:
            on_done()

    def when_done(self, call: Callable[[], object]) -> None:
        """Have `call` called once it has ended, on the thread that ends it (or on this one if it has)."""
        with self._lock:
            if not self._done.is_set():
                self._on_done = call
                return
        call()

    def result(self) -> T:
        """The result of a job that has ended; raises what its work raised."""
        assert self._done.is_set()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # None only where T is


class Lanes:
    """`count` lane threads over one queue."""

    def __init__(self, count: int, *, queue_length_max: int) -> None:
        self.count = count
        self._queue_length_max = queue_length_max
        self._queue: list[tuple[int, int, Job[object]]] = []
        self._running: dict[int, Job[object]] = {}
        self._number = 0
        self._closing = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"hedgerow-lane-{lane}", daemon=True)
            for lane in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def expected_wait_ns(self, deadline_ns: int, *, now_ns: int) -> int:
        """How long a job of that deadline would wait, going by the expected times of those before it."""
        with self._changed:
            before_ns = sum(job.expected_ns for deadline, _, job in self._queue if deadline <= deadline_ns)
            for job in self._running.values():
                started_ns = now_ns if job.started_ns is None else job.started_ns
                before_ns += max(job.expected_ns - (now_ns - started_ns), 0)
            idle = self.count > len(self._running) + len(self._queue)
        return 0 if idle else before_ns // self.count

    def submit(self, job: "Job[T]") -> None:
        """Let it wait for a lane. FaultError(OVERLOADED) when the queue is full, CLOSING after `close`."""
        with self._changed:
            if self._closing:
                raise refuse(FaultKind.CLOSING, "the server shuts down")
            if len(self._queue) >= self._queue_length_max:
                raise refuse(FaultKind.OVERLOADED, f"{self._queue_length_max} requests wait already")
            self._number += 1
            heapq.heappush(self._queue, (job.deadline_ns, self._number, job))  # type: ignore[misc]
            self._changed.notify()

    def drop(self, job: "Job[T]") -> None:
        """Stop a job: out of the queue at once, or at its next segment if it runs."""
        job.stopped = True
        with self._changed:
            kept = [entry for entry in self._queue if entry[2] is not job]
            waited = len(kept) < len(self._queue)
            if waited:
                self._queue = kept
                heapq.heapify(self._queue)
        if waited:
            job.refuse(job.stopped_fault("before the first segment"))

    async def run(self, job: "Job[T]") -> T:
        """Submit and await; cancelling the awaiting task stops the job."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def tell() -> None:
            if not ended.done():
                ended.set_result(None)

        def on_done() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell)

        self.submit(job)
        job.when_done(on_done)
        try:
            await ended
        except asyncio.CancelledError:
            self.drop(job)
            raise
        return job.result()

    def close(self, timeout_s: float) -> None:
        """Refuse what waits, stop what runs at its next segment, end the threads. A second call does nothing."""
        with self._changed:
            self._closing = True
            waiting, self._queue = self._queue, []
            for job in self._running.values():
                job.stopped = True
            self._changed.notify_all()
        for _, _, job in waiting:
            job.refuse(refuse(FaultKind.CLOSING, "the server shuts down"))
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))

    def _work(self, lane: int) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                job = heapq.heappop(self._queue)[2]
                self._running[lane] = job
            job.run()
            with self._changed:
                del self._running[lane]
