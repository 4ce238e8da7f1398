"""How steadily this process runs: settings that keep an answer's time from being lost to the interpreter or the system.

What is on by default touches only the session's own threads. What changes the whole process, which belongs to the caller,
is asked for: `Determinism.whole_process()` turns on what helps a process that only answers requests.

    setting              whose           default  why
    timer_priority       our thread      1        the reserve's start waits for nothing; refused on most machines, harmless there
    lane_cores           our threads     none     which core is free of other work only the owner of the machine knows
    switch_interval_s    the process     none     a computing Python thread of the caller's would switch ten times as often
    collect_when_idle    the process     no       the caller's own garbage is then collected by our clock
    lock_memory          the process     no       the caller's memory could no longer be reclaimed

Process-wide settings are held by all sessions that ask for them: made by the first, undone when the last is closed. Threads
of the caller's that help out (Session.answer) keep their priority and cores: they are his. Allocator settings (mallopt) are
left alone, for they cannot be undone. docs/determinism.md has the measured gain of each.
"""

import gc
import math
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, Self

from hedgerow.device import scheduling
from hedgerow.device.collector import Collections, IdleCollector
from hedgerow.device.scheduling import Setting
from hedgerow.errors import UsageError

SWITCH_INTERVAL_S = 0.0005
_LONGEST_S = 1.0


@dataclass(frozen=True, slots=True)
class Determinism:
    """What is asked for; see the module's docstring. `timer_priority` 1 to 99 (SCHED_FIFO), None leaves it alone;
    `requests_max`: a collection is forced after so many requests without an idle moment. UsageError for what cannot be."""

    timer_priority: int | None = 1
    lane_cores: tuple[int, ...] = ()
    switch_interval_s: float | None = None
    collect_when_idle: bool = False
    requests_max: int = 1000
    lock_memory: bool = False

    def __post_init__(self) -> None:
        if self.timer_priority is not None and not 1 <= self.timer_priority <= 99:
            raise UsageError(f"timer_priority must be from 1 to 99 or None, not {self.timer_priority}")
        if any(core < 0 for core in self.lane_cores):
            raise UsageError(f"lane_cores must be numbers of cores from 0, not {self.lane_cores}")
        interval = self.switch_interval_s
        if interval is not None and not (math.isfinite(interval) and 1e-6 <= interval <= _LONGEST_S):
            raise UsageError(f"switch_interval_s must be from 0.000001 to {_LONGEST_S:g} seconds, not {interval}")
        if self.requests_max < 1:
            raise UsageError(f"requests_max must be at least 1, not {self.requests_max}")

    @classmethod
    def off(cls) -> Self:
        """Nothing is touched."""
        return cls(timer_priority=None)

    @classmethod
    def whole_process(cls) -> Self:
        """For a process that only answers requests: everything but cores, which only the machine's owner can choose."""
        return replace(cls(), switch_interval_s=SWITCH_INTERVAL_S, collect_when_idle=True, lock_memory=True)


def by_name(name: str) -> Determinism:
    """Settings for a command line: "whole", "own" or "off". UsageError for any other."""
    named = {"whole": Determinism.whole_process, "own": Determinism, "off": Determinism.off}
    if name not in named:
        raise UsageError(f"determinism is one of {', '.join(named)}, not '{name}'")
    return named[name]()


class Threads(Protocol):
    """A session's own threads, by native id, and the door to its steps; device.driver.Driver is one."""

    @property
    def timer_thread(self) -> int: ...

    @property
    def lane_threads(self) -> Mapping[str, int]: ...

    def listen(self, listener: "Callable[..., None]") -> None: ...


@dataclass(slots=True)
class _Held:
    """A process-wide setting in force, and how many hold it."""

    value: object
    setting: Setting
    undo: Callable[[], None]
    holders: int = 1


class ProcessWide:
    """Settings of the whole process: the first that asks makes the change, the last that leaves undoes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}

    def hold(self, name: str, value: object, make: Callable[[], tuple[Setting, Callable[[], None]]]) -> Setting:
        """Make the change unless it is held already; a change that was refused is not held."""
        with self._lock:
            held = self._held.get(name)
            if held is None:
                setting, undo = make()
                if setting.done:
                    self._held[name] = _Held(value, setting, undo)
                return setting
            if held.value != value:
                return Setting(name, str(value), False, f"another session of this process holds it at {held.value}")
            held.holders += 1
            return held.setting

    def release(self, name: str) -> None:
        with self._lock:
            held = self._held[name]
            held.holders -= 1
            if not held.holders:
                del self._held[name]
                held.undo()


_PROCESS = ProcessWide()
_collector: IdleCollector | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of each setting that was asked for; `close` undoes what is the process's. Twice does no harm."""

    settings: tuple[Setting, ...]
    _undo: list[Callable[[], None]]

    @property
    def collections(self) -> Collections | None:
        """What the idle collector of this process has done; None while there is none."""
        return _collector.done if _collector is not None else None

    def close(self) -> None:
        while self._undo:
            self._undo.pop()()


def apply(settings: Determinism, threads: Threads) -> Applied:
    """Try every setting that is asked for; a refusal is told in what is returned, never raised."""
    done: list[Setting] = []
    undo: list[Callable[[], None]] = []

    def hold(name: str, value: object, make: Callable[[], tuple[Setting, Callable[[], None]]]) -> bool:
        done.append(_PROCESS.hold(name, value, make))
        if done[-1].done:
            undo.append(lambda: _PROCESS.release(name))
        return done[-1].done

    if settings.timer_priority is not None:
        done.append(scheduling.thread_first(threads.timer_thread, settings.timer_priority))
    if settings.lane_cores:
        lanes = threads.lane_threads.items()
        done += [scheduling.thread_on(f"cores of {name}", thread, settings.lane_cores) for name, thread in lanes]
    if (interval := settings.switch_interval_s) is not None:
        hold("switch interval", interval, lambda: _switch_every(interval))
    if settings.lock_memory:
        hold("memory lock", True, _lock)
    if settings.collect_when_idle:
        most = settings.requests_max
        if hold("collections when idle", most, lambda: _collect_when_idle(most)) and _collector is not None:
            collector, watch = _collector, _collector.watch()
            undo.append(lambda: collector.forget(watch))
            threads.listen(watch)
    return Applied(tuple(done), undo)


def _switch_every(interval_s: float) -> tuple[Setting, Callable[[], None]]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval_s)

    def undo() -> None:
        if abs(sys.getswitchinterval() - interval_s) < 1e-6:  # else the caller has changed it since: his it is
            sys.setswitchinterval(before)

    how = f"a waiting Python thread gets its turn after {interval_s * 1e3:g} ms (before: {before * 1e3:g} ms)"
    return Setting("switch interval", f"{interval_s * 1e3:g} ms", True, how), undo


def _lock() -> tuple[Setting, Callable[[], None]]:
    if scheduling.locked_kib():
        return Setting("memory lock", "every page, once touched", True, "locked before by the caller"), lambda: None
    return scheduling.lock_memory(), scheduling.unlock_memory


def _collect_when_idle(requests_max: int) -> tuple[Setting, Callable[[], None]]:
    global _collector
    collector = _collector = IdleCollector(requests_max=requests_max)
    collector.start()

    def undo() -> None:
        global _collector
        _collector = None
        collector.close()

    how = f"{gc.get_freeze_count():,} objects set aside; a full collection takes {collector.full_ms:.1f} ms"
    return Setting("collections when idle", "garbage collected when nothing is in flight", True, how), undo
