"""What a simulated device reads of itself (battery, heat), and what its radio and its operator really charge.

Rules: readings are what was really spent and how hot the lane really is, told to the core every `period_ns` as the events that
a real device sends; the radio's and the operator's sums are beside the core's simpler ones and decide nothing. A battery that
is empty, or whose voltage falls below its end, ends the device: nothing is answered any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hedgerow.core import records as r
from hedgerow.core.arms import Floats
from hedgerow.simulation.body import Body
from hedgerow.simulation.faults import Fault
from hedgerow.simulation.faulty import Kinds, on
from hedgerow.simulation.lanes import Heat
from hedgerow.simulation.power import Battery, Bill, Radio, RadioFigures, Tariff


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read at a moment; None where there is nothing to read. `throttled`: share of the time since the last one."""

    now_ns: int
    fraction: float | None = None
    celsius: float | None = None
    throttled: float | None = None


@dataclass(slots=True)
class Gauges:
    """The instruments of one device in one run. `attach` them before it begins."""

    period_ns: int
    battery: Battery | None = None
    idle_mw: float = 0.0
    figures: RadioFigures | None = None
    tariff: Tariff | None = None
    faults: Sequence[Fault] = ()
    readings: list[Reading] = field(default_factory=list)
    money: dict[int, float] = field(default_factory=dict)  # by request; of probes under -1
    dead_ns: int | None = None
    core_radio_mj: float = 0.0  # what the core's simpler sum makes of the same transfers
    radio: Radio | None = None
    _bill: Bill | None = None
    _kinds: Kinds = field(default_factory=lambda: Kinds(()))
    _read_ns: int = 0
    _spent_mj: float = 0.0
    _throttled_ns: int = 0
    _was_throttled: bool = False

    def attach(self, body: Body) -> None:
        """Begin to read this device."""
        self._kinds = Kinds(self.faults)
        self.radio = None if self.figures is None else Radio(self.figures)
        self._bill = None if self.tariff is None or self.tariff.free_mb <= 0 else Bill(self.tariff)
        body.on_air = lambda request, up, down, air_ns: self._air(body, request, up, down, air_ns)
        if self.battery is not None or _heat(body) is not None:
            body.clock.at(self.period_ns, self._read, body)

    def radio_mj(self, now_ns: int) -> float:
        """All that the radio took up to now, its tails and idle time included; 0 without one."""
        return 0.0 if self.radio is None else self.radio.at(now_ns if self.dead_ns is None else self.dead_ns)

    @property
    def battery_left(self) -> float | None:
        """What the battery held at its last reading, 0 to 1; None without one."""
        return None if self.battery is None else self.battery.fraction

    def traffic_money(self, requests: int) -> Floats | None:
        """What each request's traffic cost under the allowance, probes spread over all; None without an allowance."""
        if self._bill is None:
            return None
        found = np.full(requests, self.money.get(-1, 0.0) / max(1, requests))
        for request, money in self.money.items():
            if request >= 0:
                found[request] += money
        return found

    def _air(self, body: Body, request: int, up_bytes: int, down_bytes: int, air_ns: int) -> None:
        now = body.clock.now_ns
        if self.dead_ns is not None:
            return
        if up_bytes:
            self.core_radio_mj += body.core.table.energy.radio_mj(air_ns)
        if self.radio is not None:
            self.radio.transfer(now, now + max(0, air_ns), up_bytes, down_bytes)
        if self._bill is not None and up_bytes:
            self.money[request] = self.money.get(request, 0.0) + self._bill.charge(up_bytes)

    def _read(self, body: Body) -> None:
        """One round of readings, told to the core; then the next is planned."""
        if self.dead_ns is not None:
            return
        now, heat = body.clock.now_ns, _heat(body)
        fraction = None if self.battery is None else self._drain(self.battery, body, now)
        celsius = throttled = None
        if heat is not None:
            began = body.busy_since_ns()
            if began is not None:
                heat.worked(began, now)
            celsius = heat.rest(now)
            throttled = (heat.throttled_ns - self._throttled_ns) / (now - self._read_ns)
            self._throttled_ns = heat.throttled_ns
        self._read_ns = now
        self.readings.append(Reading(now, fraction, celsius, throttled))
        if fraction is not None and on(self._kinds["battery-cliff"], now) is None:
            body.post(r.BatteryLevel(fraction))
        if celsius is not None and throttled is not None and on(self._kinds["heat"], now) is None:
            body.post(r.Temperature(celsius))
            if throttled > 0 or self._was_throttled:
                body.post(r.Throttled(throttled))
            self._was_throttled = throttled > 0
        if self.battery is not None and self.battery.dead:
            self.dead_ns, body.dead = now, True
            return
        body.clock.at(now + self.period_ns, self._read, body)

    def _drain(self, battery: Battery, body: Body, now: int) -> float:
        """Take out what was spent since the last reading, at its mean power."""
        spent = sum(body.tally.energy_mj.values()) + body.tally.probe_mj + self.idle_mw * now / r.SECOND
        if self.radio is not None:
            spent += self.radio.at(now) - self.core_radio_mj
        used, self._spent_mj = max(0.0, spent - self._spent_mj), max(spent, self._spent_mj)
        return battery.draw(used, load_mw=used * r.SECOND / (now - self._read_ns))


def _heat(body: Body) -> Heat | None:
    found = getattr(body.lanes, "heat", None)
    return found if isinstance(found, Heat) else None
