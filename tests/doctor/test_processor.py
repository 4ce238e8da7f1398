"""The processor's findings, from trees of the kernel's shape: a good machine, each single fault, and an empty tree."""

from pathlib import Path

import pytest

from hedgerow.doctor.findings import UNREADABLE, Finding, Host, Level
from hedgerow.doctor.processor import processor
from tests.doctor.trees import tree

CPU = "sys/devices/system/cpu"
GOOD = {
    "proc/loadavg": "0.10 0.20 0.30 1/99 1234",
    "proc/cpuinfo": "processor : 0\nflags : fpu avx2",
    "proc/self/cgroup": "0::/box",
    "sys/fs/cgroup/box/cpu.max": "max 100000",
    f"{CPU}/cpu0/cpufreq/scaling_governor": "performance",
    f"{CPU}/cpu0/cpuidle/state0/latency": "2",
    f"{CPU}/smt/active": "0",
    f"{CPU}/intel_pstate/no_turbo": "1",
    "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp",
    "sys/class/thermal/thermal_zone0/temp": "41000",
    f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "0",
}


def found(root: Path, files: dict[str, str], cores: int = 4) -> dict[str, Finding]:
    return {each.name: each for each in processor(Host(tree(root, files)), cores)}


def test_a_good_machine_is_in_order(tmp_path: Path) -> None:
    assert {each.level for each in found(tmp_path, GOOD).values()} == {Level.OK}


@pytest.mark.parametrize(
    ("files", "name", "level", "seen"),
    [
        ({"proc/loadavg": "9.5 1 1 1/9 9"}, "load", Level.WARN, "9.5 on 4 cores"),
        ({"proc/loadavg": "3.5 1 1 1/9 9"}, "load", Level.INFO, "3.5 on 4 cores"),
        ({f"{CPU}/cpu3/cpufreq/scaling_governor": "schedutil"}, "frequency", Level.WARN, "performance, schedutil"),
        ({f"{CPU}/intel_pstate/no_turbo": "0"}, "turbo", Level.INFO, "is on"),
        ({f"{CPU}/cpu0/cpuidle/state3/latency": "400"}, "idle states", Level.INFO, "up to 400 us"),
        ({f"{CPU}/smt/active": "1"}, "siblings", Level.INFO, "SMT"),
        ({"proc/cpuinfo": "flags\t: fpu hypervisor"}, "virtual machine", Level.INFO, "virtual"),
        ({"sys/class/thermal/thermal_zone0/temp": "78000"}, "heat", Level.WARN, "78 degrees"),
        ({"sys/class/thermal/thermal_zone0/temp": "96000"}, "heat", Level.DANGER, "96 degrees"),
        ({f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3"}, "heat", Level.WARN, "slowed down for heat 3 times"),
        ({"sys/class/power_supply/B/type": "Battery", "sys/class/power_supply/B/capacity": "12"}, "battery", Level.WARN, "12%"),
        ({"sys/fs/cgroup/cpu.max": "150000 100000"}, "quota", Level.WARN, "1.5 cores every 100 ms, reached 0 times"),
        (
            {"sys/fs/cgroup/box/cpu.max": "50000 100000", "sys/fs/cgroup/box/cpu.stat": "nr_periods 9\nnr_throttled 7"},
            "quota",
            Level.DANGER,
            "0.5 cores every 100 ms, reached 7 times",
        ),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/a/b\n1:name=systemd:/",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
            },
            "quota",
            Level.WARN,
            "2 cores every 100 ms",
        ),
    ],
)  # fmt: skip
def test_each_fault_is_found(tmp_path: Path, files: dict[str, str], name: str, level: Level, seen: str) -> None:
    all_found = found(tmp_path, GOOD | files)
    assert all_found[name].level is level
    assert seen in all_found[name].seen
    assert all_found[name].endangers
    assert all_found[name].do or level is Level.INFO
    assert all(each.level is Level.OK for each in all_found.values() if each.name != name)


def test_one_core_is_told(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD, cores=1)["cores"].level is Level.WARN


def test_what_cannot_be_read_is_told_and_never_taken_for_good(tmp_path: Path) -> None:
    all_found = found(tmp_path, {})
    assert {each.name for each in all_found.values() if each.seen == UNREADABLE} == {
        "load", "frequency", "quota", "virtual machine", "heat"
    }  # fmt: skip
    assert not [each for each in all_found.values() if each.level is Level.OK and each.name != "cores"]
