"""What a device spends: its battery, its radio with the tail that follows every transfer, and what an operator charges.

Rules: energy in millijoules, power in milliwatts, money in the tariff's unit; moments in ns and never running back. The radio
is the state machine that the measurement papers use: idle -> promotion -> active -> tail -> idle. Active power is a base plus
a slope per Mbit/s, so a transfer costs base * seconds + slope * Mbit whatever its rate; a transfer that starts in a tail cuts
it short and pays no promotion. All figures are of a phone's whole radio as published, not of any device measured here:

- LTE and Wi-Fi: Huang et al., "A Close Examination of Performance and Power Characteristics of 4G LTE Networks", MobiSys 2012,
  tables 3 and 4 (HTC phones of 2011); idle is the mean over the paging and beacon periods.
- 5G: Narayanan et al., "A Variegated Look at 5G in the Wild: Performance, Power, and QoE Implications", SIGCOMM 2021: tail and
  switching power of table 2, timers of section 4, slopes of table 8 (Galaxy S20 Ultra). Their base powers are read off
  figure 11 and rough, their switching time was not published and is taken from LTE's promotion.
"""

import math
from dataclasses import dataclass, field
from typing import Final

from hedgerow.core.arms import Energy
from hedgerow.core.records import MS, SECOND
from hedgerow.errors import UsageError

_MBIT: Final = 125_000  # bytes


@dataclass(frozen=True, slots=True)
class RadioFigures:
    """Powers in mW, lengths in ns, slopes in mW per Mbit/s (the same number is mJ per Mbit)."""

    name: str
    idle_mw: float
    promotion_mw: float
    promotion_ns: int
    active_mw: float
    up_mw_per_mbps: float
    down_mw_per_mbps: float
    tail_mw: float
    tail_ns: int

    def transfer_mj(self, up_bytes: float, down_bytes: float, seconds: float) -> float:
        """What being active for `seconds` and moving these bytes takes, without promotion and tail."""
        mbit_mj = self.up_mw_per_mbps * up_bytes + self.down_mw_per_mbps * down_bytes
        return self.active_mw * seconds + mbit_mj / _MBIT

    def as_energy(self, *, active_mw: float = 4000.0, uplink_mbps: float, period_ns: float) -> Energy:
        """The core's own, simpler model of this radio for one request every `period_ns` at that rate."""
        tail_mj = self.tail_mw * min(period_ns, self.tail_ns) / SECOND
        return Energy(active_mw, self.active_mw + self.up_mw_per_mbps * uplink_mbps, tail_mj)


RADIOS: Final[dict[str, RadioFigures]] = {
    each.name: each
    for each in (
        RadioFigures("lte", 20.1, 1210.7, 260 * MS, 1288.04, 438.39, 51.97, 1060.0, 11_576 * MS),
        RadioFigures("wifi", 1.9, 124.4, 79 * MS, 132.86, 283.17, 137.01, 119.3, 238 * MS),
        RadioFigures("5g-low", 20.1, 699.0, 260 * MS, 2500.0, 29.15, 13.52, 260.0, 10_400 * MS),
        RadioFigures("5g-mmwave", 20.1, 1494.0, 260 * MS, 3000.0, 9.42, 1.81, 1092.0, 10_500 * MS),
    )
}
"""By name. Idle power of the 5G radios is LTE's."""

_KINDS: Final = (("wifi", "wifi"), ("wi-fi", "wifi"), ("802.11", "wifi"), ("mmwave", "5g-mmwave"), ("5g", "5g-low"))


def radio_of(label: str) -> RadioFigures:
    """The figures that stand for a trace's `radio` ("LTE-A", "5G-mid", "Wi-Fi 6, 80 MHz"): mid bands count as low, and
    what is no Wi-Fi and no 5G as LTE."""
    lower = label.lower()
    return RADIOS[next((name for part, name in _KINDS if part in lower), "lte")]


@dataclass(slots=True)
class Radio:
    """One radio over time. Transfers are told in the order of their starts and may overlap."""

    figures: RadioFigures
    energy_mj: float = 0.0
    _active_until_ns: int = 0
    _counted_ns: int = 0
    _used: bool = False

    def ready_ns(self, now_ns: int) -> int:
        """How long (ns) the radio would need before it can send: the promotion from idle, or nothing."""
        awake = self._used and now_ns - self._active_until_ns < self.figures.tail_ns
        return 0 if awake else self.figures.promotion_ns

    def transfer(self, start_ns: int, end_ns: int, up_bytes: int = 0, down_bytes: int = 0) -> float:
        """Count a transfer from the moment its first byte leaves to that of its last; returns what it added (mJ).

        What it adds: the tail and idle time before it, a promotion on top if the radio had gone idle, and active time that no
        other transfer covers. UsageError when it ends before it starts.
        """
        if end_ns < start_ns:
            raise UsageError("a transfer cannot end before it starts")
        before = self.energy_mj
        if start_ns >= self._counted_ns:
            asleep = self.ready_ns(start_ns) > 0
            self._rest(start_ns)
            if asleep:
                self.energy_mj += self.figures.promotion_mw * self.figures.promotion_ns / SECOND
        fresh_ns = max(end_ns - max(start_ns, self._counted_ns), 0)
        self.energy_mj += self.figures.transfer_mj(up_bytes, down_bytes, fresh_ns / SECOND)
        self._counted_ns = self._active_until_ns = max(self._counted_ns, end_ns)
        self._used = True
        return self.energy_mj - before

    def at(self, now_ns: int) -> float:
        """All energy up to `now_ns` (mJ), the tail so far and idle time included; later transfers must not start before."""
        if now_ns > self._counted_ns:
            self._rest(now_ns)
            self._counted_ns = now_ns
        return self.energy_mj

    def _rest(self, now_ns: int) -> None:
        """Count tail and idle time from what is counted up to `now_ns`."""
        tail_end_ns = self._active_until_ns + self.figures.tail_ns if self._used else self._counted_ns
        tail_ns = max(min(now_ns, tail_end_ns) - self._counted_ns, 0)
        idle_ns = max(now_ns - max(tail_end_ns, self._counted_ns), 0)
        self.energy_mj += (self.figures.tail_mw * tail_ns + self.figures.idle_mw * idle_ns) / SECOND


_OPEN_CIRCUIT_V: Final = ((0.0, 3.0), (0.05, 3.35), (0.1, 3.55), (0.2, 3.65), (0.5, 3.78), (0.8, 4.0), (1.0, 4.2))
"""A lithium-ion cell's voltage over its charge: the general shape, no particular cell."""


@dataclass(slots=True)
class Battery:
    """A store of energy behind a voltage.

    `fraction` is what a gauge shows. Under a load the voltage falls by current x resistance; below `cutoff_v` the device dies
    although energy is left: the voltage cliff. A cold or old cell is one with more `resistance_ohm` (a fault raises it).
    """

    capacity_mj: float
    level_mj: float = field(default=math.nan)
    resistance_ohm: float = 0.08
    cutoff_v: float = 3.0
    dead: bool = False

    def __post_init__(self) -> None:
        if not (self.capacity_mj > 0 and self.resistance_ohm >= 0):
            raise UsageError("a battery's capacity must be above 0 and its resistance 0 or more")
        if math.isnan(self.level_mj):
            self.level_mj = self.capacity_mj

    @classmethod
    def of_wh(cls, watt_hours: float, *, fraction: float = 1.0, resistance_ohm: float = 0.08) -> "Battery":
        """A battery by its label, charged to `fraction`."""
        capacity_mj = watt_hours * 3_600_000.0
        return cls(capacity_mj, fraction * capacity_mj, resistance_ohm)

    @property
    def fraction(self) -> float:
        """What is left, 0 to 1; 0 when it is dead."""
        return 0.0 if self.dead else min(max(self.level_mj / self.capacity_mj, 0.0), 1.0)

    def draw(self, energy_mj: float, *, load_mw: float = 0.0) -> float:
        """Take energy out, at a power that decides the voltage; returns the fraction left. Once dead it stays so."""
        self.level_mj = max(self.level_mj - energy_mj, 0.0)
        if self.level_mj <= 0.0 or self.voltage_v(load_mw) < self.cutoff_v:
            self.dead = True
        return self.fraction

    def voltage_v(self, load_mw: float = 0.0) -> float:
        """At the terminals: v = open circuit - R P / v, solved for v; 0 where the cell cannot give that power at all."""
        share, points = self.level_mj / self.capacity_mj, _OPEN_CIRCUIT_V
        place = next((at for at in range(1, len(points)) if points[at][0] >= share), len(points) - 1)
        (x0, v0), (x1, v1) = points[place - 1], points[place]
        open_v = v0 + (v1 - v0) * (min(share, 1.0) - x0) / (x1 - x0)
        inner = open_v * open_v - 4 * self.resistance_ohm * load_mw / 1000.0
        return 0.0 if inner < 0 else (open_v + math.sqrt(inner)) / 2


@dataclass(frozen=True, slots=True)
class Tariff:
    """What traffic and cloud time cost. The first `free_mb` of each `period_ns` (None: of all time) are free; both
    directions count. A megabyte is 10^6 bytes."""

    money_per_mb: float = 0.0
    money_per_cloud_s: float = 0.0
    free_mb: float = 0.0
    period_ns: int | None = None

    def __post_init__(self) -> None:
        if min(self.money_per_mb, self.money_per_cloud_s, self.free_mb) < 0 or (self.period_ns or 1) <= 0:
            raise UsageError("a tariff's prices and allowance must be 0 or more, and its period above 0")


@dataclass(slots=True)
class Bill:
    """What one device owes under a tariff."""

    tariff: Tariff
    money: float = 0.0
    traffic_bytes: int = 0
    _free_left: float = field(default=math.nan)
    _period: int = 0

    def charge(self, traffic_bytes: int, cloud_ns: int = 0, *, now_ns: int = 0) -> float:
        """Count traffic and cloud time at `now_ns`; returns what they cost. An allowance can end within a transfer."""
        tariff = self.tariff
        period = 0 if tariff.period_ns is None else now_ns // tariff.period_ns
        if math.isnan(self._free_left) or period > self._period:
            self._free_left, self._period = tariff.free_mb * 1e6, period
        free = min(self._free_left, traffic_bytes)
        self._free_left -= free
        cost = (traffic_bytes - free) * tariff.money_per_mb / 1e6 + cloud_ns * tariff.money_per_cloud_s / SECOND
        self.traffic_bytes += traffic_bytes
        self.money += cost
        return cost
