"""The demo's other processes: started on their cores, read without waiting, ended with the demo however that ends.

Rules: each is ended by its own handle; none outlives its parent (on Linux the kernel sees to it); what they say on
standard error goes to a file beside the results.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hedgerow.errors import HostError, LinkError

_PR_SET_PDEATHSIG = 1
_STOP_TIMEOUT_S = 5.0


def two_cores() -> tuple[int | None, int | None]:
    """(the device's core, the core of server, relay and screen); None where cores cannot be chosen or there is but one."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def settle_on(core: int | None) -> None:
    """Bind this process to `core`; a refusal is no error, the system then places it."""
    if core is not None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {core})


def _before_start(core: int | None) -> Callable[[], None]:
    prctl: Any = getattr(ctypes.CDLL(None), "prctl", None)

    def prepare() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        settle_on(core)

    return prepare


class Child:
    """`python -m <arguments>` on `core`, its standard output read by lines."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        core: int | None,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.log = name, log
        environment = dict(os.environ, **(environment or {}))
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as errors:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment,
                    start_new_session=True,
                    preexec_fn=_before_start(core),
                )
            except OSError as error:
                raise HostError(f"cannot start the {name}: {error.strerror or error}") from error
        assert self._process.stdout is not None
        self.fd = self._process.stdout.fileno()
        os.set_blocking(self.fd, False)
        self._pending = b""
        self.at_end = False

    @property
    def pid(self) -> int:
        """Its process id; it stays this process's until `kill`, `stop` or `ended` has returned."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._process.send_signal(number)

    def lines(self) -> list[str]:
        """What it has said since the last time; never waits. At its end `at_end` becomes True."""
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return []
        if not data:
            self.at_end = True
            return []
        *lines, self._pending = (self._pending + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def order(self, line: str) -> None:
        """Write one line to its standard input; LinkError if it is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._gone() from None

    def await_line(self, start: str, *, timeout_s: float, also: Callable[[str], None] = lambda _line: None) -> str:
        """The first line that begins with `start`; other lines go to `also`. HostError when it ends or says nothing."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            select.select([self.fd], [], [], 0.1)
            for line in self.lines():
                if line.startswith(start):
                    return line
                also(line)
            if self.at_end:
                raise self._gone()
        raise HostError(f"the {self.name} said nothing for {timeout_s:g} s; see {self.log}")

    def _gone(self) -> HostError:
        said = self.log.read_text(errors="replace").strip().splitlines()
        return HostError(f"the {self.name} ended early: {said[-1] if said else 'without a word'}; see {self.log}")

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._process.kill()
        self._process.wait()
        self._close()

    def stop(self, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """SIGTERM, and SIGKILL if that does not help."""
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def ended(self, timeout_s: float) -> None:
        """Wait for its own end; HostError if it does not come or ends badly."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise HostError(f"the {self.name} did not end; see {self.log}") from None
        self._close()
        if code != 0:
            raise self._gone()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Cloud:
    """The server, behind the emulated link; it can be killed and started again on its port."""

    def __init__(self, task: Path, out: Path, core: int | None) -> None:
        self._task, self._core, self._log = task, core, out / "server.log"
        self._server: Child | None = None
        self._port = 0
        self._relay: Child | None = None
        self._relay_log = out / "relay.log"
        self.ready = False

    @property
    def fds(self) -> list[int]:
        """What is worth waiting for."""
        return [child.fd for child in (self._server, self._relay) if child is not None and not child.at_end]

    def start(self) -> str:
        """Start both; returns the address at which a device reaches the server through the relay."""
        self.restart()
        self.await_ready()
        to = f"127.0.0.1:{self._port}"
        self._relay = Child(
            "relay",
            ["hedgerow.cli.main", "link", "--to", to, "--control", "stdin"],
            core=self._core,
            log=self._relay_log,
        )
        return self._relay.await_line("relaying ", timeout_s=20.0).split()[1]

    def restart(self) -> None:
        """Start the server without waiting for it; `look` sees when it serves."""
        self.ready = False
        arguments = ["hedgerow.cli.main", "serve", str(self._task), "--port", str(self._port)]
        self._server = Child("server", arguments, core=self._core, log=self._log)

    def kill(self) -> None:
        """The server crashes."""
        if self._server is not None:
            self._server.kill()
        self._server, self.ready = None, False

    def shape(self, order: str) -> None:
        """One line for the relay."""
        assert self._relay is not None
        self._relay.order(order)

    def look(self) -> None:
        """Read what both have said."""
        if self._server is not None:
            for line in self._server.lines():
                self._heard(line)
        if self._relay is not None:
            for line in self._relay.lines():
                if line.startswith("error"):
                    raise LinkError(f"the emulated link refused an order: {line}")

    def await_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until the server serves."""
        if not self.ready:
            if self._server is None:
                self.restart()
            assert self._server is not None
            self._heard(self._server.await_line("serving on ", timeout_s=timeout_s))

    def _heard(self, line: str) -> None:
        if line.startswith("serving on "):
            self._port, self.ready = int(line.rpartition(":")[2]), True

    def close(self) -> None:
        """End both."""
        for child in (self._relay, self._server):
            if child is not None:
                child.stop()
        self._relay = self._server = None
