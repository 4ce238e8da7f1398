"""Determinism: each setting has its real effect on this process and is undone; a refusal is told, never raised."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hedgerow.core import records as r
from hedgerow.device import scheduling
from hedgerow.device.determinism import Determinism, apply, by_name
from hedgerow.device.scheduling import Setting
from hedgerow.device.session import Session
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.device.small import Steps, tagged
from tests.wire.serving import ServerProcess, until


class OwnThreads:
    """A session's threads without the session: two that wait until they are told to end."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._end.wait) for _ in range(2)]
        for thread in self._threads:
            thread.start()
        self.listeners: list[Callable[..., None]] = []

    @property
    def timer_thread(self) -> int:
        return self._threads[0].native_id or 0

    @property
    def lane_threads(self) -> dict[str, int]:
        return {"cpu": self._threads[1].native_id or 0}

    def listen(self, listener: Callable[..., None]) -> None:
        self.listeners.append(listener)

    def close(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(5.0)


@pytest.fixture
def threads() -> Iterator[OwnThreads]:
    found = OwnThreads()
    yield found
    found.close()


def named(settings: tuple[Setting, ...], name: str) -> Setting:
    return next(each for each in settings if each.name == name)


def test_off_asks_for_nothing(threads: OwnThreads) -> None:
    assert apply(Determinism.off(), threads).settings == ()


def test_the_default_touches_the_timers_thread_alone(threads: OwnThreads) -> None:
    before = (sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count(), scheduling.locked_kib())
    mine = (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0))
    applied = apply(Determinism(), threads)
    assert [each.name for each in applied.settings] == ["timer priority"]
    assert before == (sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count(), scheduling.locked_kib())
    assert mine == (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0))
    applied.close()


def test_the_timers_priority_is_what_is_told(threads: OwnThreads) -> None:
    told = apply(Determinism(timer_priority=3), threads).settings[0]
    policy = os.sched_getscheduler(threads.timer_thread) & ~os.SCHED_RESET_ON_FORK
    if told.how == "SCHED_FIFO 3":
        assert policy == os.SCHED_FIFO
        assert os.sched_getparam(threads.timer_thread).sched_priority == 3
    else:
        assert policy == os.SCHED_OTHER
        nice = os.getpriority(os.PRIO_PROCESS, threads.timer_thread)
        assert (nice == scheduling.NICE) == told.done
    assert os.sched_getscheduler(threads.lane_threads["cpu"]) == os.SCHED_OTHER


def test_a_refused_priority_is_told_with_its_reason(threads: OwnThreads, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "setpriority", refuse)
    told = apply(Determinism(), threads).settings[0]
    assert not told.done
    assert "SCHED_FIFO refused: RLIMIT_RTPRIO" in told.how
    assert "no CAP_SYS_NICE" in told.how


def test_where_real_time_is_refused_a_nice_value_is_taken(threads: OwnThreads, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, ...]] = []

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "setpriority", lambda *numbers: given.append(numbers))
    told = apply(Determinism(), threads).settings[0]
    assert told.done
    assert told.how.startswith(f"nice {scheduling.NICE} (")
    assert given == [(os.PRIO_PROCESS, threads.timer_thread, scheduling.NICE)]


def test_a_thread_that_is_gone_is_told(threads: OwnThreads) -> None:
    threads.close()
    both = [threads.timer_thread, *threads.lane_threads.values()]
    until(lambda: not any(Path(f"/proc/self/task/{each}").exists() for each in both), "the threads are gone")
    told = apply(Determinism(lane_cores=(0,)), threads).settings
    assert [each.done for each in told] == [False, False]
    assert "No such process" in told[1].how


def test_lanes_are_kept_on_their_cores_and_nothing_else_is(threads: OwnThreads) -> None:
    everywhere = os.sched_getaffinity(0)
    core = max(everywhere)
    applied = apply(Determinism(lane_cores=(core,)), threads)
    assert named(applied.settings, "cores of cpu").done
    assert os.sched_getaffinity(threads.lane_threads["cpu"]) == {core}
    assert os.sched_getaffinity(threads.timer_thread) == everywhere
    assert os.sched_getaffinity(0) == everywhere


@pytest.mark.parametrize("cores", [(4095,), (10**6,), (2**70,)])
def test_cores_that_are_not_there_are_told(threads: OwnThreads, cores: tuple[int, ...]) -> None:
    told = named(apply(Determinism(lane_cores=cores), threads).settings, "cores of cpu")
    assert not told.done
    assert "this process may use cores" in told.how


def test_the_switch_interval_is_held_until_the_last_session_leaves(threads: OwnThreads) -> None:
    before = sys.getswitchinterval()
    asked = Determinism(timer_priority=None, switch_interval_s=0.0007)
    first, second = apply(asked, threads), apply(asked, threads)
    other = apply(Determinism(timer_priority=None, switch_interval_s=0.0009), threads)
    assert "another session of this process holds it" in other.settings[0].how
    other.close()
    first.close()
    assert sys.getswitchinterval() == pytest.approx(0.0007)
    second.close()
    second.close()
    assert sys.getswitchinterval() == pytest.approx(before)


def test_a_switch_interval_that_the_caller_changed_since_is_his(threads: OwnThreads) -> None:
    before = sys.getswitchinterval()
    applied = apply(Determinism(timer_priority=None, switch_interval_s=0.0007), threads)
    try:
        sys.setswitchinterval(0.02)
        applied.close()
        assert sys.getswitchinterval() == pytest.approx(0.02)
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timer_priority": 0},
        {"timer_priority": 100},
        {"lane_cores": (-1,)},
        {"switch_interval_s": 0.0},
        {"switch_interval_s": float("nan")},
        {"switch_interval_s": 2.0},
        {"requests_max": 0},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Determinism(**wrong)  # type: ignore[arg-type]


def test_settings_have_names() -> None:
    assert by_name("own") == Determinism()
    assert by_name("off").timer_priority is None
    whole = by_name("whole")
    assert whole.collect_when_idle
    assert whole.lock_memory
    assert whole.switch_interval_s == 0.0005
    with pytest.raises(UsageError, match="one of whole, own, off, not 'fast'"):
        by_name("fast")


LOCKING = """
import mmap, resource, sys
from hedgerow.device import scheduling
limit = int(sys.argv[1])
if limit >= 0:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
    scheduling.has_capability = lambda number: False
told = scheduling.lock_memory()
block = bytearray(64 << 20)
block[::4096] = b"1" * len(block[::4096])
print(int(told.done), scheduling.locked_kib(), told.how)
scheduling.unlock_memory()
print(scheduling.locked_kib())
"""


def locked(limit: int) -> list[str]:
    """What a process of its own says: first with memory locked, then after it was unlocked."""
    done = subprocess.run([sys.executable, "-c", LOCKING, str(limit)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_memory_is_locked_and_unlocked_where_no_limit_stands() -> None:
    first, second = locked(-1)
    done, kib, how = first.split(maxsplit=2)
    if done == "0":
        assert "RLIMIT_MEMLOCK" in how or "refused" in how
    else:
        assert int(kib) > 64 << 10
    assert second == "0"


def test_under_a_limit_nothing_is_locked_and_large_blocks_can_still_be_had() -> None:
    first, _ = locked(1 << 20)
    assert first.startswith("0 0 RLIMIT_MEMLOCK is 1024 KiB")


# ------------------------------------------------------------------------------------------------------------- sessions


def test_a_session_applies_and_undoes_its_settings(task: Task, profile: Profile) -> None:
    before = (
        sys.getswitchinterval(),
        gc.isenabled(),
        gc.get_threshold(),
        gc.get_freeze_count(),
        threading.active_count(),
    )
    asked = Determinism(switch_interval_s=0.0007, collect_when_idle=True)
    with Session(task, profile=profile, determinism=asked) as session:
        assert {each.name for each in session.determinism.settings} >= {"switch interval", "collections when idle"}
        assert sys.getswitchinterval() == pytest.approx(0.0007)
        assert gc.get_freeze_count() > 10_000
        assert session.answer(tagged(1)).outputs
    assert before == (
        sys.getswitchinterval(), gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), threading.active_count()
    )  # fmt: skip


def test_a_sessions_garbage_is_collected_between_its_requests_only(task: Task, profile: Profile) -> None:
    """Every collection's moment is noted by the interpreter; each lies where no request was in flight."""
    steps = Steps()
    begun: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            begun.append(time.monotonic_ns())

    kept: list[object] = []
    asked = Determinism(collect_when_idle=True, timer_priority=None)
    with Session(task, profile=profile, determinism=asked, period_ms=100.0) as session:
        session.listen(steps)
        gc.callbacks.append(note)
        try:
            for number in range(12):
                future = session.submit(tagged(number))
                kept += [[] for _ in range(3000)]  # enough for the interpreter's own rhythm, were it on
                future.result()
                time.sleep(0.03)
        finally:
            gc.callbacks.remove(note)
        collections = session.determinism.collections
    assert collections is not None
    assert collections.forced == 0
    assert collections.idle == len(begun) >= 3
    arrived = [now for now, event, _ in steps.steps if isinstance(event, r.RequestArrived)]
    gone = [now for now, _, outcome in steps.steps if any(isinstance(each, r.Forget) for each in outcome.actions)]
    assert len(arrived) == len(gone) == 12
    assert not [moment for moment in begun if any(a < moment < b for a, b in zip(arrived, gone, strict=True))]


def test_connections_that_were_set_aside_end_with_the_session(
    task: Task, profile: Profile, server: ServerProcess
) -> None:
    """Failed crossings hold theirs in cycles; the heap is given back before the network collects them."""
    process = psutil.Process()
    with Session(task, server.address, profile=profile):
        pass  # what libraries keep for good is there now
    until(lambda: not process.net_connections("tcp"), "an end of the first session's sockets")
    with Session(task, server.address, profile=profile, determinism=Determinism(collect_when_idle=True)) as session:
        until(lambda: session.answer(tagged(0)).source is r.Source.REMOTE, "the link to open")
        flying = [session.submit(tagged(number)) for number in range(10)]
    assert all(future.done() for future in flying)
    until(lambda: not process.net_connections("tcp"), "the end of its sockets")
    assert gc.get_freeze_count() == 0
