"""What the guard adds between a session's answer and its consumer, and whether it ever leaves a frame without a message.

The same bytes go from one process to another once through the guard and once straight over a Unix socket, by turns, a few
milliseconds apart; what is added is a time with the guard less the median time without. Then a stream in which every k-th
frame gets no answer, and whose session is stopped, continued and killed on the way: every frame must have had its one message
when the consumer's clock reads its deadline. Guard and consumer run in real time where that is allowed, and the figures
say whether it was: a deadline that an ordinary process reads on a busy machine is the machine's, not the guard's.
"""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hedgerow.benchmarks.guard_session import SENT, STREAM
from hedgerow.errors import HostError
from hedgerow.guard.consumer import Consumer, Message
from hedgerow.guard.launch import real_time

_READY_S = 30.0
_WARM_UP = 20
_PERIOD_MS, _DEADLINE_MS, _UNANSWERED_EVERY = 10.0, 50.0, 5
_STOPPED_S = 0.5
_PRIORITY = 1
_AFTER = 2 * int(_DEADLINE_MS / _PERIOD_MS)  # by then the last frame's deadline is over
_PAYLOAD_BYTES = 256
_TURNS_FILE = '[[stream]]\nname = "{}"\ndeadline_ms = 10000.0\nsafe_value = false\n[guard]\nhang_frames = 0\n'
_STREAM_FILE = (
    '[[stream]]\nname = "{}"\ndeadline_ms = {}\nperiod_ms = {}\nsafe_value = false\n[guard]\nhang_frames = 0\n'
)


def bench_guard(*, frames: int = 2000, say: Callable[[str], None] = lambda text: None) -> dict[str, float]:
    """Measure both; `frames` for each way into the consumer and for the stream. Microseconds; counts; ..._real_time are 0 or 1."""
    consumer_real_time = real_time(_PRIORITY)
    figures: dict[str, float] = {"frames": frames}
    for through in ("memory", "socket"):
        say(f"{frames} answers with and without the guard, {through}")
        with_guard, without = _turns(frames, through)
        added = np.array(with_guard[_WARM_UP:]) - np.median(without[_WARM_UP:])
        prefix = "" if through == "memory" else "socket_"
        figures |= _quantiles(prefix, added)
        figures |= _quantiles(f"{prefix}whole_", np.array(with_guard[_WARM_UP:]))
        figures |= _quantiles(f"{prefix}without_", np.array(without[_WARM_UP:]))
    say(f"a stream of {frames} frames, its session stopped, continued and killed")
    return (
        figures
        | _stream(frames)
        | {
            "consumer_real_time": consumer_real_time,
            "load": round(os.getloadavg()[0], 1),
            "cores": len(os.sched_getaffinity(0)),
        }
    )


def _quantiles(prefix: str, times_ns: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> dict[str, float]:
    return {f"{prefix}p{q}_us": round(float(np.quantile(times_ns, q / 100)) / 1e3, 1) for q in (50, 99)}


@contextmanager
def _guarding(folder: Path, streams: str, *words: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A guard of the session-like process: its socket, and its process, whose standard error can be read."""
    file, path = folder / "streams.toml", str(folder / "guard.sock")
    file.write_text(streams, encoding="utf-8")
    session = [sys.executable, "-m", "hedgerow.benchmarks.guard_session", *words]
    command = [sys.executable, "-m", "hedgerow.guard.launch", str(file), "--socket", path, "--", *session]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or not process.stdout.readline().startswith("guarding at "):
                raise HostError("the guard of the benchmark did not start")
            yield path, process
        finally:
            process.terminate()
            process.wait(_READY_S)


def _turns(frames: int, through: str) -> tuple[list[int], list[int]]:
    """Times in ns from sending to the consumer's callback: with the guard, and straight."""
    with_guard: list[int] = []
    without: list[int] = []

    def on_message(message: Message) -> None:
        now_ns = time.monotonic_ns()
        if message.kind == "answer":
            with_guard.append(now_ns - SENT.unpack_from(message.payload)[0])

    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        straight_path = str(Path(name) / "straight.sock")
        listener.bind(straight_path)
        listener.listen()
        listener.settimeout(_READY_S)
        words = ("turns", str(frames), str(_PAYLOAD_BYTES), straight_path)
        with _guarding(Path(name), _TURNS_FILE.format(STREAM), *words) as (path, process):
            consumer = Consumer(path, through=through)
            thread = threading.Thread(target=_serve, args=(consumer, on_message), daemon=True)
            thread.start()
            with listener.accept()[0] as straight:
                while (data := straight.recv(1 << 16)) not in (b"end", b""):
                    without.append(time.monotonic_ns() - SENT.unpack_from(data)[0])
                process.terminate()
                process.wait(_READY_S)
            thread.join(_READY_S)
            consumer.close()
    if len(with_guard) != frames or len(without) != frames:
        raise HostError(f"{len(with_guard)} and {len(without)} of {frames} answers came; the machine is too busy")
    return with_guard, without


def _serve(consumer: Consumer, callback: Callable[[Message], None]) -> None:
    real_time(_PRIORITY)  # a thread does not take it over from the one that started it
    consumer.serve(callback)


def _stream(frames: int) -> dict[str, float]:
    got: dict[int, list[bool]] = {}
    safe_values = 0
    words = ("stream", str(_PERIOD_MS), str(_UNANSWERED_EVERY))
    with tempfile.TemporaryDirectory() as name:
        file = _STREAM_FILE.format(STREAM, _DEADLINE_MS, _PERIOD_MS)
        with _guarding(Path(name), file, *words) as (path, process), Consumer(path) as consumer:
            troubles = [(frames // 4, _stop), (frames // 2, _kill)]
            session = _Session(process)
            for message in consumer:
                in_time = time.monotonic_ns() <= message.captured_ns + _DEADLINE_MS * 1e6
                got.setdefault(message.frame, []).append(in_time)
                safe_values += message.kind == "safe_value"
                if troubles and message.frame >= troubles[0][0]:
                    troubles.pop(0)[1](session)
                if message.frame >= frames + _AFTER:
                    break
            process.terminate()
            said = session.rest()

    wanted = range(min(got), frames)
    return {
        "safe_values": safe_values,
        "safe_values_missed": sum(not any(got.get(frame, [])) for frame in wanted),
        "more_than_one_message": sum(len(times) > 1 for times in got.values()),
        "stream_frames": len(wanted),
        "guard_worst_late_us": int(re.findall(r'"worst_late_us": (\d+)', said)[-1]),
        "guard_real_time": '"real_time": true' in said,
    }


class _Session:
    """The guard's session of the moment, from what the guard says."""

    def __init__(self, guard: "subprocess.Popen[str]") -> None:
        assert guard.stderr is not None
        self._said = guard.stderr
        self._fd = guard.stderr.fileno()
        self._text = ""

    def pid(self) -> int:
        while select.select([self._fd], [], [], 0)[0] and (data := os.read(self._fd, 1 << 16)):
            self._text += data.decode()
        return int(re.findall(r"session (\d+) started", self._text)[-1])

    def rest(self) -> str:
        return self._text + self._said.read()


def _stop(session: _Session) -> None:
    pid = session.pid()
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(_STOPPED_S, os.kill, (pid, signal.SIGCONT)).start()


def _kill(session: _Session) -> None:
    os.kill(session.pid(), signal.SIGKILL)
