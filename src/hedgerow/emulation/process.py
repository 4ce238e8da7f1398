"""Runs a relay as the main job of a process: until a signal, with an optional line protocol on standard input.

Rules: what stands on standard output is the ready line, one answer a command, and nothing else unless asked; when the
controlling side closes standard input the relay ends too, so that a dead harness leaves no orphan.
"""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator

from hedgerow.emulation.control import LINE_BYTES_MAX, obey, report
from hedgerow.emulation.relay import LABEL, Relay


def run(relay: Relay, to: str, *, control_fd: int | None, json_lines: bool, say: Callable[[str], None]) -> None:
    """Start the relay, say that it is ready, serve until SIGINT or SIGTERM (or the end of `control_fd`), stop it."""
    with _signals() as stop_fd:
        relay.start()
        try:
            say(f"relaying 127.0.0.1:{relay.port} -> {to} ({LABEL})")
            _serve(relay, stop_fd, control_fd, json_lines, say)
        finally:
            relay.stop()


def _serve(relay: Relay, stop_fd: int, control_fd: int | None, json_lines: bool, say: Callable[[str], None]) -> None:
    pending = b""
    next_report_s = time.monotonic() + 1.0
    watched = [stop_fd] if control_fd is None else [stop_fd, control_fd]
    while True:
        timeout_s = max(0.0, next_report_s - time.monotonic()) if json_lines else None
        ready, _, _ = select.select(watched, [], [], timeout_s)
        if json_lines and time.monotonic() >= next_report_s:
            say(report(relay))
            next_report_s += 1.0
        if stop_fd in ready:
            return
        if control_fd in ready and control_fd is not None:
            data = os.read(control_fd, 4096)
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                if line.strip():
                    say(obey(relay, line.decode("utf-8", "replace")))
            if not data:
                return
            if len(pending) > LINE_BYTES_MAX:
                say(f"error a line is longer than {LINE_BYTES_MAX} bytes")
                pending = b""


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """A descriptor that becomes readable at SIGINT or SIGTERM; the old handlers come back afterwards."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    old_fd = signal.set_wakeup_fd(writer.fileno())
    old = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield reader.fileno()
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_fd)
        reader.close()
        writer.close()
