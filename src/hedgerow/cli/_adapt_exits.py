"""`hedgerow adapt exits`: early exits for a picture model that is there already, gates calibrated on pictures of their own."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hedgerow.cli._outputs import OTHER, check_own
from hedgerow.errors import UsageError

if TYPE_CHECKING:
    from hedgerow.adaptation.exits.subject import Subject


def register(group: typer.Typer) -> None:
    """Add the verb."""
    group.command("exits")(exits)


def exits(
    model: Annotated[str, typer.Argument(help="A fetched model's name, TASK.toml:NAME, or an .onnx file.")],
    data: Annotated[
        Path, typer.Option(help="A folder of pictures; of folders, one a class; with labels.csv; or cifar10_jpeg.npz.")
    ],
    joints: Annotated[str, typer.Option(help="Where exits may hang: auto, or names with commas between.")] = "auto",
    at_most: Annotated[float, typer.Option(help="Share that may stop and disagree with the whole model.")] = 0.01,
    level: Annotated[float, typer.Option(help="How often the promise may be relied on.")] = 0.95,
    unseen: Annotated[
        int, typer.Option(min=0, help="Promise it for the next so many samples themselves (0: for all there are).")
    ] = 0,
    exits_max: Annotated[int, typer.Option(min=1, max=8, help="At most so many exits.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance in it; the same seed makes the same files.")] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the task that is made (default: the home's).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as one JSON object.")] = False,
) -> None:
    """Train exits at a model's joints, keep those worth their work, calibrate from which confidence each may answer."""
    from hedgerow.adaptation.exits.frozen import Wish, make_exits
    from hedgerow.adaptation.exits.settling import Promise
    from hedgerow.adaptation.exits.subject import classes_of, pictures_of, subject_of
    from hedgerow.adaptation.keeping import adapted, needs_pytorch
    from hedgerow.cli._adapt_all import progress
    from hedgerow.models.home import make_directory

    if not 0.0 < at_most < 1.0 or not 0.0 < level < 1.0:
        raise UsageError(f"--at-most and --level lie between 0 and 1, not {at_most:g} and {level:g}")
    needs_pytorch()
    say = progress()
    subject = subject_of(model, say)
    pictures = pictures_of(data, subject, classes_of(subject), say)
    named = () if joints == "auto" else tuple(each.strip() for each in joints.split(",") if each.strip())
    folder = make_directory(output or adapted(f"{subject.name}-with-exits"))
    check_own(folder, f"{subject.name}-exits.adapt.json")
    wish = Wish(Promise(at_most, level, unseen), named, exits_max, seed)
    record = make_exits(folder, subject, pictures, wish, say)
    path = _task(folder, subject, record["figures"]["entries"], record["origin"]["joints"])
    print(
        json.dumps(record["figures"] | {"task": str(path)}) if as_json else "\n".join(_lines(record["figures"], path))
    )


def _task(folder: Path, subject: "Subject", entries: list[dict[str, Any]], joints: list[str]) -> Path:
    """Write folder/task.toml: the model's own task with the exits added, or one of the model and its exits."""
    import os

    from hedgerow.adaptation.exits.frozen import task_tables
    from hedgerow.adaptation.recipes import merged, task_text
    from hedgerow.models.home import write_whole

    def here(place: Path) -> str:
        return os.path.relpath(place.absolute(), folder.absolute()).replace(os.sep, "/")

    head, models, labels = task_tables(subject, joints, here)
    if labels is not None:
        write_whole(folder / "labels.txt", labels)
    text = task_text(head, merged(models, entries)).encode()
    path = folder / "task.toml"
    if path.exists() and path.read_bytes() != text:
        raise UsageError(OTHER.format(path))
    write_whole(path, text)
    return path


def _lines(figures: dict[str, Any], path: Path) -> list[str]:
    lines = [figures["summary"]]
    for joint, found in figures["candidates"].items():
        lines.append(
            f"  {joint}: {found['kind']}, after {found['work_before']:.1%} of the work, asking costs {found['work_asking']:.1%}, "
            f"agrees {found['agreement_judged']:.3f} on pictures that judge"
        )
    for entry, share in zip(figures["entries"], figures.get("stop_shares", ()), strict=True):
        lines.append(f"  kept: {entry['name']} from confidence {entry['gate']:.4f}, answers {share:.1%}")
    if figures["entries"]:
        lines.append(
            f"judged on {figures['samples_judged']} pictures: {figures['disagreement_got']:.4f} disagree, "
            f"{figures['work_saved']:.1%} of the work saved"
        )
    return [*lines, str(path)]
