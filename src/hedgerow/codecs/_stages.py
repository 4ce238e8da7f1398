"""Tells the units of a latent to the entropy coder and reads them back; what the units are: `_counts.py`."""

import numpy as np

from hedgerow.codecs._counts import WHOLE, Counts, Ints, Unit, later_symbols, middle, stage
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


def _read_first(unit: Unit, decoder: Decoder, count: int, *, signed: bool) -> Ints:
    if unit.flag:
        places = bytes(unit.flag) + b"\1" * (TOTAL - unit.flag)
        (filled,) = decoder.take(1, (0, unit.flag), (unit.flag, TOTAL - unit.flag), places)
        if not filled:
            return np.zeros(count, np.int64)
    escape = len(unit.tables[0]) - 1
    found = np.array(decoder.take(count, unit.starts[0], unit.tables[0], unit.places[0], escape=escape), np.int64)
    raw = found - ESCAPED
    if signed:
        raw = np.where(raw > 127, raw - 256, raw)
    values: Ints = np.where(found >= ESCAPED, raw, found + unit.low)
    return values


def rest(values: Ints, counts: Counts, begun: int) -> None:
    """Give the channels of which no unit before number `begun` told anything their most likely value."""
    for unit in counts.units[begun:]:
        if unit.first:
            table = unit.tables[0]
            likely = 0 if unit.flag > TOTAL // 2 else unit.low + max(range(len(table) - 1), key=table.__getitem__)
            values[unit.channel] = middle(np.array(likely), unit.shift)
