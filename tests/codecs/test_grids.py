"""Grids keep their promise: half a step inside the range, clipped outside, 0 exactly where it lies inside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hedgerow.codecs.grids import Floats, Grid, dequantise, fold, grid_of, quantise, ranges_of, values_of
from hedgerow.errors import UsageError

BITS = st.sampled_from([8, 4, 3, 2])
VALUES = st.floats(-(2.0**99), 2.0**99, width=32)
FEATURES = npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5), elements=VALUES)


def there_and_back(array: Floats, grid: Grid) -> Floats:
    back: Floats = dequantise(quantise(array, grid), grid, array.shape, array.dtype)
    return back


def half_steps(array: Floats, grid: Grid) -> Floats:
    """Half of each element's step, and what float32 may add to it."""
    steps = np.broadcast_to(grid.steps.astype(np.float64)[:, None], fold(array, grid.groups).shape).reshape(array.shape)
    rounding: Floats = steps / 2 + 4 * np.abs(array.astype(np.float64)) * np.finfo(np.float32).eps
    return rounding


@given(FEATURES, BITS, st.booleans(), st.sampled_from(["float32", "float64"]))
@settings(deadline=None, max_examples=300)
def test_every_element_comes_back_within_half_a_step(array: Floats, bits: int, per_channel: bool, dtype: str) -> None:
    array = array.astype(dtype)
    grid = grid_of(*ranges_of(array, per_channel=per_channel), bits)
    assert (np.abs(there_and_back(array, grid).astype(np.float64) - array) <= half_steps(array, grid)).all()


@given(st.tuples(VALUES, VALUES).map(sorted), BITS)
@settings(deadline=None, max_examples=300)
def test_a_step_is_as_small_as_its_range_allows(ends: list[float], bits: int) -> None:
    low, high = ends
    top = 2**bits - 1
    if low <= 0 <= high:  # by brute force over every place that the zero may have
        needed = min(max(-low / (zero + 0.5), high / (top + 0.5 - zero)) for zero in range(top + 1))
    else:
        needed = (high - low) / top
    needed = max(needed, abs(low) / 2**20, abs(high) / 2**20, 2.0**-126)
    assert needed <= float(grid_of(low, high, bits).steps[0]) <= needed * (1 + 2**-7)


@given(st.floats(0, 1e6), st.floats(0, 1e6), BITS)
@settings(deadline=None)
def test_zero_is_exact_where_it_lies_in_the_range(below: float, above: float, bits: int) -> None:
    grid = grid_of(-below, above, bits)
    assert grid.reaches_zero
    assert (values_of(grid, np.dtype(np.float32)) == 0).sum() == 1
    zeros = np.zeros((1, 3, 2), np.float32)
    np.testing.assert_array_equal(there_and_back(zeros, grid), zeros)


@given(BITS, FEATURES)
@settings(deadline=None)
def test_what_lies_outside_the_range_is_clipped_to_its_ends(bits: int, array: Floats) -> None:
    grid = grid_of(-1.0, 2.0, bits)
    values = values_of(grid, np.dtype(np.float32)).astype(np.float64)
    inside = np.clip(array.astype(np.float64), values[0], values[-1])
    nearest = values[np.abs(inside[..., None] - values).argmin(axis=-1)]
    assert (np.abs(there_and_back(array, grid) - nearest) <= float(grid.steps[0]) * 1.001).all()
    far = np.array([-3e38, 3e38], np.float32)
    np.testing.assert_array_equal(there_and_back(far, grid), values[[0, -1]])


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
@pytest.mark.parametrize("ends", [(5.0, 6.0), (-6.0, -5.0), (1e6, 1e6 + 1), (3.5, 3.5), (-0.25, -0.25), (0.0, 0.0)])
def test_ranges_far_from_zero_and_of_no_width(bits: int, ends: tuple[float, float]) -> None:
    array = np.linspace(*ends, 50, dtype=np.float32).reshape(1, 50)
    grid = grid_of(*ranges_of(array, per_channel=False), bits)
    assert (np.abs(there_and_back(array, grid).astype(np.float64) - array) <= half_steps(array, grid)).all()
    width = ends[1] - ends[0]
    assert float(grid.steps[0]) <= max(width / (2**bits - 1), abs(ends[1]) / 2**20, abs(ends[0]) / 2**20, 1e-37) * 1.01


def test_rectified_features_use_every_level() -> None:
    grid = grid_of(0.0, 15.5, 4)
    assert int(grid.zeros[0]) == 0
    np.testing.assert_array_equal(values_of(grid, np.dtype(np.float32)), np.arange(16))


def test_both_ways_back_agree() -> None:
    chance = np.random.default_rng(1)
    for low, high in ((-1.0, 2.0), (4.0, 4.5), (0.0, 7.0)):
        grid = grid_of(low, high, 4)
        levels = chance.integers(0, 16, 100).astype(np.uint8)
        for dtype in (np.float16, np.float32, np.float64):
            looked_up: Floats = values_of(grid, np.dtype(dtype))[levels]
            computed: Floats = dequantise(levels, grid, (100,), np.dtype(dtype))
            np.testing.assert_allclose(computed, looked_up, rtol=1e-6)


def test_float16_ends_at_its_greatest_value() -> None:
    greatest = np.finfo(np.float16).max
    array = np.array([[-greatest, greatest]])
    grid = grid_of(*ranges_of(array, per_channel=False), 2)
    back = there_and_back(array, grid)
    assert back.dtype == np.float16
    assert np.isfinite(back).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e37])
def test_ranges_that_are_not_finite_are_the_callers_mistake(bad: float) -> None:
    with pytest.raises(UsageError, match="NaN, infinity or magnitudes"):
        grid_of([0.0, min(bad, 0.0)], [1.0, bad], 4)


def test_ranges_of_channels_match_a_loop() -> None:
    array = np.random.default_rng(2).normal(size=(3, 5, 4, 2)).astype(np.float32)
    low, high = ranges_of(array, per_channel=True)
    for channel in range(5):
        assert (low[channel], high[channel]) == (array[:, channel].min(), array[:, channel].max())
