"""Short sequences made from photographs by declared motion, to calibrate and judge reuse where there are no clips. They are made,
not filmed, and everything that reports on them says so.

Each photograph gives one sequence of FRAMES frames, RATE a second: a window of 7/8 of it that stays, is moved, is drawn closer, or
stays until the scene changes to another photograph. A sensor's noise (SIGMA of 255, drawn anew for each frame) and a small
unsteadiness of brightness lie over all. What is drawn depends on the photograph's name and the seed alone.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hedgerow.models.frames import load_frame

Frame = NDArray[np.uint8]
FRAMES = 12
RATE = 8.0  # frames a second
SIGMA = 3.0
MOTIONS = ("hold", "pan", "zoom", "scene")
SHARES = (0.4, 0.25, 0.2, 0.15)  # of the motions
_WINDOW = 7 / 8
_SIDE = 320  # of a window's shorter side at most: the models see less


@dataclass(frozen=True, slots=True)
class Made:
    """One made sequence; `motion` is one of MOTIONS."""

    name: str
    motion: str
    frames: tuple[Frame, ...]


def made(paths: Sequence[Path], *, seed: int = 0) -> Iterator[Made]:
    """One sequence from each photograph; the next one is what a change of scene shows."""
    for place, path in enumerate(paths):
        digest = hashlib.sha256(f"{seed}/{path.stem}".encode()).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        motion = str(random.choice(MOTIONS, p=SHARES))
        other = paths[(place + 1) % len(paths)]
        yield Made(path.stem, motion, tuple(_frames(random, path, other, motion)))


def _frames(random: np.random.Generator, path: Path, other: Path, motion: str) -> Iterator[Frame]:
    first, second = Image.fromarray(load_frame(path)), Image.fromarray(load_frame(other))
    way = random.uniform(-1, 1, 2)
    speed = float(random.uniform(0.1, 1.0))  # of the way that the window has
    cut = int(random.integers(3, FRAMES - 2))
    size = _size(first)
    for number in range(FRAMES):
        part = speed * number / (FRAMES - 1)
        picture, centre, scale = first, np.zeros(2), _WINDOW
        if motion == "pan":
            centre = way * part
        elif motion == "zoom":
            scale = _WINDOW * (1 - 0.4 * part)
        elif motion == "scene" and number >= cut:
            picture = second
        yield _noisy(random, _window(picture, centre, scale, size))


def _size(picture: Image.Image) -> tuple[int, int]:
    shrink = min(1.0, _SIDE / min(picture.size)) * _WINDOW
    return max(32, round(picture.width * shrink)), max(32, round(picture.height * shrink))


def _window(
    picture: Image.Image, centre: NDArray[np.float64], scale: float, size: tuple[int, int]
) -> NDArray[np.float64]:
    """The window of this scale, its centre moved by `centre` (-1 to 1: as far as it goes), as an array of `size`."""
    wide, high = picture.width * scale, picture.height * scale
    left = (picture.width - wide) / 2 * (1 + centre[0])
    top = (picture.height - high) / 2 * (1 + centre[1])
    box = (left, top, left + wide, top + high)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box), np.float64)


def _noisy(random: np.random.Generator, frame: NDArray[np.float64]) -> Frame:
    bright = 1.0 + float(random.normal(0, 0.01))
    return np.clip(frame * bright + random.normal(0, SIGMA, frame.shape), 0, 255).astype(np.uint8)
