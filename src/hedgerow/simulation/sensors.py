"""When samples are captured and when they arrive: cameras that tick, detectors that fire in bursts, events at random.

Rules: each sensor draws from generators of its own name, so that adding one never changes another's; a longer run begins
with the shorter one's arrivals; what a sensor promises (`stream`: least distance, longest delay) holds for what it draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.records import SECOND, Criticality, Stream
from hedgerow.errors import UsageError
from hedgerow.simulation.lanes import Streams

ARRIVALS_MAX = 20_000_000


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """A sample captured at one moment and here at another (ns)."""

    arrival_ns: int
    captured_ns: int
    stream: str


@dataclass(frozen=True, slots=True)
class Sensor:
    """A source of requests.

    `kind`: "periodic" captures every `period_ns`, each up to `jitter_ns` late; "bursts" captures `burst_mean` samples (geometric)
    every `period_ns`, then nothing for an exponential time of mean `gap_ns`; "poisson" captures at random, on average every
    `period_ns`. A sample arrives up to `delay_ns` after its capture (uniform). All else is as in `core.records.Stream`.
    """

    name: str
    deadline_ns: int
    period_ns: int
    kind: str = "periodic"
    criticality: Criticality = Criticality.MISSION
    jitter_ns: int = 0
    delay_ns: int = 0
    phase_ns: int = 0
    burst_mean: float = 10.0
    gap_ns: int = 2 * SECOND
    has_safe_value: bool = False
    expiry_ns: int = 60 * SECOND
    reuse_below: float | None = None
    reuse_age_max_ns: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("periodic", "bursts", "poisson"):
            raise UsageError(f"sensor '{self.name}' is of kind '{self.kind}': give periodic, bursts or poisson")
        if self.period_ns <= 0 or self.deadline_ns <= 0:
            raise UsageError(f"sensor '{self.name}' needs a period and a deadline above 0")
        if not 0 <= self.jitter_ns < self.period_ns or self.delay_ns < 0 or self.phase_ns < 0:
            raise UsageError(
                f"sensor '{self.name}': jitter must be 0 up to, but below, its period; delay and phase 0 or more"
            )
        if self.kind == "poisson" and self.jitter_ns:
            raise UsageError(f"sensor '{self.name}' captures at random anyway: leave its jitter out")
        if self.kind == "bursts" and not (self.burst_mean >= 1 and self.gap_ns > 0):
            raise UsageError(f"sensor '{self.name}': a burst has a mean of 1 sample or more, and a gap above 0")

    @property
    def stream(self) -> Stream:
        """What the core is told of it. A Poisson sensor promises no least distance."""
        return Stream(
            name=self.name,
            deadline_ns=self.deadline_ns,
            criticality=self.criticality,
            period_ns=None if self.kind == "poisson" else self.period_ns - self.jitter_ns,
            has_safe_value=self.has_safe_value,
            expiry_ns=self.expiry_ns,
            capture_delay_ns=self.delay_ns,
            reuse_below=self.reuse_below,
            reuse_age_max_ns=self.reuse_age_max_ns,
        )

    def captures(self, streams: Streams, until_ns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The moments of capture before `until_ns`, rising, and of arrival (ns); `streams` gives generators by name."""
        if until_ns / self.period_ns > ARRIVALS_MAX:
            raise UsageError(f"sensor '{self.name}' would capture more than {ARRIVALS_MAX} samples: give less time")
        if self.kind == "periodic":
            ticks = np.arange(self.phase_ns, max(until_ns, self.phase_ns), self.period_ns, dtype=np.int64)
        else:
            ticks = self._irregular(streams, until_ns)
        late = streams(f"sensor/{self.name}/jitter").random(len(ticks)) * self.jitter_ns
        captured = ticks + late.astype(np.int64)
        captured = captured[captured < until_ns]
        waits = streams(f"sensor/{self.name}/delay").random(len(captured)) * self.delay_ns
        return captured, captured + waits.astype(np.int64)

    def _irregular(self, streams: Streams, until_ns: int) -> NDArray[np.int64]:
        draws = streams(f"sensor/{self.name}/captures")
        found: list[NDArray[np.int64]] = []
        now = self.phase_ns
        while now < until_ns:
            if self.kind == "poisson":
                steps = np.maximum(draws.exponential(self.period_ns, 1024), 1.0).astype(np.int64)
                ticks = now + np.cumsum(steps)
                now = int(ticks[-1])
            else:
                start = now + round(draws.exponential(self.gap_ns))
                ticks = start + self.period_ns * np.arange(int(draws.geometric(1 / self.burst_mean)), dtype=np.int64)
                now = int(ticks[-1]) + self.period_ns
            found.append(ticks)
        every = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
        return every[every < until_ns]


def arrivals(sensors: Sequence[Sensor], streams: Streams, until_ns: int) -> list[Arrival]:
    """What all sensors capture before `until_ns`, in order of arrival; UsageError for two of one name."""
    if len({sensor.name for sensor in sensors}) != len(sensors):
        raise UsageError("two sensors have the same name")
    found: list[Arrival] = []
    for sensor in sensors:
        captured, arrived = sensor.captures(streams, until_ns)
        pairs = zip(arrived.tolist(), captured.tolist(), strict=True)
        found += [Arrival(arrival_ns, captured_ns, sensor.name) for arrival_ns, captured_ns in pairs]
    return sorted(found)
