"""`hedgerow adapt temperature` and `hedgerow adapt disagreements`: how sure models may be taken to be, and where they differ."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hedgerow.errors import UsageError

if TYPE_CHECKING:
    from hedgerow.adaptation.disagreements import Disagreements
    from hedgerow.models.task import Task

_TASK = Annotated[Path, typer.Argument(help="A task file with labels.")]
_IMAGES = Annotated[
    Path, typer.Option(help="Pictures named by class index (0207.jpg), or beside a labels.csv (file,label).")
]
_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def register(group: typer.Typer) -> None:
    """Add both verbs."""
    group.command("temperature")(temperature)
    group.command("disagreements")(disagreements)


def temperature(
    task: _TASK,
    images: _IMAGES,
    every: Annotated[bool, typer.Option("--all", help="Use every picture, not the part that calibrates.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write a copy of the task file with them.")] = None,
    rules: Annotated[Path | None, typer.Option(help="Write a file of rules with the weights.")] = None,
    as_json: _JSON = False,
) -> None:
    """Calibrate each model's probabilities by one temperature, and weigh the models for arbitration."""
    from hedgerow.adaptation.making.arbitration import figures_of
    from hedgerow.adaptation.sources import check_readable, of_parts, picture_paths
    from hedgerow.adaptation.temperature import WEIGHING_MIN
    from hedgerow.adaptation.weighing import fit, rules_text, summary, write_temperatures
    from hedgerow.adaptation.witnesses import classifiers, labels_of, scores
    from hedgerow.cli._adapt_all import progress
    from hedgerow.cli._outputs import check_new
    from hedgerow.models.home import write_whole
    from hedgerow.models.task import Task

    check_new(out, rules)
    opened, paths = Task.load(task), picture_paths(images)
    paths = paths if every else of_parts(paths, "calibrate")
    labels = labels_of(paths, opened)
    if labels is None:
        raise UsageError(
            f"nothing says what is right of the pictures in {images}: name them by class index, or add labels.csv"
        )
    if len(paths) < WEIGHING_MIN:
        raise UsageError(
            f"{len(paths)} pictures are too few to weigh models by (of those given, 3 of 10 calibrate unless --all is given);"
            f" {WEIGHING_MIN} are enough, 300 good"
        )
    check_readable(paths)
    scored = {name: scores(opened, name, paths, say=progress()) for name in classifiers(opened)}
    fitted, weights = fit(scored, labels, opened.reference)
    if out is not None:
        write_temperatures(task, {name: each.temperature for name, each in fitted.items()}, out)
    if rules is not None:
        write_whole(rules, rules_text(weights, len(paths)).encode())
    print(json.dumps(figures_of(fitted, weights)) if as_json else "\n".join(summary(fitted, weights)))


def disagreements(
    task: _TASK,
    images: _IMAGES,
    first: Annotated[
        str | None, typer.Option(help="One model (default: the task's first that is not the reference).")
    ] = None,
    second: Annotated[str | None, typer.Option(help="The other (default: the reference).")] = None,
    arbitration: Annotated[Path | None, typer.Option(help="Rules with costs (else every mistake costs 1).")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write all pairs to this file.")] = None,
    top: Annotated[int, typer.Option(min=1, help="So many pairs on the screen.")] = 20,
    as_json: _JSON = False,
) -> None:
    """Show which labels two models confuse most, who was right where that is known, and what it costs."""
    from hedgerow.adaptation import disagreements as report
    from hedgerow.adaptation.sources import check_readable, picture_paths
    from hedgerow.adaptation.witnesses import calibrated, labels_of, scores, seen
    from hedgerow.cli._adapt_all import progress
    from hedgerow.cli._outputs import check_writable
    from hedgerow.core.arbitration import Arbiter
    from hedgerow.models.home import write_whole
    from hedgerow.models.task import Task
    from hedgerow.planning.arbitrating import plain_arbitration, read_arbitration

    check_writable(csv)
    opened, paths = Task.load(task), picture_paths(images)
    one, other = _two(opened, first, second)
    rules = plain_arbitration(opened) if arbitration is None else read_arbitration(arbitration, opened)
    labels = labels_of(paths, opened)
    check_readable(paths)
    temperatures = {model.name: model.temperature or 1.0 for model in opened.models}
    say = progress()
    scored = {name: scores(opened, name, paths, say=say) for name in (one, other)}
    shares = calibrated(scored, temperatures)
    if labels is not None and not any((each.argmax(axis=1) == labels).any() for each in scored.values()):
        say("no model is right about any of them: names or labels.csv are taken for no labels of this task")
        labels = None
    views = (seen(opened, one, "device", shares[one]), seen(opened, other, "cloud", shares[other]))
    found = report.disagreements(Arbiter(rules), *views, labels)
    if csv is not None:
        write_whole(csv, report.as_csv(found, opened.labels, one, other).encode())
    if as_json:
        pairs = report.as_rows(found, opened.labels, one, other)
        print(json.dumps({"samples": found.samples, "differing": found.differing, "pairs": pairs}))
        return
    print(
        f"{one} and {other} differ on {found.differing} of {found.samples} samples, in {len(found.pairs)} pairs of labels"
    )
    _show(found, opened, one, other, top)


def _two(task: "Task", first: str | None, second: str | None) -> tuple[str, str]:
    other = second or task.reference
    rest = [model.name for model in task.models if model.name != other]
    if first is None and not rest:
        raise UsageError(f"task '{task.name}' has one model; two are needed to differ")
    one = first or rest[0]
    if task.model(one).name == task.model(other).name:
        raise UsageError(f"'{one}' does not differ from itself; name two models")
    return one, other


def _show(found: "Disagreements", task: "Task", one: str, other: str, top: int) -> None:
    from rich.console import Console
    from rich.table import Table

    known = bool(found.pairs) and found.pairs[0].first_right is not None
    table = Table(box=None)
    for heading in (one, other):
        table.add_column(heading)
    columns = ("times", *(("right: first", "second", "rules", "cost: first", "second", "rules") if known else ()))
    for heading in columns:
        table.add_column(heading, justify="right")
    for row in found.pairs[:top]:
        cells = [task.labels[row.first], task.labels[row.second], str(row.times)]
        if known:
            cells += [str(each) for each in (row.first_right, row.second_right, row.rules_right)]
            cells += [f"{each or 0.0:.2f}" for each in (row.cost_first, row.cost_second, row.cost_rules)]
        table.add_row(*cells)
    Console().print(table)
