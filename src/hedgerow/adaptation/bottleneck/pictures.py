"""What a bottleneck learns from: photographs seen again and again with another crop, side and light, as features of the model.

Rule: version v of photograph i is the same for the same seed, so a run that was stopped goes on with the same data.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.frames import load_frame
from hedgerow.models.preparation import FRAME, Preparation
from hedgerow.models.tensors import Tensors

Frame = NDArray[np.uint8]
Say = Callable[[str], None]

AREA_MIN = 0.25  # of the picture that a crop keeps at least
RATIO_MAX = 4 / 3
LIGHT = 0.3
SHIFT = 1 / 16  # of the shorter side, by which a view is moved
VIEWS = ((0, 0, False), (0, 0, True), (-1, -1, False), (1, 1, True), (-1, 1, True), (1, -1, False))


@dataclass(frozen=True, slots=True)
class Seen:
    """Row i: the features where the encoder begins and where the decoder hands over, and the model's logits."""

    source: NDArray[np.float16]
    target: NDArray[np.float16]
    logits: NDArray[np.float32]


def varied(frame: Frame, size: int, chance: np.random.Generator) -> Frame:
    """A random crop of the frame resized to size x size, perhaps mirrored, its light and contrast changed."""
    height, width = frame.shape[:2]
    box = _crop(width, height, chance)
    small = Image.fromarray(frame).resize((size, size), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(small, np.float32)
    if chance.random() < 0.5:
        pixels = pixels[:, ::-1]
    if chance.random() < 0.7:
        tinted = 3 if chance.random() < 0.4 else 1
        pixels = pixels * chance.uniform(1 - LIGHT, 1 + LIGHT, tinted).astype(np.float32)
        middle = pixels.mean()
        pixels = (pixels - middle) * np.float32(chance.uniform(1 - LIGHT, 1 + LIGHT)) + middle
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _crop(width: int, height: int, chance: np.random.Generator) -> tuple[int, int, int, int]:
    side = min(width, height)
    across, down = side, side
    for _ in range(10):
        area = width * height * chance.uniform(AREA_MIN, 1.0)
        ratio = math.exp(chance.uniform(-math.log(RATIO_MAX), math.log(RATIO_MAX)))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 1 <= wide <= width and 1 <= tall <= height:
            across, down = wide, tall
            break
    left, top = int(chance.integers(0, width - across + 1)), int(chance.integers(0, height - down + 1))
    return left, top, left + across, top + down


def versions(paths: Sequence[Path], preparation: Preparation, *, count: int, seed: int) -> Iterator[Frame]:
    """`count` versions of every photograph: first each as it is, then each varied, and so on."""
    for version in range(count):
        for number, path in enumerate(paths):
            frame = np.asarray(load_frame(path), np.uint8)
            if version:
                chance = np.random.default_rng((seed, version, number))
                frame = varied(frame, preparation.resize_shorter, chance)
            yield frame


def views(paths: Sequence[Path], preparation: Preparation, *, count: int) -> Iterator[Frame]:
    """`count` views of every photograph, alike to those to come: each as it is, then mirrored, then moved a little."""
    for down, right, mirrored in VIEWS[:count]:
        for path in paths:
            frame = np.asarray(load_frame(path), np.uint8)
            yield (
                frame
                if (down, right, mirrored) == (0, 0, False)
                else _moved(frame, preparation.resize_shorter, down, right, mirrored=mirrored)
            )


def _moved(frame: Frame, size: int, down: int, right: int, *, mirrored: bool) -> Frame:
    """The middle square of size x size, moved; what lies beyond the picture repeats its edge."""
    height, width = frame.shape[:2]
    factor = size / min(height, width)
    sizes = (max(size, round(width * factor)), max(size, round(height * factor)))
    whole = np.asarray(Image.fromarray(frame).resize(sizes, Image.Resampling.BILINEAR))
    step = max(1, round(SHIFT * size))
    wide = np.pad(whole, ((step, step), (step, step), (0, 0)), mode="edge")
    top, left = (sizes[1] - size) // 2 + step * (1 + down), (sizes[0] - size) // 2 + step * (1 + right)
    cut = wide[top : top + size, left : left + size]
    return np.ascontiguousarray(cut[:, ::-1] if mirrored else cut)


def see(chain: Chain, joints: tuple[int, int], frames: Iterator[Frame], total: int, say: Say) -> Seen:
    """Run each frame to both joints (they may be one) and to the end; `say` hears of every tenth of them."""
    source: NDArray[np.float16] | None = None
    target: NDArray[np.float16] | None = None
    logits: list[NDArray[np.float32]] = []
    last = len(chain.segments) - 1
    for row, frame in enumerate(frames):
        at_source = chain.run({FRAME: frame}, 0, joints[0]).tensors
        at_target = at_source if joints[1] == joints[0] else chain.run(at_source, joints[0] + 1, joints[1]).tensors
        logits.append(_only(chain.run(at_target, joints[1] + 1, last).tensors)[0].astype(np.float32))
        one, other = (_only(tensors)[0] for tensors in (at_source, at_target))
        if source is None or target is None:
            source = np.empty((total, *one.shape), np.float16)
            target = source if joints[1] == joints[0] else np.empty((total, *other.shape), np.float16)
        source[row], target[row] = one, other
        if (row + 1) % max(total // 5, 1) == 0:
            say(f"saw {row + 1} of {total} pictures")
    if source is None or target is None:
        raise UsageError("there is no photograph to learn from")
    return Seen(source, target, np.stack(logits))


def _only(tensors: Tensors) -> NDArray[np.generic]:
    (array,) = tensors.values()
    return array
