"""Company for the measured process: a process that computes without pause and ends when its time or its parent does.

"Loaded" in a profile means: one such process (`busy_processes` in the file), one thread of matrix products and memory
traffic, not bound to any core, so the scheduler places both as it would on a device with other work.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hedgerow.errors import HostError

SECONDS_MAX = 600.0
_READY = b"busy\n"
_SIDE = 384


@contextmanager
def busy_processes(count: int = 1, *, seconds_max: float = SECONDS_MAX) -> Iterator[None]:
    """Run `count` busy processes; each ends with this block, with this process, or after `seconds_max`."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            started.append(_start(seconds_max))
        for process in started:
            assert process.stdout is not None
            if process.stdout.readline() != _READY:
                raise HostError("the process that should keep this machine busy did not start; is memory short?")
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _start(seconds_max: float) -> subprocess.Popen[bytes]:
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    command = [sys.executable, "-m", "hedgerow.profiling.busy", str(seconds_max), str(os.getpid())]
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment)
    except OSError as error:
        raise HostError(f"cannot start a process beside this one: {error.strerror or error}") from error


def work(seconds_max: float, parent: int) -> None:
    """Compute until the time is up or `parent` is no longer this process's parent."""
    end = time.monotonic() + min(seconds_max, SECONDS_MAX)
    left = np.full((_SIDE, _SIDE), 0.5, np.float32)
    right, stream = left.copy(), np.ones(2**20, np.float32)
    print(_READY.decode(), end="", flush=True)
    while time.monotonic() < end and os.getppid() == parent:
        np.matmul(left, right)
        stream *= np.float32(1.0)


if __name__ == "__main__":
    work(float(sys.argv[1]), int(sys.argv[2]))
