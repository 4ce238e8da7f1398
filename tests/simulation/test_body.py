"""A simulated crossing that is cut: by the rule of the real server, with the agreement of the part that crossed."""

from dataclasses import replace

import numpy as np
import pytest

from hedgerow.core import Arm, ArmTable, CrossStep, RunStep
from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.core.views import PrefixAnswer
from hedgerow.profiling.agreement import prefix_name
from hedgerow.simulation.body import ACK_BYTES, OPENING_BYTES, waits_ns
from hedgerow.simulation.course import Course
from hedgerow.simulation.world import Run, Setup, run
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.readers import RequestReader
from hedgerow.wire.seal import Windows, sealed_opening
from tests.core.world import MS, local_model, small_table
from tests.simulation.small import small_setup

PRICES = r.Prices()
SIZE, ARM = 4000, "split:big@1:ints:progressive"
PREFIXES = ((0.5, 0.82), (0.65, 0.86), (0.8, 0.9), (0.9, 0.94))
CROSS = CrossStep("cloud", "ints:progressive", SIZE, 2 * MS, 4 * MS, prefixes=PREFIXES)
BITS = {f"local:{name}": "11110" * 2 for name in ("small", "big")} | {ARM: "1" * 10}
BITS |= {
    prefix_name(ARM, share): "1" * count + "0" * (10 - count)
    for (share, _), count in zip(PREFIXES, (5, 6, 8, 9), strict=True)
}


def table(prefixes: tuple[tuple[float, float], ...] = PREFIXES) -> ArmTable:
    small = local_model("small", (1.0, 10, 10, 10), 0.8)
    big = local_model("big", (2.0, 60.0, 60.0, 60.0), 1.0)
    cut = Arm(ARM, (replace(CROSS, prefixes=prefixes), RunStep("cloud", "big", 0, 3, 10 * MS)), 0.97)
    return ArmTable((small_table().arms[0], cut), (small, big))


def setup(up_mbps: float, prefixes: tuple[tuple[float, float], ...] = PREFIXES) -> Setup:
    course = Course.steady(round_trip_ms=30, up_mbps=up_mbps, down_mbps=50)
    made = small_setup(course, table=table(prefixes), count=20, period_ms=1000, deadline_ms=200)
    return replace(made, agreement=BITS)


def watched(made: Setup) -> tuple[Run, list[PrefixAnswer]]:
    parts: list[PrefixAnswer] = []

    def watch(_: int, __: r.Event, outcome: r.Outcome) -> None:
        parts.extend(record for record in outcome.records if isinstance(record, PrefixAnswer))

    return run(made, by_name(f"only:{ARM}"), PRICES, watch=watch), parts


def test_over_a_good_link_the_whole_is_answered() -> None:
    made, parts = watched(setup(5.0))
    assert parts == []
    assert set(made.quality[2:]) == {0.97}


def test_over_a_slow_link_the_part_that_crossed_is_and_counts_as_such() -> None:
    """4,000 bytes take 213 ms at 150 kbit/s, and 200 are left from capture."""
    made, parts = watched(setup(0.15))
    assert len(parts) > 15
    assert not made.late.any()
    for part in parts:
        assert 0.5 <= part.prefix_bytes / SIZE < 1
        assert part.quality == CROSS.quality_of(part.prefix_bytes / SIZE)
        assert made.source[part.request] == "remote"
        assert made.quality[part.request] == part.quality
        share = max(share for share, _ in PREFIXES if share <= part.prefix_bytes / SIZE)
        assert made.agrees[part.request] == (BITS[prefix_name(ARM, share)][part.request % 10] == "1")


def test_without_parts_the_reserve_answers_there() -> None:
    made, parts = watched(setup(0.15, ()))
    assert parts == []
    assert set(made.source) == {"local"}
    better = watched(setup(0.15))[0]
    assert better.quality.sum() > made.quality.sum()


def test_over_a_link_that_is_slower_still_not_even_a_part_comes() -> None:
    made, parts = watched(setup(0.05))
    assert parts == []
    assert not made.late.any()
    assert set(made.source) == {"local"}


@pytest.mark.parametrize("came", [ACK_BYTES, 1200, 2400, 3100])
def test_how_long_is_waited_is_the_servers_own_rule(came: int) -> None:
    """The virtual body's `waits_ns` is `RequestReader.wait_ns`: at a constant rate, so long that an answer is just in time."""
    after_ns, payload, ends = 10**8, bytes(np.arange(SIZE, dtype=np.uint8)), [1200, 2400, 3100]
    opening = pb.Open(version=3, session=b"12345678", sequence=1, payload_bytes=SIZE)
    opening.prefix_ends[:], opening.prefix_after_ns = ends, after_ns
    first = pb.Up(open=sealed_opening(opening, payload), chunk=pb.Chunk(data=payload[:ACK_BYTES])).SerializeToString()
    read = RequestReader(first, Windows(1), payload_bytes_max=SIZE)
    read.first_chunk()
    if came > ACK_BYTES:
        read.take(pb.Up(chunk=pb.Chunk(offset=ACK_BYTES, data=payload[ACK_BYTES:came])).SerializeToString())
    behind, ahead = came - ACK_BYTES, next((end for end in ends if end > came), SIZE) - ACK_BYTES
    for last_ns in (0, 10**5, 10**7, 10**9):
        assert read.wait_ns(last_ns) == waits_ns(after_ns, len(first), behind, ahead, last_ns)
    if behind:
        crossing_ns = 3 * 10**4  # a byte
        opened_ns, last_ns = len(first) * crossing_ns, behind * crossing_ns
        if opened_ns + last_ns < after_ns:
            assert opened_ns + read.wait_ns(last_ns) == after_ns
        assert read.wait_ns(10**9) == after_ns - after_ns * len(first) // (behind + len(first))
    assert abs(len(first) - ACK_BYTES - OPENING_BYTES) < OPENING_BYTES
