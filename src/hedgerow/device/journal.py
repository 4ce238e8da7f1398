"""The journal as a live session keeps it: lines (`hedgerow.journal`) written by a thread of their own, so that a slow disk
delays nothing. A full disk ends the journal, says so once, and costs no answer.
"""

import sys
import threading
from collections import deque
from pathlib import Path

from hedgerow.core import records as r
from hedgerow.errors import HostError
from hedgerow.journal import FORMAT, Header, Replayed, line, read_steps, recorded_versions, replay, said, versions

__all__ = [
    "BYTES_MAX",
    "FORMAT",
    "Header",
    "Journal",
    "Replayed",
    "line",
    "read_steps",
    "recorded_versions",
    "replay",
    "said",
    "versions",
]

_LINES_MAX = 100_000
BYTES_MAX = 4 << 30
"""About three million requests: a journal that nobody looks after fills no disk."""


class Journal:
    """Appends steps to `path` from its own thread, at most `bytes_max` bytes of whole lines. `failure` is set, and said on
    stderr once, when that is reached or the disk refuses."""

    def __init__(self, path: str | Path, header: Header, *, bytes_max: int = BYTES_MAX) -> None:
        self._path, self.header = Path(path), header
        try:
            self._file = self._path.open("wb", buffering=1 << 20)
        except OSError as error:
            raise HostError(f"cannot write the journal {self._path}: {error.strerror}; choose another place") from None
        first = header.encode()
        self._left_bytes = bytes_max - len(first)
        self._bytes_max = bytes_max
        self._file.write(first)  # as all else, it goes to the disk on the thread below
        self.failure: str | None = None
        self.lost = 0
        self._lines: deque[tuple[int, int, r.Event, r.Outcome]] = deque()
        self._due = threading.Event()
        self._closed = False
        self._number = 0
        self._thread = threading.Thread(target=self._serve, name="hedgerow-journal", daemon=True)
        self._thread.start()

    def append(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        """Keep one step; never blocks. What cannot be kept is counted in `lost`; after a gap nothing more is kept."""
        if self.failure is not None or self.lost or len(self._lines) >= _LINES_MAX:
            self.lost += 1
            return
        self._lines.append((self._number, now_ns, event, outcome))
        self._number += 1

    def close(self) -> None:
        """Write what is left and close the file; a full disk has been told already."""
        self._closed = True
        self._due.set()
        self._thread.join(10.0)
        try:
            self._file.close()
        except OSError as error:
            self._fail(f"{error.strerror}; free some space")

    def _serve(self) -> None:
        while True:
            self._due.wait(0.25)
            closed = self._closed
            try:
                while self._lines:
                    self._keep(line(*self._lines.popleft()))
                self._file.flush()
                if self.lost:
                    self._fail("the disk is too slow for it")
            except OSError as error:
                self._fail(f"{error.strerror}; free some space")
            if closed:
                return

    def _keep(self, text: bytes) -> None:
        self._left_bytes -= len(text)
        if self._left_bytes < 0:
            self._fail(f"it has the {self._bytes_max} bytes that it may have; begin another")
        if self.failure is None:
            self._file.write(text)

    def _fail(self, why: str) -> None:
        if self.failure is None:
            self.failure = f"the journal {self._path} ends here: {why}. Answers go on. [at fault: {HostError.at_fault}]"
            print(f"hedgerow: {self.failure}", file=sys.stderr)
