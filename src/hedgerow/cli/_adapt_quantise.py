"""`hedgerow adapt quantise`: make the int8 copy of a model and say what it costs and gains."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hedgerow.errors import UsageError

if TYPE_CHECKING:
    from hedgerow.models.task import Task, TaskModel


def register(group: typer.Typer) -> None:
    """Add the verb."""
    group.command("quantise")(quantise)


def quantise(
    model: Annotated[
        str, typer.Argument(help="A fetched model's name, a task file of one model, or TASK.toml:NAME of several.")
    ],
    images: Annotated[Path, typer.Option(help="A folder of pictures like those to come; 300 are good.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to make (default: NAME-int8.onnx here).")
    ] = None,
    agreement: Annotated[
        float | None, typer.Option(help="Keep the worst blocks in float32 until the copy agrees so often.")
    ] = None,
    joints: Annotated[
        str | None, typer.Option(help="Cuts to keep, with commas between (default: the task's joints).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what chance there is; the same seed makes the same file.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Make an int8 copy: a second precision of the same chain, which may take over at any joint."""
    from hedgerow.adaptation.quantise import Wanted, entry
    from hedgerow.adaptation.quantise import quantise as make
    from hedgerow.adaptation.sources import picture_paths
    from hedgerow.cli._adapt_all import progress
    from hedgerow.cli._outputs import check_writable

    task, chosen = find(model)
    path = output or Path(f"{chosen.name}-int8.onnx")
    if path.suffix != ".onnx":
        raise UsageError(f"{path} must end in .onnx")
    check_writable(path)
    kept = chosen.joints if joints is None else tuple(name.strip() for name in joints.split(",") if name.strip())
    wanted = Wanted(task, chosen, kept, agreement, seed)
    done = "there already:" if path.exists() else "wrote"
    record = make(wanted, picture_paths(images), path, say=progress())
    if as_json:
        print(json.dumps(record["figures"]))
        return
    for line in report(record["figures"]):
        print(line)
    print(f"{done} {path}; to use it, add to the task file:\n")
    print(table(entry(chosen, kept, path.absolute())))


def find(text: str) -> "tuple[Task, TaskModel]":
    """The model that `text` names and the task with its preparation; UsageError saying what can be given."""
    from hedgerow.models.fetch import fetch
    from hedgerow.models.fetch.recipes import MODELS
    from hedgerow.models.task import Task

    if text in MODELS:
        task = Task.load(fetch("imagenet"))
        return task, task.model(text)
    path, colon, name = text.rpartition(":")
    if not colon:
        path, name = text, ""
    if not path.endswith(".toml"):
        raise UsageError(
            f"'{text}' is no fetched model ({', '.join(MODELS)}) and no task file; a lone .onnx says nothing of how a picture "
            "becomes its input: name it in a task file (docs/files.md) and give TASK.toml:NAME"
        )
    task = Task.load(path)
    if name:
        return task, task.model(name)
    if len(task.models) > 1:
        raise UsageError(
            f"task '{task.name}' has {len(task.models)} models; give {path}:NAME with one of "
            f"{', '.join(each.name for each in task.models)}"
        )
    return task, task.models[0]


def report(figures: dict[str, Any]) -> list[str]:
    """The figures for people."""
    judged, speed, mix, layers = (figures[name] for name in ("judged", "speed", "mix", "layers"))
    lines = [
        f"speed      {speed['ratio']:.2f} times as quick ({speed['low']:.2f} to {speed['high']:.2f}): "
        f"{speed['second_ms']:.2f} ms against {speed['first_ms']:.2f} ms, {speed['pairs']} runs by turns, one thread",
        f"bytes      {figures['bytes']:,} against {figures['bytes_float32']:,}",
        f"agreement  {judged['agreement']:.3f} ({judged['low']:.3f} to {judged['high']:.3f}) with its own float32 on "
        f"{judged['samples']} pictures that chose nothing",
    ]
    if "agreement_with_reference" in figures:
        lines.append(
            f"           {figures['agreement_with_reference']:.3f} with the task's reference, of which the float32 model "
            f"reaches {figures['agreement_with_reference_float32']:.3f}"
        )
    lines.append(
        f"ranges     {mix['ranges']}; in int8 {layers['int8']} layers; in float32 "
        f"{', '.join([*layers['first_in_float32'], *mix['kept_in_float32']]) or 'none'}"
    )
    for name, count in layers["operators_in_float32"].items():
        lines.append(f"           {name} ({count}) has no int8 form here and stays in float32")
    if "asked" in mix:
        lines.append(_asked(mix))
    lines += ["", f"{'block':24} {'work':>6}  share of the divergence that goes when it stays in float32"]
    lines += [f"{hurt['block']:24} {hurt['work_share']:6.1%}  {hurt['share']:+.1%}" for hurt in mix["hurts"]]
    return lines


def _asked(mix: dict[str, Any]) -> str:
    calibrated = mix["calibrated"]
    said = (
        f"asked      {mix['asked']:.3f} on the {calibrated['samples']} pictures that chose: "
        f"{'reached' if mix['reached'] else 'NOT reached'}, {calibrated['agreement']:.3f} "
        f"({calibrated['low']:.3f} to {calibrated['high']:.3f})"
    )
    if mix.get("pictures_to_tell"):
        return f"{said}; about {mix['pictures_to_tell']} would be needed to tell the two apart"
    return said


def table(entry: dict[str, Any]) -> str:
    """A [[model]] of a task file."""
    from hedgerow.adaptation.recipes import model_text

    return model_text(entry)
