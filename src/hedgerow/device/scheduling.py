"""What the system grants a thread or process so that it runs when it must: priority, cores, memory that stays.

Each function tries one thing and says what came of it, as a Setting; none raises for a refusal, for a machine that grants
nothing must still answer. Only the named thread is touched, and memory locking, which is the whole process's, is undone by
its own function. Linux grants all of it, other systems nothing ("only on Linux").

A real-time thread is set with SCHED_RESET_ON_FORK: threads and processes that it starts (the network's, a callback's) are
ordinary ones. Sources: sched(7), setpriority(2), mlockall(2), capabilities(7).
"""

import ctypes
import errno
import os
import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NICE = -10
CAP_SYS_NICE, CAP_IPC_LOCK = 23, 14
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_ELSEWHERE = "only on Linux"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: `asked` in the caller's words, `done`, and `how` it was done or why not."""

    name: str
    asked: str
    done: bool
    how: str


def thread_first(thread: int, priority: int) -> Setting:
    """Real-time priority (SCHED_FIFO, 1 to 99) for the thread of that native id; else a better nice value; else as it was."""
    name, asked = "timer priority", f"SCHED_FIFO {priority}"
    if sys.platform != "linux":
        return Setting(name, asked, False, _ELSEWHERE)
    try:
        os.sched_setscheduler(thread, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError as error:
        refused = f"SCHED_FIFO refused: {_why(error, f'RLIMIT_RTPRIO {_soft(resource.RLIMIT_RTPRIO)}')}"
    else:
        return Setting(name, asked, True, f"SCHED_FIFO {priority}")
    try:
        os.setpriority(os.PRIO_PROCESS, thread, NICE)
    except OSError as error:
        return Setting(name, asked, False, f"{refused}; nice {NICE} refused: {_why(error, 'no CAP_SYS_NICE')}")
    return Setting(name, asked, True, f"nice {NICE} ({refused})")


def thread_on(name: str, thread: int, cores: Iterable[int]) -> Setting:
    """Keep the thread of that native id on `cores`."""
    wanted = sorted(set(cores))
    asked = f"cores {', '.join(map(str, wanted))}"
    if sys.platform != "linux":
        return Setting(name, asked, False, _ELSEWHERE)
    try:
        os.sched_setaffinity(thread, wanted)
        got = sorted(os.sched_getaffinity(thread))
    except (OSError, ValueError, OverflowError) as error:
        usable = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
        return Setting(name, asked, False, f"refused ({error}); this process may use cores {usable}")
    return Setting(name, asked, got == wanted, f"on cores {', '.join(map(str, got))}")


def thread_as_others(thread: int) -> None:
    """Undo thread_first and thread_on, as far as the system lets us: an ordinary thread on every core of this process."""
    if sys.platform != "linux":
        return
    with suppress(OSError):
        os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, 0))
    with suppress(OSError):
        os.sched_setaffinity(thread, os.sched_getaffinity(os.getpid()))


def lock_memory() -> Setting:
    """Keep every page of this process in memory once it was touched, now and later (mlockall, MCL_ONFAULT).

    Asked for only where no limit stands: under a finite RLIMIT_MEMLOCK a lock on future pages makes a later allocation fail,
    so that the process dies of what should have protected it. MCL_ONFAULT: what is reserved but never touched (stacks,
    arenas) takes no memory. Locked pages count against a control group's memory limit and cannot be reclaimed there.
    """
    asked = "every page, once touched"
    if sys.platform != "linux":
        return Setting("memory lock", asked, False, _ELSEWHERE)
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit != resource.RLIM_INFINITY and not has_capability(CAP_IPC_LOCK):
        why = f"RLIMIT_MEMLOCK is {limit >> 10} KiB: a lock under a limit would make later allocations fail"
        return Setting("memory lock", asked, False, why)
    if _libc("mlockall", _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return Setting("memory lock", asked, False, f"refused: {os.strerror(ctypes.get_errno())}")
    return Setting("memory lock", asked, True, "mlockall, pages locked as they are touched")


def unlock_memory() -> None:
    """Undo lock_memory, and any other lock that this process holds."""
    _libc("munlockall")


def locked_kib(status: Path = Path("/proc/self/status")) -> int:
    """Memory of this process that is locked, KiB (VmLck); 0 where it cannot be read."""
    return int(_status(status, "VmLck").split()[0] if _status(status, "VmLck") else 0)


def has_capability(number: int, status: Path = Path("/proc/self/status")) -> bool:
    """Whether this process holds the capability of that number (capabilities(7))."""
    return bool(int(_status(status, "CapEff") or "0", 16) >> number & 1)


def _status(path: Path, key: str) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{key}:")), "")


def _soft(limit: int) -> int:
    return resource.getrlimit(limit)[0]


def _why(error: OSError, not_permitted: str) -> str:
    return not_permitted if error.errno in (errno.EPERM, errno.EACCES) else str(error.strerror or error)


def _libc(function: str, *arguments: int) -> int:
    """Call one function of the C library; -1 where there is none."""
    try:
        return int(getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments))
    except (OSError, AttributeError):
        return -1
