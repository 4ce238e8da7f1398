"""Tells the units of a latent to the entropy coder and reads them back; what the units are: `_counts.py`."""

import numpy as np

from hedgerow.codecs._counts import WHOLE, Counts, Ints, Plain, Unit, later_symbols, middle, stage
from hedgerow.codecs._rans import ESCAPED, RAW_SHIFT, TOTAL, Decoder


def told(values: Ints, units: tuple[Unit, ...]) -> tuple[list[int], list[int]]:
    """(starts, frequencies) of the symbols of these units, in the order of reading. `values` is (channels, elements)."""
    starts: list[int] = []
    sizes: list[int] = []
    for unit in units:
        row = values.reshape(-1) if unit.channel == WHOLE else values[unit.channel]
        now = stage(row, unit.shift)
        if not unit.first:
            known = stage(row, unit.shift + 1)
            symbols, groups = later_symbols(known, now), np.minimum(np.abs(known), 2)
            starts += _square(unit.starts)[groups, symbols].tolist()
            sizes += _square(unit.tables)[groups, symbols].tolist()
            continue
        if unit.flag:
            empty = not now.any()
            starts.append(0 if empty else unit.flag)
            sizes.append(unit.flag if empty else TOTAL - unit.flag)
            if empty:
                continue
        _tell_first(now, unit, starts, sizes)
    return starts, sizes


def told_plain(values: Ints, plain: Plain) -> tuple[list[int], list[int]]:
    """`told` for all channels at once: the same sequence, without a step of NumPy for each channel."""
    channels, elements = values.shape
    symbols = values - plain.lows[:, None]
    outside = (symbols < 0) | (symbols >= plain.escapes[:, None])
    symbols = np.where(outside, plain.escapes[:, None], symbols)
    rows = np.arange(channels)[:, None]
    begin, size = (np.empty((channels, elements + 1), np.int64) for _ in range(2))  # the flag, then the elements
    begin[:, 1:], size[:, 1:] = plain.starts[rows, symbols], plain.sizes[rows, symbols]
    flagged, empty = plain.flags > 0, (values == 0).all(axis=1)
    begin[:, 0] = np.where(empty, 0, plain.flags)
    size[:, 0] = np.where(empty, plain.flags, TOTAL - plain.flags)
    kept = np.empty((channels, elements + 1), np.bool_)
    kept[:, 0], kept[:, 1:] = flagged, ~(flagged & empty)[:, None]
    starts, sizes = begin[kept], size[kept]
    if outside.any():
        escaped = np.zeros_like(kept)
        escaped[:, 1:] = outside
        escaped &= kept
        raw = (values[escaped[:, 1:]] & 0xFF) << RAW_SHIFT
        places = np.flatnonzero(escaped[kept]) + 1
        starts, sizes = np.insert(starts, places, raw), np.insert(sizes, places, 1 << RAW_SHIFT)
    return starts.tolist(), sizes.tolist()


def _tell_first(now: Ints, unit: Unit, starts: list[int], sizes: list[int]) -> None:
    escape = len(unit.tables[0]) - 1
    symbols = now - unit.low
    outside = (symbols < 0) | (symbols >= escape)
    symbols = np.where(outside, escape, symbols)
    begin, size = np.array(unit.starts[0])[symbols], np.array(unit.tables[0])[symbols]
    if outside.any():  # the value itself follows its escape
        places = np.flatnonzero(outside) + 1
        begin = np.insert(begin, places, (now[outside] & 0xFF) << RAW_SHIFT)
        size = np.insert(size, places, 1 << RAW_SHIFT)
    starts += begin.tolist()
    sizes += size.tolist()


def _square(rows: tuple[tuple[int, ...], ...]) -> Ints:
    """The three rows of a later stage as one array; what is beyond a row's end is never looked up."""
    table: Ints = np.array([(*row, *(0,) * (3 - len(row))) for row in rows], np.int64)
    return table


def read(units: tuple[Unit, ...], decoder: Decoder, values: Ints, *, signed: bool) -> None:
    """Fill `values` (channels, elements) with what these units tell; later stages build on what is there."""
    for unit in units:
        row = values.reshape(-1) if unit.channel == WHOLE else values[unit.channel]
        if unit.first:
            row[:] = middle(_read_first(unit, decoder, len(row), signed=signed), unit.shift)
            continue
        known = stage(row, unit.shift + 1)
        groups = np.minimum(np.abs(known), 2)
        symbols = np.zeros(len(row), np.int64)
        table = [(unit.starts[group], unit.tables[group], unit.places[group]) for group in range(3)]
        symbols[:] = decoder.take_each([table[group] for group in groups.tolist()])
        now = np.where(known == 0, symbols - 1, np.sign(known) * (2 * np.abs(known) + symbols))
        row[:] = middle(now, unit.shift)
    decoder.finish()


def read_plain(units: tuple[Unit, ...], plain: Plain, decoder: Decoder, values: Ints, *, signed: bool) -> None:
    """`read` for units of one stage a channel, in order."""
    elements = values.shape[1]
    found: list[int] = []
    filled = []
    for unit in units:
        if unit.flag and not decoder.flag(unit.flag):
            continue
        filled.append(unit.channel)
        escape = len(unit.tables[0]) - 1
        found += decoder.take(elements, unit.starts[0], unit.tables[0], unit.places[0], escape=escape)
    decoder.finish()
    symbols = np.array(found, np.int64).reshape(len(filled), elements)
    values[filled] = np.where(symbols >= ESCAPED, _raw(symbols, signed=signed), symbols + plain.lows[filled, None])


def _raw(symbols: Ints, *, signed: bool) -> Ints:
    raw = symbols - ESCAPED
    return np.where(raw > 127, raw - 256, raw) if signed else raw


def _read_first(unit: Unit, decoder: Decoder, count: int, *, signed: bool) -> Ints:
    if unit.flag and not decoder.flag(unit.flag):
        return np.zeros(count, np.int64)
    escape = len(unit.tables[0]) - 1
    found = np.array(decoder.take(count, unit.starts[0], unit.tables[0], unit.places[0], escape=escape), np.int64)
    values: Ints = np.where(found >= ESCAPED, _raw(found, signed=signed), found + unit.low)
    return values


def rest(values: Ints, counts: Counts, begun: int) -> None:
    """Give the channels of which no unit before number `begun` told anything their most likely value."""
    for unit in counts.units[begun:]:
        if unit.first:
            table = unit.tables[0]
            likely = 0 if unit.flag > TOTAL // 2 else unit.low + max(range(len(table) - 1), key=table.__getitem__)
            values[unit.channel] = middle(np.array(likely), unit.shift)
