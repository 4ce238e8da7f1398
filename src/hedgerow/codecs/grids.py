"""Uniform grids of few bits: which values a quantised feature may take, and the way there and back.

The value of level q is (q - zero) * step, so every grid is made of multiples of its step and holds an exact 0.0
wherever its range does. That matters after a ReLU: most elements are 0, they stay 0, and the entropy coder
lives on them.

Rules. Inside the range that a grid was made for, an element comes back within half a step. The outermost levels sit
half a step inside the range (a range of w needs steps of w / 2^bits where zero allows it, not w / (2^bits - 1)).
Outside it elements are clipped. A step has eight significant bits (the upper half of a float32), so that it travels in
two bytes and level * step is exact in float32; rounding it up costs 0.8 % of a step at most.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hedgerow.errors import UsageError
from hedgerow.models.tensors import Array

Floats: TypeAlias = NDArray[Any]  # of any floating dtype, where arithmetic keeps it
Levels: TypeAlias = NDArray[np.uint8]

MAGNITUDE_MAX = 2.0**120  # sums and steps stay inside float32
STEP_MIN = 2.0**-126
BLOCK_ELEMENTS = 2**16  # of working memory, whatever the tensor's size
ZERO_MAX = 2**20  # a range far from 0 has its step widened until its zero is within this


@dataclass(frozen=True, slots=True)
class Grid:
    """Steps and zeros of one tensor: one of each, or one for each channel. `steps` float32, `zeros` int32."""

    bits: int
    steps: NDArray[np.float32]
    zeros: NDArray[np.int32]

    @property
    def top(self) -> int:
        return int(2**self.bits - 1)

    @property
    def groups(self) -> int:
        return len(self.steps)

    @property
    def reaches_zero(self) -> bool:
        """Whether 0.0 is a level of every group, which lets float32 do the arithmetic."""
        return bool(self.zeros.min() >= 0 and self.zeros.max() <= self.top)


def grid_of(low: ArrayLike, high: ArrayLike, bits: int) -> Grid:
    """The grid for ranges [low, high], one or one for each channel; UsageError unless finite and below 2^120."""
    lows, highs = (np.atleast_1d(np.asarray(side, np.float64)) for side in (low, high))
    magnitude = np.maximum(np.abs(lows), np.abs(highs))
    if not (magnitude <= MAGNITUDE_MAX).all():  # also catches NaN
        raise UsageError("features hold NaN, infinity or magnitudes above 2^120; the model's outputs are broken")
    top = 2**bits - 1
    around_zero = (lows <= 0) & (highs >= 0)
    zeros, steps = _around_zero(np.minimum(lows, 0.0), np.maximum(highs, 0.0), top)
    if not around_zero.all():
        steps = np.where(around_zero, steps, (highs - lows) / top)
    coarse = _round_up(np.maximum(steps, np.maximum(magnitude / ZERO_MAX, STEP_MIN)))
    if not around_zero.all():
        zeros = np.where(around_zero, zeros, -np.floor(lows / coarse + 0.5))
    return Grid(bits, coarse, zeros.astype(np.int32))


def _around_zero(
    lows: NDArray[np.float64], highs: NDArray[np.float64], top: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Zero and step with the smallest step whose grid covers lows..highs (lows <= 0 <= highs) up to half a step."""
    spans = highs - lows
    ideal = (-lows * (top + 0.5) - 0.5 * highs) / np.where(spans > 0, spans, 1.0)
    below = np.minimum(np.maximum(np.floor(ideal), 0), top)
    above = np.minimum(below + 1, top)
    step_below, step_above = (np.maximum(lows / (-0.5 - zero), highs / (top + 0.5 - zero)) for zero in (below, above))
    return np.where(step_below <= step_above, below, above), np.minimum(step_below, step_above)


def _round_up(steps: NDArray[np.float64]) -> NDArray[np.float32]:
    """The next float32 whose lower 16 bits are 0, never below `steps`."""
    near = steps.astype(np.float32)
    near = np.where(near < steps, np.nextafter(near, np.float32(np.inf)), near)
    return ((near.view(np.uint32) + np.uint32(0xFFFF)) & np.uint32(0xFFFF0000)).view(np.float32)


def ranges_of(array: Array, *, per_channel: bool) -> tuple[Array, Array]:
    """Least and greatest element, each of shape (1,) or (channels,); NaN where there is one. `array` is not empty."""
    if not per_channel:
        return np.atleast_1d(array.min()), np.atleast_1d(array.max())
    folded = fold(array, array.shape[1])
    return folded.min(axis=2).min(axis=0), folded.max(axis=2).max(axis=0)


def fold(array: Array, groups: int) -> Array:
    """View as (outer, groups, inner), the channel axis 1 in the middle; (1, 1, elements) for a single group."""
    outer = 1 if groups == 1 else array.shape[0]
    return array.reshape(outer, groups, array.size // max(outer * groups, 1))


def quantise(array: Floats, grid: Grid) -> Levels:
    """The level of each element, flat; `array` is floating, not empty, without NaN."""
    wide = array.dtype == np.float64 or not grid.reaches_zero
    kind = np.float64 if wide else np.float32
    inverse = (1.0 / grid.steps.astype(np.float64)).astype(kind)[:, None]
    shift: Floats = np.add(grid.zeros, 0.5, dtype=kind)[:, None]
    with np.errstate(over="ignore"):  # far outside a calibrated range: infinity is clipped like the rest
        scaled: Floats = np.multiply(fold(array, grid.groups), inverse, dtype=kind)
    scaled += shift
    np.maximum(scaled, 0, out=scaled)
    np.minimum(scaled, grid.top, out=scaled)  # the cast cuts off: level = floor(x / step + zero + 1/2)
    levels: Levels = scaled.astype(np.uint8).reshape(-1)
    return levels


def dequantise(levels: Levels, grid: Grid, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    """The element of each level, of `shape` and `dtype`; levels beyond float16's range give its greatest value."""
    kind = np.float64 if dtype == np.float64 else np.float32
    folded = fold(levels.reshape(shape), grid.groups)
    rows = folded.reshape(-1, folded.shape[2])
    zeros, steps = (np.resize(each.astype(kind), len(rows))[:, None] for each in (grid.zeros, grid.steps))
    back = np.empty(rows.shape, dtype)
    block_rows = max(BLOCK_ELEMENTS // rows.shape[1], 1)
    for start in range(0, len(rows), block_rows):
        block = slice(start, start + block_rows)
        values: Floats = rows[block].astype(kind)
        values -= zeros[block]
        values *= steps[block]
        back[block] = _narrow(values, dtype)
    return back.reshape(shape)


def values_of(grid: Grid, dtype: np.dtype[np.generic]) -> Array:
    """The value of each level of a grid of one group, of shape (2^bits,)."""
    levels = np.arange(grid.top + 1, dtype=np.float64)
    return _narrow((levels - float(grid.zeros[0])) * float(grid.steps[0]), dtype)


def _narrow(values: Floats, dtype: np.dtype[np.generic]) -> Array:
    if dtype == np.float16:
        greatest = float(np.finfo(np.float16).max)
        values = np.clip(values, -greatest, greatest)
    narrowed: Array = values.astype(dtype, copy=False)
    return narrowed
