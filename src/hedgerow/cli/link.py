"""`hedgerow link`: an emulated link between a device and a server on this machine: steady, traced or scripted.

`hedgerow link fit` makes a generated link's model from recorded traces, `hedgerow link draw` a trace from a model.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hedgerow.errors import UsageError


class AtEnd(StrEnum):
    """What follows a trace's last row."""

    loop = "loop"
    hold = "hold"


class Control(StrEnum):
    """Where commands come from."""

    stdin = "stdin"


def register(app: typer.Typer) -> None:
    """Add the verb: itself a command, with `fit` below it."""
    from hedgerow.cli import _link_draw, _link_fit

    group = typer.Typer()
    group.callback(invoke_without_command=True)(link)
    group.command("fit")(_link_fit.fit)
    group.command("draw")(_link_draw.draw)
    app.add_typer(group, name="link")


def link(
    context: typer.Context,
    to: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The server's address; needed to relay.")] = None,
    listen: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 = any free one.")] = 0,
    trace: Annotated[str | None, typer.Option(help="A CSV file, or a shipped link's name.")] = None,
    at_end: Annotated[AtEnd, typer.Option(help="After the trace's last row.")] = AtEnd.loop,
    rtt_offset_ms: Annotated[float, typer.Option(help="Added to the trace's round trips (negative: nearer).")] = 0.0,
    uplink_mbps: Annotated[float | None, typer.Option(help="Steady uplink; unlimited if left out.")] = None,
    downlink_mbps: Annotated[float | None, typer.Option(help="Steady downlink; unlimited if left out.")] = None,
    rtt_ms: Annotated[float | None, typer.Option(help="Steady round trip.")] = None,
    script: Annotated[Path | None, typer.Option(help="A TOML file of faults.")] = None,
    control: Annotated[
        Control | None, typer.Option(help="Take commands; the trace's and script's clock then waits for `start`.")
    ] = None,
    json: Annotated[bool, typer.Option(help="Print counts and conditions as a JSON line every second.")] = False,
) -> None:
    """Relay TCP over an EMULATED link: shape bytes both ways, delay, stall, black out, refuse, reset.

    Prints `relaying 127.0.0.1:PORT -> HOST:PORT (emulated link)` when ready; SIGINT or SIGTERM end it with exit code 0.
    """
    if context.invoked_subcommand is not None:
        if to is not None:
            raise UsageError(f"--to is for relaying: leave it out before {context.invoked_subcommand}")
        return
    if to is None:
        raise UsageError("say where to: --to HOST:PORT relays over an emulated link; `hedgerow link fit` makes a model")
    from hedgerow.emulation import process
    from hedgerow.emulation.conditions import LinkConditions
    from hedgerow.emulation.player import Player
    from hedgerow.emulation.relay import Relay
    from hedgerow.emulation.script import Script
    from hedgerow.emulation.traces import Trace

    host, port = _address(to)
    steady = (uplink_mbps, downlink_mbps, rtt_ms)
    base: LinkConditions | Trace
    if trace is not None:
        if any(value is not None for value in steady):
            raise UsageError("--trace and --uplink-mbps, --downlink-mbps or --rtt-ms exclude each other: give one kind")
        base = Trace.load(trace, at_end=at_end.value, rtt_offset_ms=rtt_offset_ms)
    elif rtt_offset_ms:
        raise UsageError("--rtt-offset-ms shifts a trace: give --trace, or --rtt-ms for a steady link")
    else:
        base = LinkConditions.of_mbps(uplink_mbps, downlink_mbps, rtt_ms or 0.0)
    player = Player(base, None if script is None else Script.load(script))
    relay = Relay(host, port, listen_port=listen, player=player, start_clock=control is None)
    process.run(
        relay,
        to,
        control_fd=None if control is None else sys.stdin.fileno(),
        json_lines=json,
        say=lambda line: print(line, flush=True),
    )


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--to is {text!r}: give HOST:PORT with a port from 1 to 65535")
    return host.strip("[]"), int(port)
