"""The live terminal view of one session, as a process: `python -m hedgerow.views.live` reads the feed on standard input.

Draws at most 5 times a second and ends when the feed does. Ctrl-C is left to the process that feeds it, which says how
the run ended.
"""

import contextlib
import os
import select
import signal
import sys
import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hedgerow.views.feed import parse
from hedgerow.views.kinds import LOOKS, Kind
from hedgerow.views.literal import literal_console
from hedgerow.views.state import ViewState
from hedgerow.views.strips import deadline_bar, legend, recent_strip

FRAMES_PER_S = 5.0
_STATE_STYLES = {"closed": ("open for requests", "green"), "open": ("not used: the device answers", "red")}


def picture(state: ViewState, *, width: int = 80) -> RenderableType:
    """Everything about one session, for a terminal of this width."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", justify="right")
    rows.add_column(overflow="fold")
    rows.add_row("link", link_line(state))
    rows.add_row("arm", arm_line(state))
    rows.add_row("last", last_line(state, width=max(16, min(40, width - 40))))
    rows.add_row("latency", recent_strip(state.shots, state.deadline_ms, width=max(20, width - 16)))
    rows.add_row("", legend())
    rows.add_row("answers", counters_line(state))
    rows.add_row("used", used_line(state))
    if state.mode:
        rows.add_row("mode", Text(state.mode, "yellow"))
    if state.note:
        rows.add_row("note", Text(state.note, "yellow"))
    clock = f"{state.now_ms / 1000:.1f} s"
    return Panel(
        Group(rows), title=Text(state.title or "hedgerow"), subtitle=clock, title_align="left", subtitle_align="right"
    )


def link_line(state: ViewState) -> Text:
    """Breaker, round trip and rate, as last observed."""
    link = state.link
    words, style = _STATE_STYLES.get(link.state, (link.state, "yellow"))
    text = Text("● ", style)
    text.append(words)
    if link.round_trip_ms is not None:
        text.append(f"   round trip {link.round_trip_ms:.0f} ms")
    if link.mbit_per_s is not None:
        text.append(f"   {link.mbit_per_s:.1f} Mbit/s")
    if link.lost_at_ms is not None:
        text.append(f"   lost {link.lost}, last {(state.now_ms - link.lost_at_ms) / 1000:.1f} s ago", "dim")
    return text


def arm_line(state: ViewState) -> Text:
    """The arm chosen last, and why."""
    if not state.arm:
        return Text("no request yet", "dim")
    text = Text(state.arm, "bold")
    text.append(f"   {state.reason.replace('_', ' ')}")
    if state.predicted_ms is not None:
        text.append(f"   expected {state.predicted_ms:.0f} ms", "dim")
    if state.slack_ms is not None:
        text.append(f"   slack {state.slack_ms:.0f} ms", "dim")
    return text


def last_line(state: ViewState, *, width: int) -> Text:
    """The last answer's age against the deadline."""
    if not state.shots:
        return Text("no answer yet", "dim")
    shot = state.shots[-1]
    text = Text(f"{shot.age_ms:5.0f} of {state.deadline_ms:.0f} ms ", "bold red" if shot.late else "")
    text.append_text(deadline_bar(shot.age_ms, state.deadline_ms, width=width))
    text.append(f" {shot.kind}", LOOKS[shot.kind].terminal)
    return text


def counters_line(state: ViewState) -> Text:
    """How many, in time and late, and who gave them."""
    text = Text(f"{state.answers}   in time {state.answers - state.late}   ")
    text.append(f"late {state.late}", "bold red" if state.late else "")
    for kind in Kind:
        if state.kinds[kind]:
            text.append(f"   {kind} {state.kinds[kind]}", LOOKS[kind].terminal)
    return text


def used_line(state: ViewState) -> Text:
    """Bytes and modelled energy."""
    text = Text(f"uplink {state.uplink_bytes / 1e6:.2f} MB   energy {state.energy_mj / 1000:.2f} J (modelled)")
    if state.bounds_exceeded:
        text.append(f"   device bounds exceeded {state.bounds_exceeded}", "yellow")
    return text


def watch(fd: int, console: Console) -> ViewState:
    """Read the feed at `fd` until it ends, drawing on `console`; returns the last state."""
    state, pending = ViewState(), b""
    next_draw_s = 0.0
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not state.ended:
            ready, _, _ = select.select([fd], [], [], 1.0 / FRAMES_PER_S)
            if ready:
                data = os.read(fd, 1 << 16)
                if not data:
                    break
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    message = parse(line)
                    if message is not None:
                        state.take(message)
            if time.monotonic() >= next_draw_s:
                next_draw_s = time.monotonic() + 1.0 / FRAMES_PER_S
                live.update(picture(state, width=console.width), refresh=True)
    return state


def main() -> None:
    """Run the view on this process's terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(10)
    watch(sys.stdin.fileno(), literal_console(file=sys.stderr))


if __name__ == "__main__":
    main()
