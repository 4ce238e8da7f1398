"""Packed levels come back, against a loop over single bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.codecs.packing import PER_BYTE, Bytes, check_packed, pack, packed_bytes, unpack, unpack_values
from hedgerow.errors import PeerError

BITS = st.sampled_from(sorted(PER_BYTE))


def packed_by_hand(levels: list[int], bits: int) -> list[int]:
    per_byte = PER_BYTE[bits]
    groups = [levels[start : start + per_byte] for start in range(0, len(levels), per_byte)]
    return [sum(level << (bits * place) for place, level in enumerate(group)) for group in groups]


@given(BITS, st.data())
@settings(deadline=None)
def test_levels_come_back(bits: int, data: st.DataObject) -> None:
    drawn = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=40))
    levels: Bytes = np.array(drawn, np.uint8)
    packed = pack(levels, bits)
    assert packed.tolist() == packed_by_hand(drawn, bits)
    assert packed.size == packed_bytes(len(drawn), bits)
    check_packed(packed, bits)
    np.testing.assert_array_equal(unpack(packed, bits, levels.size), levels)
    values = np.arange(2**bits, dtype=np.float64) * 0.5 - 3
    np.testing.assert_array_equal(unpack_values(packed, bits, levels.size, values), levels * 0.5 - 3)


def test_a_byte_of_two_3_bit_levels_is_below_64() -> None:
    check_packed(np.array([63], np.uint8), 3)
    with pytest.raises(PeerError, match="above 63"):
        check_packed(np.array([64], np.uint8), 3)
