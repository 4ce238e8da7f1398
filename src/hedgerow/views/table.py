"""One table of what several strategies did on the same drive, with the best of each column marked, whoever it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of a result; `better` is "more" or "less", empty where neither is."""

    key: str
    title: str
    form: str
    better: str = ""
    scale: float = 1.0


COLUMNS: Final = (
    Column("requests", "re-\nquests", "{:.0f}"),
    Column("in_time", "in\ntime", "{:.0f}", "more"),
    Column("late", "late", "{:.0f}", "less"),
    Column("late_link", "by\nlink", "{:.0f}", "less"),
    Column("late_device", "by\ndevice", "{:.0f}", "less"),
    Column("p50_ms", "p50\nms", "{:.1f}", "less"),
    Column("p99_ms", "p99\nms", "{:.0f}", "less"),
    Column("max_ms", "max\nms", "{:.0f}", "less"),
    Column("uplink_bytes", "uplink\nkB", "{:,.0f}", "less", 1e-3),
    Column("energy_mj", "modelled\nenergy J", "{:.1f}", "less", 1e-3),
    Column("agreement", "agree-\nment", "{:.3f}", "more"),
    Column("correct", "cor-\nrect", "{:.3f}", "more"),
)

Results = Sequence[Mapping[str, Any]]


def winners(results: Results, column: Column) -> set[str]:
    """Names of those with the best printed figure of a column; empty if it ranks nothing or all are equal."""
    shown = {str(each["name"]): _shown(each, column) for each in results}
    values = {str(each["name"]): each[column.key] for each in results if each[column.key] is not None}
    if not column.better or len(set(shown.values())) < 2 or not values:
        return set()
    best = (max if column.better == "more" else min)(values, key=lambda name: float(values[name]))
    return {name for name in values if shown[name] == shown[best]}


def result_table(results: Results, *, title: str = "") -> RenderableType:
    """The table, and under it in words where another than the last strategy is the best."""
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=0)
    table.add_column("strategy", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column.title, justify="right", no_wrap=True)
    best = {column.key: winners(results, column) for column in COLUMNS}
    for each in results:
        name = str(each["name"])
        cells = [Text(name, "bold")]
        for column in COLUMNS:
            mark = name in best[column.key]
            cells.append(Text(_shown(each, column) + ("*" if mark else " "), "bold green" if mark else ""))
        table.add_row(*cells)
    return Group(
        table,
        Text(
            "* the best of its column. Agreement (with the reference) and correct are shares of all requests, a late answer counts "
            "as neither; of late ones the link or the device is the cause; no answer counts as the slowest.",
            "dim",
        ),
        *_where_else(results),
    )


def _shown(result: Mapping[str, Any], column: Column) -> str:
    value = result[column.key]
    return "-" if value is None else column.form.format(value * column.scale)


def _in_a_line(title: str) -> str:
    return title.replace("-\n", "").replace("\n", " ")


def _where_else(results: Results) -> list[Text]:
    """Sentences: in which columns the last strategy is beaten, by whom and by how much."""
    ours = results[-1]
    lines = []
    for other in results[:-1]:
        beaten = [
            f"{_in_a_line(column.title)} {_shown(other, column)} against {_shown(ours, column)}"
            for column in COLUMNS
            if other["name"] in winners(results, column) and ours["name"] not in winners(results, column)
        ]
        if beaten:
            lines.append(Text(f"{other['name']} is better in: {'; '.join(beaten)}"))
    return lines
