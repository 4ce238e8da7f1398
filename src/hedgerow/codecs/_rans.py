"""Range asymmetric numeral systems: whole numbers of known frequencies to bytes and back, near their entropy.

Source: J. Duda, "Asymmetric numeral systems", arXiv:1311.2540; one state of 32 bits, renewed by 16 bits at a time. Written
here and not taken from a library because it is 40 lines, exact in whole numbers on every processor, and its reader goes
forwards, so that what has come of a payload can be decoded before the rest (docs/decisions/0014). It costs about
a quarter of a microsecond a symbol in Python: good for the few thousand of a bottleneck, too slow for a frame.
"""

from array import array
from collections.abc import Sequence

from hedgerow.errors import PeerError

BITS = 12
TOTAL = 1 << BITS  # of the frequencies of one table
STATE_BYTES = 4
ESCAPED = 256
"""A value that follows an escape is returned as this and its eight bits."""
RAW_SHIFT = BITS - 8
_MASK = TOTAL - 1
_LOW = 1 << 16
_GROW = 32 - BITS


def encode(starts: Sequence[int], frequencies: Sequence[int]) -> bytes:
    """The bytes of symbols, given as the start and frequency (at least 1) of each in its table, in the order of reading."""
    state = _LOW
    words = array("H")
    put = words.append
    for start, frequency in zip(reversed(starts), reversed(frequencies), strict=True):
        if state >= frequency << _GROW:
            put(state & 0xFFFF)
            state >>= 16
        state = (state // frequency << BITS) + state % frequency + start
    words.reverse()
    return state.to_bytes(STATE_BYTES, "little") + b"".join(word.to_bytes(2, "little") for word in words)


class Decoder:
    """Reads what `encode` wrote, symbol after symbol; PeerError where the bytes end early or were not written by it."""

    def __init__(self, data: bytes | memoryview) -> None:
        if len(data) < STATE_BYTES or len(data) % 2:
            raise PeerError(f"entropy-coded tensor of {len(data)} bytes is cut short; send it again")
        self.state = int.from_bytes(data[:STATE_BYTES], "little")
        self._words = [int.from_bytes(data[at : at + 2], "little") for at in range(STATE_BYTES, len(data), 2)]
        self._words.reverse()
        if self.state < _LOW:
            raise PeerError("entropy-coded tensor begins with an impossible state; the sender is broken")

    def take(
        self, count: int, starts: Sequence[int], frequencies: Sequence[int], places: bytes, *, escape: int = -1
    ) -> list[int]:
        """The next `count` symbols of one table; `places[slot]` is the symbol of each of its TOTAL slots.

        Eight bits follow the symbol `escape`; ESCAPED plus these is returned in its place.
        """
        state, words = self.state, self._words
        found = []
        try:
            for _ in range(count):
                slot = state & _MASK
                symbol = places[slot]
                state = frequencies[symbol] * (state >> BITS) + slot - starts[symbol]
                if state < _LOW:
                    state = state << 16 | words.pop()
                if symbol == escape:
                    symbol = ESCAPED + ((state & _MASK) >> RAW_SHIFT)
                    state = (state >> BITS << RAW_SHIFT) + (state & (1 << RAW_SHIFT) - 1)
                    if state < _LOW:
                        state = state << 16 | words.pop()
                found.append(symbol)
        except IndexError:
            raise PeerError(_EARLY) from None
        self.state = state
        return found

    def take_each(self, tables: Sequence[tuple[Sequence[int], Sequence[int], bytes]]) -> list[int]:
        """The next symbols, each of its own (starts, frequencies, places)."""
        state, words = self.state, self._words
        found = []
        try:
            for starts, frequencies, places in tables:
                slot = state & _MASK
                symbol = places[slot]
                state = frequencies[symbol] * (state >> BITS) + slot - starts[symbol]
                if state < _LOW:
                    state = state << 16 | words.pop()
                found.append(symbol)
        except IndexError:
            raise PeerError(_EARLY) from None
        self.state = state
        return found

    def flag(self, frequency: int) -> bool:
        """One yes or no, "no" having this frequency out of TOTAL and coming first."""
        slot = self.state & _MASK
        is_set = slot >= frequency
        start, size = (frequency, TOTAL - frequency) if is_set else (0, frequency)
        self.state = size * (self.state >> BITS) + slot - start
        if self.state < _LOW:
            if not self._words:
                raise PeerError(_EARLY)
            self.state = self.state << 16 | self._words.pop()
        return is_set

    def finish(self) -> None:
        """PeerError unless everything was read and nothing else."""
        if self._words or self.state != _LOW:
            raise PeerError("entropy-coded tensor does not end with its last element; the sender is broken")


_EARLY = "entropy-coded tensor ends before its last element; send it again"
