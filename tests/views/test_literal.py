"""Names are shown as they are, in every table and panel."""

import io
import re
from pathlib import Path

import pytest
from rich.console import RenderableType
from rich.table import Table

import hedgerow.cli
import hedgerow.views
from hedgerow.views.drives import Drives, drives_picture
from hedgerow.views.literal import literal_console
from hedgerow.views.live import picture
from hedgerow.views.state import ViewState

NAME = "cloud:two:raw [red]x[/red]"


def table() -> Table:
    made = Table(title=NAME)
    made.add_column(NAME, overflow="fold")
    made.add_row(NAME)
    return made


@pytest.mark.parametrize(
    ("shown", "times"),
    [
        (NAME, 1),
        (table(), 3),
        (picture(ViewState(title=NAME, arm=NAME, note=NAME)), 3),
        (drives_picture(Drives(NAME, NAME, [NAME[:10]], [], 10.0, saying=NAME)), 3),
    ],
)
def test_a_name_is_neither_an_emoji_nor_markup(shown: RenderableType, times: int) -> None:
    file = io.StringIO()
    literal_console(file=file, width_characters=100).print(shown)
    assert file.getvalue().count(NAME) == times


def test_every_console_of_the_command_line_and_the_views_is_such_a_one() -> None:
    for package in (hedgerow.cli, hedgerow.views):
        for path in Path(package.__path__[0]).glob("*.py"):
            made = re.search(
                r"\bConsole\((?!\))|\bfrom rich import print|from_markup", path.read_text(encoding="utf-8")
            )
            assert made is None or path.name == "literal.py", path
