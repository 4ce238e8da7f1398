"""An emulated link: a TCP relay in user space that shapes bytes both ways, delays, stalls, refuses and resets.

One thread, one `select` (its timeouts are microseconds; epoll's are milliseconds), two pipes: all connections through
the relay share one bottleneck in each direction and take turns at it. A connection costs one round trip to set up: the
kernel accepts at once, but its first bytes enter the link when an emulated handshake has gone out and come back.

Rules: every buffer is bounded and back-pressure reaches the sender; a dead server resets the client's connection and
the relay lives on; a reset by one peer crosses the link like a byte, so a blackout hides it; `stop` leaves no thread
and no socket. Not emulated: lost and reordered packets, headers, TCP's own ramp-up.
"""

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from hedgerow.emulation import sockets
from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.player import Player
from hedgerow.emulation.switchboard import RelayLimits, RelayStats, Switchboard, Trip, resolve
from hedgerow.errors import HostError, UsageError

LABEL: Final = "emulated link"
_ANSWER_S: Final = 5.0
_IDLE_NS: Final = 1_000_000_000


class Relay:
    """A link from 127.0.0.1:`port` to a server. Methods may be called from any thread; each returns when it is done.

    `player` gives the course; without one the link is unlimited until `set_conditions`. With `start_clock` False the
    course waits for `begin`. Raises UsageError for a server that cannot be resolved.
    """

    def __init__(
        self,
        to_host: str,
        to_port: int,
        *,
        listen_port: int = 0,
        listen_host: str = "127.0.0.1",
        player: Player | None = None,
        start_clock: bool = True,
        limits: RelayLimits | None = None,
    ) -> None:
        self._upstream = resolve(to_host, to_port)
        self._limits = limits or RelayLimits()
        self._listen_at = (listen_host, listen_port)
        self._player = player or Player(LinkConditions())
        self._start_clock = start_clock
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._commands: deque[tuple[Callable[[], None], threading.Event]] = deque()
        self.port = 0
        """Where it listens, once started."""

    def start(self) -> None:
        """Listen and relay. Raises HostError when the port is in use."""
        if self._thread is not None:
            raise UsageError("the relay runs already: stop it first")
        listener = sockets.listen(*self._listen_at)
        self.port = int(listener.getsockname()[1])
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._board = Switchboard(listener, self._upstream, self._limits)
        self._stopping = False
        self._begun_ns: int | None = None
        self._played_s = -1.0
        self._next_change_ns: int | None = None
        self._manual: LinkConditions | None = None
        self._held: set[str] = set()
        self._conditions = LinkConditions()
        now_ns = time.monotonic_ns()
        if self._start_clock:
            self._begin(now_ns)
        self._refresh(now_ns)
        self._thread = threading.Thread(target=self._run, name="emulated-link", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End: connections are reset, thread and sockets are gone when this returns. Twice does no harm."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping = True
            self._wake()
            thread.join()
            self._waker.close()

    def begin(self) -> None:
        """Begin (or begin again) the course now: the trace's first row and the script's second 0."""
        self._call(lambda: self._begin(time.monotonic_ns()))

    @property
    def conditions(self) -> LinkConditions:
        """What is in force now."""
        return self._conditions

    @property
    def clock_s(self) -> float | None:
        """Seconds since the course began, None while it waits."""
        return None if self._begun_ns is None else (time.monotonic_ns() - self._begun_ns) / 1e9

    def set_conditions(self, conditions: LinkConditions) -> None:
        """Take these instead of the course's, until `clear`. Scripted resets still happen."""
        self._call(lambda: setattr(self, "_manual", conditions))

    def stall(self, on: bool) -> None:
        """Hold every byte, or let go."""
        self._call(lambda: self._hold("stalled", on))

    def blackout(self, on: bool) -> None:
        """Hold every byte and lose new connections' first packets, or let go."""
        self._call(lambda: self._hold("blackout", on))

    def refuse(self, on: bool) -> None:
        """Refuse new connections, or accept them again."""
        self._call(lambda: self._hold("refused", on))

    def swallow(self, way: str) -> None:
        """Lose every byte that comes out "up" (at the server) or "down" (at the client); "" ends it, and the connections
        that lost something are reset."""
        if way not in ("", "up", "down"):
            raise UsageError(f"{way!r} is no direction: give up or down")
        self._call(lambda: self._board.swallow(way))

    def trip(self, trip: Trip | None) -> None:
        """Arm a reset at one stage, or take it back (None)."""
        self._call(lambda: self._board.set_trip(trip))

    def clear(self) -> None:
        """Take back everything that was set by hand; the course goes on."""
        self._call(self._clear)

    def reset(self) -> None:
        """Kill every connection with a reset on both sides, even in a blackout."""
        self._call(lambda: self._board.reset_all())

    def stats(self) -> RelayStats:
        """The counts since the start."""
        return self._board.stats()

    def _call(self, action: Callable[[], None]) -> None:
        """Have the relay's thread do it, and wait until it is in force."""
        if self._thread is None:
            raise UsageError("the relay does not run: start it first")
        done = threading.Event()
        self._commands.append((action, done))
        self._wake()
        if not done.wait(_ANSWER_S):
            raise HostError(f"the relay did not answer within {_ANSWER_S:g} s: its thread is gone or starved")

    def _wake(self) -> None:
        # Full: it has been woken often enough. Broken: the thread saw the end by itself and has closed its side.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._waker.send(b"!")

    def _run(self) -> None:
        sockets.fine_timers()
        try:
            while not self._stopping:
                self._obey()
                now_ns = time.monotonic_ns()
                if self._next_change_ns is not None and now_ns >= self._next_change_ns:
                    self._follow(now_ns)
                wake_ns = now_ns + _IDLE_NS if self._next_change_ns is None else self._next_change_ns
                self._board.turn(self._woken, wake_ns)
        finally:
            self._board.close()
            self._woken.close()

    def _obey(self) -> None:
        obeyed = []
        while self._commands:
            action, done = self._commands.popleft()
            action()
            obeyed.append(done)
        if obeyed:
            self._refresh(time.monotonic_ns())
        for done in obeyed:
            done.set()

    def _begin(self, now_ns: int) -> None:
        self._begun_ns, self._played_s = now_ns, -1.0
        self._follow(now_ns)

    def _follow(self, now_ns: int) -> None:
        """Bring the course up to now."""
        assert self._begun_ns is not None
        # Rounded up to a microsecond, so that a wake-up for a change never lands a rounding before it.
        time_s = ((now_ns - self._begun_ns) // 1000 + 1) / 1e6
        reset = self._player.resets(self._played_s, time_s) > 0
        self._played_s = time_s
        change_s = self._player.next_change_s(time_s)
        self._next_change_ns = None if change_s is None else self._begun_ns + round(change_s * 1e9)
        self._refresh(now_ns)
        if reset:
            self._board.reset_all()

    def _refresh(self, now_ns: int) -> None:
        """Work out what is in force, and apply it if it is new."""
        base = self._manual
        if base is None:
            base = self._player.before_start() if self._begun_ns is None else self._player.at(self._played_s)
        conditions = replace(
            base,
            stalled=base.stalled or "stalled" in self._held,
            blackout=base.blackout or "blackout" in self._held,
            refused=base.refused or "refused" in self._held,
        )
        if conditions != self._conditions:
            self._conditions = conditions
            self._board.apply(conditions, now_ns=now_ns)

    def _hold(self, what: str, on: bool) -> None:
        (self._held.add if on else self._held.discard)(what)

    def _clear(self) -> None:
        self._manual = None
        self._held.clear()
        self._board.swallow("")
        self._board.set_trip(None)
