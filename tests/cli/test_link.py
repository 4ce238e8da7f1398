"""`hedgerow link` as a process of its own, as a harness runs it."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# The verb alone, so that this test stands on no other verb.
PROGRAM = """
import sys
import typer
from hedgerow.cli import link
from hedgerow.errors import HedgerowError
app = typer.Typer()
app.callback()(lambda: None)
link.register(app)
try:
    app()
except HedgerowError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@contextmanager
def upstream() -> Iterator[int]:
    """A server that greets every connection with b"hi" and closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.sendall(b"hi")

    thread = threading.Thread(target=serve)
    thread.start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def command(*options: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "link", *options]


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    with subprocess.Popen(command(*options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        ready = started.stdout.readline()
        assert ready.startswith("relaying 127.0.0.1:")
        assert ready.endswith("(emulated link)\n")
        try:
            yield started, int(ready.split()[1].rpartition(":")[2])
        finally:
            if started.poll() is None:
                started.kill()


def greeting(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        return sock.recv(2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_relays_until_a_signal_and_ends_well(number: signal.Signals) -> None:
    with (
        upstream() as port,
        running("--to", f"127.0.0.1:{port}", "--uplink-mbps", "5", "--rtt-ms", "4") as (started, at),
    ):
        assert greeting(at) == b"hi"
        started.send_signal(number)
        assert started.wait(10) == 0
        with pytest.raises(ConnectionRefusedError):
            greeting(at)


def test_it_takes_commands_and_its_clock_waits_for_start(tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('[[event]]\nat_s = 0.0\nkind = "rate"\nuplink_mbps = 7\n')
    options = ("--trace", "drive-mixed", "--script", str(script), "--control", "stdin")
    with upstream() as port, running("--to", f"127.0.0.1:{port}", *options) as (started, at):
        assert started.stdin is not None
        assert started.stdout is not None

        def ask(line: str) -> str:
            assert started.stdin is not None
            assert started.stdout is not None
            started.stdin.write(line + "\n")
            started.stdin.flush()
            return started.stdout.readline().strip()

        assert json.loads(ask("stats").removeprefix("ok stats "))["uplink_mbps"] != 7
        assert ask("start") == "ok start"
        assert json.loads(ask("stats").removeprefix("ok stats "))["uplink_mbps"] == 7
        assert ask("set rtt_ms=0") == "ok set rtt_ms=0"
        assert greeting(at) == b"hi"
        assert ask("jump").startswith("error ")
        started.stdin.close()
        assert started.wait(10) == 0


def test_it_reports_a_line_a_second_when_asked() -> None:
    with running("--to", "127.0.0.1:9", "--json") as (started, _):
        assert started.stdout is not None
        assert json.loads(started.stdout.readline())["emulated"] is True


def test_a_port_in_use_is_this_machines_fault() -> None:
    with upstream() as port:
        done = subprocess.run(
            command("--to", "127.0.0.1:9", "--listen", str(port)), capture_output=True, text=True, check=False
        )
    assert done.returncode == 6
    assert "in use" in done.stderr


BAD_TRACE = "time_s,rtt_ms,uplink_mbps,radio\n0.0,50,8,x\n0.2,oops,8,x\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to", "nowhere"), "HOST:PORT"),
        (("--to", "127.0.0.1:70000"), "HOST:PORT"),
        (("--to", "127.0.0.1:9", "--trace", "TRACE"), "line 3: rtt_ms is 'oops'"),
        (("--to", "127.0.0.1:9", "--trace", "drive-mixed", "--rtt-ms", "3"), "exclude each other"),
        (("--to", "127.0.0.1:9", "--rtt-offset-ms", "3"), "shifts a trace"),
        (("--to", "127.0.0.1:9", "--uplink-mbps", "-1"), "uplink_mbps is -1"),
        (("--to", "127.0.0.1:9", "--script", "absent.toml"), "no script"),
    ],
)
def test_bad_input_is_refused_with_one_clear_line(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    trace = tmp_path / "bad.csv"
    trace.write_text(BAD_TRACE)
    words = [str(trace) if word == "TRACE" else word for word in options]
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
