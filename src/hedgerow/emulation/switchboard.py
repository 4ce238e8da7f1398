"""The relay's inside: sockets on both sides, a pipe in each direction, one `select`. It owns no thread and no course.

A connection's life, each step a sign on a pipe's delay line, so that a blackout holds it as it holds bytes:

    accepted -> CONNECT travels up -> connecting to the server -> OPENED travels down -> the client's bytes may go up
    refused or reset by one peer -> RESET travels on -> both sockets closed with a reset

`swallow` loses what arrives in one direction, `trip` resets a connection once so much of a direction has crossed: faults
that hit one stage of an exchange.

Rules: one thread drives it; what one peer does wrong ends its own connection only; bytes that were swallowed are missing
for good, so their connection is reset when the loss ends (TCP's own repeats are not emulated).
"""

import errno
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from hedgerow.emulation import sockets
from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.connection import Connection, Side
from hedgerow.emulation.pipe import Kind, Parcel, Pipe, PipeLimits
from hedgerow.errors import UsageError

_READ_BYTES_MAX: Final = 64 * 1024
_SELECT_FDS_MAX: Final = 1024
_NO_DESCRIPTOR_S: Final = 0.05

Address = tuple[socket.AddressFamily, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """The relay's bounds. Connections beyond the maximum wait unaccepted in the kernel's list of arrivals."""

    connections_max: int = 128
    out_bytes_max: int = 256 * 1024
    """A peer that does not read keeps its flow from the bottleneck once more than this waits for it."""
    pipe: PipeLimits = field(default_factory=PipeLimits)


@dataclass(frozen=True, slots=True)
class RelayStats:
    """Counts since the start: payload bytes that came out at the far end, connections."""

    uplink_bytes: int
    downlink_bytes: int
    connections: int
    accepted: int
    resets: int
    tripped: int = 0


@dataclass(frozen=True, slots=True)
class Trip:
    """Resets the first connection on which `after_bytes` more come out of the pipe `way` ("up", "down"); "connect": the
    next one that is opened."""

    way: str
    after_bytes: int = 0


def resolve(host: str, port: int) -> Address:
    """The first address of the upstream. Raises UsageError when there is none."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise UsageError(f"cannot resolve {host}:{port}: {error}; give --to HOST:PORT of the server") from None
    return family, address


class Switchboard:
    """Moves bytes between the sockets through the pipes. Takes over `listener` and closes it."""

    def __init__(self, listener: socket.socket, upstream: Address, limits: RelayLimits) -> None:
        self._listener, self._upstream, self._limits = listener, upstream, limits
        self._up, self._down = Pipe(limits.pipe), Pipe(limits.pipe)
        self._connections: dict[int, Connection] = {}
        self._accepted = self._resets = 0
        self._arrivals = "open"
        self._no_descriptor_until_ns = 0
        self._swallowed = ""
        self._holed: set[int] = set()
        self._trip: Trip | None = None
        self._crossed: dict[int, int] = {}
        self.tripped = 0

    def apply(self, conditions: LinkConditions, *, now_ns: int) -> None:
        """Take over what the link is like from now on."""
        self._move(now_ns)
        self._up.set_conditions(conditions.uplink_bytes_per_s, conditions, now_ns=now_ns)
        self._down.set_conditions(conditions.downlink_bytes_per_s, conditions, now_ns=now_ns)
        arrivals = "lost" if conditions.blackout else "refused" if conditions.refused else "open"
        if arrivals != self._arrivals:
            if "refused" in (arrivals, self._arrivals):
                sockets.refuse_arrivals(self._listener, arrivals == "refused")
            if "lost" in (arrivals, self._arrivals):
                sockets.drop_arrivals(self._listener, arrivals == "lost")
            self._arrivals = arrivals

    def turn(self, waker: socket.socket, wake_ns: int) -> None:
        """Do what is due, wait until the next moment, byte or byte on `waker` (which is read), take the bytes in."""
        self._move(time.monotonic_ns())
        readers, writers = self._wanted()
        for pipe in (self._up, self._down):
            pipe_ns = pipe.next_wakeup_ns()
            wake_ns = wake_ns if pipe_ns is None else min(wake_ns, pipe_ns)
        timeout_s = max(0, wake_ns - time.monotonic_ns()) / 1e9
        readable, writable, _ = select.select([waker, *readers], writers, [], timeout_s)
        now_ns = time.monotonic_ns()
        for sock in writable:
            writers[sock](now_ns)
        for sock in readable:
            if sock is waker:
                waker.recv(4096)
            else:
                readers[sock](now_ns)

    def reset_all(self) -> None:
        """Kill every connection with a reset on both sides."""
        for connection in list(self._connections.values()):
            self._drop(connection, reset=True)

    def swallow(self, way: str) -> None:
        """Lose all that comes out of the pipe "up" or "down"; "" ends it and resets the connections that lost something."""
        self._swallowed = way
        if not way:
            for number in self._holed & self._connections.keys():
                self._drop(self._connections[number], reset=True)
            self._holed.clear()

    def set_trip(self, trip: Trip | None) -> None:
        """Arm it (the bytes are counted from now), or take it back; it goes off once."""
        self._trip = trip
        self._crossed.clear()

    def stats(self) -> RelayStats:
        """The counts so far."""
        return RelayStats(
            self._up.passed_bytes,
            self._down.passed_bytes,
            len(self._connections),
            self._accepted,
            self._resets,
            self.tripped,
        )

    def close(self) -> None:
        """Give every socket back."""
        self.reset_all()
        self._listener.close()

    def _wanted(self) -> tuple[dict[socket.socket, Callable[[int], None]], dict[socket.socket, Callable[[int], None]]]:
        """Whom to read from (there is room) and whom to write to (something waits, or the connect is under way)."""
        readers: dict[socket.socket, Callable[[int], None]] = {}
        writers: dict[socket.socket, Callable[[int], None]] = {}
        room = len(self._connections) < self._limits.connections_max
        if room and self._arrivals != "refused" and time.monotonic_ns() >= self._no_descriptor_until_ns:
            readers[self._listener] = self._accept
        for connection in self._connections.values():
            for side, pipe in ((connection.client, self._up), (connection.server, self._down)):
                if side.sock is None:
                    continue
                if not side.connected or side.out:
                    writers[side.sock] = partial(self._write, connection, side)
                if side.connected and not side.read_ended and pipe.worth_reading(side.flow):
                    readers[side.sock] = partial(self._read, connection, side)
        return readers, writers

    def _move(self, now_ns: int) -> None:
        """Carry out all that has arrived; again, since what arrives in one pipe may let bytes into the other."""
        arrived = True
        while arrived:
            arrived = False
            for pipe in (self._up, self._down):
                for parcel in pipe.advance(now_ns=now_ns):
                    arrived = True
                    if not parcel.flow.dead:
                        self._carry_out(parcel, now_ns)

    def _carry_out(self, parcel: Parcel, now_ns: int) -> None:
        connection = self._connections[parcel.flow.owner]
        way, side = ("up", connection.server) if parcel.flow is connection.client.flow else ("down", connection.client)
        if way == self._swallowed:
            self._holed.add(connection.number)
            return
        match parcel.kind:
            case Kind.DATA:
                left = self._left_before_trip(connection, way, len(parcel.data))
                side.out += parcel.data[:left]
                self._write(connection, side, now_ns)
                if left is not None and connection.number in self._connections:
                    self._go_off(connection)
            case Kind.END:
                side.write_ending = True
                self._write(connection, side, now_ns)
            case Kind.CONNECT:
                self._connect(connection, now_ns)
            case Kind.OPENED:
                connection.opened = True
                self._up.block(connection.client.flow, False, now_ns=now_ns)
            case Kind.RESET:
                self._drop(connection, reset=True)

    def _left_before_trip(self, connection: Connection, way: str, size_bytes: int) -> int | None:
        """How many of these bytes still cross before the trip goes off; None if it does not."""
        if self._trip is None or self._trip.way != way:
            return None
        before = self._crossed.get(connection.number, 0)
        self._crossed[connection.number] = before + size_bytes
        left = self._trip.after_bytes - before
        return left if size_bytes >= left else None

    def _go_off(self, connection: Connection) -> None:
        self.tripped += 1
        self.set_trip(None)
        self._drop(connection, reset=True)

    def _accept(self, now_ns: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # the arrival stays in the kernel's list
                self._no_descriptor_until_ns = now_ns + round(_NO_DESCRIPTOR_S * 1e9)
            return
        if sock.fileno() >= _SELECT_FDS_MAX - 1:
            sockets.abort(sock)
            return
        sockets.tune(sock)
        self._accepted += 1
        connection = Connection(self._accepted, sock)
        self._connections[connection.number] = connection
        if self._trip is not None and self._trip.way == "connect":
            self._go_off(connection)
            return
        self._up.mark(connection.client.flow, Kind.CONNECT, now_ns=now_ns)

    def _connect(self, connection: Connection, now_ns: int) -> None:
        family, address = self._upstream
        side = connection.server
        try:
            side.sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.tune(side.sock)
            result = side.sock.connect_ex(address)
        except OSError as error:
            result = error.errno or errno.EIO
        if result not in (0, errno.EINPROGRESS) or side.sock is None or side.sock.fileno() >= _SELECT_FDS_MAX:
            self._broken(connection, side, now_ns)

    def _write(self, connection: Connection, side: Side, now_ns: int) -> None:
        try:
            if side.sock is not None and not side.connected:
                self._finish_connect(connection, side, side.sock, now_ns)
            side.write()
        except OSError:
            self._broken(connection, side, now_ns)
            return
        source, pipe = connection.other(side).flow, self._up if side is connection.server else self._down
        full = len(side.out) > self._limits.out_bytes_max
        if connection.opened and full != source.blocked:
            pipe.block(source, full, now_ns=now_ns)
        if connection.over:
            self._drop(connection, reset=False)

    def _finish_connect(self, connection: Connection, side: Side, sock: socket.socket, now_ns: int) -> None:
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "the server cannot be reached")
        side.connected = True
        self._down.mark(side.flow, Kind.OPENED, now_ns=now_ns)
        self._down.block(side.flow, False, now_ns=now_ns)

    def _read(self, connection: Connection, side: Side, now_ns: int) -> None:
        if side.sock is None or side.flow.dead:
            return
        pipe = self._up if side is connection.client else self._down
        try:
            data = side.sock.recv(min(_READ_BYTES_MAX, pipe.room(side.flow)))
        except BlockingIOError:
            return
        except OSError:
            self._broken(connection, side, now_ns)
            return
        if data:
            pipe.offer(side.flow, data, now_ns=now_ns)
        else:
            side.read_ended = True
            pipe.end(side.flow, now_ns=now_ns)
            if connection.over:
                self._drop(connection, reset=False)

    def _broken(self, connection: Connection, side: Side, now_ns: int) -> None:
        """A peer is gone: close its socket, and let the news travel to the other one."""
        if side.sock is not None:
            sockets.abort(side.sock)
            side.sock = None
        side.read_ended = side.write_ended = True
        side.out.clear()
        pipe = self._up if side is connection.client else self._down
        pipe.mark(side.flow, Kind.RESET, now_ns=now_ns)

    def _drop(self, connection: Connection, *, reset: bool) -> None:
        self._resets += reset
        self._holed.discard(connection.number)
        self._crossed.pop(connection.number, None)
        connection.close(reset=reset)
        self._up.forget(connection.client.flow)
        self._down.forget(connection.server.flow)
        del self._connections[connection.number]
