"""Makes everything of `make adapt`: an ordered list of steps, each a file of `making/`, and the task files that hold the results.

Rules: a step that is made already is not made again, one that was stopped goes on where it was; what a step contributed is kept
in folder/steps.json, so that a step that cannot run today takes nothing away; the task file is written anew after each step and
names every model made so far.
"""

import importlib
import importlib.util
import json
import os
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hedgerow.adaptation.keeping import Say, adapted
from hedgerow.adaptation.sources import remember
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.models.fetch import fetch
from hedgerow.models.home import make_directory, write_whole

IMAGENET = "imagenet"
Entry = dict[str, Any]
Make = Callable[..., list[Entry]]


@dataclass(frozen=True, slots=True)
class Step:
    """One file of `making/` and the task to which it adds."""

    task: str
    name: str

    @property
    def there(self) -> bool:
        """Whether this version of Hedgerow has it."""
        return importlib.util.find_spec(f"hedgerow.adaptation.making.{self.name}") is not None

    def load(self) -> Make:
        """Its function `make`."""
        make: Make = importlib.import_module(f"hedgerow.adaptation.making.{self.name}").make
        return make


STEPS = (
    Step(IMAGENET, "int8"),
    Step(IMAGENET, "exits_photographs"),
    Step(IMAGENET, "cascade"),
    Step(IMAGENET, "reuse"),
    Step(IMAGENET, "bottleneck"),
    Step(IMAGENET, "arbitration"),
    Step("cifar10", "exits_cifar10"),
    Step("cifar10", "arbitration_cifar10"),
    Step("newsgroups", "exits_newsgroups"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step: `problem` is empty where it went well."""

    step: Step
    seconds: float
    models: tuple[str, ...]
    problem: str


def make_all(
    data: Path | None, *, seed: int, say: Say, only: Sequence[str] = (), steps: Sequence[Step] = STEPS
) -> list[Outcome]:
    """Make every step (or those named), in order; a step that is refused is said and the others go on.

    UsageError for a name that is no step, or a folder of data that is not there.
    """
    unknown = sorted(set(only) - {step.name for step in steps})
    if unknown:
        raise UsageError(f"no step '{unknown[0]}'; there are {', '.join(step.name for step in steps)}")
    if data is not None:
        if not data.is_dir():
            raise UsageError(
                f"there is no folder {data}; give the one that holds images/ and cifar10_jpeg.npz, or no --data"
            )
        remember(data)
    chosen = [step for step in steps if not only or step.name in only]
    outcomes = []
    for number, step in enumerate(chosen, start=1):
        prefix = f"[{number}/{len(chosen)}] {step.task}, {step.name}"
        if not step.there:
            say(f"{prefix}: not part of this version; left out")
            continue
        outcomes.append(_make(step, data, seed, lambda text, prefix=prefix: say(f"{prefix}: {text}")))  # type: ignore[misc]
    return outcomes


def _make(step: Step, data: Path | None, seed: int, say: Say) -> Outcome:
    folder = make_directory(adapted(step.task))
    started = time.monotonic()
    try:
        if step.task == IMAGENET:
            fetch(IMAGENET, report=say)
        entries = step.load()(folder, data, seed=seed, say=say)
    except HedgerowError as error:
        say(f"not made: {error} [at fault: {error.at_fault}]")
        return Outcome(step, time.monotonic() - started, (), str(error))
    _keep(folder, step, entries)
    names = tuple(str(entry["name"]) for entry in entries)
    seconds = time.monotonic() - started
    say(f"{', '.join(names) or 'no model of its own'} ({seconds:.1f} s)")
    return Outcome(step, seconds, names, "")


def _keep(folder: Path, step: Step, entries: Sequence[Entry]) -> None:
    """Remember what the step contributed and write the task file of all steps so far."""
    record = folder / "steps.json"
    known: dict[str, list[Entry]] = json.loads(record.read_bytes()) if record.is_file() else {}
    known[step.name] = [_relative(entry, folder) for entry in entries]
    write_whole(record, (json.dumps(known, indent=1) + "\n").encode())
    head, models = _base(folder) if step.task == IMAGENET else ({}, [])
    for each in (each.name for each in STEPS if each.name in known):
        models = merged(models, known[each])
    for each in (each for each in known if each not in {step.name for step in STEPS}):
        models = merged(models, known[each])
    models = [model for model in models if "file" in model]  # what was said of a model that is no longer made
    if not models:
        return
    if not head:
        head = {"name": step.task, "kind": "classification", "reference": models[0]["name"]}
        head |= {"labels": "labels.txt"} if (folder / "labels.txt").is_file() else {}
    text = task_text(head, models).encode()
    path = folder / "task.toml"
    if not path.is_file() or path.read_bytes() != text:
        write_whole(path, text)


def _base(folder: Path) -> tuple[dict[str, Any], list[Entry]]:
    """The fetched task's head and models, their paths as seen from `folder`; its labels are copied beside."""
    task = fetch(IMAGENET)
    table = tomllib.loads(task.read_text(encoding="utf-8"))
    labels = folder / "labels.txt"
    data = (task.parent / table["task"]["labels"]).read_bytes()
    if not labels.is_file() or labels.read_bytes() != data:
        write_whole(labels, data)
    models = [entry | {"file": str(task.parent / entry["file"])} for entry in table["model"]]
    return table["task"], [_relative(entry, folder) for entry in models]


def _relative(entry: Entry, folder: Path) -> Entry:
    """The table with its file named relative to `folder`, so that the home may be moved."""
    if "file" not in entry:
        return dict(entry)
    return entry | {"file": os.path.relpath(folder / entry["file"], folder).replace(os.sep, "/")}


def merged(models: Sequence[Entry], entries: Sequence[Entry]) -> list[Entry]:
    """The tables by name, later ones changing the keys they give; new ones at the end."""
    found = {str(model["name"]): dict(model) for model in models}
    for entry in entries:
        name = str(entry["name"])
        found[name] = found.get(name, {}) | entry
    return list(found.values())


def task_text(head: Mapping[str, Any], models: Sequence[Entry], by: str = "hedgerow adapt all") -> str:
    """A task file of these tables."""
    lines = [f"# Written by `{by}`; a copy elsewhere is yours to change.", "[task]", *_lines(head)]
    return "\n".join([*lines, *(f"\n{model_text(model)}" for model in models)]) + "\n"


def model_text(model: Entry) -> str:
    """One table [[model]] of a task file."""
    inner = {key: value for key, value in model.items() if isinstance(value, Mapping)}
    lines = ["[[model]]", *_lines({key: value for key, value in model.items() if key not in inner})]
    for key, table in inner.items():
        lines += ["", f"[model.{key}]", *_lines(table)]
    return "\n".join(lines)


def _lines(table: Mapping[str, Any]) -> list[str]:
    """A JSON text of numbers, strings, truths and lists of them is also TOML."""
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]
