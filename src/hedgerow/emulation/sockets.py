"""The relay's few tricks with Linux sockets, one function each.

Rules: small buffers, so that a sender's kernel soon feels the bottleneck; segments of an Ethernet frame's size, since
loopback's of 64 kB do not go with small buffers; a trick that the system does not offer is reported, not required.
"""

import contextlib
import ctypes
import errno
import socket
import struct
from typing import Final

from hedgerow.errors import HostError

BUFFER_BYTES: Final = 32 * 1024
SEGMENT_BYTES: Final = 1448
BACKLOG: Final = 64
_PR_SET_TIMERSLACK: Final = 29
_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27


def fine_timers() -> None:
    """Let this thread's waits end within microseconds of what was asked (PR_SET_TIMERSLACK 1 ns)."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def tune(sock: socket.socket) -> None:
    """Non-blocking, no Nagle, small buffers, small segments, a congestion control that does not pace."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * BUFFER_BYTES)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")


def listen(host: str, port: int) -> socket.socket:
    """A tuned listening socket. Raises HostError when the port is taken or not allowed."""
    try:
        sock = _bound(host, port)
        if port == 0:
            # Linux gives a port back when its listener is refused arrivals, unless it was asked for by number.
            port = int(sock.getsockname()[1])
            sock.close()
            sock = _bound(host, port)
        sock.listen(BACKLOG)
    except OSError as error:
        what = "is in use; stop its owner or choose another (0 = any free one)"
        if error.errno != errno.EADDRINUSE:
            what = f"cannot be listened on: {error.strerror}"
        raise HostError(f"port {port} of {host} {what}") from None
    return sock


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tune(sock)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def drop_arrivals(listener: socket.socket, drop: bool) -> bool:
    """Make the kernel lose the first packets of new connections (a socket filter that keeps nothing), or stop that.

    Returns whether it could; needs no rights on Linux.
    """
    try:
        if drop:
            keep_nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
            program = struct.pack("HL", 1, ctypes.addressof(keep_nothing))
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        else:
            listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    except OSError:
        return False
    return True


def refuse_arrivals(listener: socket.socket, refuse: bool) -> None:
    """Make the kernel refuse new connections, the port stays ours (Linux revives a listener that was shut down)."""
    if refuse:
        listener.shutdown(socket.SHUT_RD)
    else:
        listener.listen(BACKLOG)


def abort(sock: socket.socket) -> None:
    """Close with a reset (RST), whatever is still in its buffers."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
