"""Parts of a scenario beyond the plain world: faults, the battery, the radio, budgets and the fleet. docs/scenarios.md tells them.

Rules: each part is plain data as the file gives it, checked for what types and ranges do not say; what it means in the world
stands in declared.py (faults), gauges.py (battery, radio, tariff, heat) and fleet.py.
"""

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct

from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.records import SECOND
from hedgerow.errors import UsageError
from hedgerow.simulation.faults import KINDS, Fault
from hedgerow.simulation.power import RADIOS, Battery, RadioFigures

Ms = Annotated[float, Meta(ge=0.0, le=3.6e6)]
Length = Annotated[float, Meta(gt=0.0, le=3.6e6)]
Seconds = Annotated[float, Meta(gt=0.0, le=1e6)]
Moment = Annotated[float, Meta(ge=0.0, le=1e6)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Mj = Annotated[float, Meta(ge=0.0, le=1e12)]
Celsius = Annotated[float, Meta(ge=-60.0, le=200.0)]
Patterns = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=64)]
SPELLS_MAX: Final = 1_000
DEVICES_MAX: Final = 100_000


class VariantPart(Struct, frozen=True, forbid_unknown_fields=True):
    """[[variant]]: the same worlds, but for the models and arms that are left out; to be set beside each other."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    models: Patterns = ()
    without: Patterns = ()


class FaultPart(Struct, frozen=True, forbid_unknown_fields=True):
    """[[fault]]: one of `faults.KINDS`, once, or again every `every_s` (from one beginning to the next)."""

    kind: str
    at_s: Moment
    for_s: Moment = 1.0
    strength: Share = 0.5
    stage: str | None = None
    every_s: Seconds | None = None

    def check(self, span_ns: int) -> None:
        """UsageError for a kind, a stage or a repetition that cannot be, in worlds of up to this length."""
        kind = KINDS.get(self.kind)
        if kind is None:
            raise UsageError(f"[[fault]] kind '{self.kind}' is none of {', '.join(KINDS)}")
        if self.stage is not None and self.stage not in kind.stages:
            stages = ", ".join(filter(None, kind.stages)) or "none: leave it out"
            raise UsageError(f"[[fault]] '{self.kind}' has no stage '{self.stage}'; it has {stages}")
        if self.every_s is not None and self.every_s <= self.for_s:
            raise UsageError(f"[[fault]] '{self.kind}' comes again before it ends: every_s must be above for_s")

        if self.every_s is not None and (span_ns / SECOND - self.at_s) / self.every_s > SPELLS_MAX:
            raise UsageError(f"[[fault]] '{self.kind}' comes more than {SPELLS_MAX} times: give a larger every_s")

    def spells(self, span_ns: int) -> Iterator[Fault]:
        """Each time that it comes within the span."""
        kind, at_ns = KINDS[self.kind], round(self.at_s * SECOND)
        stage = kind.stages[0] if self.stage is None else self.stage
        while at_ns < span_ns:
            yield Fault(self.kind, at_ns, round(self.for_s * SECOND), self.strength, stage)
            if self.every_s is None:
                return
            at_ns += round(self.every_s * SECOND)


class BatteryPart(Struct, frozen=True, forbid_unknown_fields=True):
    """[battery]: `idle_mw` is what the rest of the device takes all the time."""

    wh: Annotated[float, Meta(gt=0.0, le=1e6)]
    fraction: Share = 1.0
    resistance_ohm: Annotated[float, Meta(ge=0.0, le=100.0)] = 0.08
    idle_mw: Mj = 0.0

    def battery(self) -> Battery:
        """A fresh one."""
        return Battery.of_wh(self.wh, fraction=self.fraction, resistance_ohm=self.resistance_ohm)


class RadioPart(Struct, frozen=True, forbid_unknown_fields=True):
    """[radio]: published figures by name."""

    name: str

    def figures(self) -> RadioFigures:
        """UsageError for an unknown name."""
        if self.name not in RADIOS:
            raise UsageError(f"[radio] name '{self.name}' is none of {', '.join(RADIOS)}")
        return RADIOS[self.name]


class BudgetPart(Struct, frozen=True, forbid_unknown_fields=True):
    """[budget]: what the core is told to keep to, and when a battery is low and a processor hot."""

    uplink_bytes_per_s: Annotated[float, Meta(gt=0.0, le=1e12)] | None = None
    energy_mw: Annotated[float, Meta(gt=0.0, le=1e12)] | None = None
    low_battery_fraction: Share = 0.2
    hot_c: Celsius = 85.0

    def settings(self) -> BudgetSettings:
        return BudgetSettings(self.uplink_bytes_per_s, self.energy_mw, self.low_battery_fraction, self.hot_c)


class OutagePart(Struct, frozen=True, forbid_unknown_fields=True):
    """[fleet.outage]: every radio cell is dead for a while, then all come back at once."""

    at_s: Moment
    for_s: Seconds


class FleetPart(Struct, frozen=True, forbid_unknown_fields=True):
    """[fleet]: how many devices (a list is swept), in how many radio cells, or how many in each."""

    devices: Annotated[tuple[Annotated[int, Meta(ge=1, le=DEVICES_MAX)], ...], Meta(min_length=1, max_length=16)]
    cells: Annotated[int, Meta(ge=1, le=DEVICES_MAX)] | None = None
    devices_per_cell: Annotated[int, Meta(ge=1, le=DEVICES_MAX)] | None = None
    rate_factor: Annotated[float, Meta(gt=0.0, le=1e4)] = 1.0
    stagger: str = "random"
    outage: OutagePart | None = None

    def check(self) -> None:
        """UsageError for what contradicts itself."""
        if (self.cells is None) == (self.devices_per_cell is None):
            raise UsageError("[fleet] needs either cells or devices_per_cell")
        if self.stagger not in ("random", "even", "none"):
            raise UsageError(f"[fleet] stagger '{self.stagger}' is none of random, even, none")

    def cell_of(self, device: int) -> int:
        """The cell of a device: it does not depend on how many there are."""
        return device % self.cells if self.cells is not None else device // (self.devices_per_cell or 1)
