"""One direction of an emulated link: a shared bottleneck, then a delay line. It owns no socket and no clock.

    offer(flow, bytes) -> queue per flow -> bottleneck (one chunk at a time, flows by turns) -> delay line -> advance()

Rules: bytes of a flow keep their order and none is lost; a chunk leaves the bottleneck when its last byte has been sent
at the rate then in force; propagation delays bytes without taking up the bottleneck; the delay line is first in, first
out for the whole direction (a round trip that shrinks does not let later bytes overtake); while frozen nothing moves,
and what was under way arrives after the thaw. Each buffer has a limit, and a full one is the caller's sign to stop
reading (`room`). Time is an argument: integer nanoseconds.
"""

import enum
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from hedgerow.emulation.conditions import LinkConditions

_NS_PER_S: Final = 1_000_000_000
_NOTHING: Final = memoryview(b"")


class Kind(enum.Enum):
    """What a parcel carries."""

    DATA = "data"
    END = "end"
    CONNECT = "connect"
    OPENED = "opened"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class PipeLimits:
    """The bounds of one direction."""

    queue_bytes_min: int = 32 * 1024
    """A flow's queue before the bottleneck holds at least this much ..."""
    queue_s: float = 0.1
    """... or what the bottleneck sends in this time, if that is more ..."""
    queue_bytes_max: int = 256 * 1024
    """... but never more than this, which also serves when the rate is unlimited."""
    chunk_s: float = 0.002
    """A turn at the bottleneck is what it sends in this time ..."""
    chunk_bytes_min: int = 1448
    """... but at least this (an Ethernet packet's payload) ..."""
    chunk_bytes_max: int = 8 * 1024
    """... and at most this."""
    in_flight_bytes_max: int = 64 * 1024 * 1024
    """The delay line holds at most this (and one chunk); then the bottleneck waits."""


@dataclass(slots=True, eq=False)
class Flow:
    """One connection's bytes in one direction. `blocked`: its bytes may not enter the bottleneck (yet)."""

    owner: int
    queued: deque[tuple[int, memoryview]] = field(default_factory=deque)
    queued_bytes: int = 0
    blocked: bool = True
    waiting: bool = False
    ending: bool = False
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Parcel:
    """Something that comes out at the far end. `data` is empty unless the kind is DATA."""

    flow: Flow
    kind: Kind
    data: memoryview = _NOTHING


class Pipe:
    """See the module's head. Not thread-safe: one thread drives it."""

    def __init__(self, limits: PipeLimits | None = None) -> None:
        self.limits = limits or PipeLimits()
        self.passed_bytes = 0
        self._rate: float | None = None
        self._delay_ns = 0
        self._frozen = False
        self._turns: deque[Flow] = deque()
        self._serving: Parcel | None = None
        self._left_bytes = 0.0
        self._since_ns = 0
        self._line: deque[tuple[int, Parcel]] = deque()
        self._line_bytes = 0
        self._last_due_ns = 0

    def set_conditions(self, rate: float | None, conditions: LinkConditions, *, now_ns: int) -> None:
        """Take over a rate (bytes a second; None unlimited, 0 none), the delay and whether all stands still.

        Call `advance(now_ns)` before, so that what was due under the old conditions is out.
        """
        if self._serving is not None:
            sent = 0.0 if self._frozen or self._rate is None else (now_ns - self._since_ns) * self._rate / _NS_PER_S
            self._left_bytes = max(0.0, self._left_bytes - max(0.0, sent))
        if self._serving is not None or self._frozen:
            self._since_ns = now_ns
        self._rate, self._delay_ns, self._frozen = rate, conditions.one_way_ns, conditions.frozen

    def room(self, flow: Flow) -> int:
        """How many more bytes this flow may offer now, 0 or more."""
        return max(0, self._queue_bytes() - flow.queued_bytes)

    def worth_reading(self, flow: Flow) -> bool:
        """Whether a quarter of the flow's queue is free: reading for less would only cost processor time."""
        return self.room(flow) * 4 >= self._queue_bytes()

    def offer(self, flow: Flow, data: bytes, *, now_ns: int) -> None:
        """Take bytes in. The caller respects `room`."""
        flow.queued.append((now_ns, memoryview(data)))
        flow.queued_bytes += len(data)
        self._wait(flow)

    def end(self, flow: Flow, *, now_ns: int) -> None:
        """No more bytes will be offered; an END follows the last one."""
        flow.ending = True
        if not flow.queued and not (self._serving and self._serving.flow is flow):
            self._send(Parcel(flow, Kind.END), now_ns)

    def mark(self, flow: Flow, kind: Kind, *, now_ns: int) -> None:
        """Put a sign on the delay line at once, past the queue."""
        self._send(Parcel(flow, kind), now_ns)

    def block(self, flow: Flow, blocked: bool, *, now_ns: int) -> None:
        """Keep a flow's bytes from the bottleneck, or let them in again."""
        if flow.blocked and not blocked and flow.queued:
            _, head = flow.queued.popleft()
            flow.queued.appendleft((now_ns, head))
        flow.blocked = blocked
        self._wait(flow)

    def forget(self, flow: Flow) -> None:
        """The connection is gone: nothing of this flow comes out any more."""
        flow.dead = True
        flow.queued.clear()
        flow.queued_bytes = 0

    def advance(self, *, now_ns: int) -> list[Parcel]:
        """Everything that has arrived at the far end by `now_ns`, in order."""
        out: list[Parcel] = []
        if self._frozen:
            return out
        while True:
            self._serve(now_ns)
            arrived = len(out)
            while self._line and self._line[0][0] <= now_ns:
                parcel = self._line.popleft()[1]
                self._line_bytes -= len(parcel.data)
                if not parcel.flow.dead:
                    self.passed_bytes += len(parcel.data)
                    out.append(parcel)
            if len(out) == arrived:
                return out

    def next_wakeup_ns(self) -> int | None:
        """When `advance`, just called, has something to do next; None if only new input or conditions bring that about."""
        if self._frozen:
            return None
        finish_ns = self._finish_ns()
        due_ns = self._line[0][0] if self._line else None
        return min((moment for moment in (finish_ns, due_ns) if moment is not None), default=None)

    def _serve(self, now_ns: int) -> None:
        while True:
            if self._serving is None and not self._take(now_ns):
                return
            finish_ns = self._finish_ns()
            if self._serving is None or finish_ns is None or finish_ns > now_ns:
                return
            parcel, self._serving, self._since_ns = self._serving, None, finish_ns
            self._send(parcel, finish_ns)
            flow = parcel.flow
            if flow.ending and not flow.queued and not flow.dead:
                self._send(Parcel(flow, Kind.END), finish_ns)

    def _finish_ns(self) -> int | None:
        if self._serving is None or self._rate == 0:
            return None
        return self._since_ns + (0 if self._rate is None else round(self._left_bytes * _NS_PER_S / self._rate))

    def _take(self, now_ns: int) -> bool:
        """Begin with the next flow's chunk. The bottleneck starts it when free, but not before it was there."""
        if self._line_bytes >= self.limits.in_flight_bytes_max:
            self._since_ns = max(self._since_ns, now_ns)
            return False
        while self._turns:
            flow = self._turns.popleft()
            flow.waiting = False
            if flow.dead or flow.blocked or not flow.queued:
                continue
            arrived_ns, head = flow.queued.popleft()
            size = self._chunk_bytes()
            if len(head) > size:
                flow.queued.appendleft((arrived_ns, head[size:]))
                head = head[:size]
            flow.queued_bytes -= len(head)
            self._wait(flow)
            self._serving, self._left_bytes = Parcel(flow, Kind.DATA, head), float(len(head))
            self._since_ns = max(self._since_ns, arrived_ns)
            return True
        return False

    def _queue_bytes(self) -> int:
        limits = self.limits
        if self._rate is None:
            return limits.queue_bytes_max
        return min(limits.queue_bytes_max, max(limits.queue_bytes_min, round(self._rate * limits.queue_s)))

    def _chunk_bytes(self) -> int:
        limits = self.limits
        if self._rate is None:
            return limits.queue_bytes_max
        return min(limits.chunk_bytes_max, max(limits.chunk_bytes_min, round(self._rate * limits.chunk_s)))

    def _wait(self, flow: Flow) -> None:
        if not (flow.waiting or flow.blocked or flow.dead) and flow.queued:
            flow.waiting = True
            self._turns.append(flow)

    def _send(self, parcel: Parcel, now_ns: int) -> None:
        self._last_due_ns = max(self._last_due_ns, now_ns + self._delay_ns)
        self._line.append((self._last_due_ns, parcel))
        self._line_bytes += len(parcel.data)
