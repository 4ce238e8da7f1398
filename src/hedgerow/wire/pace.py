"""Decides how many bytes of the bulk channel may be under way, from the acknowledgements alone.

Why: bytes that were handed to the kernel cannot be taken back, so stopping a crossing helps only if few are under way;
too few, and a long link stands idle. The window follows BBR's model (Cardwell et al., "BBR: Congestion-Based Congestion
Control", ACM Queue 2016): the highest delivery rate of the last seconds times the lowest round trip, doubled, plus
QUEUE_NS of the rate so that a loopback round trip of microseconds does not shrink it to nothing.

Time is an argument; one Pace belongs to one connection and is shared by all its crossings.
"""

from collections import deque
from dataclasses import dataclass

from hedgerow.wire.limits import CHUNK_BYTES_MAX, KIB, MIB, SECOND_NS

FIRST_CHUNK_BYTES = KIB
"""The first chunk is small, so that its acknowledgement gives the round trip."""
CHUNK_BYTES_MIN = 4 * KIB
CHUNK_BYTES_UNKNOWN = 16 * KIB
CHUNK_NS = 8_000_000
"""A chunk takes about this long at the rate last seen."""
QUEUE_NS = 10_000_000
WINDOW_BYTES_MIN = 8 * KIB
WINDOW_BYTES_START = 32 * KIB
WINDOW_BYTES_MAX = MIB
MEMORY_NS = 2 * SECOND_NS
ROUND_TRIP_MEMORY_NS = 10 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Sent:
    """One chunk under way, with the state at its sending that the rate is computed from."""

    end: int
    bytes: int
    sent_ns: int
    delivered_bytes: int
    delivered_ns: int
    window_limited: bool


class Pace:
    """The window of one connection."""

    def __init__(self) -> None:
        self.under_way_bytes = 0
        self._delivered_bytes = 0
        self._delivered_ns = 0
        self._rates: deque[tuple[int, float]] = deque()
        self._round_trips: deque[tuple[int, int]] = deque()
        self._rate_bytes_per_s = 0.0
        self._measured = False

    @property
    def rate_bytes_per_s(self) -> float:
        """The highest delivery rate seen lately; 0 while unknown."""
        return self._rate_bytes_per_s

    @property
    def window_bytes(self) -> int:
        """How many bytes may be under way."""
        if not self._measured or not self._round_trips:
            return WINDOW_BYTES_START
        round_trip_ns = self._round_trips[0][1]
        wanted = self._rate_bytes_per_s * (2 * round_trip_ns + QUEUE_NS) / SECOND_NS
        return int(min(max(wanted, WINDOW_BYTES_MIN), WINDOW_BYTES_MAX))

    def chunk_bytes(self) -> int:
        """How long the next chunk may be now; 0: wait for an acknowledgement."""
        room = self.window_bytes - self.under_way_bytes
        if self._rate_bytes_per_s:
            wanted = int(min(max(self._rate_bytes_per_s * CHUNK_NS / SECOND_NS, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX))
        else:
            wanted = CHUNK_BYTES_UNKNOWN
        if self.under_way_bytes == 0:
            return wanted
        return wanted if room >= wanted else 0

    def sent(self, end: int, size: int, *, now_ns: int) -> Sent:
        """Note a chunk that ends at payload offset `end`; hand the result to `acked` or `forget`."""
        if self.under_way_bytes == 0:
            self._delivered_ns = now_ns
        self.under_way_bytes += size
        limited = 2 * self.under_way_bytes >= self.window_bytes
        return Sent(end, size, now_ns, self._delivered_bytes, self._delivered_ns, limited)

    def acked(self, chunk: Sent, *, now_ns: int) -> None:
        """Note that `chunk` was received."""
        self.under_way_bytes -= chunk.bytes
        self._delivered_bytes += chunk.bytes
        self._delivered_ns = now_ns
        round_trip_ns = max(now_ns - chunk.sent_ns, 1)
        _remember_least(self._round_trips, round_trip_ns, now_ns)
        elapsed_ns = max(now_ns - chunk.delivered_ns, 1)
        rate = (self._delivered_bytes - chunk.delivered_bytes) * SECOND_NS / elapsed_ns
        if chunk.window_limited or rate > self._rate_bytes_per_s:
            self._note_rate(rate, now_ns)
            self._measured = self._measured or chunk.window_limited

    def forget(self, chunk: Sent) -> None:
        """Note that `chunk` will not be acknowledged: its crossing has ended."""
        self.under_way_bytes -= chunk.bytes

    def _note_rate(self, rate: float, now_ns: int) -> None:
        rates = self._rates
        while rates and rates[0][0] < now_ns - MEMORY_NS:
            rates.popleft()
        while rates and rates[-1][1] <= rate:
            rates.pop()
        rates.append((now_ns, rate))
        self._rate_bytes_per_s = rates[0][1]


def _remember_least(least: deque[tuple[int, int]], value: int, now_ns: int) -> None:
    """Keep the smallest of the last ROUND_TRIP_MEMORY_NS at the left."""
    while least and least[0][0] < now_ns - ROUND_TRIP_MEMORY_NS:
        least.popleft()
    while least and least[-1][1] >= value:
        least.pop()
    least.append((now_ns, value))
