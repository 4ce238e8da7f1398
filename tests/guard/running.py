"""A guard as a real process, for tests."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hedgerow.guard.consumer import Consumer, Message

SESSION = str(Path(__file__).with_name("session.py"))
PATIENCE_S = 60.0
SOURCE = str(Path(__file__).resolve().parents[2] / "src")


def streams_file(folder: Path, *, deadline_ms: float = 200.0, period_ms: float | None = None, **guard: object) -> Path:
    """One stream "camera" with a safe value, and these settings of the guard."""
    own = {"start_ms": 60_000.0, "hang_frames": 0, "priority": 0, **guard}
    text = f'[[stream]]\nname = "camera"\ndeadline_ms = {deadline_ms}\nsafe_value = {{ stop = true }}\n'
    text += "" if period_ms is None else f"period_ms = {period_ms}\n"
    text += "[guard]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in own.items())
    path = folder / "streams.toml"
    path.write_text(text)
    return path


@dataclass
class Running:
    """A guard that runs; `said` is what it wrote on standard error, line by line."""

    process: "subprocess.Popen[str]"
    path: str
    said: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    def until(self, what: Callable[[], object]) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < ends, f"never came: {self.said} {self.printed}"
            time.sleep(0.01)

    def heard(self, text: str) -> list[str]:
        return [line for line in self.said if text in line]

    def session_pid(self) -> int:
        """The newest session's process."""
        self.until(lambda: self.heard(" started"))
        return int(self.heard(" started")[-1].split("session ")[1].split()[0])

    def status(self) -> dict[str, Any]:
        before = len(self.heard('"starts"'))
        self.process.send_signal(signal.SIGUSR1)
        self.until(lambda: len(self.heard('"starts"')) > before)
        found: dict[str, Any] = json.loads(self.heard('"starts"')[-1].partition(": ")[2])
        return found

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)


@contextmanager
def guarding(file: Path, *command: str, options: tuple[str, ...] = ()) -> Iterator[Running]:
    """A guard of `command` (default words: the session of these tests), which is ended, however the test ends."""
    path = str(file.with_suffix(".sock"))
    full = [sys.executable, "-m", "hedgerow.guard.launch", str(file), "--socket", path, "--", *options]
    full += [sys.executable, "-S", SESSION, *command] if not options else []
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    pipe = subprocess.PIPE
    with subprocess.Popen(full, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        running = Running(process, path)
        streams = ((process.stdout, running.printed), (process.stderr, running.said))
        readers = [threading.Thread(target=_collect, args=each) for each in streams]
        for reader in readers:
            reader.start()
        try:
            running.until(lambda: running.printed)
            yield running
        finally:
            running.end()
            for reader in readers:
                reader.join(PATIENCE_S)


def _collect(stream: Any, lines: list[str]) -> None:
    for line in stream:
        lines.append(line.rstrip("\n"))


def frames_of(path: str, count: int, through: str = "memory") -> list[Message]:
    """The first messages that a consumer gets."""
    with Consumer(path, through=through) as consumer:
        found: list[Message] = []
        for message in consumer:
            found.append(message)
            if len(found) == count:
                break
        return found
