"""How often each small whole number occurs in each channel of a latent: learned from samples, kept as whole numbers.

An element v is told in one or several stages. Stage s tells sign(v) * (|v| >> s); a later one (s - 1) tells the next bit
below it, given what is known. All stages together cost what one would (the chain rule of entropy), but the important
ones can go first. A unit is one stage of one channel: the units' order is the order of the payload, by squared error
removed for each bit, measured on the samples. Squared error is the right measure only where a unit of each channel matters
alike, which is how the encoder of a bottleneck is made (hedgerow.adaptation).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hedgerow.codecs._rans import TOTAL
from hedgerow.errors import UsageError

Ints = NDArray[np.int64]

CHANNELS_MAX = 4096
UNITS_MAX = 16_384
SYMBOLS_MAX = 255  # of one table, the escape among them
STAGES_MAX = 8
LAYERS_MAX = 16
LAYER_BYTES = 256  # expected; each layer costs ten bytes more than none
ESCAPE_SHARE = 1 / 2048
WHOLE = -1  # the channel of a unit that tells all channels


@dataclass(frozen=True, slots=True)
class Unit:
    """One stage of one channel. `tables` hold frequencies out of TOTAL: one for a first stage, else for |known| 0, 1, above.

    A first stage counts from `low`, its last symbol an escape, and may begin with a flag: `flag` is the frequency of "all
    are 0" out of TOTAL, 0 for no flag.
    """

    channel: int
    shift: int
    first: bool
    low: int
    flag: int
    tables: tuple[tuple[int, ...], ...]
    starts: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)
    places: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sizes = [len(table) for table in self.tables]
        wanted = sizes == [3, 2, 2] if not self.first else len(sizes) == 1 and 2 <= sizes[0] <= SYMBOLS_MAX
        sound = all(min(table) >= 1 and sum(table) == TOTAL for table in self.tables)
        if not (wanted and sound and 0 <= self.flag < TOTAL and 0 <= self.shift < STAGES_MAX):
            raise UsageError(f"the counts of channel {self.channel} are no table of frequencies; measure them again")
        if not (-256 <= self.low <= 256 and WHOLE <= self.channel < CHANNELS_MAX):
            raise UsageError(f"the counts of channel {self.channel} are out of range; measure them again")
        starts = tuple(tuple(np.cumsum((0, *table[:-1])).tolist()) for table in self.tables)
        object.__setattr__(self, "starts", starts)
        places = tuple(np.repeat(np.arange(len(t), dtype=np.uint8), t).tobytes() for t in self.tables)
        object.__setattr__(self, "places", places)

    def to_list(self) -> list[Any]:
        """Plain JSON."""
        return [self.channel, self.shift, int(self.first), self.low, self.flag, [list(table) for table in self.tables]]

    @classmethod
    def from_list(cls, data: Any) -> "Unit":
        """What `to_list` gave; UsageError for anything else."""
        match data:
            case [int(channel), int(shift), int(first), int(low), int(flag), list(tables)] if all(
                map(_is_table, tables)
            ):
                return cls(channel, shift, bool(first), low, flag, tuple(tuple(table) for table in tables))
        raise UsageError("counts hold something that is no table of frequencies; measure them again")


def _is_table(table: Any) -> bool:
    return isinstance(table, list) and 0 < len(table) <= SYMBOLS_MAX and all(type(count) is int for count in table)


@dataclass(frozen=True, slots=True)
class Counts:
    """The units of one tensor in the order of its payload; layer i holds the units up to ends[i]."""

    channels: int
    units: tuple[Unit, ...]
    ends: tuple[int, ...]
    plain: "Plain | None" = field(
        init=False, repr=False, compare=False
    )  # where each channel is told in one stage, in order

    def __post_init__(self) -> None:
        self._check()
        object.__setattr__(self, "plain", Plain.of(self.units))

    def _check(self) -> None:
        if not 1 <= self.channels <= CHANNELS_MAX or not 1 <= len(self.units) <= UNITS_MAX:
            raise UsageError(f"counts hold {self.channels} channels and {len(self.units)} units; measure them again")
        known: dict[int, int] = {}
        for unit in self.units:
            expected = None if unit.first else known.get(unit.channel)
            if unit.channel >= self.channels or (unit.first and unit.channel in known):
                raise UsageError(
                    f"counts tell channel {unit.channel} twice or beyond {self.channels}; measure them again"
                )
            if not unit.first and expected != unit.shift + 1:
                raise UsageError(
                    f"counts tell a bit of channel {unit.channel} before those above it; measure them again"
                )
            known[unit.channel] = unit.shift
        if any(known.values()) or (known.keys() != {WHOLE} and len(known) != self.channels):
            raise UsageError("counts leave out a channel or a bit of one; measure them again")
        if list(self.ends) != sorted(set(self.ends)) or not self.ends or self.ends[-1] != len(self.units):
            raise UsageError("counts have layers that are not in order; measure them again")
        if self.ends[0] < 1 or len(self.ends) > LAYERS_MAX:
            raise UsageError(f"counts have {len(self.ends)} layers; 1 to {LAYERS_MAX} are known")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"channels": self.channels, "units": [unit.to_list() for unit in self.units], "ends": list(self.ends)}

    @classmethod
    def from_dict(cls, data: Any) -> "Counts":
        """What `to_dict` gave; UsageError for anything else."""
        match data:
            case {"channels": int(channels), "units": list(units), "ends": list(ends)} if len(units) <= UNITS_MAX:
                if all(type(end) is int for end in ends):
                    return cls(channels, tuple(map(Unit.from_list, units)), tuple(ends))
        raise UsageError("counts must hold channels, units and ends; measure them again")


@dataclass(frozen=True, slots=True)
class Plain:
    """The tables of units that tell one channel each, in order and in one stage, as arrays: a row a channel, padded by 0."""

    lows: Ints
    escapes: Ints
    flags: Ints
    starts: Ints
    sizes: Ints

    @classmethod
    def of(cls, units: tuple[Unit, ...]) -> "Plain | None":
        """None where they are told otherwise."""
        if any((unit.channel, unit.shift, unit.first) != (place, 0, True) for place, unit in enumerate(units)):
            return None
        widest = max(len(unit.tables[0]) for unit in units)
        starts, sizes = (np.zeros((len(units), widest), np.int64) for _ in range(2))
        for place, unit in enumerate(units):
            starts[place, : len(unit.starts[0])] = unit.starts[0]
            sizes[place, : len(unit.tables[0])] = unit.tables[0]
        lows, escapes, flags = (
            np.array(column, np.int64)
            for column in zip(*((unit.low, len(unit.tables[0]) - 1, unit.flag) for unit in units), strict=True)
        )
        return cls(lows, escapes, flags, starts, sizes)


def stage(values: Ints, shift: int) -> Ints:
    """What a stage tells of each value."""
    told: Ints = np.sign(values) * (np.abs(values) >> shift)
    return told


def middle(told: Ints, shift: int) -> Ints:
    """The value to go on with while the `shift` bits below are not known: a little below the middle of what is possible."""
    if shift == 0:
        return told
    low_middle = (1 << shift) - 1 >> 1
    back: Ints = np.sign(told) * ((np.abs(told) << shift) + low_middle)
    return back


def frequencies(counts: NDArray[np.float64]) -> tuple[int, ...]:
    """Whole numbers of at least 1 that sum to TOTAL, as near to `counts` in proportion as those allow."""
    share = counts / counts.sum() * (TOTAL - len(counts))
    whole = np.floor(share).astype(np.int64)
    left = TOTAL - len(counts) - int(whole.sum())
    order = np.argsort(whole - share, kind="stable")  # the greatest remainders first
    whole[order[:left]] += 1
    return tuple((whole + 1).tolist())


def first_table(values: Ints) -> tuple[int, tuple[int, ...]]:
    """(low, frequencies) of the values of a first stage: smoothed, for the next sample holds values that these do not."""
    low, high = int(np.quantile(values, 0.0002)), int(np.quantile(values, 0.9998, method="higher"))
    low, high = max(low - 1, -256), high + 1
    high = min(high, low + SYMBOLS_MAX - 2)
    inside = values[(values >= low) & (values <= high)]
    counts = np.bincount(inside - low, minlength=high - low + 1).astype(np.float64)
    centre = float(np.median(values))
    spread = float(np.abs(values - centre).mean()) + 0.02
    smooth = np.exp(-np.abs(np.arange(low, high + 1) - centre) / spread)
    counts += 8.0 * smooth / smooth.sum()
    escapes = len(values) - len(inside) + ESCAPE_SHARE * len(values)
    return low, frequencies(np.append(counts, escapes))


def learn(values: Ints, *, layered: bool) -> Counts:
    """From values of shape (samples, channels, places). With `layered` each channel is told in stages, the best first."""
    plans = [_channel(values[:, channel], channel, layered=layered) for channel in range(values.shape[1])]
    if not layered:
        units = tuple(unit for plan in plans for unit, _, _ in plan)
        return Counts(values.shape[1], units, (len(units),))
    found: list[tuple[float, int, int, Unit, float]] = []
    for channel, plan in enumerate(plans):
        worth = math.inf
        for place, (unit, removed, bits) in enumerate(plan):
            worth = min(worth, removed / max(bits, 1e-9))  # a stage is never before the one above it
            found.append((-worth, channel, place, unit, bits))
    found.sort(key=lambda each: each[:3])
    units = tuple(each[3] for each in found)
    return Counts(values.shape[1], units, _ends([each[4] / 8 for each in found]))


def _ends(expected_bytes: Sequence[float]) -> tuple[int, ...]:
    """Layers of about equal expected bytes."""
    layers = max(1, min(LAYERS_MAX, round(sum(expected_bytes) / LAYER_BYTES), len(expected_bytes)))
    so_far = np.cumsum(expected_bytes)
    wanted = so_far[-1] * np.arange(1, layers) / layers
    ends = {int(end) + 1 for end in np.searchsorted(so_far, wanted)}
    return tuple(sorted(ends | {len(expected_bytes)}))


def _channel(values: Ints, channel: int, *, layered: bool) -> list[tuple[Unit, float, float]]:
    """Units of one channel, from values (samples, places), each with the squared error it removes and its bits a sample."""
    spread = math.sqrt(float(np.square(values.astype(np.float64)).mean()))
    top = min(STAGES_MAX - 1, max(0, int(math.log2(spread)))) if layered and spread > 1 else 0
    error = float(np.square(values.astype(np.float64)).sum()) / len(values)
    plan = []
    for shift in range(top, -1, -1):
        told = stage(values, shift)
        if shift == top:
            unit, bits = _first_unit(told, channel, shift)
        else:
            unit, bits = _later_unit(stage(values, shift + 1), told, channel, shift)
        left = float(np.square((values - middle(told, shift)).astype(np.float64)).sum()) / len(values)
        plan.append((unit, error - left, bits / len(values)))
        error = left
    return plan


def _first_unit(told: Ints, channel: int, shift: int) -> tuple[Unit, float]:
    empty = (told == 0).all(axis=1)
    flag = 0
    rest = told
    bits = 0.0
    if told.shape[1] > 1 and empty.mean() > 0.05:
        share = (float(empty.sum()) + 0.5) / (len(empty) + 1)
        flag = min(TOTAL - 1, max(1, round(share * TOTAL)))
        rest = told[~empty] if not empty.all() else told[:1]
        bits = float(-np.log2(np.where(empty, flag, TOTAL - flag) / TOTAL).sum())
    low, table = first_table(rest.reshape(-1))
    symbols = np.where((rest < low) | (rest > low + len(table) - 2), len(table) - 1, rest - low)
    bits += float(-np.log2(np.array(table)[symbols] / TOTAL).sum())
    return Unit(channel, shift, True, low, flag, (table,)), bits


def _later_unit(known: Ints, told: Ints, channel: int, shift: int) -> tuple[Unit, float]:
    groups = np.minimum(np.abs(known), 2)
    tables = []
    bits = 0.0
    for group, size in enumerate((3, 2, 2)):
        symbols = later_symbols(known, told)[groups == group]
        counts = np.bincount(symbols, minlength=size) + 0.5
        tables.append(frequencies(counts.astype(np.float64)))
        bits += float(-np.log2(np.array(tables[-1])[symbols] / TOTAL).sum())
    return Unit(channel, shift, False, 0, 0, tuple(tables)), bits


def later_symbols(known: Ints, told: Ints) -> Ints:
    """The symbol that leads from what is known to what is told: the sign's place below a 0, else the bit."""
    symbols: Ints = np.where(known == 0, told + 1, np.abs(told) - 2 * np.abs(known))
    return symbols
