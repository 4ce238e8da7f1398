"""`hedgerow adapt gate`: from which confidence a small model's answer may stand without asking the reference."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hedgerow.errors import UsageError


def register(group: typer.Typer) -> None:
    """Add the verb."""
    group.command("gate")(gate)


def gate(
    task: Annotated[Path, typer.Argument(help="A task file whose models answer the same question.")],
    model: Annotated[str, typer.Option(help="The small model, which answers first.")],
    images: Annotated[Path, typer.Option(help="A folder of pictures; 7 of 10 calibrate, 3 judge.")],
    at_most: Annotated[float, typer.Option(help="Share of all samples whose standing answer may differ.")] = 0.03,
    level: Annotated[float, typer.Option(help="Confidence with which that holds.")] = 0.95,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the task with the gate here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Calibrate a cascade's gate, choose the codec for what is sent, and judge both on pictures that had no part in it."""
    from hedgerow.adaptation import gating
    from hedgerow.adaptation.sources import check_readable, of_parts, picture_paths
    from hedgerow.cli._adapt_all import progress
    from hedgerow.cli._outputs import check_new
    from hedgerow.models.task import Task

    check_new(out)
    opened, paths, say = Task.load(task), picture_paths(images), progress()
    opened.model(model)
    if model == opened.reference:
        raise UsageError(f"'{model}' is the reference, which nobody is asked about; name a smaller model")
    fit, judge = of_parts(paths, "train", "calibrate"), of_parts(paths, "judge")
    gating.check_enough(len(fit), at_most, level)
    check_readable(paths)
    small, reference = (gating.answers(opened, name, fit, say=say) for name in (model, opened.reference))
    found = gating.gate_for(small, reference, at_most=at_most, level=level)
    codec, tried = gating.smallest_codec(opened, fit, reference, say=say)
    judged = gating.play(opened, model, found.threshold, codec, judge, say=say) if judge else None
    if out is not None:
        gating.with_gate(task, model, found.threshold, out)
    if as_json:
        told = {
            "gate": asdict(found),
            "codec": codec,
            "codecs_tried": tried,
            "judged": asdict(judged) if judged else None,
        }
        print(json.dumps(told))
        return
    print(f"gate = {found.threshold:.6f}   # {model} in {task}")
    print(
        f"of {found.samples} samples {found.stop_share:.1%} stay here and {found.disagreement:.2%} stay and differ;"
        f" at most {found.bound:.2%} of such samples do, at {found.level:.0%}"
    )
    short = (
        ""
        if tried[codec]["agreement"] >= gating.KEEPS
        else f" (no codec keeps {gating.KEEPS:.0%}; this is the largest)"
    )
    print(
        f"the rest goes as {codec}: {tried[codec]['agreement']:.1%} of the reference's answers{short}, {tried[codec]['bytes']:,.0f} bytes;"
        f" so that a profile has it: hedgerow profile --codec {codec}"
    )
    if judged:
        print(
            f"judged on {judged.samples} others: {judged.escalated:.1%} sent, {judged.agreement:.1%} as the reference,"
            f" {judged.bytes_saved:.1%} of the bytes saved"
        )
