"""The temperature of each model of the photographs' task, and the weights of their views: temperatures go into the task file,
weights into arbitration.toml beside it.

Fitted on the part "calibrate" of photographs whose names say what is right (data/images), or on the fetched ones. Photographs that
the models were trained on by their makers make a model look better than it is: the temperatures then are too low. Fit on your
own (`hedgerow adapt temperature`).
"""

from pathlib import Path
from typing import Any

import numpy as np

from hedgerow.adaptation.keeping import Made, Say, digest
from hedgerow.adaptation.sources import of_parts, photographs
from hedgerow.adaptation.temperature import SAMPLES_MIN
from hedgerow.adaptation.weighing import fit, rules_text, summary
from hedgerow.adaptation.witnesses import Labels, classifiers, labels_of, scores
from hedgerow.errors import UsageError
from hedgerow.models.fetch import fetch, read_index
from hedgerow.models.task import Task

FILE = "arbitration.toml"


def make(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[dict[str, Any]]:
    """`temperature` for each model; UsageError when there are too few photographs or nothing says what is right."""
    path = folder / "task.toml"
    task = Task.load(path if path.is_file() else fetch("imagenet"))
    paths = of_parts(photographs(data, say), "calibrate")
    labels = known_labels(paths, task)
    ids = {model.name: model.model_id for model in task.models}
    origin = {"models": ids, "samples": digest("\n".join(path.name for path in paths).encode())}
    made = Made(folder / FILE, origin, renewable=True)
    record = made.record()
    if record is None:
        scored = {name: scores(task, name, paths, say=say) for name in classifiers(task)}
        fitted, weights = fit(scored, labels, task.reference)
        for line in summary(fitted, weights):
            say(line)
        record = made.keep({made.path: rules_text(weights, len(paths)).encode()}, figures_of(fitted, weights))
    return [{"name": name, "temperature": found["temperature"]} for name, found in record["figures"]["models"].items()]


def known_labels(paths: list[Path], task: Task) -> Labels:
    """The right labels of photographs, by their names or as they were fetched; UsageError where nothing says them."""
    if len(paths) < SAMPLES_MIN:
        raise UsageError(f"{len(paths)} photographs to calibrate on are too few; {SAMPLES_MIN} are the least, 300 good")
    found = labels_of(paths, task)
    if found is not None:
        return found
    index = {path.name: label for path, label in read_index(fetch("photographs"))}
    if not all(path.name in index for path in paths):
        raise UsageError(
            f"nothing says what is right of {paths[0]}: name it by its class index (0207.jpg), or add labels.csv"
        )
    return np.array([index[path.name] for path in paths], np.int64)


def figures_of(fitted: Any, weights: dict[str, float]) -> dict[str, Any]:
    """What is kept of a fit, by model."""
    models = {
        name: {
            "temperature": each.temperature,
            "weight": weights[name],
            "samples": each.samples,
            "loss": [round(each.loss_before, 4), round(each.loss_after, 4)],
            "gap": [round(each.gap_before, 4), round(each.gap_after, 4)],
        }
        for name, each in fitted.items()
    }
    return {"models": models}
