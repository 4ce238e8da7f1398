"""Starts the live view as a process of its own and ends it."""

import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Self

from hedgerow.errors import HostError
from hedgerow.views.feed import Feed

END_TIMEOUT_S = 2.0


class LiveView:
    """A running view; `feed` is its pipe. Leaving the block ends it, whatever state it is in."""

    def __init__(self, **start: Any) -> None:
        """`start`: the fields of the feed's first line (title, deadline_ms)."""
        command = [sys.executable, "-m", "hedgerow.views.live"]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
        except OSError as error:
            raise HostError(f"cannot start the live view: {error.strerror or error}; use --json") from error
        assert self._process.stdin is not None
        now_ns = time.monotonic_ns()
        self.feed = Feed(self._process.stdin.fileno(), since_ns=now_ns)
        self.feed.send("start", now_ns, **start)

    def note(self, text: str) -> None:
        """Show a sentence."""
        self.feed.send("note", time.monotonic_ns(), text=text)

    def close(self) -> None:
        """Let it draw what it has, and end it."""
        self.feed.send("end", time.monotonic_ns())
        self.feed.closed = True
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(END_TIMEOUT_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
