"""Which model gets exits, and which pictures it gets them from: every form in which a user may name them, checked before any work."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.keeping import Say, digest
from hedgerow.adaptation.parts import Part, part_of
from hedgerow.adaptation.sources import CIFAR_NAME, INDEX_NAME, Frame, cifar10, frames, labelled_folder, picture_paths
from hedgerow.errors import UsageError
from hedgerow.models.fetch import fetch
from hedgerow.models.fetch.recipes import MODELS
from hedgerow.models.frames import load_frame
from hedgerow.models.graph import Graph
from hedgerow.models.preparation import Preparation
from hedgerow.models.task import Task

PICTURES_HELD_MAX = 6_000
CHOOSING_SHARE = 5  # one in so many of the training pictures trains nothing: exits are chosen on it
Item = TypeVar("Item")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Subject:
    """The model: its file, how a picture becomes its input, the joints to begin with, its labels where they are known."""

    name: str
    path: Path
    preparation: Preparation
    joints: tuple[str, ...]
    labels: tuple[str, ...]
    task: Path | None  # the task file it stands in


@dataclass(frozen=True, slots=True)
class Pictures:
    """Frames by name; `labels` are indices into the model's scores, or None where there are none."""

    frames: Mapping[str, Frame]
    labels: Mapping[str, int] | None

    def named(self, *parts: Part) -> list[str]:
        """The names in these parts."""
        return [name for name in self.frames if part_of(name) in parts]

    @property
    def fitting(self) -> list[str]:
        """Those that train."""
        return [name for name in self.named("train") if zlib.crc32(name.encode()) % CHOOSING_SHARE]

    @property
    def choosing(self) -> list[str]:
        """Those on which exits are chosen."""
        return [name for name in self.named("train") if zlib.crc32(name.encode()) % CHOOSING_SHARE == 0]

    def labels_of(self, names: list[str]) -> NDArray[np.int64] | None:
        """Of these, in their order."""
        return None if self.labels is None else np.array([self.labels[name] for name in names], np.int64)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over names, pixels and labels."""
        parts = [f"{name}:{digest(np.ascontiguousarray(self.frames[name]).tobytes())}" for name in sorted(self.frames)]
        labels = [] if self.labels is None else [f"{name}={label}" for name, label in sorted(self.labels.items())]
        return digest("\n".join(parts + labels).encode())


def subject_of(model: str, say: Say) -> Subject:
    """A fetched model's name, TASK.toml:NAME (or TASK.toml with one model), or an .onnx file; UsageError for anything else."""
    file, separator, name = model.partition(".toml:")
    if separator or model.endswith(".toml"):
        return _of_task(Path(f"{file}.toml" if separator else model), name)
    if model.endswith(".onnx"):
        return _of_file(Path(model), say)
    if model not in MODELS:
        known = ", ".join(MODELS)
        raise UsageError(f"'{model}' is no model: give {known}, TASK.toml:NAME, or a file ending in .onnx")
    recipe = MODELS[model]
    fetch(model, report=say)
    task = fetch("imagenet", report=say)
    found = Task.load(task)
    return Subject(model, found.model(model).path, recipe.preparation, recipe.joints, found.labels, task)


def classes_of(subject: Subject) -> int:
    """How many scores the model gives; UsageError unless it has one output of one score per class."""
    outputs = Graph.open(subject.path).outputs
    classes = outputs[0].shape[-1] if len(outputs) == 1 and outputs[0].shape else None
    if not isinstance(classes, int):
        raise UsageError(f"'{subject.name}' must have one output of one score per class to be given exits")
    return classes


def pictures_of(data: Path, subject: Subject, classes: int, say: Say) -> Pictures:
    """A folder of pictures, a folder with labels (a folder a class, or labels.csv), or cifar10_jpeg.npz."""
    if data.suffix == ".npz":
        if data.name != CIFAR_NAME:
            raise UsageError(f"{data} is no folder; the one file of pictures that is known is {CIFAR_NAME}")
        return _cifar(data.parent, subject, classes)
    if data.is_dir() and not (data / INDEX_NAME).is_file() and not any(path.is_dir() for path in data.iterdir()):
        paths = picture_paths(data)
        return Pictures(frames(_some(paths, say)), None)
    listed, names = labelled_folder(data)
    indices = _indices(names, subject, classes)
    chosen = _some(listed, say)
    found = {f"{path.parent.name}/{path.name}": load_frame(path) for path, _ in chosen}
    return Pictures(found, {f"{path.parent.name}/{path.name}": indices[label] for path, label in chosen})


def _cifar(folder: Path, subject: Subject, classes: int) -> Pictures:
    """Training pictures train and choose; test pictures calibrate and judge, and train nothing."""
    train, test = cifar10(folder, "train").of("train"), cifar10(folder, "test").of("calibrate", "judge")
    train = train.take(np.linspace(0, len(train.names) - 1, PICTURES_HELD_MAX).astype(int).tolist())
    indices = _indices(train.classes, subject, classes)
    frames_of = {name: frame for part in (train, test) for name, frame in zip(part.names, part.pictures, strict=True)}
    marks = {
        name: indices[int(label)] for part in (train, test) for name, label in zip(part.names, part.labels, strict=True)
    }
    return Pictures(frames_of, marks)


def _some(items: list[Item], say: Say) -> list[Item]:
    """At most PICTURES_HELD_MAX of them, spread evenly."""
    if len(items) <= PICTURES_HELD_MAX:
        return items
    say(f"{PICTURES_HELD_MAX} of {len(items)} pictures are used, spread evenly")
    return [items[index] for index in np.linspace(0, len(items) - 1, PICTURES_HELD_MAX).astype(int)]


def _indices(names: tuple[str, ...], subject: Subject, classes: int) -> list[int]:
    """Which of the model's scores each class is."""
    if subject.labels:
        known = {label: index for index, label in enumerate(subject.labels)}
        unknown = [name for name in names if name not in known and not _number_below(name, classes)]
        if unknown:
            raise UsageError(
                f"class '{unknown[0]}' is none of the {classes} labels of '{subject.name}'; name the classes as its labels, "
                "or by their numbers, or give the pictures without classes: the model's own answers teach then"
            )
        return [known[name] if name in known else int(name) for name in names]
    if len(names) != classes:
        raise UsageError(
            f"there are {len(names)} classes, but '{subject.name}' gives {classes} scores; the two must be equal"
        )
    return list(range(classes))


def _number_below(name: str, classes: int) -> bool:
    return name.isdecimal() and int(name) < classes


def _of_task(path: Path, name: str) -> Subject:
    task = Task.load(path)
    if not name and len(task.models) > 1:
        raise UsageError(f"{path} has {len(task.models)} models; name one as {path}:{task.models[0].name}")
    model = task.model(name or task.reference)
    if model.preparation is None:
        raise UsageError(f"'{model.name}' of {path} takes tensors, not pictures; give it a preparation")
    if model.trunk:
        raise UsageError(f"'{model.name}' of {path} is a branch; exits hang at its trunk '{model.trunk}'")
    return Subject(model.name, model.path, model.preparation, model.joints, task.labels, path)


def _of_file(path: Path, say: Say) -> Subject:
    graph = Graph.open(path)
    shapes = [spec.shape for spec in graph.inputs]
    square = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][1] == 3 and shapes[0][2] == shapes[0][3]
    side = shapes[0][2] if square else None
    if not isinstance(side, int):
        raise UsageError(
            f"{path} does not take one picture of (batch, 3, side, side); say how a picture becomes its input in a task file"
        )
    say(f"{path.name}: pictures are prepared as for ImageNet at {side} px; a task file can say otherwise")
    preparation = Preparation(
        version=1,
        resize_shorter=side,
        crop=side,
        interpolation="bilinear",
        scale=255.0,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        input=graph.inputs[0].name,
    )
    return Subject(path.stem, path, preparation, (), (), None)
