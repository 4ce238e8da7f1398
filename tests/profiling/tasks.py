"""Small real tasks to profile: one of tensors with joints, one of pictures with two models."""

from pathlib import Path

import numpy as np

from hedgerow.models.task import Task
from hedgerow.models.tensors import Array, Tensors
from tests.models.small_models import write_classifier
from tests.wire.serving import write_task

WIDTH = 64


def tensor_task(folder: Path, *, segments: int = 4) -> Task:
    """One model of dense layers, "tiny", that takes "x" (batch, 64)."""
    return Task.load(write_task(folder, width=WIDTH, segments=segments))


def tensor_samples(count: int, seed: int = 5) -> dict[str, Tensors]:
    """Samples for it, by name."""
    random = np.random.default_rng(seed)
    return {f"s{index}": {"x": random.standard_normal((1, WIDTH)).astype(np.float32)} for index in range(count)}


def picture_task(folder: Path) -> Task:
    """Two linear classifiers of 8 x 8 pixels, "small" and "big"; "big" is the reference."""
    text = '[task]\nname = "patches"\nkind = "classification"\nreference = "big"\n'
    for seed, name in enumerate(("small", "big")):
        write_classifier(folder / f"{name}.onnx", classes=4, side_px=8, seed=seed)
        text += f'\n[[model]]\nname = "{name}"\nfile = "{name}.onnx"\njoints = ["flat"]\n'
        text += "[model.preparation]\nversion = 1\nresize_shorter = 10\ncrop = 8\n"
        text += 'interpolation = "bilinear"\nscale = 255.0\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\nlayout = "NCHW"\n'
    path = folder / "patches.toml"
    path.write_text(text)
    return Task.load(path)


def pictures(count: int, seed: int = 7) -> dict[str, Array]:
    """Noisy frames of 24 x 32 pixels, by name."""
    random = np.random.default_rng(seed)
    return {f"p{index}": random.integers(0, 256, (24, 32, 3), dtype=np.uint8) for index in range(count)}
