"""Reads a task file (TOML): every key known, every value of its type, every file there; errors name file and key.

[task]
name = "imagenet"
kind = "classification"         # or "tensors"
reference = "efficientnet-lite2"
labels = "labels.txt"           # optional; one name a line, UTF-8; paths are relative to this file
[[model]]
name = "mobilenet-v2"
file = "mobilenet-v2.onnx"
joints = ["block10.output"]     # optional
[model.preparation]             # optional; see hedgerow.models.preparation
version = 1
...
[[model]]
name = "mobilenet-v2-exit10"
file = "exit10.onnx"
trunk = "mobilenet-v2"          # optional: a branch, which goes on from the trunk's joint `after`; no preparation of its own
after = "block10.output"
gate = 0.83                     # optional: from this confidence on its answer may stand without asking further
temperature = 1.3               # optional: its scores divided by this give calibrated probabilities
precision_of = "mobilenet-v2"   # optional, never with `trunk`: a copy in another precision, with the same joints
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hedgerow.errors import EngineError, UsageError
from hedgerow.models.facts import model_facts
from hedgerow.models.preparation import Preparation
from hedgerow.models.task import Task, TaskModel

FILE_BYTES_MAX = 1_000_000
MODELS_MAX = 64
LABELS_MAX = 1_000_000

_KEYS = ("name", "file", "joints", "preparation", "trunk", "after", "precision_of", "gate", "temperature")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read_task_file(path: Path) -> Task:
    """The task that `path` describes; UsageError (or EngineError for an invalid model) names file and key."""
    table = _parse(path)
    _only(table, ("task", "model"), f"{path}")
    head, entries = table.get("task"), table.get("model")
    if not isinstance(head, dict):
        raise UsageError(f"{path}: the table [task] is missing")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MODELS_MAX:
        raise UsageError(f"{path}: it needs 1 to {MODELS_MAX} tables [[model]]")
    where = f"{path}: [task]"
    _only(head, ("name", "kind", "reference", "labels"), where)
    models = _prepared_as_trunk([_model(entry, path, number) for number, entry in enumerate(entries, start=1)])
    labels = _labels(path.parent / _text(head, "labels", where), where) if "labels" in head else ()
    name, kind, reference = _name(head, where), _text(head, "kind", where), _text(head, "reference", where)
    try:
        return Task(name, kind, models, reference, labels)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _parse(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the task file {path}: {error.strerror or error}") from error
    if len(data) > FILE_BYTES_MAX:
        raise UsageError(f"{path} has {len(data)} bytes; a task file has at most {FILE_BYTES_MAX}")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a TOML file in UTF-8 (byte {error.start})") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error


def _model(entry: Any, path: Path, number: int) -> TaskModel:
    where = f"{path}: [[model]] number {number}"
    if not isinstance(entry, dict):
        raise UsageError(f"{where} must be a table")
    _only(entry, _KEYS, where)
    name = _name(entry, where)
    where = f"{path}: model '{name}'"
    file = path.parent / _text(entry, "file", where)
    joints = entry.get("joints", [])
    if not isinstance(joints, list) or not all(isinstance(joint, str) and joint for joint in joints):
        raise UsageError(f"{where}: 'joints' must be a list of cut names, not {joints!r}")
    preparation = entry.get("preparation")
    if preparation is not None and not isinstance(preparation, dict):
        raise UsageError(f"{where}: 'preparation' must be a table")
    try:
        facts = model_facts(file)
    except (UsageError, EngineError) as error:
        raise type(error)(f"{where}: {error}") from error
    prepared = None if preparation is None else Preparation.from_table(preparation, where=f"{where}: preparation")
    kin: dict[str, Any] = {key: _text(entry, key, where) for key in ("trunk", "after", "precision_of") if key in entry}
    kin |= {key: _number(entry[key], key, where) for key in ("gate", "temperature") if key in entry}
    made = TaskModel(name, file, prepared, tuple(joints), facts.model_id, facts.inputs, facts.outputs)
    return replace(made, **kin)


def _prepared_as_trunk(models: Sequence[TaskModel]) -> tuple[TaskModel, ...]:
    """Give each branch, which names no preparation, that of its trunk."""
    named = {model.name: model for model in models}

    def prepared(model: TaskModel) -> TaskModel:
        trunk = named.get(model.trunk)
        alike = trunk is None or model.preparation is not None
        return model if alike or trunk is None else replace(model, preparation=trunk.preparation)

    return tuple(prepared(model) for model in models)


def _number(value: Any, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where}: '{key}' must be a number, not {value!r}")
    return float(value)


def _labels(path: Path, where: str) -> tuple[str, ...]:
    try:
        labels = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise UsageError(f"{where}: cannot read labels {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: labels {path} are not UTF-8 text (byte {error.start})") from error
    if not 1 <= len(labels) <= LABELS_MAX:
        raise UsageError(f"{where}: labels {path} has {len(labels)} lines; allowed are 1 to {LABELS_MAX}")
    if "" in labels:
        raise UsageError(f"{where}: labels {path} has an empty line {labels.index('') + 1}")
    return labels


def _only(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"{where}: unknown key '{key}'; known: {', '.join(known)}")


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value or "\0" in value:
        raise UsageError(
            f"{where}: '{key}' must be a text, not {value!r}" if key in table else f"{where}: '{key}' is missing"
        )
    return value


def _name(table: Mapping[str, Any], where: str) -> str:
    name = _text(table, "name", where)
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: 'name' must be 1 to 64 letters, digits, '.', '_' or '-', not {name!r}")
    return name
