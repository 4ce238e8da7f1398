"""What is fed to the models while they are measured: pictures from a folder, given frames, or generated inputs.

Rule: a file that looks like a picture and cannot be read is named and refused, never skipped: a profile measured on
fewer samples than its owner believes is worse than none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hedgerow.errors import HostError, UsageError
from hedgerow.models.frames import load_frame
from hedgerow.models.home import home
from hedgerow.models.preparation import FRAME
from hedgerow.models.samples import generate_inputs
from hedgerow.models.task import Task
from hedgerow.models.tensors import Array, Tensors

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
SAMPLES_MAX = 500
QUICK_FRAMES_MAX = 24
GENERATED_FRAME_PX = (480, 640)
Frames = Mapping[str, "Array | Tensors"] | Sequence["Array | Tensors"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One raw sample and the name it has in the profile."""

    name: str
    tensors: Tensors


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder by name; UsageError for no folder or none in it, HostError without permission."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give one that holds pictures")
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise HostError(f"cannot list the folder {folder}: {error.strerror or error}") from error
    if not paths:
        raise UsageError(f"there is no picture in {folder}; it must hold files ending in {', '.join(SUFFIXES)}")
    return paths


def read_folder(folder: str | Path, *, samples_max: int = SAMPLES_MAX) -> dict[str, Array]:
    """The pictures in `folder` by file name; evenly chosen if there are more than `samples_max`.

    UsageError for no folder, no picture in it, or one that cannot be read; HostError without permission.
    """
    paths = pictures_in(Path(folder))
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(samples_max, len(paths))).round().astype(int))
    return {paths[index].name: load_frame(paths[index]) for index in chosen}


def quick_frames(task: Task) -> dict[str, Array]:
    """What a quick profile is made on when nothing is given: the fetched photographs; nothing where they do not serve."""
    folder = home() / "photographs"
    if task.model(task.reference).preparation is None or not folder.is_dir():
        return {}
    return read_folder(folder, samples_max=QUICK_FRAMES_MAX)


def samples_of(task: Task, frames: Frames) -> tuple[Sample, ...]:
    """`frames` checked against the task, by their names or numbers."""
    named = frames if isinstance(frames, Mapping) else {f"sample {index}": each for index, each in enumerate(frames)}
    return tuple(Sample(name, task.sample(value)) for name, value in named.items())


def shuffled(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """The same samples in an order that is always the same and not theirs: time may allow only the first of them, and
    folders are often sorted by what is in the pictures."""
    return tuple(samples[index] for index in np.random.default_rng(0).permutation(len(samples)))


def generated(task: Task, count: int, *, seed: int = 0) -> tuple[Sample, ...]:
    """Inputs for a task without any: smooth frames with noise, or tensors of the declared shapes; the same each time."""
    if task.model(task.reference).preparation is not None:
        random = np.random.default_rng(seed)
        return tuple(Sample(f"generated {index}", {FRAME: _frame(random)}) for index in range(count))
    return tuple(
        Sample(f"generated {index}", generate_inputs(task.inputs, seed=seed + index)) for index in range(count)
    )


def _frame(random: np.random.Generator) -> Array:
    height, width = GENERATED_FRAME_PX
    coarse = random.integers(0, 256, (6, 8, 3)).astype(np.float32)
    smooth = coarse.repeat(height // 6, axis=0).repeat(width // 8, axis=1)
    noisy = smooth + random.normal(0.0, 8.0, smooth.shape)
    return noisy.clip(0, 255).astype(np.uint8)
