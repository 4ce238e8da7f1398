"""`hedgerow doctor`: what of this machine endangers deadlines, the worst first."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hedgerow.doctor import Finding

_COLOURS = {"danger": "bold white on red", "warn": "bold yellow", "info": "cyan", "ok": "green"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def doctor(
    profile: Annotated[Path | None, typer.Option(help="A profile to judge as evidence for this machine.")] = None,
    journal: Annotated[Path, typer.Option(help="The folder that journals are to be written to.")] = Path(),
    waits: Annotated[int, typer.Option(min=20, max=100_000, help="Timer waits to measure, twice.")] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tell what of this machine endangers deadlines. Exit code 1 if anything is a danger."""
    from hedgerow.doctor import Level, examine

    found = examine(profile=profile, journal=journal, waits=waits)
    counts = {level.value: sum(each.level is level for each in found) for level in Level}
    if as_json:
        print(json.dumps({"findings": [asdict(each) for each in found], "counts": counts}))
    else:
        _show(found, counts)
    raise typer.Exit(1 if counts["danger"] else 0)


def _show(found: "list[Finding]", counts: dict[str, int]) -> None:
    from hedgerow.views.literal import literal_console

    console = literal_console()
    for finding in found:
        if finding.level != "ok":
            _show_one(console, finding)
    fine = [finding for finding in found if finding.level == "ok"]
    if fine:
        console.print("in order", style="green")
        width = max(len(finding.name) for finding in fine)
        for finding in fine:
            _line(console, f"{finding.name:<{width}}  {finding.seen}", "dim")
    console.print()
    console.print(", ".join(f"{count} {'in order' if level == 'ok' else level}" for level, count in counts.items()))


def _show_one(console: "Console", finding: "Finding") -> None:
    from rich.text import Text

    head = Text.assemble((f" {finding.level.value:<6} ", _COLOURS[finding.level]), " ", (finding.name, "bold"))
    console.print(head)
    for word, text in (("seen", finding.seen), ("endangers", finding.endangers), ("do", finding.do)):
        if text:
            _line(console, f"{word:<10} {text}", "", hanging=11)
    console.print()


def _line(console: "Console", text: str, style: str, hanging: int = 4) -> None:
    """One paragraph, indented; its further lines stand under its text."""
    import textwrap

    width = max(40, min(console.width, 120) - 2)
    filled = textwrap.fill(
        text, width, initial_indent="  ", subsequent_indent=" " * (2 + hanging), break_long_words=False
    )
    console.print(filled, style=style, markup=False)
