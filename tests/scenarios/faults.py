"""What goes wrong on purpose: a stream of samples through it, servers that speak garbage, and how the link came back."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from hedgerow.core import records as r
from hedgerow.core.records import Source, Status
from hedgerow.device.answer import Answer
from hedgerow.device.session import Session
from hedgerow.models.task import Task
from tests.device.small import Oracle, Steps, tagged

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


class Traffic:
    """Sends a sample every `period_s` from its own thread, and keeps every answer."""

    def __init__(self, session: Session, *, period_s: float = 0.02, batch: int = 1) -> None:
        self.session, self._period_s, self._batch = session, period_s, batch
        self.steps = Steps()
        session.listen(self.steps)
        self._flying: list[tuple[int, Future[Answer]]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic")

    def _run(self) -> None:
        number = 0
        while not self._end.wait(self._period_s):
            self._flying.append((number, self.session.submit(tagged(number, self._batch))))
            number += 1

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def sources(self, since: int = 0) -> list[Source]:
        return [future.result().source for _, future in list(self._flying[since:]) if future.done()]

    @property
    def count(self) -> int:
        return len(self._flying)

    def check(self, task: Task) -> list[Answer]:
        """Every sample has its own answer, none is late without an exceeded bound; returns the answers."""
        oracle, answers = Oracle(task), []
        for number, future in self._flying:
            answer = future.result(20)
            answers.append(answer)
            if answer.status is not Status.DROPPED:
                oracle.check(tagged(number, self._batch), answer.outputs)
        delivered = [record.request for _, record in self.steps.records() if isinstance(record, r.Delivered)]
        assert len(delivered) == len(set(delivered)) == len(answers)
        assert self.steps.unexcused() == []
        return answers


class RawServer:
    """A TCP server that does something else than serve: `talk(connection)` for each connection."""

    def __init__(self, talk: Callable[[socket.socket], None], port: int = 0) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self.accepted = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._sockets.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self._talk(connection)

    def __enter__(self) -> "RawServer":
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)


def recovery_ms(steps: Steps, back_ns: int) -> float | None:
    """From the link's return to the breaker's closing or the first remote answer after it, whichever is sooner."""
    closed = [now for now in steps.moved_to("closed") if now >= back_ns]
    remote = [
        now
        for now, record in steps.records()
        if isinstance(record, r.Delivered) and record.source is Source.REMOTE and now >= back_ns
    ]
    found = min(closed + remote, default=None)
    return None if found is None else (found - back_ns) / 1e6


def wait_remote(traffic: Traffic, count: int = 5, timeout_s: float = 20.0) -> None:
    """Until so many of the next answers are remote."""
    since, end = traffic.count, time.monotonic() + timeout_s
    while traffic.sources(since).count(Source.REMOTE) < count:
        assert time.monotonic() < end, "no remote answers came"
        time.sleep(0.02)
