"""The course of the drive: what happens to link and server, and when. The same for every strategy.

    0.0  good        25 Mbit/s, 30 ms           7.2  blackout      nothing crosses
    4.0  squeeze     1.5 Mbit/s, 120 ms         9.2  good          again
    6.0  good        again                     10.7  server down   killed; started again at 11.8

Written for 15 s; another length stretches all times alike.
"""

from dataclasses import dataclass

from hedgerow.views.timeline import Band

WRITTEN_FOR_S = 15.0
RATE_HZ = 10.0
GOOD = "set uplink_mbps=25 downlink_mbps=30 rtt_ms=30"
SQUEEZE = "set uplink_mbps=1.5 downlink_mbps=3 rtt_ms=120"
KILL, RESTART = "kill", "restart"
_SCRIPT = (
    (0.0, "good", (GOOD,)),
    (4.0, "squeeze", (SQUEEZE,)),
    (6.0, "good", (GOOD,)),
    (7.2, "blackout", ("blackout on",)),
    (9.2, "good", ("blackout off",)),
    (10.7, "server down", (KILL,)),
    (11.8, "server down", (RESTART,)),
)


@dataclass(frozen=True, slots=True)
class Happening:
    """At `at_s` the course's state becomes `state`; `orders` are lines for the relay, or KILL or RESTART."""

    at_s: float
    state: str
    orders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """The script for a drive of `seconds`."""

    seconds: float = WRITTEN_FOR_S
    rate_hz: float = RATE_HZ

    @property
    def requests(self) -> int:
        return max(1, round(self.seconds * self.rate_hz))

    @property
    def period_ns(self) -> int:
        return round(1e9 / self.rate_hz)

    @property
    def happenings(self) -> tuple[Happening, ...]:
        scale = self.seconds / WRITTEN_FOR_S
        return tuple(Happening(at_s * scale, state, orders) for at_s, state, orders in _SCRIPT)

    def bands(self, server_back_s: float | None = None) -> list[Band]:
        """The course as stretches; the server is down until `server_back_s` (None: until the end)."""
        found: list[Band] = []
        for happening in self.happenings:
            if found and found[-1].name == happening.state:
                continue
            if found:
                found[-1] = Band(found[-1].name, found[-1].from_s, happening.at_s)
            found.append(Band(happening.state, happening.at_s, self.seconds))
        if server_back_s is not None and server_back_s < self.seconds:
            found[-1] = Band(found[-1].name, found[-1].from_s, server_back_s)
            found.append(Band("good", server_back_s, self.seconds))
        return found
