"""The rest of the system: kernel and clocks, memory, pressure, limits, and room for what is written."""

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from hedgerow.doctor.findings import Finding, Host, Level, unreadable

_STEADY_CLOCKS = {"tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen"}
_MIB = 1 << 20
_PRESSURES = {
    # file: (line, avg10 in percent for warn, for danger, what waits, what to do)
    "cpu": ("some", 20.0, 60.0, "threads wait for a core", "end what need not run, or give more cores"),
    "memory": ("full", 1.0, 10.0, "everything stands still while memory is reclaimed", "free memory, or lock it"),
    "io": ("full", 10.0, 50.0, "what touches the disk waits; models and code are read again", "use a quieter disk"),
}
_LIMITS = {
    # what: (number, least good value, what a smaller one endangers, what to do)
    "open files": (resource.RLIMIT_NOFILE, 1024, "many connections and models run out of files", "ulimit -n 4096")
}


def system(host: Host, journal: Path) -> Iterator[Finding]:
    """Everything but the processor; `journal`: the folder that a journal is to be written to."""
    yield _kernel(host)
    yield _clock(host)
    yield Finding("wall clock", Level.OK, "steps of the wall clock do not matter: deadlines count on the monotonic one")
    yield _slack(host)
    yield _memory(host)
    yield _swap(host)
    for name in _PRESSURES:
        yield _pressure(host, name)
    yield from _limits()
    yield _room("journal disk", journal, 1024, "a full disk ends the journal (answers go on, unrecorded)")
    yield _room("shared memory", host.root / "dev/shm", 16, "processes on this machine cannot hand answers over")


def _kernel(host: Host) -> Finding:
    version = (host.text("proc/version") or "").split(" #", 1)
    if len(version) < 2:
        return unreadable("kernel", "whether the kernel gives way to a timer at once")
    if host.number("sys/kernel/realtime") == 1 or "PREEMPT_RT" in version[1]:
        return Finding("kernel", Level.OK, "a real-time kernel (PREEMPT_RT)")
    kind = next((word for word in version[1].split() if word.startswith("PREEMPT")), "no preemption named")
    risk = "the kernel's own work can hold a timer up by milliseconds"
    return Finding(
        "kernel", Level.INFO, f"an ordinary kernel ({kind})", risk, "PREEMPT_RT where the last millisecond counts"
    )


def _clock(host: Host) -> Finding:
    source = host.text("sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source is None:
        return unreadable("clock source", "whether reading the clock is cheap")
    if source in _STEADY_CLOCKS:
        return Finding("clock source", Level.OK, source)
    risk = "each reading of the clock costs a microsecond or more and may wait for others"
    return Finding(
        "clock source", Level.WARN, source, risk, "find out why the kernel distrusts the processor's counter (dmesg)"
    )


def _slack(host: Host) -> Finding:
    slack = host.number("proc/self/timerslack_ns")
    if slack is None:
        return unreadable("timer slack", "by how much the kernel rounds waits up")
    return Finding(
        "timer slack", Level.OK, f"{slack / 1e3:g} us for ordinary threads; the reserve's timer asks for 1 ns"
    )


def _memory(host: Host) -> Finding:
    found = host.fields("proc/meminfo")
    if not {"MemTotal", "MemAvailable"} <= found.keys():
        return unreadable("memory", "whether memory is short")
    share = found["MemAvailable"] / found["MemTotal"]
    seen = f"{found['MemAvailable'] / 1024:,.0f} of {found['MemTotal'] / 1024:,.0f} MiB available"
    level = Level.DANGER if share < 0.03 else Level.WARN if share < 0.1 else Level.OK
    return Finding(
        "memory", level, seen, "pages are reclaimed, processes ended", "use less, or lock this process's memory"
    )


def _swap(host: Host) -> Finding:
    found = host.fields("proc/meminfo")
    if "SwapTotal" not in found:
        return unreadable("swap", "whether our pages can be written out")
    used = found["SwapTotal"] - found.get("SwapFree", 0.0)
    if not found["SwapTotal"]:
        return Finding("swap", Level.OK, "none")
    seen = f"{used / 1024:,.0f} of {found['SwapTotal'] / 1024:,.0f} MiB in use"
    risk, do = (
        "a page that was written out takes milliseconds to come back",
        "swapoff -a, or lock this process's memory",
    )
    return Finding("swap", Level.WARN if used > 1024 else Level.INFO, seen, risk, do)


def _pressure(host: Host, name: str) -> Finding:
    kind, warn, danger, risk, do = _PRESSURES[name]
    lines = (host.text(f"proc/pressure/{name}") or "").splitlines()
    line = next((each for each in lines if each.startswith(kind)), "")
    words = dict(word.split("=", 1) for word in line.split()[1:] if "=" in word)
    if "avg10" not in words:
        return unreadable(f"{name} pressure", risk)
    share = float(words["avg10"])
    level = Level.DANGER if share >= danger else Level.WARN if share >= warn else Level.OK
    return Finding(f"{name} pressure", level, f"{share:g} % of the last 10 s ({kind} tasks waited)", risk, do)


def _limits() -> Iterator[Finding]:
    for name, (number, least, risk, do) in _LIMITS.items():
        soft = resource.getrlimit(number)[0]
        enough = soft == resource.RLIM_INFINITY or soft >= least
        seen = "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft}"
        yield Finding(name, Level.OK if enough else Level.WARN, seen, risk, do)


def _room(name: str, folder: Path, least_mib: int, risk: str) -> Finding:
    try:
        free = shutil.disk_usage(folder).free // _MIB
    except OSError as error:
        return Finding(name, Level.WARN, f"{folder}: {error.strerror or error}", risk, "name a folder that is there")
    if not os.access(folder, os.W_OK):
        return Finding(name, Level.WARN, f"{folder} cannot be written to", risk, "choose another folder, or grant it")
    return Finding(
        name, Level.OK if free >= least_mib else Level.WARN, f"{free:,} MiB free in {folder}", risk, "make room"
    )
