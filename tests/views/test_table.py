"""The result table: the best of each column is marked, whoever it is."""

import io
from typing import Any

from rich.console import Console

from hedgerow.views.table import COLUMNS, result_table, winners


def result(name: str, **figures: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {column.key: 1.0 for column in COLUMNS}
    return {"name": name, **usual, **figures}


RESULTS = [
    result("device-only", late=0, p50_ms=60.0, uplink_bytes=0, agreement=0.79, max_ms=None),
    result("cloud-only", late=70, p50_ms=75.0, uplink_bytes=2_000_000, agreement=0.55, max_ms=2000.0),
    result("hedgerow", late=0, p50_ms=74.96, uplink_bytes=1_500_000, agreement=0.88, max_ms=140.0),
]


def shown() -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    console.print(result_table(RESULTS, title="a test"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def column(key: str) -> Any:
    return next(each for each in COLUMNS if each.key == key)


def test_the_best_wins_and_equals_share() -> None:
    assert winners(RESULTS, column("agreement")) == {"hedgerow"}
    assert winners(RESULTS, column("uplink_bytes")) == {"device-only"}
    assert winners(RESULTS, column("late")) == {"device-only", "hedgerow"}


def test_no_winner_where_all_are_equal_or_nothing_is_ranked() -> None:
    assert winners(RESULTS, column("correct")) == set()
    assert winners(RESULTS, column("requests")) == set()


def test_an_unknown_figure_does_not_win() -> None:
    assert winners(RESULTS, column("max_ms")) == {"hedgerow"}


def test_what_is_printed_equal_is_equal() -> None:
    near = [result("a", p50_ms=74.96), result("b", p50_ms=75.01), result("c", p50_ms=80.0)]
    assert winners(near, column("p50_ms")) == {"a", "b"}


def test_where_another_is_better_the_table_says_so() -> None:
    text = shown()
    assert "0.880*" in text
    assert max(len(line) for line in text.splitlines()[:9]) <= 100
    assert "device-only is better in: p50 ms 60.0 against 75.0; uplink kB 0 against 1,500" in text
    assert "cloud-only is better" not in text
