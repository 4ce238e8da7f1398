"""What a process holds: threads, sockets, files, children. A trial's leak is what it holds more after than before.

Rules: counted by the kernel's view where it has one (native threads, descriptors with what they lead to); a thread or
descriptor that gRPC's shared pool keeps for the next channel is part of the level before, since one warm-up session has
been opened and closed by then. Waits for what is just ending, never longer than SETTLE_S.
"""

import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

SETTLE_S = 2.0
NATIVE_THREADS_SPARE = 4
"""gRPC's pool keeps up to this many threads more when calls came at once; they are its own and end with the process."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """`threads`: Python's, by name; `files` and `sockets`: descriptors by what they lead to."""

    threads: tuple[str, ...]
    native_threads: int
    sockets: int
    files: tuple[str, ...]
    children: tuple[str, ...]
    rss_bytes: int

    @classmethod
    def now(cls, pid: int | None = None) -> "Footprint":
        """Of this process, or of another one (whose Python threads cannot be named)."""
        process = psutil.Process(pid)
        led = _descriptors(process.pid)
        files = tuple(sorted(each for each in led if not each.startswith(("socket:", "anon_inode:", "pipe:"))))
        return cls(
            threads=() if pid else tuple(sorted(each.name for each in threading.enumerate())),
            native_threads=process.num_threads(),
            sockets=sum(each.startswith("socket:") for each in led),
            files=files,
            children=tuple(sorted(each.name() for each in process.children())),
            rss_bytes=process.memory_info().rss,
        )

    def more_than(self, before: "Footprint") -> list[str]:
        """What is held now and was not before, in words; memory is judged elsewhere, over many trials."""
        more = [f"thread {name}" for name in (Counter(self.threads) - Counter(before.threads)).elements()]
        more += [f"file {name}" for name in (Counter(self.files) - Counter(before.files)).elements()]
        more += [f"process {name}" for name in (Counter(self.children) - Counter(before.children)).elements()]
        if self.sockets > before.sockets:
            more.append(f"{self.sockets - before.sockets} sockets")
        if self.native_threads > before.native_threads + NATIVE_THREADS_SPARE:
            more.append(f"{self.native_threads - before.native_threads} native threads")
        return more


def settled(before: Footprint, pid: int | None = None, *, settle_s: float = SETTLE_S) -> tuple[Footprint, list[str]]:
    """The footprint once nothing is held beyond `before`, or after `settle_s`; and what then still is."""
    end_s = time.monotonic() + settle_s
    while True:
        if pid is None:
            gc.collect()
        found = Footprint.now(pid)
        more = found.more_than(before)
        if not more or time.monotonic() >= end_s:
            return found, more
        pause(0.03)


def pause(seconds: float) -> None:
    """Wait. Not time.sleep: in a process whose wall clock libfaketime 0.9.10 has stepped, that fails with EINVAL (it takes
    the step from clock_nanosleep's monotonic moment too)."""
    threading.Event().wait(seconds)


def wait_until(condition: Callable[[], bool], timeout_s: float, *, step_s: float = 0.01) -> bool:
    """Whether it came true within the time."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= end_s:
            return False
        pause(step_s)
    return True


def _descriptors(pid: int) -> list[str]:
    found = []
    folder = Path(f"/proc/{pid}/fd")
    for name in os.listdir(folder) if folder.is_dir() else ():
        try:
            found.append(os.readlink(folder / name))
        except OSError:  # closed meanwhile, or the one that lists them
            continue
    return [each for each in found if each != str(folder)]
