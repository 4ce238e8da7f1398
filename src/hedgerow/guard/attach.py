"""What the session's and the camera's process use: announce a frame before it is worked on, answer it, notice a dead guard.

Rules: nothing here waits for the guard after `attach`; a stale or a second answer harms no other frame; `GuardLost` is raised
when the guard is gone or its heartbeat has stopped, and the caller goes on without it.
"""

import contextlib
import json
import mmap
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from hedgerow.errors import GuardFull, GuardLost, HostError, PeerError, UsageError
from hedgerow.guard.memory import VERSION, Ring, Slot, places

ENVIRONMENT = "HEDGEROW_GUARD"
EPOCH = "HEDGEROW_GUARD_EPOCH"
CONNECT_S = 5.0
HEARTBEATS_MISSED_MAX = 5
_TORN_READS_MAX = 100
_GREETING_BYTES_MAX = 1 << 18
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Door:
    """What the guard hands to everybody whom it lets in."""

    sock: socket.socket
    description: dict[str, Any]
    rings: list[Ring]

    @property
    def silence_s_max(self) -> float:
        """A guard that has not been heard of for this long is lost."""
        return HEARTBEATS_MISSED_MAX * float(self.description["heartbeat_ns"]) / 1e9

    def state(self, number: int) -> Slot:
        """A state slot; it is torn only for the microsecond in which the guard writes it."""
        for _ in range(_TORN_READS_MAX):
            slot = self.rings[0].get(number)
            if slot is not None:
                return slot
            time.sleep(0)
        raise GuardLost("the guard's state in shared memory cannot be read; it died while writing, or was overwritten")


def guard_path(path: str | os.PathLike[str] | None) -> str:
    """The guard's socket: as given, or from the environment that the guard gives to its session."""
    found = os.fspath(path) if path is not None else os.environ.get(ENVIRONMENT)
    if not found:
        raise UsageError(f"no guard: give its socket, or run below `hedgerow guard`, which sets {ENVIRONMENT}")
    return found


def enter(path: str, *, write: bool) -> Door:
    """Connect to the guard; GuardLost if none listens there, GuardFull if it lets nobody in, PeerError if it is none or of another version."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.settimeout(CONNECT_S)
        try:
            sock.connect(path)
            _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            greeting, fds, _, _ = socket.recv_fds(sock, _GREETING_BYTES_MAX, 1)
        except OSError as error:
            raise GuardLost(f"no guard answers at {path}: {error}; start one with `hedgerow guard`") from None
        if uid not in (0, os.geteuid()):
            raise PeerError(f"the guard at {path} belongs to user {uid}, not to you; it is not used")
        if not greeting or not fds:
            raise GuardFull(f"the guard at {path} lets nobody in any more; raise peers_max in its [guard] table")
        return _open(sock, greeting, fds[0], write)
    except BaseException:
        sock.close()
        raise


def _open(sock: socket.socket, greeting: bytes, memory_fd: int, write: bool) -> Door:
    try:
        description = json.loads(greeting)
        if description["version"] != VERSION:
            raise PeerError(
                f"the guard's memory is of version {description['version']}, this is for {VERSION}; use one Hedgerow for both"
            )
        *found, (size, _, _) = places(description)
        if os.fstat(memory_fd).st_size != size:
            raise PeerError("the guard's memory has not the size of its description; start the guard again")
        memory = mmap.mmap(memory_fd, size, prot=mmap.PROT_READ | (mmap.PROT_WRITE if write else 0))
    except (ValueError, KeyError, TypeError) as error:
        raise PeerError(f"what answers at the guard's socket is no guard: {error!r}") from None
    finally:
        os.close(memory_fd)
    return Door(sock, description, [Ring(memory, *place) for place in found])


class Attachment:
    """The guard as its session and its camera see it; any thread may call.

    `path` is the guard's socket (default: from the environment). One process announces a stream's frames: the one that owns
    the camera. Raises GuardLost, PeerError, UsageError.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.door = enter(guard_path(path), write=True)
        self.door.sock.setblocking(False)
        self.epoch = int(os.environ.get(EPOCH, "0"))
        self.streams: dict[str, dict[str, Any]] = {each["name"]: each for each in self.door.description["streams"]}
        self._index = {name: index for index, name in enumerate(self.streams)}
        self._announced = [-1] * len(self.streams)
        self._answered: list[dict[int, int]] = [{} for _ in self.streams]
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._closed = False
        if self.epoch:
            with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write("500")  # when memory runs out, the session goes, not the guard

    @property
    def bound_ns(self) -> int:
        """So long before the deadline the guard emits the safe value."""
        return int(self.door.description["bound_ns"])

    def announce(self, stream: str, captured_ns: int | None = None, deadline_ns: int | None = None) -> int:
        """Tell of a frame before it is worked on; returns its number, which the answer must name.

        `captured_ns` and `deadline_ns` are moments of time.monotonic_ns (default: now, and the stream's deadline after it;
        a later one than that is not honoured). HostError if more frames are open than the stream has slots.
        """
        index, settings = self._known(stream), self.streams[stream]
        captured_ns = time.monotonic_ns() if captured_ns is None else captured_ns
        deadline_ns = captured_ns + settings["deadline_ns"] if deadline_ns is None else deadline_ns
        with self._lock:
            self.check()
            state, ring = self.door.state(1 + index), self.door.rings[2 + 2 * index]
            frame = max(self._announced[index] + 1, state.frame)
            if frame - state.captured_ns >= ring.count:
                raise HostError(
                    f"{ring.count} frames of stream '{stream}' are open; give it more slots, or a longer period"
                )
            ring.put(Slot(frame, frame, captured_ns, deadline_ns, self.epoch, index))
            self._announced[index] = frame
            self._ring()
        return frame

    def answer(self, stream: str, frame: int, payload: bytes) -> bool:
        """Give a frame's answer; False if the frame is so old that its slot serves another. UsageError if it is too large.

        The guard drops an answer that comes after the frame's safe value, and counts it. `check` says whether it listens.
        """
        index = self._known(stream)
        ring = self.door.rings[3 + 2 * index]
        if len(payload) > ring.payload_bytes_max:
            raise UsageError(
                f"an answer of {len(payload)} bytes on stream '{stream}': at most {ring.payload_bytes_max}; "
                "raise payload_bytes_max or send less"
            )
        with self._lock:
            self._check_open()
            if self._answered[index].get(frame % ring.count, -1) >= frame:
                return False  # the slot serves a later frame by now
            self._answered[index][frame % ring.count] = frame
            ring.put(Slot(frame, frame, 0, 0, self.epoch, index, 0, payload))
            self._ring()
            return True

    def check(self) -> None:
        """GuardLost unless the guard lives: it hangs up when it dies, and its heartbeat stops when it is stopped."""
        self._check_open()
        if select.select([self.door.sock], [], [], 0)[0]:  # the guard says nothing here but its end
            raise GuardLost("the guard has ended; answers go nowhere until there is a new one")
        silent_s = (time.monotonic_ns() - self.door.state(0).moment_ns) / 1e9
        if silent_s > self.door.silence_s_max:
            raise GuardLost(f"the guard has given no sign for {silent_s:.1f} s; it is stopped or starved")

    def watch(self, on_lost: Callable[[GuardLost], None]) -> None:
        """Call `on_lost` once, on a thread of its own, when the guard is gone or silent."""
        self._watcher = threading.Thread(target=self._watch, args=(on_lost,), name="hedgerow-guard-watch", daemon=True)
        self._watcher.start()

    def _watch(self, on_lost: Callable[[GuardLost], None]) -> None:
        while not self._closed:
            with contextlib.suppress(OSError, ValueError):
                select.select([self.door.sock], [], [], self.door.silence_s_max / HEARTBEATS_MISSED_MAX)
            try:
                with self._lock:
                    if not self._closed:
                        self.check()
            except GuardLost as error:
                return on_lost(error)

    def close(self) -> None:
        """Leave the guard; announced frames get their safe values."""
        with self._lock:
            self._closed = True
        with contextlib.suppress(OSError):
            self.door.sock.shutdown(socket.SHUT_RDWR)  # wakes the watcher
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(2.0)
        self.door.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _known(self, stream: str) -> int:
        if stream not in self._index:
            raise UsageError(f"the guard has no stream '{stream}'; there are: {', '.join(self._index)}")
        return self._index[stream]

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("this attachment to the guard is closed")

    def _ring(self) -> None:
        try:
            self.door.sock.send(b"!")
        except BlockingIOError:
            pass  # so many rings are unheard that one more tells nothing
        except OSError as error:
            raise GuardLost(f"the guard has ended: {error}") from None
