"""Reads what a model is adapted on: folders of photographs, CIFAR-10, pictures with labels; and remembers where they lie.

Rules: a picture that cannot be read, a class without one, a table that does not fit its pictures is refused with its name, never
skipped; too few is refused with how many would be enough; a sample is called by its file's stem, which decides its part.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.parts import Part, part_of
from hedgerow.errors import UsageError
from hedgerow.models.fetch import fetch
from hedgerow.models.frames import decode_frame, load_frame
from hedgerow.models.home import home, write_whole
from hedgerow.profiling.host import usable_cores
from hedgerow.profiling.samples import pictures_in

Frame = NDArray[np.uint8]
PICTURES_MAX = 100_000
CIFAR_NAME = "cifar10_jpeg.npz"
INDEX_NAME = "labels.csv"
STAND_IN = "the 20 fetched photographs stand in for it: figures made on them mean little"


@dataclass(frozen=True, slots=True)
class Labelled:
    """Pictures of one size with their classes; sample i is called names[i], which decides its part."""

    names: tuple[str, ...]
    pictures: NDArray[np.uint8]  # (n, height, width, 3)
    labels: NDArray[np.int64]  # (n,), index into classes
    classes: tuple[str, ...]

    def of(self, *parts: Part) -> "Labelled":
        """Those in one of these parts."""
        return self.take([index for index, name in enumerate(self.names) if part_of(name) in parts])

    def take(self, indices: Sequence[int]) -> "Labelled":
        """Those with these indices."""
        chosen = np.asarray(indices, np.int64)
        names = tuple(self.names[index] for index in chosen)
        return Labelled(names, self.pictures[chosen], self.labels[chosen], self.classes)


def picture_paths(folder: Path, *, at_least: int = 1) -> list[Path]:
    """The picture files of a folder by name; UsageError when there are fewer than `at_least`."""
    paths = pictures_in(folder)
    if len(paths) > PICTURES_MAX:
        raise UsageError(f"{folder} holds {len(paths)} pictures; at most {PICTURES_MAX} are read")
    enough(len(paths), at_least, f"pictures in {folder}")
    stems = [path.stem for path in paths]
    if len(set(stems)) < len(stems):
        double = next(stem for stem in stems if stems.count(stem) > 1)
        raise UsageError(f"{folder} holds two pictures called '{double}'; their names decide what they are used for")
    return paths


def enough(count: int, needed: int, what: str) -> None:
    """UsageError saying how many would be enough, unless there are as many as needed."""
    if count < needed:
        raise UsageError(f"there are {count} {what}; at least {needed} are needed")


def frames(paths: Iterable[Path]) -> dict[str, Frame]:
    """The pictures by their stems; UsageError names one that cannot be read."""
    return {path.stem: load_frame(path) for path in paths}


def check_readable(paths: Iterable[Path]) -> None:
    """UsageError names the first picture that cannot be read: looked at before work that reads some of them late."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(_seen, paths):
            pass


def _seen(path: Path) -> None:
    load_frame(path)


def photographs(data: Path | None, say: Callable[[str], None]) -> list[Path]:
    """data/images, or the fetched photographs with a word about what they are worth."""
    if data is not None and (data / "images").is_dir():
        return picture_paths(data / "images")
    say(f"there is no folder of photographs {'images' if data is None else data / 'images'}; {STAND_IN}")
    return picture_paths(fetch("photographs", report=say).parent)


def of_parts(paths: Iterable[Path], *parts: Part) -> list[Path]:
    """Those whose stem is in one of these parts."""
    return [path for path in paths if part_of(path.stem) in parts]


def judged(data: Path | None, holdout: Path | None, say: Callable[[str], None]) -> list[Path]:
    """The photographs that judge: those of the folder `holdout`, else the part "judge" of data/images."""
    return picture_paths(holdout) if holdout is not None else of_parts(photographs(data, say), "judge")


def cifar10(data: Path | None, which: str) -> Labelled:
    """CIFAR-10's 50,000 pictures "train" (called train-00000 ..) or 10,000 "test" (test-00000 ..), each (32, 32, 3).

    UsageError where the file is missing or is something else.
    """
    path = (data or Path("data")) / CIFAR_NAME
    try:
        with np.load(path, allow_pickle=False) as archive:
            joined, sizes, labels, classes = (
                archive[name] for name in (f"{which}_jpeg", f"{which}_sizes", f"{which}_labels", "classes")
            )
    except FileNotFoundError:
        raise UsageError(f"there is no {path}: give the folder that holds it with --data") from None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UsageError(f"{path} is not the expected file of CIFAR-10 ({error})") from error
    if len(sizes) != len(labels) or int(sizes.sum()) != joined.size or not len(sizes):
        raise UsageError(f"{path}: the sizes of '{which}' do not fit its pictures or labels; the file is damaged")
    names = tuple(f"{which}-{index:05d}" for index in range(len(sizes)))
    ends = np.cumsum(sizes, dtype=np.int64)
    found = [
        decode_frame(joined[end - size : end].tobytes(), f"{path}: {name}")
        for name, end, size in zip(names, ends, sizes, strict=True)
    ]
    return labelled_of(dict(zip(names, found, strict=True)), labels, [str(name) for name in classes], str(path))


def labelled_of(
    pictures: Mapping[str, Frame], labels: Sequence[int] | NDArray[np.generic], classes: Sequence[str], where: str
) -> Labelled:
    """Checked: one size, each label a class, each class with a picture; UsageError, begun with `where`, names what is not."""
    shapes = {picture.shape for picture in pictures.values()}
    if len(shapes) != 1:
        raise UsageError(f"{where}: the pictures are of {len(shapes)} sizes; resize them to one")
    indices = np.asarray(labels, np.int64)
    if len(indices) != len(pictures):
        raise UsageError(f"{where}: there are {len(pictures)} pictures and {len(indices)} labels")
    wrong = indices[(indices < 0) | (indices >= len(classes))]
    if wrong.size:
        raise UsageError(f"{where}: label {wrong[0]} is none of the {len(classes)} classes, 0 to {len(classes) - 1}")
    empty = [name for index, name in enumerate(classes) if not (indices == index).any()]
    if empty:
        raise UsageError(f"{where}: the class '{empty[0]}' has no picture; add some, or take the class out")
    return Labelled(tuple(pictures), np.stack(list(pictures.values())), indices, tuple(classes))


def labelled_folder(folder: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """(picture, class index) of a folder with one folder a class, or with labels.csv (file,label), and the classes' names.

    UsageError: an empty class, a file that is named twice or is not there, a table of other columns.
    """
    index = folder / INDEX_NAME
    if index.is_file():
        return _indexed(index)
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give one with a folder of pictures for each class, or {INDEX_NAME}")
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    if len(classes) < 2:
        raise UsageError(
            f"{folder} holds {len(classes)} folders; give one folder of pictures for each of at least two classes, or {INDEX_NAME}"
        )
    rows = [(path, number) for number, each in enumerate(classes) for path in picture_paths(each)]
    return rows, tuple(path.name for path in classes)


def read_index(index: Path) -> list[tuple[int, str, str]]:
    """(line, file, label) of a table with the columns file,label.

    UsageError: no table in UTF-8, other columns, no row, a file that is named twice or has no label.
    """
    try:
        table = list(csv.DictReader(index.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{index} is not a table in UTF-8 ({error})") from error
    if not table or not {"file", "label"} <= table[0].keys():
        raise UsageError(f"{index} must be a table with the columns file,label and at least one row")
    rows = [(line, row["file"] or "", (row["label"] or "").strip()) for line, row in enumerate(table, start=2)]
    seen: set[str] = set()
    for line, file, label in rows:
        if file in seen:
            raise UsageError(f"{index}, line {line}: '{file}' is named twice")
        if not label:
            raise UsageError(f"{index}, line {line}: '{file}' has no label")
        seen.add(file)
    return rows


def _indexed(index: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    rows = read_index(index)
    for line, file, _ in rows:
        if not (index.parent / file).is_file():
            raise UsageError(f"{index}, line {line}: there is no picture '{file}'")
    texts = {label for _, _, label in rows}
    by_number = all(label.isdecimal() for label in texts)
    classes = sorted(texts, key=int) if by_number else sorted(texts)
    if len(classes) < 2:
        raise UsageError(f"{index} knows one class, '{classes[0]}'; at least two are needed")
    return [(index.parent / file, classes.index(label)) for _, file, label in rows], tuple(classes)


def _memory() -> Path:
    return home() / "adapted" / "data.json"


def remember(data: Path) -> None:
    """Keep where the data lies, below the home alone, so that a benchmark finds it by itself."""
    write_whole(_memory(), (json.dumps({"data": str(data.absolute())}) + "\n").encode())


def remembered() -> Path | None:
    """The folder that was last remembered and still is there."""
    try:
        found = json.loads(_memory().read_bytes())
        path = Path(found["data"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return path if path.is_dir() else None
