"""The evaluation in words and columns: more, less, or nothing that can be told; names as they are."""

import io

import pytest

from hedgerow.assurance.evaluation import COLUMNS, Estimate, Estimates, Evaluation, Support
from hedgerow.views.evaluation import FIGURES, difference, evaluation_table
from hedgerow.views.literal import literal_console


def made(low: float, high: float, unended: int = 0) -> Evaluation:
    saves = Estimate((low + high) / 2, low, high, low, high)
    some = Estimate(12.345, 10.0, 15.0, 9.0, 16.0, 400.0)
    share = Estimate(0.12345, 0.1, 0.15, 0.1, 0.15)
    every = {"disagreement": share, "late": share, "reserve": share}
    told = {name: every.get(name, some) for name in COLUMNS}
    figures = {name: Estimates(each, each, each, each, saves) for name, each in told.items()}
    support = Support(1500, 0.25, 0.004, 123.4, 0.0125, 1.1, 0.09)
    return Evaluation("only:cloud:x:jpeg:75", "exploring", 1500, unended, 0, support, 60, figures, 3.0, 500.0)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (10.0, 20.0, "against the log: 15.0 mJ less a request (95 %: 10.0 to 20.0)"),
        (-20.0, -10.0, "against the log: 15.0 mJ more a request (95 %: 10.0 to 20.0)"),
        (-5.0, 7.0, "no difference that this journal can tell (between -7.0 and +5.0 mJ a request)"),
    ],
)
def test_the_difference_from_the_log(low: float, high: float, words: str) -> None:
    assert words in difference(made(low, high))


def test_every_column_is_a_row_and_fits_a_narrow_page() -> None:
    assert tuple(each.key for each in FIGURES) == COLUMNS
    console = literal_console(file=io.StringIO(), width_characters=80)
    console.print(evaluation_table(made(1, 2, unended=3), journal="a.journal"))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for figure in FIGURES:
        assert figure.title in shown
    assert "only:cloud:x:jpeg:75" in shown
    assert "[10.0..15.0]" in shown
    assert "…" not in shown
    assert "3 requests had not ended and 0 were never decided: left out" in " ".join(shown.split())
    assert "left out 0.40%" in " ".join(shown.split())
