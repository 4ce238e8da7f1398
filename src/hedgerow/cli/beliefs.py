"""`hedgerow beliefs`: how often the bounds on a link's next round trip and transfer are exceeded, beside what they say."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hedgerow.cli._progress import with_progress

if TYPE_CHECKING:
    from hedgerow.simulation.calibration import Calibration, Detail, Row

HEADS = ("method", "missed %", "when bet %", "bet on %", "worst 200 %", "burst", "width", "at 10s %")


class Half(StrEnum):
    """Every second link of each kind."""

    even = "even"
    odd = "odd"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("beliefs")(beliefs)


def beliefs(
    links: Annotated[Path, typer.Option(metavar="DIR", help="A folder of links, one CSV file each.")],
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew with each link.")] = False,
    half: Annotated[Half | None, typer.Option(help="Only every second link of each kind.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table for a document.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Hold bounds on the next round trip and the next 11 kB transfer against what came, one step ahead.

    Methods are compared at targets of 50, 5, 1 and 0.1 %; the product's is marked. docs/beliefs.md says what is counted.
    """
    from hedgerow.simulation.bounds import METHODS
    from hedgerow.simulation.calibration import BELIEFS, TARGETS, calibrate, load

    found = load(links, half=None if half is None else list(Half).index(half))
    result = with_progress(
        "bounds", len(METHODS) * len(BELIEFS) * len(TARGETS),
        lambda tell: calibrate(found, restart=restart, progress=lambda: tell(1)),
    )  # fmt: skip
    if as_json:
        print(json.dumps(result.as_json()))
    elif markdown:
        _print_markdown(result)
    else:
        _print_tables(result)


def _percent(share: float | None, digits: int = 2) -> str:
    return "-" if share is None else f"{share * 100:.{digits}f}"


def _cells(row: "Row", detail: "Detail") -> list[str]:
    """One line of the table, as `HEADS` names it."""
    return [
        row.method.replace("_", " "),
        _percent(row.missed),
        _percent(row.missed_when_bet),
        _percent(detail.bets, 0),
        _percent(row.worst_200, 1),
        str(row.burst),
        f"{row.width_over_median:.2f}",
        _percent(detail.at_cap, 1),
    ]


def _sections(result: "Calibration") -> list[tuple[str, float, list[tuple[bool, list[str]]]]]:
    """(belief, target, its lines with whether each is the product's)."""
    behind = {(each.belief, each.method, each.target): each for each in result.details if each.links == "all"}
    found: list[tuple[str, float, list[tuple[bool, list[str]]]]] = []
    for row in result.rows:
        if not found or found[-1][:2] != (row.belief, row.target):
            found.append((row.belief, row.target, []))
        found[-1][2].append((row.default, _cells(row, behind[row.belief, row.method, row.target])))
    return found


def _loss_lines(result: "Calibration") -> list[str]:
    return [
        f"loss, {name.replace('_', ' ')}: {report.moments:,} moments, {_percent(report.lost)} % lost, {_percent(report.said)} % "
        f"said; Brier score {report.brier:.5f} (always the share of losses: {report.brier_constant:.5f}, "
        f"always as the last: {report.brier_last:.5f})"
        for name, report in result.loss.items()
    ]


def _print_tables(result: "Calibration") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from hedgerow.views.literal import literal_console

    moments = next(each.moments for each in result.details if each.links == "all")
    console = literal_console()
    console.print(f"{result.links} links, {moments:,} moments, one step ahead; bold: what the product uses\n")
    for belief in dict.fromkeys(row.belief for row in result.rows):
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=belief.replace("_", " "), title_justify="left")
        table.add_column("target", justify="right", no_wrap=True)
        for head in HEADS:
            table.add_column(head.replace(" ", "\n"), justify="left" if head == "method" else "right", no_wrap=True)
        for of, target, lines in _sections(result):
            if of == belief:
                for index, (default, cells) in enumerate(lines):
                    first = f"{target * 100:g} %" if index == 0 else ""
                    shown = [Text(cell, style="bold" if default else "") for cell in cells]
                    table.add_row(first, *shown, end_section=index + 1 == len(lines))
        console.print(table)
    for line in _loss_lines(result):
        console.print(line)


def _print_markdown(result: "Calibration") -> None:
    for belief in dict.fromkeys(row.belief for row in result.rows):
        print(f"**{belief.replace('_', ' ')}**\n\n| target | {' | '.join(HEADS)} |\n|{'---|' * (len(HEADS) + 1)}")
        for of, target, lines in _sections(result):
            if of == belief:
                for default, cells in lines:
                    shown = [f"**{cell}**" for cell in cells] if default else cells
                    print(f"| {target * 100:g} % | {' | '.join(shown)} |")
        print()
    print("\n\n".join(_loss_lines(result)))
