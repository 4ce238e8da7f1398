"""Levels of few bits, several to a byte, shaped for the entropy coder that follows.

8 bits: one a byte; 4 and 3 bits: two; 2 bits: four. Two 3-bit levels leave two bits of their byte empty on purpose:
zstd's Huffman stage codes bytes, so it takes those bits back, and it sees whole pairs of neighbours, which levels that
straddle bytes would hide from it. The first level is in the low bits.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import PeerError
from hedgerow.models.tensors import Array

Element = TypeVar("Element", bound=np.generic)
Bytes = NDArray[np.uint8]

BLOCK_BYTES = 2**16
PER_BYTE = {8: 1, 4: 2, 3: 2, 2: 4}


def packed_bytes(elements: int, bits: int) -> int:
    """Length of `elements` packed levels."""
    return -(-elements // PER_BYTE[bits])


def pack(levels: Bytes, bits: int) -> Bytes:
    """Flat levels, each below 2^bits, to `packed_bytes` bytes; the last one is filled up with level 0."""
    per_byte = PER_BYTE[bits]
    if per_byte == 1:
        return levels
    missing = -levels.size % per_byte
    if missing:
        levels = np.concatenate([levels, np.zeros(missing, np.uint8)])
    if per_byte == 2:
        pairs = levels.view("<u2")
        packed: Bytes = (pairs | (pairs >> (8 - bits))).astype(np.uint8)
        return packed
    quads = levels.view("<u4")
    halves = quads | (quads >> 6)
    packed = (halves | (halves >> 12)).astype(np.uint8)
    return packed


def _levels_of_bytes(bits: int) -> Bytes:
    """Shape (256, levels a byte): the levels that each byte holds."""
    shifts = np.arange(PER_BYTE[bits], dtype=np.uint8) * np.uint8(bits % 8)
    return (np.arange(256, dtype=np.uint8)[:, None] >> shifts) & np.uint8(2**bits - 1)


_LEVELS = {bits: _levels_of_bytes(bits) for bits in PER_BYTE}


def check_packed(packed: Bytes, bits: int) -> None:
    """PeerError where a byte holds more than its levels."""
    if bits == 3 and packed.size and packed.max() > 0b111111:
        raise PeerError("packed levels of 3 bits hold bytes above 63; the sender is broken")


def unpack(packed: Bytes, bits: int, elements: int) -> Bytes:
    """The first `elements` levels, flat."""
    if PER_BYTE[bits] == 1:
        return packed[:elements]
    return _look_up(_LEVELS[bits], packed)[:elements]


def unpack_values(packed: Bytes, bits: int, elements: int, values: Array) -> Array:
    """values[level] of the first `elements` levels, flat: one lookup a byte instead of one an element."""
    return _look_up(values[_LEVELS[bits]], packed)[:elements]


def _look_up(table: NDArray[Element], packed: Bytes) -> NDArray[Element]:
    """Rows of `table`, flat, block by block: NumPy widens its indices to eight bytes each while it looks them up."""
    found = np.empty((packed.size, table.shape[1]), table.dtype)
    for start in range(0, packed.size, BLOCK_BYTES):
        block = slice(start, start + BLOCK_BYTES)
        table.take(packed[block], axis=0, out=found[block], mode="clip")
    return found.reshape(-1)
