"""The frames of the drive: seeded, square, and such that it matters which model answers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hedgerow.demo.frames import AREA_SHARES, FRAMES, PROFILE_FRAMES, PROFILE_SEED, SIDE_PX, crop, cut_frames
from hedgerow.demo.prepare import answers
from hedgerow.models.frames import load_frame
from hedgerow.models.task import Task

Photographs = Sequence[tuple[Path, int]]


def test_the_same_seed_cuts_the_same_frames(photographs: Photographs) -> None:
    once, labels = cut_frames(photographs, 25)
    again, _ = cut_frames(photographs, 25)
    other, _ = cut_frames(photographs, 25, seed=PROFILE_SEED)
    assert once.shape == (25, SIDE_PX, SIDE_PX, 3)
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert labels == [photographs[index % 20][1] for index in range(25)]


@pytest.mark.parametrize(("height", "width"), [(400, 400), (300, 900), (1000, 260)])
def test_a_crop_has_the_stated_share_of_the_area_or_the_shorter_side(height: int, width: int) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.arange(height, dtype=np.uint64)[:, None] * 255 // height
    random = np.random.default_rng(0)
    for _ in range(20):
        column = crop(picture, random)[:, 0, 0].astype(int)
        side = (column.max() - column.min()) / 255 * height  # how much of the height it spans
        least, most = ((share * height * width) ** 0.5 for share in AREA_SHARES)
        assert min(least, height, width) * 0.9 <= side + 3
        assert side <= min(most, height, width) * 1.1 + 3


@pytest.mark.parametrize(("count", "seed"), [(FRAMES, None), (PROFILE_FRAMES, PROFILE_SEED)])
def test_the_models_agree_on_about_four_of_five(
    photographs: Photographs, imagenet_task: Path, count: int, seed: int | None
) -> None:
    task = Task.load(imagenet_task)
    frames, _ = cut_frames(photographs, count) if seed is None else cut_frames(photographs, count, seed)
    agree = _agreement(task, frames)
    assert 0.75 <= agree <= 0.85


def test_on_whole_photographs_the_models_agree(photographs: Photographs, imagenet_task: Path) -> None:
    task = Task.load(imagenet_task)
    whole = [load_frame(path) for path, _ in photographs]
    one, other = (answers(task, model.name, whole) for model in task.models)
    assert one == other


def _agreement(task: Task, frames: np.ndarray) -> float:
    one, other = (np.array(answers(task, model.name, frames)) for model in task.models)
    return float((one == other).mean())
