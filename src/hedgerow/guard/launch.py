"""Reads a streams file, prepares memory and socket, and becomes the guard: `python -m hedgerow.guard.launch FILE -- COMMAND`.

Everything that can be wrong is found here, before the guard runs, and what needs rights is tried here, so that the guard's own
process stays small. It is started isolated and without site-packages: it cannot load a package even by accident.
"""

import argparse
import contextlib
import ctypes
import fcntl
import json
import math
import os
import resource
import shutil
import socket
import stat
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from hedgerow.errors import HedgerowError, HostError, UsageError
from hedgerow.guard.memory import VERSION, places

MS = 1_000_000
STREAMS_MAX = 64
SLOTS_MIN = 32
PAYLOAD_BYTES_LIMIT = 1 << 16  # a message must fit into a socket's buffer several times over
SAFE_VALUE_KEY = "safe_value"
NUMBERS = {
    # [guard] key: default, least, most
    "bound_ms": (3.0, 0.1, 1e4),
    "heartbeat_ms": (100.0, 10.0, 1e4),
    "start_ms": (30_000.0, 100.0, 6e5),
    "hang_frames": (20, 0, 10**6),
    "restarts_per_minute": (10, 1, 600),
    "peers_max": (16, 1, 256),
    "slots_out": (256, 8, 65536),
    "priority": (50, 0, 99),
}
TABLES = {"format", "stream", "lane", "mode", "rule", "margins", "guard"}
STREAM_KEYS = {
    # of the certificate's streams file; a key that neither reader knows is a mistake in writing
    *("name", "period_ms", "deadline_ms", "capture_delay_ms", "jitter_ms", "criticality", "reserves"),
    *("safe_value", "expiry_ms"),
}
STREAM_NUMBERS = {"slots": (0, 8, 4096), "payload_bytes_max": (4096, 16, PAYLOAD_BYTES_LIMIT)}
_SEALS = (
    fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
)  # nobody can cut off what the guard is about to read
_CAPABILITY_IPC_LOCK = 14
_PR_SET_TIMERSLACK = 29


@dataclass(frozen=True, slots=True)
class Settings:
    """A streams file as the guard needs it; see docs/guard.md for its keys."""

    description: dict[str, Any]
    safe_values: list[str]
    numbers: dict[str, float] = field(default_factory=dict)


def read(path: str | os.PathLike[str]) -> Settings:
    """The settings in a streams file; UsageError in one line for whatever is wrong with it."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the streams file {path} cannot be read: {error}") from None
    try:
        return settings_of(table)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def settings_of(table: Mapping[str, Any]) -> Settings:
    """The settings in a streams file's tables: [[stream]], and [guard] if there is one; the others are the certificate's."""
    _no_others("the file", table, TABLES)
    guard, streams = table.get("guard", {}), table.get("stream", [])
    if not isinstance(guard, dict) or not isinstance(streams, list) or not all(isinstance(s, dict) for s in streams):
        raise UsageError("write streams as [[stream]] tables and the guard's settings as one [guard] table")
    _no_others("[guard]", guard, {*NUMBERS, "stream"})
    numbers = {name: _number("[guard]", guard, name, *limits) for name, limits in NUMBERS.items()}
    names = [each.get("name") for each in streams]
    if not 0 < len(streams) <= STREAMS_MAX or len(set(map(str, names))) < len(names):
        raise UsageError(f"there must be 1 to {STREAMS_MAX} [[stream]] tables with names of their own")
    own = guard.get("stream", {})
    _no_others("[guard.stream]", own, set(names))
    described = [_stream(each, own.get(each.get("name"), {}), numbers["bound_ms"]) for each in streams]
    description = {
        "version": VERSION,
        "slots_out": int(numbers["slots_out"]),
        "heartbeat_ns": round(numbers["heartbeat_ms"] * MS),
        "bound_ns": round(numbers["bound_ms"] * MS),
        "streams": [each for each, _ in described],
    }
    return Settings(description, [safe for _, safe in described], numbers)


def _stream(stream: dict[str, Any], own: dict[str, Any], bound_ms: float) -> tuple[dict[str, Any], str]:
    name = stream.get("name")
    where = f"stream {name!r}"
    if not isinstance(name, str) or not name:
        raise UsageError("a [[stream]] has no name; give it one")
    _no_others(where, stream, STREAM_KEYS)
    _no_others(f"[guard.stream.{name}]", own, {*STREAM_NUMBERS, "expect", SAFE_VALUE_KEY, "deadline_ms"})
    deadline_ms = _number(where, own if "deadline_ms" in own else stream, "deadline_ms", None, 0.1, 1e7)
    if deadline_ms <= bound_ms:
        raise UsageError(
            f"{where}: its deadline of {deadline_ms:g} ms is no longer than the guard's own bound_ms {bound_ms:g}"
        )
    period_ms = _number(where, stream, "period_ms", math.inf, 0.1, 1e9)
    slots, payload = (int(_number(where, own, key, *limits)) for key, limits in STREAM_NUMBERS.items())
    chosen = own.get(SAFE_VALUE_KEY, stream.get(SAFE_VALUE_KEY))
    if chosen is None:
        raise UsageError(f"{where} declares no safe_value; the guard has nothing to emit when no answer comes")
    try:
        safe = json.dumps(chosen)
    except TypeError as error:
        raise UsageError(
            f"{where}: its safe_value must be text, numbers, true, false, lists or tables: {error}"
        ) from None
    if len(safe) > payload:
        raise UsageError(f"{where}: its safe_value takes {len(safe)} bytes of payload_bytes_max {payload}; raise that")
    expect = own.get("expect", "period_ms" in stream)
    if not isinstance(expect, bool) or (expect and "period_ms" not in stream):
        raise UsageError(f"{where}: expect is true or false, and true only with a period_ms")
    described = {
        "name": name,
        "deadline_ns": round(deadline_ms * MS),
        "period_ns": round(period_ms * MS) if expect else None,
        "slots": slots or max(SLOTS_MIN, 2 * math.ceil(deadline_ms / period_ms)),
        "payload_bytes_max": payload,
    }
    return described, safe


def _no_others(where: str, table: Mapping[str, Any], known: set[Any]) -> None:
    others = sorted(map(str, table.keys() - known)) if isinstance(table, dict) else ["no table"]
    if others:
        raise UsageError(
            f"{where} has '{others[0]}', which means nothing to the guard; there are: {', '.join(sorted(map(str, known)))}"
        )


def _number(where: str, table: Mapping[str, Any], key: str, default: float | None, least: float, most: float) -> float:
    value = table.get(key, default)
    if value is None:
        raise UsageError(f"{where} has no {key}; give it")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where}: {key} must be a number, not {value!r}")
    if key in table and not least <= value <= most:
        raise UsageError(f"{where}: {key} is {value}; from {least:g} to {most:g}")
    return value


# --------------------------------------------------------------------------------------------------------------- becoming


def default_socket(file: str | os.PathLike[str]) -> str:
    """Where the guard of this streams file listens unless told otherwise: in the user's own runtime folder, or where there is
    none in one that nobody else may enter. HostError if somebody else has taken that one's place."""
    folder = os.environ.get("XDG_RUNTIME_DIR") or _private_folder()
    return os.path.join(folder, f"hedgerow-{Path(file).stem}.guard")


def _private_folder() -> str:
    """A folder of the user's own; its name can be foreseen, so whose it is and who may enter are looked at."""
    folder = os.path.join(tempfile.gettempdir(), f"hedgerow-{os.geteuid()}")
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        found = os.lstat(folder)
    except OSError as error:
        raise HostError(f"no folder for the guard's socket can be made at {folder}: {error}; give --socket") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise HostError(f"{folder} is not a folder that is yours alone (mode 0700); take it away, or give --socket")
    return folder


def launch(settings: Settings, path: str, command: list[str]) -> NoReturn:
    """Become the guard of `command`, listening at `path`. UsageError or HostError if that cannot be."""
    if not command or shutil.which(command[0]) is None:
        raise UsageError(f"the command to guard is not there: {' '.join(command) or 'give one after --'}")
    listener = _listen(path)
    memory_fd = os.memfd_create("hedgerow-guard", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory_fd, places(settings.description)[-1][0])
    fcntl.fcntl(memory_fd, fcntl.F_ADD_SEALS, _SEALS)
    numbers = settings.numbers
    whole = {
        "description": settings.description,
        "safe_values": settings.safe_values,
        "socket": os.path.abspath(path),
        "memory_fd": memory_fd,
        "listener_fd": listener.detach(),
        "bound_ns": settings.description["bound_ns"],
        "heartbeat_ns": settings.description["heartbeat_ns"],
        "start_ns": round(numbers["start_ms"] * MS),
        **{name: int(numbers[name]) for name in ("hang_frames", "restarts_per_minute", "peers_max")},
        "lock": _may_lock(),
        "told": {"real_time": real_time(int(numbers["priority"])), "timer_slack_1_ns": _tighten_timers()},
    }
    text_fd = os.memfd_create("hedgerow-guard-settings", 0)
    os.write(text_fd, json.dumps(whole).encode())
    for fd in (memory_fd, whole["listener_fd"], text_fd):
        os.set_inheritable(fd, True)
    root = str(Path(__file__).resolve().parents[2])
    begin = f"import sys; sys.path.append({root!r}); from hedgerow.guard.process import main; main()"
    print(f"guarding at {whole['socket']}", flush=True)
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", begin, f"/dev/fd/{text_fd}", *command])


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        _clear(path)
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        listener.listen()
    except OSError as error:
        listener.close()
        raise HostError(f"the guard cannot listen at {path}: {error}; give another --socket") from None
    except HedgerowError:
        listener.close()
        raise
    return listener


def _clear(path: str) -> None:
    """Take away the socket of a guard that was killed; refuse to take away anything else."""
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise UsageError(f"{path} is there and is no socket; give another --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise HostError(f"a guard runs at {path} already; end it, or give another --socket")


def _may_lock() -> bool:
    """Only without a limit: under one, a later allocation would fail."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    bits = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(bits, 16) >> _CAPABILITY_IPC_LOCK & 1)


def real_time(priority: int) -> bool:
    """Run before all ordinary processes, the session not included; False where that is not allowed."""
    if not priority:
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError:
        return False
    return True


def _tighten_timers() -> bool:
    return bool(ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0) == 0)


def main() -> NoReturn:
    """`hedgerow guard` without the rest of Hedgerow."""
    parser = argparse.ArgumentParser(description="Guard a session: `... FILE [--socket PATH] -- COMMAND ...`")
    parser.add_argument("file", type=Path)
    parser.add_argument("--socket")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    try:
        launch(read(options.file), options.socket or default_socket(options.file), options.command)
    except HedgerowError as error:
        print(f"hedgerow: {error} [at fault: {error.at_fault}]", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
