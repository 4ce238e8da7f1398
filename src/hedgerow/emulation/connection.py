"""One TCP connection through the relay: a client's socket, a server's socket, and what waits to be written to each.

Rules: a side's bytes are written in order; the end of a side's bytes is passed on as a half-close after the last byte;
a connection is over when both halves have ended, or at once when it is reset.
"""

import socket
from dataclasses import dataclass, field

from hedgerow.emulation.pipe import Flow
from hedgerow.emulation.sockets import abort


@dataclass(slots=True, eq=False)
class Side:
    """One end of a connection. `flow` carries what is read here; `out` is what the other side's flow brought."""

    flow: Flow
    sock: socket.socket | None = None
    connected: bool = False
    read_ended: bool = False
    out: bytearray = field(default_factory=bytearray)
    write_ending: bool = False
    write_ended: bool = False

    def write(self) -> None:
        """Write what the kernel takes; half-close after the last byte. Raises OSError when the peer is gone."""
        if self.sock is None or not self.connected:
            return
        while self.out:
            try:
                del self.out[: self.sock.send(self.out)]
            except BlockingIOError:
                return
        if self.write_ending and not self.write_ended:
            self.write_ended = True
            self.sock.shutdown(socket.SHUT_WR)


class Connection:
    """A client's connection and its counterpart to the server. `opened`: the emulated handshake is over."""

    def __init__(self, number: int, client: socket.socket) -> None:
        self.number = number
        self.opened = False
        self.client = Side(Flow(number), client, connected=True)
        self.server = Side(Flow(number))

    def other(self, side: Side) -> Side:
        """The opposite end."""
        return self.server if side is self.client else self.client

    @property
    def over(self) -> bool:
        """Both directions have ended and everything is written."""
        return all(side.read_ended and side.write_ended for side in (self.client, self.server))

    def close(self, *, reset: bool) -> None:
        """Give the sockets back; with `reset` both peers see the connection die."""
        for side in (self.client, self.server):
            if side.sock is not None:
                abort(side.sock) if reset else side.sock.close()
                side.sock = None
