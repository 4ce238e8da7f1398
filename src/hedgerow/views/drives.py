"""The demo's live screen: the same course driven several times, each strategy's answers under the same stretch of road."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from hedgerow.views.live import FRAMES_PER_S, arm_line, last_line, link_line
from hedgerow.views.state import ViewState
from hedgerow.views.strips import legend, timed_strip
from hedgerow.views.timeline import Band

_ROAD = {
    "good": ("─", "green"),
    "squeeze": ("▒", "yellow"),
    "blackout": ("█", "bright_black"),
    "server down": ("░", "red"),
}


@dataclass(slots=True)
class Drives:
    """What the screen shows: names in their order, a state for each begun, and where the present one is."""

    title: str
    footer: str
    names: Sequence[str]
    bands: Sequence[Band]
    seconds: float
    states: dict[str, ViewState] = field(default_factory=dict)
    present: str = ""
    at_s: float = 0.0
    saying: str = ""


def drives_picture(drives: Drives, *, width: int = 100) -> RenderableType:
    """Everything, for a terminal of this width."""
    columns = max(30, width - 20)
    rows = Table.grid(padding=(0, 1))
    rows.add_column(justify="right", width=12, no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_row(Text("the road", "dim"), road_strip(drives.bands, seconds=drives.seconds, width=columns))
    rows.add_row("", _cursor(drives, columns))
    for name in drives.names:
        state = drives.states.get(name)
        if state is None:
            rows.add_row(Text(name, "dim"), Text("to come", "dim"))
            rows.add_row("", "")
            continue
        strip = timed_strip(state.shots, state.deadline_ms, span_ms=drives.seconds * 1000, width=columns)
        rows.add_row(Text(name, "bold"), strip)
        rows.add_row("", _counts(state))
    parts: list[RenderableType] = [rows, legend(), Rule(style="dim")]
    state = drives.states.get(drives.present)
    if state is not None:
        parts.append(_present(drives.present, state, width=width))
    if drives.saying:
        parts.append(Text(drives.saying, "yellow"))
    title, footer = Text(drives.title), Text(drives.footer)
    return Panel(Group(*parts), title=title, title_align="left", subtitle=footer, subtitle_align="left")


def road_strip(bands: Sequence[Band], *, seconds: float, width: int) -> Text:
    """The course as one line: each stretch in its own character, its name in its middle where there is room."""
    text = Text()
    for band in bands:
        first, last = (round(moment / seconds * width) for moment in (band.from_s, band.until_s))
        character, style = _ROAD.get(band.name, _ROAD["good"])
        name = f" {band.name} " if len(band.name) + 2 <= last - first else ""
        text.append(name.center(last - first, character), style)
    return text


def _cursor(drives: Drives, columns: int) -> Text:
    if not drives.present:
        return Text("")
    place = min(columns - 1, max(0, int(drives.at_s / drives.seconds * columns)))
    return Text(" " * place + "▲", "bold")


def _counts(state: ViewState) -> Text:
    text = Text(f"{state.answers} answers   ", "dim")
    text.append(f"late {state.late}", "bold red" if state.late else "green")
    text.append(f"   uplink {state.uplink_bytes / 1e6:.2f} MB   energy {state.energy_mj / 1000:.2f} J", "dim")
    return text


def _present(name: str, state: ViewState, *, width: int) -> RenderableType:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", justify="right")
    rows.add_column(no_wrap=True)
    rows.add_row("now driving", Text(name, "bold"))
    rows.add_row("link", link_line(state))
    rows.add_row("arm", arm_line(state))
    rows.add_row("last", last_line(state, width=max(16, min(40, width - 44))))
    return rows


class DrivesScreen:
    """Draws `drives` at most 5 times a second where `console` is a terminal; elsewhere says each stage in a line."""

    def __init__(self, drives: Drives, console: Console, *, live: bool) -> None:
        self.drives, self._console = drives, console
        self._live = Live(console=console, auto_refresh=False, transient=False) if live else None
        self._next_s, self._began_s = 0.0, time.monotonic()

    def say(self, text: str) -> None:
        """One stage."""
        self.drives.saying = text
        if self._live is None:
            line = f"{time.monotonic() - self._began_s:5.1f} s  {text}"
            self._console.print(line, style="dim", highlight=False, soft_wrap=True)
        self.draw(at_once=True)

    def draw(self, *, at_once: bool = False) -> None:
        """Draw if it is time."""
        now_s = time.monotonic()
        if self._live is not None and (at_once or now_s >= self._next_s):
            self._next_s = now_s + 1.0 / FRAMES_PER_S
            self._live.update(drives_picture(self.drives, width=self._console.width), refresh=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.draw(at_once=True)
        if self._live is not None:
            self._live.stop()
