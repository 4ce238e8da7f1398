"""Who else takes the processor while the doctor looks: busy processes, stolen time, slowing down, all from two moments."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from hedgerow.device.vitals import throttle_count
from hedgerow.doctor.findings import Finding, Host, Level, unreadable

_BUSY_SHARE = 0.1
_NAMED_MAX = 5
_STEAL_WARN, _STEAL_DANGER = 0.01, 0.05
_STEAL_COLUMN = 7  # user nice system idle iowait irq softirq steal (proc_stat(5))
_NAME_LENGTH_MAX = 15


@dataclass(frozen=True, slots=True)
class Moment:
    """Counters of one moment, in the kernel's ticks; `processes`: (name, ticks) by id."""

    total: float
    stolen: float
    throttled: float
    heat: int
    processes: dict[int, tuple[str, float]] = field(default_factory=dict)


def moment(host: Host) -> Moment:
    """Read the counters now."""
    first = (host.text("proc/stat") or "").partition("\n")[0].split()[1:]
    ticks = [float(word) for word in first[: _STEAL_COLUMN + 1]]
    stolen = ticks[_STEAL_COLUMN] if len(ticks) > _STEAL_COLUMN else 0.0
    throttled = sum(host.fields(f"{folder}/cpu.stat").get("nr_throttled", 0.0) for folder, _ in host.groups())
    return Moment(sum(ticks), stolen, throttled, throttle_count(host.sys) or 0, _processes(host))


def _processes(host: Host) -> dict[int, tuple[str, float]]:
    found = {}
    for folder in host.root.glob("proc/[0-9]*"):
        text = host.text(f"proc/{folder.name}/stat")
        if text and ")" in text:
            words = text.rpartition(")")[2].split()
            name = text.partition("(")[2].rpartition(")")[0][:_NAME_LENGTH_MAX]
            if len(words) > 12:
                found[int(folder.name)] = (name, float(words[11]) + float(words[12]))
    return found


def company(before: Moment, after: Moment, cores: int, mine: int | None = None) -> Iterator[Finding]:
    """What happened between two moments. `cores`: of the machine, over which the kernel's ticks are counted."""
    passed = after.total - before.total
    if passed <= 0:
        yield unreadable("company", "who else takes the cores")
        return
    yield _busy(before, after, passed / cores, os.getpid() if mine is None else mine)
    yield _stolen(before, after, passed)
    if after.throttled > before.throttled:
        seen = f"stood still {after.throttled - before.throttled:g} times while we looked"
        yield Finding(
            "quota reached", Level.DANGER, seen, "every thread stood still until the next period", "lift the quota"
        )
    if after.heat > before.heat:
        seen = f"slowed down for heat {after.heat - before.heat} times while we looked"
        yield Finding("heat reached", Level.DANGER, seen, "every measured bound is broken while it lasts", "cool it")


def _busy(before: Moment, after: Moment, ticks: float, mine: int) -> Finding:
    """`ticks`: of one core in that time."""
    shares = [
        ((spent - before.processes.get(number, (name, spent))[1]) / ticks, f"{name} ({number})")
        for number, (name, spent) in after.processes.items()
        if number != mine
    ]
    busy = sorted((each for each in shares if each[0] >= _BUSY_SHARE), reverse=True)
    if not busy:
        return Finding("company", Level.OK, "no other process took a tenth of a core while we looked")
    named = ", ".join(f"{name} {share:.0%}" for share, name in busy[:_NAMED_MAX])
    more = f" and {len(busy) - _NAMED_MAX} more" if len(busy) > _NAMED_MAX else ""
    do = "end it, or keep it off the lanes' cores (taskset, cpuset, Determinism(lane_cores=...))"
    return Finding("company", Level.WARN, f"of a core: {named}{more}", "segments wait for a core and for caches", do)


def _stolen(before: Moment, after: Moment, passed: float) -> Finding:
    share, ever = (after.stolen - before.stolen) / passed, after.stolen / after.total
    seen = f"{share:.1%} of the time while we looked, {ever:.1%} since the machine started"
    level = Level.DANGER if share >= _STEAL_DANGER else Level.WARN if max(share, ever) >= _STEAL_WARN else Level.OK
    risk = "the host took the cores from this machine: no setting here brings that time back"
    return Finding("stolen time", level, seen, risk, "ask for dedicated cores; certify on the device itself")
