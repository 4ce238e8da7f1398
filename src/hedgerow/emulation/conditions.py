"""What a link does to bytes at one moment, and the bounds of what may be asked of an emulated one.

Rules: rates count payload bytes (no packet headers); `None` means unlimited, 0 means that nothing crosses; the round
trip is split evenly over both directions.
"""

import math
from dataclasses import dataclass
from typing import Final

from hedgerow.errors import UsageError

BYTES_PER_S_PER_MBPS: Final = 125_000.0
MBPS_MAX: Final = 100_000.0
RTT_MS_MAX: Final = 600_000.0


@dataclass(frozen=True, slots=True)
class LinkConditions:
    """The state of an emulated link. Raises UsageError when a value is out of its range.

    `stalled`: no byte crosses and new connections wait, connections stay. `blackout`: the same, and the first packet of
    a new connection is lost (its sender's kernel tries again after 1 s, 3 s, ...). `refused`: new connections are
    refused at once, those that exist go on.
    """

    uplink_bytes_per_s: float | None = None
    downlink_bytes_per_s: float | None = None
    rtt_ms: float = 0.0
    stalled: bool = False
    blackout: bool = False
    refused: bool = False

    def __post_init__(self) -> None:
        for name, rate in (("uplink", self.uplink_bytes_per_s), ("downlink", self.downlink_bytes_per_s)):
            if rate is not None:
                check_range(f"{name}_mbps", rate / BYTES_PER_S_PER_MBPS, MBPS_MAX)
        check_range("rtt_ms", self.rtt_ms, RTT_MS_MAX)

    @property
    def frozen(self) -> bool:
        """No byte crosses in either direction."""
        return self.stalled or self.blackout

    @property
    def one_way_ns(self) -> int:
        """Propagation of one direction."""
        return round(self.rtt_ms * 500_000)

    @classmethod
    def of_mbps(
        cls, uplink_mbps: float | None = None, downlink_mbps: float | None = None, rtt_ms: float = 0.0
    ) -> "LinkConditions":
        """The same in Mbit/s. Source of the factor: 1 Mbit/s = 125,000 bytes a second."""
        return cls(bytes_per_s(uplink_mbps), bytes_per_s(downlink_mbps), rtt_ms)


def bytes_per_s(mbps: float | None) -> float | None:
    """Mbit/s to bytes a second; None (unlimited) stays None."""
    return None if mbps is None else mbps * BYTES_PER_S_PER_MBPS


def check_range(name: str, value: float, maximum: float) -> float:
    """Return `value` if it is finite and in 0..maximum. Raises UsageError naming it otherwise."""
    if not math.isfinite(value) or not 0 <= value <= maximum:
        raise UsageError(f"{name} is {value:g}: give a number from 0 to {maximum:g}")
    return value
