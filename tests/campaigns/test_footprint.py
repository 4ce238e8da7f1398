"""A thread, a socket, a file, a child process that is left over is found and named; what is just ending is waited for."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

from hedgerow.campaigns.footprint import Footprint, settled


def test_nothing_left_is_nothing_told() -> None:
    before = Footprint.now()
    assert settled(before)[1] == []


def test_a_thread_that_is_left_is_named_and_one_that_ends_is_waited_for() -> None:
    before, over = Footprint.now(), threading.Event()
    thread = threading.Thread(target=over.wait, name="forgotten")
    thread.start()
    assert settled(before, settle_s=0.05)[1] == ["thread forgotten"]
    threading.Timer(0.1, over.set).start()
    assert settled(before)[1] == []
    thread.join()


def test_a_socket_a_file_and_a_child_that_are_left_are_told(tmp_path: Path) -> None:
    before = Footprint.now()
    with (
        socket.create_server(("127.0.0.1", 0)),
        (tmp_path / "kept").open("w"),
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child,
    ):
        more = settled(before, settle_s=0.05)[1]
        child.communicate()
    assert f"file {tmp_path / 'kept'}" in more
    assert "1 sockets" in more
    assert any(each.startswith("process python") for each in more)
    assert settled(before)[1] == []


def test_another_process_is_looked_at_from_outside() -> None:
    code = "import socket; input(); kept = socket.create_server(('127.0.0.1', 0)); print('kept', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        before = Footprint.now(child.pid)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "kept\n"
        assert settled(before, child.pid, settle_s=0.05)[1] == ["1 sockets"]
        child.communicate("\n")
