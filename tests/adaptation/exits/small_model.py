"""A small picture model of the usual operators, as a file, with a task of five labels; and folders of pictures for it."""

from pathlib import Path

import numpy as np
from PIL import Image

from hedgerow.adaptation.exits.network_file import GraphWriter
from hedgerow.adaptation.recipes import task_text

LABELS = ("ant", "bee", "cat", "dog", "elk")
SIDE_PX = 24
PREPARATION = {
    "version": 1,
    "resize_shorter": SIDE_PX,
    "crop": SIDE_PX,
    "interpolation": "bilinear",
    "scale": 255.0,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "layout": "NCHW",
    "input": "input",
}


def model_bytes(seed: int = 0) -> bytes:
    """Convolutions 3 -> 8 -> 8 -> 12 at 24, 12 and 6 pixels, a mean, five scores; joints "one", "two"."""
    chance = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return np.asarray(chance.normal(size=shape) * np.sqrt(2.0 / np.prod(shape[1:])))

    writer = GraphWriter()
    tensor = writer.convolution("input", "one", drawn(8, 3, 3, 3), np.zeros(8))
    tensor = writer.convolution(tensor, "two", drawn(8, 8, 3, 3), np.zeros(8), stride=2)
    tensor = writer.convolution(tensor, "three", drawn(12, 8, 3, 3), np.zeros(12), stride=2)
    writer.classifier(tensor, "classifier", chance.normal(size=(5, 12)), np.zeros(5))
    return writer.finish("small", {"input": ("batch", 3, SIDE_PX, SIDE_PX)}, 5, "a test")


def write_task(folder: Path) -> Path:
    """folder/task.toml with the model "small"."""
    (folder / "small.onnx").write_bytes(model_bytes())
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    model = {"name": "small", "file": "small.onnx", "joints": ["one", "two"], "preparation": PREPARATION}
    path = folder / "task.toml"
    path.write_text(
        task_text({"name": "t", "kind": "classification", "reference": "small", "labels": "labels.txt"}, [model])
    )
    return path


def write_pictures(folder: Path, count: int, seed: int = 0) -> Path:
    """Coloured noise, each picture of its own tint."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    for number in range(count):
        tint = chance.integers(0, 200, 3)
        noise = chance.integers(0, 56, (28, 32, 3))
        Image.fromarray((tint + noise).astype(np.uint8)).save(folder / f"p{number:04d}.png")
    return folder
