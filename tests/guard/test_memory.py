"""Rings of slots: what is read is what was written, whole and under its own number, or nothing."""

import mmap

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.guard.memory import HEAD_BYTES, Ring, Slot, pack, places, stride, unpack

COUNT, SIZE_MAX = 8, 40
SLOTS = st.builds(
    Slot,
    number=st.integers(0, 40),
    frame=st.integers(0, 2**64 - 1),
    captured_ns=st.integers(-(2**63), 2**63 - 1),
    moment_ns=st.integers(-(2**63), 2**63 - 1),
    epoch=st.integers(0, 2**32 - 1),
    stream=st.integers(0, 2**16 - 1),
    kind=st.integers(0, 2**16 - 1),
    payload=st.binary(max_size=SIZE_MAX),
)


def ring(memory: mmap.mmap, start: int = 0) -> Ring:
    return Ring(memory, start, COUNT, SIZE_MAX)


@given(st.lists(SLOTS, max_size=30))
def test_a_ring_holds_the_last_slot_of_each_place(slots: list[Slot]) -> None:
    with mmap.mmap(-1, COUNT * stride(SIZE_MAX)) as memory:
        tested, kept = ring(memory), dict[int, Slot]()
        for slot in slots:
            tested.put(slot)
            kept[slot.number % COUNT] = slot
            for number in range(41):
                last = kept.get(number % COUNT)
                assert tested.get(number) == (last if last is not None and last.number == number else None)


@given(SLOTS, SLOTS, st.data())
def test_a_write_that_stops_anywhere_is_never_taken_for_a_slot(old: Slot, new: Slot, data: st.DataObject) -> None:
    """The writer's own order: the number away, all but the number, the number; it may be stopped at any byte."""
    new = new._replace(number=old.number % COUNT + COUNT * data.draw(st.integers(0, 4)))
    with mmap.mmap(-1, COUNT * stride(SIZE_MAX)) as memory:
        tested, at, written = ring(memory), old.number % COUNT * stride(SIZE_MAX), pack(new)
        tested.put(old)
        memory[at : at + 8] = b"\xff" * 8
        cut = data.draw(st.integers(8, len(written)))
        memory[at + 8 : at + cut] = written[8:cut]
        assert tested.get(old.number) is None
        assert tested.get(new.number) is None
        if data.draw(st.booleans()):  # even if the processor showed the number before the rest
            memory[at : at + 8] = written[:8]
            assert tested.get(new.number) in (None, new, old)


@given(SLOTS, st.data())
def test_a_flipped_bit_is_noticed(slot: Slot, data: st.DataObject) -> None:
    written = bytearray(pack(slot))
    bit = data.draw(st.integers(0, 8 * len(written) - 1))
    written[bit // 8] ^= 1 << bit % 8
    assert unpack(bytes(written)) is None


@given(st.binary(max_size=200))
def test_chance_bytes_are_no_slot(noise: bytes) -> None:
    found = unpack(noise)
    assert found is None or pack(found) == noise


def test_fresh_memory_holds_nothing_not_even_slot_zero() -> None:
    with mmap.mmap(-1, COUNT * stride(SIZE_MAX)) as memory:
        assert [ring(memory).get(number) for number in range(2 * COUNT)] == [None] * 2 * COUNT


def test_a_length_beyond_the_slot_is_not_followed() -> None:
    long = pack(Slot(3, 3, 0, 0, payload=b"x" * (SIZE_MAX + 1)))
    with mmap.mmap(-1, 2 * COUNT * stride(SIZE_MAX)) as memory:
        at = 3 * stride(SIZE_MAX)
        memory[at : at + len(long)] = long
        assert ring(memory).get(3) is None


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 300)), min_size=1, max_size=6), st.integers(1, 50))
def test_rings_never_share_a_byte(streams: list[tuple[int, int]], slots_out: int) -> None:
    described = [{"slots": count, "payload_bytes_max": size} for count, size in streams]
    *rings, (total, _, _) = places({"slots_out": slots_out, "streams": described})
    assert len(rings) == 2 + 2 * len(streams)
    end = 0
    for start, count, size in rings:
        assert start >= end
        assert start % 64 == 0
        end = start + count * stride(size)
        assert stride(size) >= HEAD_BYTES + size
    assert end == total
