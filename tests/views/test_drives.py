"""The demo's screen, drawn and said."""

import io

from rich.console import Console

from hedgerow.views.drives import Drives, DrivesScreen, drives_picture, road_strip
from hedgerow.views.timeline import Band
from tests.views.messages import some_state

BANDS = [Band("good", 0.0, 0.5), Band("blackout", 0.5, 0.8), Band("good", 0.8, 1.0)]


def drives() -> Drives:
    made = Drives("three times", "emulated device x 9", ["device-only", "cloud-only", "hedgerow"], BANDS, 1.0)
    made.states["device-only"] = some_state()
    made.present, made.at_s = "device-only", 0.5
    return made


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=terminal)


def text_of(made: Console) -> str:
    assert isinstance(made.file, io.StringIO)
    return made.file.getvalue()


def test_the_screen_shows_road_strategies_and_the_present_drive() -> None:
    where = console(terminal=False)
    where.print(drives_picture(drives(), width=100))
    text = text_of(where)
    for words in (
        "three times",
        "blackout",
        "▲",
        "3 answers",
        "late 1",
        "to come",
        "now driving",
        "emulated device x 9",
    ):
        assert words in text


def test_the_road_is_as_wide_as_asked() -> None:
    for width in (30, 77, 140):
        assert len(road_strip(BANDS, seconds=1.0, width=width).plain) == width


def test_without_a_terminal_each_stage_is_a_line() -> None:
    where = console(terminal=False)
    with DrivesScreen(drives(), where, live=False) as screen:
        screen.say("starting")
        screen.draw()
        screen.say("going")
    assert [line.split("s  ")[1] for line in text_of(where).splitlines()] == ["starting", "going"]


def test_on_a_terminal_it_is_drawn() -> None:
    where = console(terminal=True)
    with DrivesScreen(drives(), where, live=True) as screen:
        screen.say("starting")
    assert "now driving" in text_of(where)
