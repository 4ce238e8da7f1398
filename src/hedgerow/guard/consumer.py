"""What a consumer's process uses: exactly one message for every frame, or `GuardLost`.

Rules: nothing but the guard's own numbers is believed; a message that was missed is counted; silence of several heartbeats
is told like an end. A consumer that reads too slowly is dropped by the guard and told so here.
"""

import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

from hedgerow.errors import GuardFull, GuardLost, PeerError, UsageError
from hedgerow.guard.attach import enter, guard_path
from hedgerow.guard.memory import ALIVE, ANSWER, END, EXPECTED, REASONS, SAFE_VALUE, Slot, unpack

_MESSAGE_BYTES_MAX = 1 << 17
_TIMEVAL = struct.Struct("@ll")


class Message(NamedTuple):
    """The one message of a frame. Moments are ns of time.monotonic_ns, of the same clock in all processes of a machine.

    `kind` is "answer" or "safe_value"; `expected` marks the safe value of a frame that was due and never announced;
    `payload` is what the session encoded, or the safe value as JSON; `epoch` counts the session's starts.
    """

    stream: str
    frame: int
    captured_ns: int
    emitted_ns: int
    kind: str
    expected: bool
    reason: str
    epoch: int
    payload: bytes

    @property
    def value(self) -> Any:
        """The payload read as JSON."""
        return json.loads(self.payload)


class Consumer:
    """Reads a guard's messages: `for message in consumer`, `receive()`, or `serve(callback)`.

    `path` is the guard's socket (default: from the environment HEDGEROW_GUARD); `through` "memory" (a bell on the socket, the
    messages in shared memory) or "socket" (whole messages on the socket). Raises GuardLost, PeerError, UsageError.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, through: str = "memory") -> None:
        if through not in ("memory", "socket"):
            raise UsageError(f"through must be 'memory' or 'socket', not {through!r}")
        self._path, self._by_memory = guard_path(path), through == "memory"
        self._door = enter(self._path, write=False)
        self._out = self._door.rings[1]
        self._sock = self._door.sock
        # the kernel's own time limit: Python's would ask it twice for every message
        self._sock.setblocking(True)
        limit = _TIMEVAL.pack(*divmod(int(self._door.silence_s_max * 1e6), 10**6))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._number: int = self._door.description["number"]
        self._ready: deque[Slot] = deque()
        self.streams = tuple(each["name"] for each in self._door.description["streams"])
        self.missed = 0
        """Messages that the guard sent and this consumer never saw: before its first, or overwritten in memory."""
        self._sock.send(through.encode())

    def fileno(self) -> int:
        """For select: readable when `receive` has something to look at."""
        return self._sock.fileno()

    def receive(self) -> Message | None:
        """The next message; None when the guard has said goodbye. GuardLost if it died or fell silent."""
        while True:
            slot = self._ready.popleft() if self._ready else self._next()
            if slot is None or slot.kind == ALIVE:
                continue
            if slot.kind == END:
                return None
            return self._message(slot)

    def __iter__(self) -> Iterator[Message]:
        while (message := self.receive()) is not None:
            yield message

    def serve(self, callback: Callable[[Message], None]) -> None:
        """Call `callback` with every message until the guard says goodbye; it must be quicker than the frames come."""
        for message in self:
            callback(message)

    def _next(self) -> Slot | None:
        try:
            data = self._sock.recv(_MESSAGE_BYTES_MAX)
        except BlockingIOError:
            limit_s = self._door.silence_s_max
            raise GuardLost(
                f"the guard at {self._path} has been silent for {limit_s:g} s; it is stopped or starved"
            ) from None
        except OSError:
            data = b""
        if not data:
            self._tell_end()
        if self._by_memory:
            return self._from_memory()
        slot = unpack(data)
        if slot is None:
            raise PeerError("the guard sent a message that is none")
        self.missed += slot.number - self._number
        self._number = slot.number + (slot.kind != ALIVE)
        return slot

    def _from_memory(self) -> Slot | None:
        """All that is there, so that messages from before the first bell are not waited for; None: only a heartbeat's bell.

        What the guard has written and is not to be read any more was overwritten: it is counted, and the oldest that is left
        comes next, at once. The guard may be overwriting that one too, but not more of them than there are.
        """
        for _ in range(1 + self._out.count):
            written = self._door.state(0).frame  # before reading: what is below this and not there is gone
            while (slot := self._out.get(self._number)) is not None:
                self._ready.append(slot)
                self._number += 1
            if self._ready:
                return self._ready.popleft()
            if self._number >= written:
                break
            oldest = max(self._number + 1, written - self._out.count)
            self.missed += oldest - self._number
            self._number = oldest
        return None

    def _tell_end(self) -> None:
        """A guard that still lives has dropped this consumer, be it let in again or not; else it has ended."""
        try:
            enter(self._path, write=False).sock.close()
        except GuardFull:
            raise UsageError(
                "the guard has dropped this consumer because it did not read, and by now lets nobody in any more; "
                "be quicker, and raise peers_max in its [guard] table"
            ) from None
        except (GuardLost, PeerError):
            raise GuardLost(
                f"the guard at {self._path} has ended without a goodbye; act as if no answer comes"
            ) from None
        raise UsageError("the guard has dropped this consumer because it did not read; be quicker, and connect again")

    def _message(self, slot: Slot) -> Message:
        kind, reason = slot.kind & 0xFF, slot.kind >> 8
        if kind not in (ANSWER, SAFE_VALUE, EXPECTED) or reason >= len(REASONS) or slot.stream >= len(self.streams):
            raise PeerError(f"the guard sent a message of an unknown kind: {slot[:7]}")
        return Message(
            self.streams[slot.stream],
            slot.frame,
            slot.captured_ns,
            slot.moment_ns,
            "answer" if kind == ANSWER else "safe_value",
            kind == EXPECTED,
            REASONS[reason],
            slot.epoch,
            slot.payload,
        )

    def close(self) -> None:
        """Leave."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
