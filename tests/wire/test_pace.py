"""The pace on modelled links: nothing waits in vain on a fast one, little is under way on a slow one."""

import heapq
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.wire.limits import CHUNK_BYTES_MAX, SECOND_NS
from hedgerow.wire.pace import (
    FIRST_CHUNK_BYTES,
    MEMORY_NS,
    WINDOW_BYTES_MAX,
    WINDOW_BYTES_MIN,
    WINDOW_BYTES_START,
    Pace,
)

MS_NS = 1_000_000


@dataclass
class Course:
    """What happened to one payload."""

    took_ns: int
    most_under_way_bytes: int


def carry(pace: Pace, size: int, *, rate: float, round_trip_ns: int, now_ns: int) -> Course:
    """Send `size` bytes over a link of `rate` bytes/s: each chunk queues for the link, its ack is back a round trip later."""
    begun_ns, free_ns, offset, most = now_ns, now_ns, 0, 0
    acks: list[tuple[int, int]] = []
    under_way = {}
    wanted = FIRST_CHUNK_BYTES
    while offset < size or acks:
        if offset < size and wanted:
            length = min(wanted, size - offset)
            offset += length
            under_way[offset] = pace.sent(offset, length, now_ns=now_ns)
            free_ns = max(free_ns, now_ns) + int(length * SECOND_NS / rate)
            heapq.heappush(acks, (free_ns + round_trip_ns, offset))
            most = max(most, pace.under_way_bytes)
        else:
            now_ns, end = heapq.heappop(acks)
            pace.acked(under_way.pop(end), now_ns=now_ns)
        wanted = pace.chunk_bytes()
    return Course(now_ns - begun_ns, most)


@pytest.mark.parametrize("rate", [1.25e5, 1.25e6, 6.25e6, 1.25e7])
@pytest.mark.parametrize("round_trip_ms", [1, 20, 60])
def test_once_it_knows_the_link_it_fills_it_and_holds_little(rate: float, round_trip_ms: int) -> None:
    pace, round_trip_ns, now_ns = Pace(), round_trip_ms * MS_NS, SECOND_NS
    for _ in range(6):
        course = carry(pace, 1_000_000, rate=rate, round_trip_ns=round_trip_ns, now_ns=now_ns)
        now_ns += course.took_ns + 10 * MS_NS
    least_ns = 1_000_000 / rate * SECOND_NS + round_trip_ns
    assert course.took_ns <= 1.25 * least_ns
    pipe = rate * (round_trip_ns + 10 * MS_NS) / SECOND_NS
    assert course.most_under_way_bytes <= max(3.5 * pipe, WINDOW_BYTES_MIN + 2 * CHUNK_BYTES_MAX // 8)


def test_before_it_knows_anything_it_starts_small() -> None:
    pace = Pace()
    assert pace.window_bytes == WINDOW_BYTES_START
    assert pace.rate_bytes_per_s == 0


def test_a_link_that_became_slow_is_noticed() -> None:
    pace = Pace()
    carry(pace, 4_000_000, rate=1.25e7, round_trip_ns=20 * MS_NS, now_ns=SECOND_NS)
    fast = pace.window_bytes
    carry(pace, 1_000_000, rate=1.25e5, round_trip_ns=20 * MS_NS, now_ns=2 * SECOND_NS + MEMORY_NS)
    assert pace.window_bytes < fast / 5


def test_what_was_forgotten_makes_room() -> None:
    pace = Pace()
    chunk = pace.sent(WINDOW_BYTES_START, WINDOW_BYTES_START, now_ns=0)
    assert pace.chunk_bytes() == 0
    pace.forget(chunk)
    assert pace.under_way_bytes == 0
    assert pace.chunk_bytes() > 0


@given(st.lists(st.tuples(st.integers(1, CHUNK_BYTES_MAX), st.integers(0, 10**10), st.booleans()), max_size=50))
def test_whatever_happens_the_window_stays_in_its_bounds_and_something_can_always_go(
    steps: list[tuple[int, int, bool]],
) -> None:
    pace, now_ns, end = Pace(), 0, 0
    for size, wait_ns, lost in steps:
        end += size
        chunk = pace.sent(end, size, now_ns=now_ns)
        now_ns += wait_ns
        if lost:
            pace.forget(chunk)
        else:
            pace.acked(chunk, now_ns=now_ns)
        assert WINDOW_BYTES_MIN <= pace.window_bytes <= WINDOW_BYTES_MAX
        assert pace.under_way_bytes == 0
        assert 0 < pace.chunk_bytes() <= CHUNK_BYTES_MAX
