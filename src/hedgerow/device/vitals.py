"""The machine's temperature, throttling and battery as events of the core, so that it can act before they break a bound.

A thread of its own reads every two seconds and posts `Temperature` (the hottest processor sensor, degrees Celsius),
`Throttled` (the share of the time since the last reading in which the processor was slowed down for heat) and `BatteryLevel`
(a fraction) when they have moved by a threshold. Where nothing can be read it ends at once and nothing is posted. Rules:

- Processor sensors only (their kinds are listed below): a warm disk or radio says nothing of the lanes. A value outside
  -40 to 150 degrees is a broken sensor and is left out. Batteries of peripherals are left out.
- Throttling is told only where the kernel counts its time (x86: thermal_throttle/*_total_time_ms). A bare count of throttlings
  is no share of time and no temperature; `hedgerow doctor` shows it. Nor is a control group's quota told here: the doctor does.

Sources: the kernel's Documentation/driver-api/thermal/sysfs-api.rst, hwmon/sysfs-interface.rst, ABI/testing/sysfs-class-power
and sysfs-devices-system-cpu.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hedgerow.core import records as r

EVERY_S = 2.0
STEP_CELSIUS = 1.0
STEP_FRACTION = 0.01
STEP_SHARE = 0.01
_PLAUSIBLE_CELSIUS = (-40.0, 150.0)
_PROCESSOR_ZONES = ("cpu", "soc", "x86_pkg_temp", "pkg", "core", "cluster")
_PROCESSOR_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal", "scpi_sensors")


@dataclass(frozen=True, slots=True)
class Vitals:
    """One reading; None is what cannot be read here. `celsius`: the hottest processor sensor; `battery`: 0 to 1;
    `throttled_ms`: how long the core or package that was slowed down longest has been so since the machine started."""

    celsius: float | None = None
    battery: float | None = None
    throttled_ms: float | None = None


def read_vitals(sys: Path = Path("/sys")) -> Vitals:
    """Read this machine's (or a tree of the same shape at `sys`)."""
    return Vitals(max(processor_celsius(sys), default=None), battery_fraction(sys), _throttled_ms(sys))


def processor_celsius(sys: Path) -> list[float]:
    """Every processor sensor's temperature: thermal zones, else the chips of hwmon."""
    zones = [
        _number(zone / "temp")
        for zone in sorted(sys.glob("class/thermal/thermal_zone*"))
        if any(word in _text(zone / "type").lower() for word in _PROCESSOR_ZONES)
    ]
    chips = [
        _number(sensor)
        for chip in sorted(sys.glob("class/hwmon/hwmon*"))
        if _text(chip / "name") in _PROCESSOR_CHIPS
        for sensor in sorted(chip.glob("temp*_input"))
    ]
    low, high = _PLAUSIBLE_CELSIUS
    found = [each / 1000 for each in (*zones, *chips) if each is not None]
    return [celsius for celsius in found if low <= celsius <= high]


def throttle_count(sys: Path) -> int | None:
    """How often the processor has slowed down for heat since it started, all cores and packages; None: not counted here."""
    found = _throttling(sys, "count")
    return round(sum(found)) if found else None


def _throttled_ms(sys: Path) -> float | None:
    return max(_throttling(sys, "total_time_ms"), default=None)


def _throttling(sys: Path, what: str) -> list[float]:
    """That counter of every core and package."""
    folders = sys.glob("devices/system/cpu/cpu[0-9]*/thermal_throttle")
    found = (_number(counter) for folder in folders for counter in folder.glob(f"*_throttle_{what}"))
    return [each for each in found if each is not None]


def battery_fraction(sys: Path) -> float | None:
    """The mean charge of this machine's own batteries, 0 to 1; None without one."""
    levels = [
        _number(supply / "capacity")
        for supply in sorted(sys.glob("class/power_supply/*"))
        if _text(supply / "type") == "Battery" and _text(supply / "scope") != "Device"
    ]
    found = [min(max(each / 100, 0.0), 1.0) for each in levels if each is not None]
    return sum(found) / len(found) if found else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # a sensor may be there and refuse to be read
        return ""


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None


class VitalsWatch:
    """Reads every `every_s` seconds and posts what has changed; ends by itself where the first reading has nothing."""

    def __init__(
        self,
        post: Callable[[r.Event], None],
        *,
        read: Callable[[], Vitals] = read_vitals,
        every_s: float = EVERY_S,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._post, self._read, self._every_s, self._clock_ns = post, read, every_s, clock_ns
        self._told = Vitals()
        self._share = 0.0  # of throttled time, as last told
        self._counted: tuple[int, float] | None = None  # when, and how much throttled time there was
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="hedgerow-vitals", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 2.0) -> None:
        self._end.set()
        self._thread.join(timeout_s)

    def _serve(self) -> None:
        now = self._read()
        while now != Vitals() or self._told != Vitals():  # a sensor that fails later may come back
            self._tell(now)
            self._tell_throttling(now)
            if self._end.wait(self._every_s):
                return
            now = self._read()

    def _tell(self, now: Vitals) -> None:
        celsius, battery = self._told.celsius, self._told.battery
        if now.celsius is not None and (celsius is None or abs(now.celsius - celsius) >= STEP_CELSIUS):
            celsius = now.celsius
            self._post(r.Temperature(celsius))
        if now.battery is not None and (battery is None or abs(now.battery - battery) >= STEP_FRACTION - 1e-9):
            battery = now.battery
            self._post(r.BatteryLevel(battery))
        self._told = Vitals(celsius, battery)

    def _tell_throttling(self, now: Vitals) -> None:
        if now.throttled_ms is None:
            return
        at_ns, before = self._clock_ns(), self._counted
        self._counted = (at_ns, now.throttled_ms)
        if before is None or at_ns <= before[0]:
            return
        share = min(max((now.throttled_ms - before[1]) * 1e6 / (at_ns - before[0]), 0.0), 1.0)
        if abs(share - self._share) >= STEP_SHARE or (share == 0.0) != (self._share == 0.0):
            self._share = share
            self._post(r.Throttled(share))
