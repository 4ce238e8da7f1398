"""The processor: how much of it is ours, how steady its clock is, who else takes time from it."""

from collections.abc import Iterator

from hedgerow.device.vitals import battery_fraction, processor_celsius, throttle_count
from hedgerow.doctor.findings import Finding, Host, Level, unreadable

_STEADY = {"performance", "userspace"}
_HOT_CELSIUS, _WARM_CELSIUS = 85.0, 75.0
_DEEP_US = 100
_LOW_BATTERY = 0.2


def processor(host: Host, cores: int) -> Iterator[Finding]:
    """Everything that a look at one moment tells; `cores`: those that this process may use."""
    yield _cores(cores)
    yield _load(host, cores)
    yield _governor(host)
    yield from _turbo(host)
    yield from _idle_states(host)
    yield from _siblings(host)
    yield _quota(host)
    yield _virtual(host)
    yield _heat(host)
    yield from _battery(host)


def _cores(cores: int) -> Finding:
    if cores > 1:
        return Finding("cores", Level.OK, f"{cores} cores for this process")
    risk = "lane, timer and network take turns: a running segment delays the reserve's start"
    return Finding(
        "cores", Level.WARN, "one core for this process", risk, "give it two cores or more (taskset, cpuset)"
    )


def _load(host: Host, cores: int) -> Finding:
    words = (host.text("proc/loadavg") or "").split()
    if not words:
        return unreadable("load", "whether others take the cores")
    load = float(words[0])
    seen = f"load average {load:g} on {cores} cores (one minute)"
    if load > cores:
        return Finding("load", Level.WARN, seen, "segments wait for a core", "end what need not run beside answering")
    return Finding("load", Level.INFO if load > 0.7 * cores else Level.OK, seen, "segments share cores with others")


def _governor(host: Host) -> Finding:
    governors = sorted(set(host.texts("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")))
    if not governors:
        return unreadable("frequency", "whether the clock slows down between two requests")
    seen = f"governor {', '.join(governors)}"
    if set(governors) <= _STEADY:
        return Finding("frequency", Level.OK, seen)
    return Finding(
        "frequency",
        Level.WARN,
        seen,
        "after a pause the first segments run at a low clock, longer than a profile measured back to back says",
        "cpupower frequency-set -g performance; or profile with the pauses of real use",
    )


def _turbo(host: Host) -> Iterator[Finding]:
    off = host.number("sys/devices/system/cpu/intel_pstate/no_turbo")
    boost = host.number("sys/devices/system/cpu/cpufreq/boost")
    if off == 0 or boost == 1:
        risk = "times measured while it is cool do not hold once the budget of heat or power is spent"
        yield Finding(
            "turbo", Level.INFO, "turbo clock is on", risk, "profile for minutes, or switch it off for steady times"
        )
    elif off is not None or boost is not None:
        yield Finding("turbo", Level.OK, "turbo clock is off")


def _idle_states(host: Host) -> Iterator[Finding]:
    deepest = max((float(each) for each in host.texts("sys/devices/system/cpu/cpu0/cpuidle/state*/latency")), default=0)
    if deepest > _DEEP_US:
        risk = "a core that sleeps deeply wakes late for a timer"
        yield Finding(
            "idle states",
            Level.INFO,
            f"a sleeping core needs up to {deepest:g} us to wake",
            risk,
            "cpupower idle-set -D 100",
        )


def _siblings(host: Host) -> Iterator[Finding]:
    if host.number("sys/devices/system/cpu/smt/active") == 1:
        risk = "two threads on one core slow each other by a third or more"
        yield Finding(
            "siblings",
            Level.INFO,
            "cores are shared by sibling threads (SMT)",
            risk,
            "profile under load; keep a lane's sibling free",
        )


def _quota(host: Host) -> Finding:
    risk = "once a period's quota is spent every thread stands still until the next, up to 100 ms"
    for folder, version in host.groups():
        if version == "v2":
            words = (host.text(f"{folder}/cpu.max") or "max").split()
            quota, period = (None, 0.0) if words[0] == "max" else (float(words[0]), float(words[1]))
        else:
            quota, period = host.number(f"{folder}/cpu.cfs_quota_us"), host.number(f"{folder}/cpu.cfs_period_us") or 0.0
        if quota is not None and quota > 0 and period > 0:
            count = host.fields(f"{folder}/cpu.stat").get("nr_throttled", 0.0)
            seen = f"quota of {quota / period:g} cores every {period / 1e3:g} ms, reached {count:g} times so far"
            do = "lift the quota (cpu.max, --cpus) and give cores instead (cpuset, --cpuset-cpus)"
            return Finding("quota", Level.DANGER if count else Level.WARN, seen, risk, do)
    if host.text("proc/self/cgroup") is None:
        return unreadable("quota", risk)
    return Finding("quota", Level.OK, "no limit on processor time")


def _virtual(host: Host) -> Finding:
    information = host.text("proc/cpuinfo")
    if information is None:
        return unreadable("virtual machine", "whether another owner takes the cores")
    flags = next((line for line in information.splitlines() if line.startswith(("flags", "Features"))), "")
    if "hypervisor" not in flags.split():
        return Finding("virtual machine", Level.OK, "no hypervisor told")
    risk = "the host may take a core at any moment, unseen but for the stolen time"
    return Finding(
        "virtual machine",
        Level.INFO,
        "a virtual machine",
        risk,
        "certify on the device itself; here, watch the stolen time",
    )


def _heat(host: Host) -> Finding:
    sensors, count = processor_celsius(host.sys), throttle_count(host.sys)
    counted = "" if count is None else f"; slowed down for heat {count} times since it started"
    if not sensors:
        name, risk = "heat", "whether the processor is about to slow down"
        return Finding(name, Level.WARN, counted[2:], risk, "cool it") if count else unreadable(name, risk)
    hottest = max(sensors)
    seen, risk = f"{hottest:.0f} degrees Celsius{counted}", "a processor that slows down breaks every measured bound"
    level = Level.DANGER if hottest >= _HOT_CELSIUS else Level.WARN if hottest >= _WARM_CELSIUS or count else Level.OK
    return Finding("heat", level, seen, risk, "cool it; profile while it is as warm as in use")


def _battery(host: Host) -> Iterator[Finding]:
    fraction = battery_fraction(host.sys)
    if fraction is not None:
        level = Level.WARN if fraction < _LOW_BATTERY else Level.INFO
        yield Finding(
            "battery",
            level,
            f"battery at {fraction:.0%}",
            "a low battery may lower the clock",
            "profile on battery too",
        )
