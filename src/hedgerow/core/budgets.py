"""What may be spent: uplink bytes and energy as token buckets, and what battery and heat do to the price of energy.

A budget never delays or refuses an answer: short of bytes, the arms that need them are not offered; short of energy, energy
gets dearer in the policy's sum, so cheaper arms win sooner.
"""

from dataclasses import dataclass

from hedgerow.core.records import SECOND

_BURST_S = 10.0


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """Long-run means, None = no budget. `hot_celsius` is where the processor is expected to throttle."""

    uplink_bytes_per_s: float | None = None
    energy_mw: float | None = None
    low_battery_fraction: float = 0.2
    hot_celsius: float = 85.0


class Budgets:
    """Two token buckets that hold ten seconds' worth each; `battery_fraction` and `celsius` are as last told."""

    def __init__(self, settings: BudgetSettings) -> None:
        self._settings = settings
        self._bytes_per_s, self._energy_mw = settings.uplink_bytes_per_s or 0.0, settings.energy_mw or 0.0
        self._bytes, self._energy_mj = self._bytes_per_s * _BURST_S, self._energy_mw * _BURST_S
        self._filled_ns = 0
        self.battery_fraction, self.celsius = 1.0, 0.0

    def fill(self, now_ns: int) -> None:
        """Let the buckets fill up to `now_ns`."""
        if not (self._bytes_per_s or self._energy_mw):
            return
        passed_s = max(0, now_ns - self._filled_ns) / SECOND
        self._filled_ns = max(now_ns, self._filled_ns)
        self._bytes = min(self._bytes + self._bytes_per_s * passed_s, self._bytes_per_s * _BURST_S)
        self._energy_mj = min(self._energy_mj + self._energy_mw * passed_s, self._energy_mw * _BURST_S)

    def spend(self, *, uplink_bytes: float = 0.0, energy_mj: float = 0.0) -> None:
        self._bytes -= uplink_bytes
        self._energy_mj -= energy_mj

    @property
    def bytes_left(self) -> float:
        """Bytes that may cross now; infinite without a budget."""
        return float("inf") if self._settings.uplink_bytes_per_s is None else self._bytes

    @property
    def energy_price(self) -> float:
        """What a mJ counts: 1, doubled by a low battery, by heat and by an overdrawn energy budget."""
        price = 1.0
        price *= 2.0 if self.battery_fraction < self._settings.low_battery_fraction else 1.0
        price *= 2.0 if self.celsius > self._settings.hot_celsius else 1.0
        overdrawn = self._settings.energy_mw is not None and self._energy_mj < 0
        return price * (2.0 if overdrawn else 1.0)
