"""What the models of a task see in the same samples: their scores side by side, and the right labels where somebody knows them.

Labels of photographs are read from a table labels.csv (file,label: the label's index or its name in the task), or from names
that begin with the class index in four digits (0207.jpg, 0207-a.jpg); a folder that has neither has no labels.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.keeping import Say
from hedgerow.adaptation.sources import INDEX_NAME, read_index
from hedgerow.core.views import ModelView, Seen
from hedgerow.errors import UsageError
from hedgerow.models.calibrated import LABELS_KEPT, likeliest, probabilities
from hedgerow.models.frames import load_frame
from hedgerow.models.task import Task
from hedgerow.models.tensors import Array
from hedgerow.planning.arbitrating import version_of
from hedgerow.profiling.host import usable_cores

_NUMBERED = re.compile(r"(\d{4})(?!\d)")
_GROUP = 64

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def scores(task: Task, model: str, samples: Sequence[Path | Array], *, say: Say) -> Floats:
    """One model's scores (n, labels) for pictures or raw frames; UsageError for a task without labels, or a broken picture."""
    if not task.labels:
        raise UsageError(f"task '{task.name}' has no labels; only models that choose among labels can be compared")
    rows: list[Array] = []
    with task.open(model) as chain, ThreadPoolExecutor(usable_cores()) as pool:

        def one(sample: Path | Array) -> Array:
            frame = load_frame(sample) if isinstance(sample, Path) else sample
            return task.scores(chain.run(task.sample(frame)).tensors)

        for first in range(0, len(samples), _GROUP):
            rows += pool.map(one, samples[first : first + _GROUP])
    say(f"{model}: {len(rows)} samples seen")
    return np.stack(rows).astype(np.float64)


def classifiers(task: Task) -> list[str]:
    """The models whose scores can be compared: all of a task with labels."""
    return [model.name for model in task.models]


def labels_of(paths: Sequence[Path], task: Task) -> Labels | None:
    """The right label's index of each picture, or None where nothing says it; UsageError for a table that does not fit."""
    tables = {path.parent / INDEX_NAME for path in paths}
    table = next(iter(tables), None)
    if table is not None and len(tables) == 1 and table.is_file():
        return _from_table(table, paths, task)
    found = [_NUMBERED.match(path.stem) for path in paths]
    numbers = [int(each.group(1)) for each in found if each is not None]
    if len(numbers) < len(paths) or not numbers or max(numbers) >= len(task.labels):
        return None
    return np.array(numbers, np.int64)


def _from_table(table: Path, paths: Sequence[Path], task: Task) -> Labels:
    places = {name: index for index, name in enumerate(task.labels)}
    known: dict[str, int] = {}
    for line, file, text in read_index(table):
        index = int(text) if text.isdecimal() else places.get(text, -1)
        if not 0 <= index < len(task.labels):
            raise UsageError(
                f"{table}, line {line}: '{text}' is no label of task '{task.name}', nor an index below {len(task.labels)}"
            )
        known[file] = index
    missing = [path.name for path in paths if path.name not in known]
    if missing:
        raise UsageError(f"{table} has no row for {missing[0]}; each picture needs one")
    return np.array([known[path.name] for path in paths], np.int64)


def seen(task: Task, model: str, tier: str, shares: Floats) -> list[ModelView]:
    """The views that a model's calibrated probabilities (n, labels) give, cut as a session cuts them."""
    version = version_of(task.model(model).model_id)
    return [ModelView(model, tier, Seen(version, *likeliest(row, LABELS_KEPT))) for row in shares]


def calibrated(scored: Mapping[str, Floats], temperatures: Mapping[str, float]) -> dict[str, Floats]:
    """Probabilities of each model's scores; 1 where no temperature is known."""
    return {name: probabilities(each, temperatures.get(name, 1.0)) for name, each in scored.items()}


def side_by_side(views: Iterable[Sequence[ModelView]]) -> list[tuple[ModelView, ...]]:
    """Sample by sample, what all models see."""
    return [tuple(each) for each in zip(*views, strict=True)]
