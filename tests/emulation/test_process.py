import os
import signal
import threading

import pytest

from hedgerow.emulation import process
from hedgerow.emulation.relay import Relay
from hedgerow.errors import HostError

from .peers import echo_server


def test_commands_are_answered_in_order_and_the_end_of_input_ends_it() -> None:
    reader, writer = os.pipe()
    said: list[str] = []
    os.write(writer, b"stall on\n\nnonsense\nsta")
    os.write(writer, b"ll off\n" + b"x" * 1500)
    os.close(writer)
    with echo_server() as server:
        relay = Relay("127.0.0.1", server.port, start_clock=False)
        process.run(relay, "there:1", control_fd=reader, json_lines=False, say=said.append)
    os.close(reader)
    assert said[0] == f"relaying 127.0.0.1:{relay.port} -> there:1 (emulated link)"
    assert said[1] == "ok stall on"
    assert said[2].startswith("error unknown command 'nonsense'")
    assert said[3] == "ok stall off"
    assert said[4].startswith("error a line is longer")
    assert len(said) == 5


def test_a_signal_ends_it_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        os.kill(os.getpid(), signal.SIGTERM)

    with echo_server() as server:
        process.run(Relay("127.0.0.1", server.port), "there:1", control_fd=None, json_lines=False, say=say)
    assert len(said) == 1
    assert signal.getsignal(signal.SIGTERM) == before
    assert "emulated-link" not in {thread.name for thread in threading.enumerate()}


def test_a_port_in_use_is_reported_before_anything_is_said() -> None:
    said: list[str] = []
    with echo_server() as server:
        relay = Relay("127.0.0.1", server.port, listen_port=server.port)
        with pytest.raises(HostError, match="in use"):
            process.run(relay, "there:1", control_fd=None, json_lines=False, say=said.append)
    assert said == []
