"""The entropy coder: what goes in comes out, near the entropy, and bytes that it did not write are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.codecs._counts import Counts, Unit, frequencies, learn, middle, stage
from hedgerow.codecs._rans import STATE_BYTES, TOTAL, Decoder, encode
from hedgerow.errors import PeerError, UsageError


def table(weights: list[float]) -> tuple[tuple[int, ...], tuple[int, ...], bytes]:
    sizes = frequencies(np.array(weights))
    starts = tuple(np.cumsum((0, *sizes[:-1])).tolist())
    return starts, sizes, np.repeat(np.arange(len(sizes), dtype=np.uint8), sizes).tobytes()


@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=255), st.lists(st.integers(0, 10**6), max_size=300))
@settings(deadline=None, max_examples=100)
def test_symbols_come_back_in_their_order(weights: list[float], drawn: list[int]) -> None:
    starts, sizes, places = table(weights)
    symbols = [each % len(weights) for each in drawn]
    data = encode([starts[s] for s in symbols], [sizes[s] for s in symbols])
    decoder = Decoder(data)
    assert decoder.take(len(symbols), starts, sizes, places) == symbols
    decoder.finish()


def test_its_length_is_that_of_the_entropy() -> None:
    starts, sizes, _ = table([0.9, 0.05, 0.03, 0.02])
    symbols = np.random.default_rng(0).choice(4, 10_000, p=np.array(sizes) / TOTAL)
    data = encode([starts[s] for s in symbols], [sizes[s] for s in symbols])
    bits = -np.log2(np.array(sizes)[symbols] / TOTAL).sum()
    assert bits / 8 <= len(data) <= bits / 8 + STATE_BYTES + 1


def test_bytes_that_it_did_not_write_are_refused() -> None:
    starts, sizes, places = table([3, 1, 1])
    data = encode([starts[s] for s in (0, 1, 2) * 30], [sizes[s] for s in (0, 1, 2) * 30])
    for bad in (b"", data[:3], data[:-1], b"\0" * 4):
        with pytest.raises(PeerError):
            Decoder(bad)
    short = Decoder(data[:-2])
    with pytest.raises(PeerError, match="before its last"):
        short.take(90, starts, sizes, places)
    early = Decoder(data)
    early.take(89, starts, sizes, places)
    with pytest.raises(PeerError, match="does not end"):
        early.finish()


@given(st.integers(-128, 255), st.integers(0, 7))
def test_a_stage_and_what_it_leaves_open_belong_together(value: int, shift: int) -> None:
    one = np.array([value])
    told = stage(one, shift)
    assert (stage(middle(told, shift), shift) == told).all()
    assert abs(int(middle(told, shift)[0]) - value) < max(1, 1 << shift)


def test_frequencies_keep_their_sum_and_leave_nothing_out() -> None:
    for weights in ([1e9, 1e-9, 1], [0.0, 0.0, 1.0], [1.0] * 255):
        found = frequencies(np.array(weights))
        assert sum(found) == TOTAL
        assert min(found) >= 1


def test_units_go_by_the_error_they_remove_for_each_bit() -> None:
    chance = np.random.default_rng(0)
    spreads = np.array([8.0, 0.2, 3.0])[None, :, None]
    counts = learn(np.round(chance.laplace(size=(50, 3, 40)) * spreads).astype(np.int64), layered=True)
    order = [(unit.channel, unit.shift) for unit in counts.units]
    assert order[0] == (0, 3)
    assert order.index((1, 0)) > order.index((0, 1))
    assert [each for each in order if each[0] == 0] == [(0, 3), (0, 2), (0, 1), (0, 0)]


def test_counts_that_leave_something_out_are_refused() -> None:
    unit = Unit(0, 0, True, -1, 0, ((2048, 1024, 1024),))
    with pytest.raises(UsageError, match="leave out"):
        Counts(2, (unit,), (1,))
    with pytest.raises(UsageError, match="twice"):
        Counts(1, (unit, unit), (2,))
    with pytest.raises(UsageError, match="layers"):
        Counts(1, (unit,), (1, 1))
    with pytest.raises(UsageError, match="no table"):
        Unit(0, 0, True, 0, 0, ((1, 2),))
