import socket

import pytest

from hedgerow.emulation import sockets
from hedgerow.errors import HostError

from .peers import connect


def test_a_tuned_socket_has_small_buffers_and_no_nagle() -> None:
    with socket.socket() as sock:
        sockets.tune(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * sockets.BUFFER_BYTES
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getblocking()


def test_a_port_survives_being_refused_and_dropped() -> None:
    with sockets.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        for _ in range(2):
            sockets.refuse_arrivals(listener, True)
            with pytest.raises(ConnectionRefusedError):
                connect(port)
            sockets.refuse_arrivals(listener, False)
            assert sockets.drop_arrivals(listener, True)
            with pytest.raises(TimeoutError):
                connect(port, 0.1)
            assert sockets.drop_arrivals(listener, False)
            connect(port).close()
        with pytest.raises(HostError, match="in use"):
            sockets.listen("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_this_machines_fault() -> None:
    with pytest.raises(HostError, match="cannot be listened on"):
        sockets.listen("192.0.2.1", 0)


def test_an_abort_is_seen_as_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, connect(listener.getsockname()[1]) as sock:
        accepted, _ = listener.accept()
        sockets.abort(accepted)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
