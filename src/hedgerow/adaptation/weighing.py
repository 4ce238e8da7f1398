"""Fits temperatures and weights of all models of a task together, and says them: to a person, to a rules file, to a task file."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hedgerow.adaptation.recipes import merged, task_text
from hedgerow.adaptation.temperature import Fitted, Floats, Labels, fit_temperature, fit_weights
from hedgerow.errors import UsageError
from hedgerow.models.calibrated import probabilities
from hedgerow.models.home import write_whole


def fit(scored: Mapping[str, Floats], labels: Labels, reference: str) -> tuple[dict[str, Fitted], dict[str, float]]:
    """Temperature of each model's scores (n, labels), then the weights of their calibrated probabilities."""
    fitted = {}
    for name, each in scored.items():
        try:
            fitted[name] = fit_temperature(each, labels)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
    shares = {name: probabilities(each, fitted[name].temperature) for name, each in scored.items()}
    return fitted, fit_weights(shares, labels, reference)


def summary(fitted: Mapping[str, Fitted], weights: Mapping[str, float]) -> Iterator[str]:
    """One line a model."""
    for name, found in fitted.items():
        grew = "; the gap grew: more samples would tell better" if found.gap_after > found.gap_before else ""
        yield (
            f"{name}: temperature {found.temperature:.3f}, weight {weights[name]:.2f}; on {found.samples} samples calibration gap "
            f"{found.gap_before:.3f} -> {found.gap_after:.3f}, loss {found.loss_before:.3f} -> {found.loss_after:.3f}{grew}"
        )


def rules_text(weights: Mapping[str, float], samples: int) -> str:
    """A file of rules with nothing in it but these weights."""
    lines = [
        f"# Weights fitted by `hedgerow adapt` on {samples} samples; add your costs and groups (docs/arbitration.md).",
        "format = 1",
        "",
        "[weights]",
        *(f'"{name}" = {weight}' for name, weight in weights.items()),
    ]
    return "\n".join(lines) + "\n"


def write_temperatures(task_file: Path, temperatures: Mapping[str, float], target: Path) -> None:
    """A copy of the task file with these temperatures at `target`, which must not be there; files stay where they are."""
    if target.exists():
        raise UsageError(f"{target} is there already; it is not overwritten: name another")
    table: dict[str, Any] = tomllib.loads(task_file.read_text(encoding="utf-8"))
    there = target.absolute().parent
    models = []
    for entry in merged(table["model"], [{"name": name, "temperature": value} for name, value in temperatures.items()]):
        file = (task_file.absolute().parent / entry["file"]).resolve()
        models.append(entry | {"file": _relative(file, there)})
    head = dict(table["task"])
    if "labels" in head:
        head["labels"] = _relative((task_file.absolute().parent / head["labels"]).resolve(), there)
    write_whole(target, task_text(head, models, "hedgerow adapt temperature").encode())


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.as_posix()
