"""`hedgerow adapt route`: fit what decides which samples are unusual enough to send or to keep for retraining."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def register(group: typer.Typer) -> None:
    """Add the verb."""
    group.command("route")(route)


def route(
    task: Annotated[Path, typer.Argument(help="A task file.")],
    images: Annotated[
        Path, typer.Option(help="A folder of pictures of the usual kind: 4 of 10 teach, 3 calibrate, 3 judge.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Write the router (.npz) here.")],
    model: Annotated[
        str | None, typer.Option(help="Whose answers are looked at (default: the first that is no reference).")
    ] = None,
    false_alarm: Annotated[float, typer.Option(help="Share of usual samples that may be called unusual.")] = 0.05,
    unusual: Annotated[
        list[Path] | None, typer.Option(help="A folder of unusual pictures, to see how many are found.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what the reservoir keeps.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Fit and calibrate a router, and judge its false alarms on pictures that had no part in it. Never overwrites."""
    from hedgerow.adaptation import routing
    from hedgerow.adaptation.sources import check_readable, of_parts, picture_paths
    from hedgerow.cli._adapt_all import progress
    from hedgerow.cli._outputs import check_new
    from hedgerow.models.task import Task

    check_new(out)
    opened, say = Task.load(task), progress()
    name = model or next((each.name for each in opened.models if each.name != opened.reference), opened.reference)
    opened.model(name)
    paths = picture_paths(images)
    others = {folder.name: picture_paths(folder) for folder in unusual or ()}
    routing.check_enough(paths, false_alarm)
    check_readable(path for each in (paths, *others.values()) for path in each)
    scorer = routing.make_scorer(opened, name, paths, false_alarm=false_alarm, seed=seed, say=say)
    scorer.save(out)
    judge = of_parts(paths, "judge")
    told = routing.alarms(scorer, routing.see(opened, name, judge, say=say), false_alarm) if judge else None
    found = {
        each: routing.alarms(scorer, routing.see(opened, name, pictures, say=say), false_alarm)
        for each, pictures in others.items()
    }
    if as_json:
        shares = {each: counted.alarms / counted.samples for each, counted in found.items()}
        print(json.dumps({"false_alarm": false_alarm, "judged": asdict(told) if told else None, "found": shares}))
        return
    print(f"{out}: {name}, {len(scorer.reservoir)} samples remembered, {len(scorer.distances)} calibrate")
    if told:
        print(
            f"false alarms: {told.alarms} of {told.samples} usual pictures ({told.alarms / told.samples:.1%}, asked {false_alarm:g};"
            f" {told.lowest} to {told.highest} would be within chance at 99 %)"
        )
    for each, counted in found.items():
        print(f"{each}: {counted.alarms} of {counted.samples} called unusual ({counted.alarms / counted.samples:.0%})")
