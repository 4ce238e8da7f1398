"""Servers and clients for the relay's tests: real sockets on 127.0.0.1."""

import ctypes
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class EchoServer:
    """Sends back what it gets, half-closes when the client does. `port` 0 = any free one."""

    def __init__(self, port: int = 0, answer: Callable[[bytes], bytes] = bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self.sockets: list[socket.socket] = []
        self.received_bytes = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            while data := sock.recv(65536):
                self.received_bytes += len(data)
                sock.sendall(self._answer(data))
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def abort(self, number: int) -> None:
        """End one connection with a reset."""
        sock = self.sockets[number]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The serving thread holds the descriptor in recv; a connect to nowhere ends a socket at once, with a reset.
        disconnect = ctypes.create_string_buffer(struct.pack("H14x", socket.AF_UNSPEC))
        ctypes.CDLL(None).connect(sock.fileno(), disconnect, 16)

    def alive(self, number: int) -> bool:
        """Whether the connection's thread still serves it; waits for a dead one's thread to end."""
        self._threads[number + 1].join(5)
        return self._threads[number + 1].is_alive()

    def close(self) -> None:
        """End every thread and socket."""
        for sock in (self._listener, *self.sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (self._listener, *self.sockets):
            sock.close()


@contextmanager
def echo_server(port: int = 0) -> Iterator[EchoServer]:
    """An echo server for a `with` block."""
    server = EchoServer(port)
    try:
        yield server
    finally:
        server.close()


def connect(port: int, timeout_s: float = 20.0) -> socket.socket:
    """A client's connection."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes, or fewer at the end of the stream."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(65536, size - len(data)))
        if not piece:
            break
        data += piece
    return bytes(data)


def silent(sock: socket.socket, for_s: float = 0.15) -> bool:
    """Nothing arrives for a while (too short a while makes a test weaker, never flaky)."""
    return not select.select([sock], [], [], for_s)[0]


def free_port() -> int:
    """A port on which nobody listens at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
