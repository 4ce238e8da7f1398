"""The change detector: what leaves the figure small, what makes it large, on frames of any size."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hedgerow.models.change import COLUMNS, ROWS, Looks, change, summary

Pixels = NDArray[np.floating] | NDArray[np.integer]
RANDOM = np.random.default_rng(7)


def scene(height: int = 240, width: int = 320) -> NDArray[np.float64]:
    coarse = RANDOM.integers(40, 200, (6, 8, 3)).astype(np.float64)
    return coarse.repeat(height // 6, axis=0).repeat(width // 8, axis=1)


def seen(frame: Pixels) -> Looks:
    found = summary({"frame": np.clip(frame, 0, 255).astype(np.uint8)})
    assert found is not None
    return found


def test_blocks_are_mean_luminance_by_a_naive_sum() -> None:
    frame = RANDOM.integers(0, 256, (61, 77, 3), np.uint8)
    blocks = seen(frame)
    grey = frame @ np.array([0.299, 0.587, 0.114])
    for row in (0, 11, ROWS - 1):
        for column in (0, 17, COLUMNS - 1):
            part = grey[
                row * 61 // ROWS : (row + 1) * 61 // ROWS, column * 77 // COLUMNS : (column + 1) * 77 // COLUMNS
            ]
            assert blocks[row, column] == pytest.approx(part.mean(), abs=1e-3)


def test_the_same_frame_has_not_changed() -> None:
    blocks = seen(scene())
    assert change(blocks, blocks) == 0.0


def test_noise_and_brightness_count_little_a_thing_that_enters_and_another_scene_much() -> None:
    frame = scene()
    entered = frame.copy()
    entered[100:160, 100:180] = 0.0
    noise = change(seen(frame), seen(frame + RANDOM.normal(0, 5, frame.shape)))
    brighter = change(seen(frame), seen(frame + 10))
    small, whole = change(seen(frame), seen(entered)), change(seen(frame), seen(scene()))
    assert max(noise, brighter) < 0.05
    assert small > 10 * max(noise, brighter)
    assert whole > 0.5


def test_blank_frames_are_no_division_by_zero() -> None:
    blank = seen(np.zeros((48, 64, 3)))
    assert change(blank, blank) == 0.0
    assert np.isfinite(change(blank, seen(np.full((48, 64, 3), 255.0))))


@pytest.mark.parametrize("shape", [(ROWS, COLUMNS, 3), (1080, 1920, 3), (37, 2000, 3)])
def test_frames_of_any_size(shape: tuple[int, ...]) -> None:
    assert seen(RANDOM.integers(0, 256, shape)).shape == (ROWS, COLUMNS)


def test_what_cannot_be_compared_is_not() -> None:
    assert summary({"x": np.zeros((3, 4), np.float32)}) is None
    assert summary({"frame": np.zeros((ROWS - 1, COLUMNS, 3), np.uint8)}) is None
