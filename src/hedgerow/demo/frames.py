"""The frames of the drive: seeded crops of the labelled photographs, 260 px square.

Each photograph in turn gives a square crop of 25 to 60 % of its area (at most its shorter side), resized bicubically. On
whole photographs the task's two models agree nearly always; on these they agree for about four of five, so that it
matters which one answers. SEED is fixed: the test computes the agreement with the real models.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hedgerow.models.frames import load_frame

SIDE_PX = 260
AREA_SHARES = (0.25, 0.60)
SEED = 1
PROFILE_SEED = 3
FRAMES = 100
PROFILE_FRAMES = 60

Frames = NDArray[np.uint8]


def cut_frames(
    photographs: Sequence[tuple[Path, int]], count: int = FRAMES, seed: int = SEED
) -> tuple[Frames, list[int]]:
    """(count, 260, 260, 3) uint8 RGB, and the ImageNet class of each. Errors: those of load_frame."""
    random = np.random.default_rng(seed)
    pictures = [load_frame(path) for path, _ in photographs]
    frames = np.empty((count, SIDE_PX, SIDE_PX, 3), np.uint8)
    labels = []
    for index in range(count):
        place = index % len(pictures)
        frames[index] = crop(pictures[place], random)
        labels.append(photographs[place][1])
    return frames, labels


def crop(picture: NDArray[np.uint8], random: np.random.Generator) -> Frames:
    """One random square of `picture` (height, width, 3), resized to SIDE_PX."""
    height, width = picture.shape[:2]
    side = min(height, width, round(float(np.sqrt(random.uniform(*AREA_SHARES) * height * width))))
    top, left = int(random.integers(0, height - side + 1)), int(random.integers(0, width - side + 1))
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(square.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC), dtype=np.uint8)
