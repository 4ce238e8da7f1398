"""The fifteen kinds of fault, as a table: what each does, where it acts, in which stages, and how.

A fault is a context: it begins on entering and is over on leaving, when everything it changed is as before. `Stage` is what
it may use: the processes, the trial's random numbers, its stage and its length.
"""

import contextlib
import ctypes.util
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from hedgerow.campaigns.world import CLEAR, World

MEMORY_SHARE: Final = 0.6
MEMORY_BYTES_MAX: Final = 3 << 30
SLOW_CYCLE_S: Final = 0.02
SLOW_SHARE: Final = 0.1
HOGS: Final = 2
STEP_S: Final = 3600
TRIP_PATIENCE_S: Final = 2.0
SLOWER_LINK: Final = "set uplink_mbps=16 downlink_mbps=3 rtt_ms=30"
"""So that an exchange has stages that last: 27 kB of a frame take 14 ms up, 4 kB of an answer 11 ms down."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault acts on. `at`: its stage; `for_s`: how long it should last; `journal`: the trial's journal file."""

    world: World
    random: random.Random
    at: str
    for_s: float
    journal: Path
    clock: Path


Fault = Callable[[Scene], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table. `spell_s`: shortest and longest time it lasts; `inside`: a trial may end while it is on."""

    name: str
    what: str
    where: str
    fault: Fault
    stages: tuple[str, ...] = ("",)
    spell_s: tuple[float, float] = (0.6, 1.3)
    inside: bool = False
    link: str = CLEAR
    witness: bool = False
    clock: bool = False


def _link(order: str, undo: str) -> Fault:
    @contextlib.contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        scene.world.shape(order.format(at=scene.at))
        try:
            yield
        finally:
            scene.world.shape(undo)

    return fault


@contextlib.contextmanager
def _reset(scene: Scene) -> Iterator[None]:
    """One connection dies in the stage; `waiting` is the moment after the server has acknowledged all of a crossing."""
    world, before = scene.world, scene.world.link_stats()["tripped"]
    try:
        match scene.at:
            case "connect":
                world.shape("trip connect")
                world.shape("reset")
            case "opening":
                world.shape(f"trip up {scene.random.randint(20, 150)}")
            case "upload":
                world.shape(f"trip up {scene.random.randint(1_500, 2_500)}")
            case "answer":
                world.shape(f"trip down {scene.random.randint(1_000, 3_500)}")
            case _:
                assert world.device is not None
                world.device.forget()
                if world.device.await_said("acked", TRIP_PATIENCE_S):
                    world.shape("reset")
        end_s = time.monotonic() + TRIP_PATIENCE_S
        while scene.at != "waiting" and world.link_stats()["tripped"] == before and time.monotonic() < end_s:
            time.sleep(0.02)
        yield
    finally:
        world.shape("trip off")


@contextlib.contextmanager
def _killed(scene: Scene) -> Iterator[None]:
    world = scene.world
    world.kill_server()
    try:
        yield
    finally:
        world.start_server()
        world.await_server()


@contextlib.contextmanager
def _stopped(scene: Scene) -> Iterator[None]:
    scene.world.signal_server(signal.SIGSTOP)
    try:
        yield
    finally:
        scene.world.signal_server(signal.SIGCONT)


@contextlib.contextmanager
def _slow(scene: Scene) -> Iterator[None]:
    """The server's process is let run a tenth of the time."""
    over = threading.Event()

    def cycle() -> None:
        while not over.is_set():
            scene.world.signal_server(signal.SIGSTOP)
            over.wait(SLOW_CYCLE_S * (1 - SLOW_SHARE))
            scene.world.signal_server(signal.SIGCONT)
            over.wait(SLOW_CYCLE_S * SLOW_SHARE)

    thread = threading.Thread(target=cycle, name="slow")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        scene.world.signal_server(signal.SIGCONT)


def _impostor(kind: str) -> Fault:
    @contextlib.contextmanager
    def fault(scene: Scene) -> Iterator[None]:
        world = scene.world
        words = ["hedgerow.campaigns.impostor", kind, str(world.port), str(world.given.task)]
        with world.helper(f"impostor-{kind}", words, says="prepared", core=world.other_core) as impostor:
            world.kill_server()
            impostor.order("take")
            impostor.await_line("taken", timeout_s=20.0)
            yield
        world.start_server()
        world.await_server()

    return fault


@contextlib.contextmanager
def _cpu(scene: Scene) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for number in range(HOGS):
            words = ["hedgerow.campaigns.hog", "cpu"]
            stack.enter_context(
                scene.world.helper(f"hog-{number}", words, says="hogging", core=scene.world.device_core)
            )
        yield


@contextlib.contextmanager
def _memory(scene: Scene) -> Iterator[None]:
    world = scene.world
    assert world.device is not None
    if scene.at == "limit":
        used = psutil.Process(world.device.pid).memory_info().vms
        with limited(world.device.pid, resource.RLIMIT_AS, used + (4 << 20)):
            yield
        return
    size = min(MEMORY_BYTES_MAX, int(psutil.virtual_memory().available * MEMORY_SHARE))
    words = ["hedgerow.campaigns.hog", "memory", str(size)]
    with world.helper("hog-memory", words, says="hogging", core=world.other_core):
        yield


@contextlib.contextmanager
def _disk(scene: Scene) -> Iterator[None]:
    """`file`: the journal's file may grow no more; `device`: it lies on /dev/full from the start (see `journal_of`)."""
    if scene.at == "device":
        yield
        return
    world = scene.world
    assert world.device is not None
    size = scene.journal.stat().st_size if scene.journal.exists() else 0
    with limited(world.device.pid, resource.RLIMIT_FSIZE, size + scene.random.randint(0, 4096)):
        yield


@contextlib.contextmanager
def limited(pid: int, what: int, soft: int) -> Iterator[None]:
    """Another process of ours under a limit of the kernel's, and out of it again."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (soft, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, what, before)


@contextlib.contextmanager
def _clock(scene: Scene) -> Iterator[None]:
    """The device's wall clock jumps by an hour, and back."""
    step = STEP_S if scene.at == "forward" else -STEP_S
    scene.clock.write_text(f"{step:+d}\n")
    try:
        yield
    finally:
        scene.clock.write_text("+0\n")


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("blackout", "nothing crosses, first packets of new connections are lost", "link",
             _link("blackout on", "blackout off"), inside=True),
        Kind("one-way-loss", "every byte of one direction is lost", "link",
             _link("swallow {at}", "swallow off"), ("up", "down"), inside=True),
        Kind("stall", "bytes stand still, connections stay", "link", _link("stall on", "stall off"), inside=True),
        Kind("rate-collapse", "25 Mbit/s become 0.1", "link",
             _link("set uplink_mbps=0.1 downlink_mbps=0.1", CLEAR), inside=True),
        Kind("delay-spike", "the round trip grows from 20 ms to 600", "link", _link("set rtt_ms=600", CLEAR), inside=True),
        Kind("reset", "one connection is reset in a stage of the exchange", "link", _reset,
             ("connect", "opening", "upload", "waiting", "answer"), (0.0, 0.1), link=SLOWER_LINK),
        Kind("server-kill", "SIGKILL, and a new server on the port", "server", _killed, spell_s=(0.0, 0.3)),
        Kind("server-stop", "SIGSTOP, later SIGCONT", "server", _stopped, inside=True),
        Kind("server-slow", "the server runs a tenth of the time", "server", _slow, inside=True),
        Kind("wrong-version", "a server of another protocol version takes the port", "server", _impostor("version"),
             spell_s=(0.3, 0.7)),
        Kind("garbage", "a process that answers random bytes takes the port", "server", _impostor("garbage"),
             spell_s=(0.3, 0.7)),
        Kind("cpu-hog", "two processes spin on the device's core", "device", _cpu, inside=True),
        Kind("memory", "a neighbour swells over 60 % of what is free (3 GiB at most)", "device", _memory, ("neighbour",)),
        Kind("disk-full", "the journal's file may not grow, or lies on a full device", "device", _disk,
             ("file", "device"), witness=True),
        Kind("clock-step", "the device's wall clock jumps by an hour", "device", _clock, ("forward", "back"), clock=True),
    )
}  # fmt: skip


def faketime_library() -> str | None:
    """Where libfaketime lies, None where it is not installed."""
    places = [os.environ.get("HEDGEROW_LIBFAKETIME", "")]
    places += [str(path) for path in sorted(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"))]
    found = next((place for place in places if place and Path(place).is_file()), None)
    return found or ctypes.util.find_library("faketime")


def clock_environment(library: str, clock: Path) -> dict[str, str]:
    """What makes a process read its wall clock through `clock`, a file with an offset; its monotonic clock stays."""
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock.absolute()),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # its own fix makes waits on the monotonic clock wrong by the step
    }
