"""Transfers in closed form against the emulated relay's own pipe, byte by byte, and against steps of small time."""

import random
from collections.abc import Sequence

import numpy as np
import pytest

from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.pipe import Flow, Kind, Pipe, PipeLimits
from hedgerow.simulation.course import Course
from hedgerow.simulation.transfer import NEVER_NS, Direction

MS = 1_000_000


def course(rows: Sequence[tuple[int, float, float, bool]], end_ms: int, at_end: str = "hold") -> Course:
    """Rows of (start in ms, round trip in ms, Mbit/s, frozen)."""
    return Course(
        "test", "", np.array([row[0] * MS for row in rows], np.int64), end_ms * MS,
        np.array([row[1] * MS for row in rows]), np.array([row[2] * 125_000.0 for row in rows]),
        np.array([row[2] * 125_000.0 for row in rows]), np.array([row[3] for row in rows]), at_end,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_steady_link_takes_bytes_over_rate_and_half_the_round_trip() -> None:
    link = Direction(course([(0, 40, 8, False)], 1000), up=True)
    first, done = link.send(10_000, 0, 1000)
    assert first == pytest.approx(1 * MS + 20 * MS, abs=10)
    assert done == pytest.approx(10 * MS + 20 * MS, abs=10)
    assert link.send(1000, 2 * MS)[1] == pytest.approx(11 * MS + 20 * MS, abs=10)  # behind the first
    assert link.backlog_bytes(2 * MS) == pytest.approx(9000, abs=1)
    link.forget()
    assert link.send(1000, 2 * MS)[1] == pytest.approx(3 * MS + 20 * MS, abs=10)


def test_nothing_moves_while_frozen_and_what_is_under_way_arrives_after_the_thaw() -> None:
    link = Direction(course([(0, 40, 8, False), (5, 40, 8, True), (105, 40, 8, False)], 1000), up=True)
    first, done = link.send(10_000, 0, 1000)
    assert first == 105 * MS  # left the bottleneck after 1 ms, was under way at the freeze
    assert done == pytest.approx(110 * MS + 20 * MS, abs=10)


def test_a_link_that_is_never_back_never_delivers() -> None:
    link = Direction(course([(0, 40, 8, False), (5, 40, 0, True)], 1000), up=True)
    assert link.send(10_000, 0)[1] == NEVER_NS
    assert Direction(course([(0, 40, 0, True)], 1000, "loop"), up=True).send(10, 0)[1] == NEVER_NS


def test_a_looped_course_goes_on_with_its_first_row() -> None:
    rows = [(0, 10, 8, False), (100, 30, 4, False)]
    looped = Direction(course(rows, 200, "loop"), up=True)
    later = [(start + 200, trip, rate, frozen) for start, trip, rate, frozen in rows]
    plain = Direction(course(rows + later, 400), up=True)
    for now in (10 * MS, 150 * MS, 190 * MS, 250 * MS):
        assert looped.send(9000, now) == pytest.approx(plain.send(9000, now), abs=10)


def test_a_fresh_connection_pays_for_opening_and_for_slow_start() -> None:
    steady = course([(0, 40, 800, False)], 1000)
    usual, fresh = Direction(steady, up=True), Direction(steady, up=True)
    small = fresh.send(10_000, 0, fresh=True)[1] - usual.send(10_000, 0)[1]
    assert small == pytest.approx(40 * MS, rel=0.01)
    usual.forget()
    fresh.forget()
    large = fresh.send(60_000, 0, fresh=True)[1] - usual.send(60_000, 0)[1]
    assert large == pytest.approx(3 * 40 * MS, rel=0.01)  # 14 + 29 + 58 kB: two more round trips


def _by_pipe(link: Course, sends: list[tuple[int, int]], step_ns: int) -> list[int]:
    """Arrival of the last byte of each send through the relay's pipe, moved on in small steps."""
    pipe, flow = Pipe(PipeLimits(queue_bytes_min=1 << 24, queue_bytes_max=1 << 25)), Flow(0, blocked=False)
    ends, arrived, total, done = [], [], 0, []
    for _, size in sends:
        total += size
        ends.append(total)
    now, got, queue = 0, 0, list(sends)
    while got < total and now < 20_000 * MS:
        while queue and queue[0][0] <= now:
            pipe.offer(flow, b"x" * queue.pop(0)[1], now_ns=now)
        moment = link.at(now)
        rate = None if moment.up_bytes_per_s == float("inf") else moment.up_bytes_per_s
        conditions = LinkConditions(rate, rate, moment.round_trip_ns / 1e6, stalled=moment.frozen)
        for parcel in pipe.advance(now_ns=now):
            if parcel.kind is Kind.DATA:
                got += len(parcel.data)
                arrived.append((now, got))
        pipe.set_conditions(rate, conditions, now_ns=now)
        now += step_ns
    for end in ends:
        done.append(next((moment for moment, count in arrived if count >= end), NEVER_NS))
    return done


@pytest.mark.parametrize("seed", range(6))
def test_arrivals_equal_the_emulated_relays_pipe(seed: int) -> None:
    draw = random.Random(seed)
    rows = [
        (start * 50, draw.choice([10.0, 40.0, 90.0]), draw.choice([2.0, 8.0, 20.0]), draw.random() < 0.2 and start > 0)
        for start in range(40)
    ]
    rows.append((2000, 20.0, 10.0, False))
    link = course(rows, 3000)
    sends = sorted((draw.randrange(0, 1800) * MS, draw.randrange(500, 20_000)) for _ in range(12))
    closed = Direction(link, up=True)
    mine = [closed.send(size, at)[1] for at, size in sends]
    theirs = _by_pipe(link, sends, MS // 4)
    assert all(abs(a - b) <= 3 * MS for a, b in zip(mine, theirs, strict=True)), list(zip(mine, theirs, strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_the_time_in_which_bytes_move_equals_small_steps(seed: int) -> None:
    """Quarters of a millisecond, each looked up by itself: frozen or without a rate nothing moves; a loop begins again."""
    chance = random.Random(seed)
    starts = sorted({0, *(chance.randrange(1, 300) for _ in range(8))})
    rows = [(start, 30.0, chance.choice((0.0, 0.5, 8.0)), chance.random() < 0.3) for start in starts]
    at_end = chance.choice(("hold", "loop"))
    link = Direction(course(rows, 300, at_end), up=True)

    def moves(now_ms: float) -> bool:
        place = now_ms % 300 if at_end == "loop" else now_ms
        _, _, rate, frozen = [row for row in rows if row[0] <= place][-1]
        return rate > 0 and not frozen

    for _ in range(20):
        begin, length = chance.randrange(0, 4 * 700), chance.randrange(0, 4 * 700)  # quarters; well beyond the end
        steps = sum(moves(step / 4) for step in range(begin, begin + length))
        assert link.moving_ns(begin * MS // 4, (begin + length) * MS // 4) == steps * MS // 4


@pytest.mark.parametrize("size", [500, 9_000, 60_000])
def test_a_radio_sends_for_bytes_over_rate_however_long_the_link_stands_still(size: int) -> None:
    link = Direction(
        course([(0, 40, 8, False), (5, 40, 8, True), (105, 40, 0, False), (200, 40, 8, False)], 1000), up=True
    )
    passes = link.sending_ns(size, 0)
    assert passes == pytest.approx(size * 1000 + (195 * MS if size > 5_000 else 0), abs=10)
    assert link.moving_ns(0, passes) == pytest.approx(size * 1000, abs=10)  # 1 us a byte
    assert link.moving_ns(6 * MS, 190 * MS) == 0
