"""Kernel, memory, pressure and room: each fault from a tree of the kernel's shape."""

from pathlib import Path

import pytest

from hedgerow.doctor.findings import UNREADABLE, Finding, Host, Level
from hedgerow.doctor.system import system
from tests.doctor.trees import tree

SOURCE = "sys/devices/system/clocksource/clocksource0/current_clocksource"
GOOD = {
    "proc/version": "Linux version 6.9 (gcc) #1 SMP PREEMPT_RT Mon",
    SOURCE: "tsc",
    "proc/self/timerslack_ns": "50000",
    "proc/meminfo": "MemTotal: 8192000 kB\nMemAvailable: 6144000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB",
    "proc/pressure/cpu": "some avg10=0.10 avg60=0 avg300=0 total=1",
    "proc/pressure/memory": "some avg10=50 avg60=0 avg300=0 total=1\nfull avg10=0.00 avg60=0 avg300=0 total=1",
    "proc/pressure/io": "some avg10=50 avg60=0 avg300=0 total=1\nfull avg10=0.00 avg60=0 avg300=0 total=1",
    "dev/shm/any": "",
}


def found(root: Path, files: dict[str, str]) -> dict[str, Finding]:
    return {each.name: each for each in system(Host(tree(root, files)), root)}


def memory(available: int, swap: int = 0, free: int = 0) -> dict[str, str]:
    lines = {"MemTotal": 1000000, "MemAvailable": available, "SwapTotal": swap, "SwapFree": free}
    return {"proc/meminfo": "\n".join(f"{name}: {number} kB" for name, number in lines.items())}


@pytest.mark.parametrize(
    ("files", "name", "level", "seen"),
    [
        ({}, "kernel", Level.OK, "PREEMPT_RT"),
        ({"proc/version": "Linux version 6.9 (x) #1 SMP PREEMPT_DYNAMIC Mon"}, "kernel", Level.INFO, "PREEMPT_DYNAMIC"),
        (
            {"proc/version": "Linux version 6.9 (x) #1 SMP Mon", "sys/kernel/realtime": "1"},
            "kernel",
            Level.OK,
            "real-time",
        ),
        ({}, "clock source", Level.OK, "tsc"),
        ({SOURCE: "hpet"}, "clock source", Level.WARN, "hpet"),
        ({}, "timer slack", Level.OK, "50 us"),
        ({}, "memory", Level.OK, "6,000 of 8,000 MiB"),
        (memory(80_000), "memory", Level.WARN, "78 of 977 MiB"),
        (memory(10_000), "memory", Level.DANGER, "10 of 977 MiB"),
        ({}, "swap", Level.OK, "none"),
        (memory(900_000, 500_000, 500_000), "swap", Level.INFO, "0 of 488 MiB"),
        (memory(900_000, 500_000, 400_000), "swap", Level.WARN, "98 of 488 MiB"),
        ({}, "memory pressure", Level.OK, "0 %"),
        ({"proc/pressure/memory": "some avg10=3\nfull avg10=2.50 total=1"}, "memory pressure", Level.WARN, "2.5 %"),
        ({"proc/pressure/memory": "some avg10=30\nfull avg10=25 total=1"}, "memory pressure", Level.DANGER, "25 %"),
        ({"proc/pressure/cpu": "some avg10=35.00 avg60=0"}, "cpu pressure", Level.WARN, "35 %"),
        ({"proc/pressure/io": "full avg10=90 avg60=0"}, "io pressure", Level.DANGER, "90 %"),
        ({}, "wall clock", Level.OK, "monotonic"),
    ],
)
def test_each_fault_is_found(tmp_path: Path, files: dict[str, str], name: str, level: Level, seen: str) -> None:
    finding = found(tmp_path, GOOD | files)[name]
    assert (finding.level, seen in finding.seen) == (level, True), finding


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    missing = {each.name for each in found(tmp_path, {}).values() if each.seen == UNREADABLE}
    assert missing == {
        "kernel", "clock source", "timer slack", "memory", "swap", "cpu pressure", "memory pressure", "io pressure"
    }  # fmt: skip


def test_a_folder_for_the_journal_that_is_not_there_is_told(tmp_path: Path) -> None:
    host = Host(tree(tmp_path, GOOD))
    finding = next(each for each in system(host, tmp_path / "none") if each.name == "journal disk")
    assert finding.level is Level.WARN
    assert "No such file" in finding.seen
