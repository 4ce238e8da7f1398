"""One stream's logic on a clock of its own: exactly one message a frame, in time, and never a stale answer."""

import mmap
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.guard.frames import Frames
from hedgerow.guard.memory import ANSWER, EXPECTED, SAFE_VALUE, Ring, Slot, stride

DEADLINE, BOUND, PERIOD, SLOTS = 100, 5, 30, 32


class World:
    """A stream, its writers, and what came out: (moment, frame, captured, kind, reason, payload)."""

    def __init__(self, period: int | None = None) -> None:
        memory = mmap.mmap(-1, SLOTS * (stride(0) + stride(64)))
        self.announced, self.answers = Ring(memory, 0, SLOTS, 0), Ring(memory, SLOTS * stride(0), SLOTS, 64)
        self.frames = Frames(
            {"deadline_ns": DEADLINE, "period_ns": period}, self.announced, self.answers, b"safe", BOUND
        )
        self.out: list[tuple[int, int, int, int, int, bytes]] = []
        self.deadlines: dict[int, int] = {}

    def announce(self, now: int, deadline: int | None = None) -> int:
        frame = max(self.frames.next_frame, 1 + max(self.deadlines, default=-1))
        self.deadlines[frame] = now + DEADLINE if deadline is None else deadline
        self.announced.put(Slot(frame, frame, now, self.deadlines[frame]))
        return frame

    def answer(self, frame: int, epoch: int = 1) -> None:
        self.answers.put(Slot(frame, frame, 0, 0, epoch, payload=b"answer %d" % frame))

    def settle(self, now: int, epoch: int = 1, running: bool = True) -> None:
        self.out += [(now, *message) for message in self.frames.settle(now, epoch, running)]


def test_an_answer_goes_out_once_and_as_it_came() -> None:
    world = World()
    frame = world.announce(0)
    world.settle(1)
    assert world.out == []
    world.answer(frame)
    world.settle(2)
    world.settle(200)
    assert world.out == [(2, 0, 0, ANSWER, 0, b"answer 0")]
    assert world.frames.settled() == 1


def test_the_safe_value_goes_out_the_bound_before_the_deadline_and_a_later_answer_is_only_counted() -> None:
    world = World()
    frame = world.announce(0)
    world.settle(1)
    assert world.frames.due_ns() == [DEADLINE - BOUND]
    world.settle(DEADLINE - BOUND - 1)
    assert world.out == []
    world.settle(DEADLINE - BOUND)
    world.answer(frame)
    world.settle(DEADLINE)
    world.settle(DEADLINE + 1)
    assert world.out == [(DEADLINE - BOUND, 0, 0, SAFE_VALUE, 1, b"safe")]
    assert world.frames.counts["late_answers"] == 1


def test_an_answer_of_an_earlier_session_is_not_taken() -> None:
    world = World()
    frame = world.announce(0)
    world.answer(frame, epoch=1)
    world.settle(1, epoch=2)
    assert world.out == []
    world.answer(frame, epoch=2)
    world.settle(2, epoch=2)
    assert [message[3] for message in world.out] == [ANSWER]


def test_an_announcement_that_comes_too_late_gets_its_safe_value_at_once() -> None:
    world = World()
    world.announce(0, deadline=10)
    world.settle(500)
    assert [message[3] for message in world.out] == [SAFE_VALUE]
    assert world.frames.counts["beyond_bound"] == 1


@pytest.mark.parametrize("deadline", [10**12, 2**62])
def test_a_deadline_in_the_far_future_is_not_waited_for(deadline: int) -> None:
    world = World()
    world.announce(0, deadline)
    world.settle(7)
    assert world.frames.due_ns() == [7 + DEADLINE - BOUND]


def test_frames_that_are_due_and_not_announced_are_answered_each_period_and_numbered_on() -> None:
    world = World(PERIOD)
    world.announce(0)
    world.answer(0)
    for now in range(300):
        world.settle(now)
    expected = [message for message in world.out if message[3] == EXPECTED]
    first = PERIOD + DEADLINE - BOUND
    assert [(message[0], message[2]) for message in expected] == [
        (first + n * PERIOD, PERIOD * (n + 1)) for n in range(len(expected))
    ]
    assert [message[1] for message in world.out] == list(range(len(world.out)))
    assert len(expected) == 6
    assert world.announce(300) == world.frames.next_frame  # the camera goes on with a number that is free


def test_a_guard_that_was_stopped_does_not_flood_its_consumers() -> None:
    world = World(PERIOD)
    world.announce(0)
    world.settle(0)
    world.settle(100 * PERIOD)
    world.settle(100 * PERIOD + 1)
    assert len(world.out) == 2  # the announced frame, one expected, and then those to come
    assert world.frames.due_ns()[0] > 100 * PERIOD + 1


def test_a_stream_without_a_period_expects_nothing() -> None:
    world = World(None)
    world.frames.expect(0)
    world.settle(10**9)
    assert world.out == []
    assert world.frames.due_ns() == []


def test_noise_in_the_rings_is_neither_a_frame_nor_an_answer() -> None:
    world = World()
    frame = world.announce(0)
    world.settle(1)
    slot = bytes(world.answers.put(Slot(frame, frame, 0, 0, 1, payload=b"right")))
    world.answers._memory[SLOTS * stride(0) : SLOTS * stride(0) + len(slot)] = slot[:-1] + b"!"
    for number in range(1, SLOTS):
        world.announced.put(Slot(number + SLOTS, number + SLOTS, 0, 50))  # numbers that are not due
    world.settle(DEADLINE)
    assert [message[1:4] for message in world.out] == [(frame, 0, SAFE_VALUE)]


def test_an_announcement_that_was_destroyed_gets_its_safe_value_when_the_next_one_comes() -> None:
    world = World()
    world.announce(0)
    world.announced._memory[20:24] = b"oops"
    world.settle(1)
    assert world.out == []
    world.announce(2)
    world.answer(1)
    world.settle(3)
    assert [message[1:4] for message in world.out] == [(0, 2, SAFE_VALUE), (1, 2, ANSWER)]


STEPS = st.lists(
    st.tuples(st.sampled_from(("announce", "answer", "stale", "restart", "wait", "wait")), st.integers(0, 60))
)


@given(STEPS, st.sampled_from((None, PERIOD)))
def test_every_frame_has_exactly_one_message_in_time_and_the_right_one(
    steps: list[tuple[str, int]], period: int | None
) -> None:
    world, now, epoch, written = World(period), 0, 1, dict[int, tuple[int, int]]()
    for what, size in steps:
        known = sorted(world.deadlines)
        if what == "announce" and len(world.deadlines) + len(world.out) - world.frames.settled() < SLOTS // 2:
            world.announce(now)
        elif what in ("answer", "stale") and known:
            frame = known[-1 - size % len(known)]
            by = epoch if what == "answer" else epoch - 1
            if frame > max(known) - SLOTS:
                world.answer(frame, by)
                written[frame] = (now, by)
        elif what == "restart":
            epoch += 1
        for _ in range(size if what == "wait" else 1):
            world.settle(now, epoch)
            now += 1
    for _ in range(DEADLINE + 1):
        world.settle(now, epoch)
        now += 1
    told: dict[int, Any] = {message[1]: message for message in world.out}
    assert all(count == 1 for count in Counter(message[1] for message in world.out).values())
    assert set(world.deadlines) <= set(told)
    assert sorted(told) == list(range(len(told)))
    for frame, (moment, _, _, kind, _, payload) in told.items():
        assert payload == (b"answer %d" % frame if kind == ANSWER else b"safe")
        assert frame in written or kind != ANSWER
        if frame in world.deadlines:
            assert moment <= max(world.deadlines[frame] - BOUND, world.deadlines[frame] - DEADLINE)
