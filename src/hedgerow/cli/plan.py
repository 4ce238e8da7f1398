"""`hedgerow plan`: what would be chosen on a given link, what else there is, and where the choice turns."""

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hedgerow.cli._policies import POLICY_HELP

if TYPE_CHECKING:
    from rich.table import Table

    from hedgerow.planning.plan import ArmOutlook, Plan, Turn
    from hedgerow.profiling.profile import Profile

WIDTH_WITHOUT_TERMINAL = 160


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan")(plan)


def plan(
    profile: Annotated[Path, typer.Argument(help="A file that `hedgerow profile` wrote.")],
    uplink_mbps: Annotated[float, typer.Option(help="Uplink in Mbit/s.")],
    rtt_ms: Annotated[float, typer.Option(help="Round trip in ms.")],
    deadline_ms: Annotated[float, typer.Option(help="Deadline of a request, from capture.")] = 100.0,
    device_factor: Annotated[
        float, typer.Option(help="Emulate a device so many times as slow as the profiled one (1 or more).")
    ] = 1.0,
    cloud_factor: Annotated[float, typer.Option(help="Cloud times as a multiple of the profile's.")] = 1.0,
    disagreement_mj: Annotated[float | None, typer.Option(help="Price of one disagreement with the reference.")] = None,
    reserve_mj: Annotated[float | None, typer.Option(help="Price of one use of the reserve.")] = None,
    policy: Annotated[str, typer.Option(help=POLICY_HELP)] = "ours",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Print the undominated arms, the Pareto front, and the chosen arm with its reason, for a steady link."""
    from hedgerow.core.records import Prices
    from hedgerow.emulation.slow_device import SlowDevice
    from hedgerow.planning import arm_table, every_arm, margins_of
    from hedgerow.planning import plan as make_plan
    from hedgerow.planning.arms import Tiers
    from hedgerow.profiling.profile import Profile

    measured = Profile.load(profile)
    table = arm_table(measured, device_factor=device_factor, cloud_factor=cloud_factor)
    given = {"disagreement_mj": disagreement_mj, "reserve_mj": reserve_mj}
    prices = Prices(**{name: value for name, value in given.items() if value is not None})
    made = make_plan(table, uplink_mbps, rtt_ms, deadline_ms, prices, margins=margins_of(measured), policy=policy)
    every = len(every_arm(measured, tiers=Tiers(device_factor, cloud_factor)).arms)
    emulated = SlowDevice(device_factor).label if device_factor != 1 else ""
    if as_json:
        print(json.dumps(_as_dict(made, measured, every, emulated)))
    else:
        _show(made, measured, every, emulated)


def _as_dict(made: "Plan", measured: "Profile", every: int, emulated: str) -> dict[str, object]:
    return {
        "profile": {"task": measured.task_name, "made": measured.made, "processor": measured.machine.processor},
        "emulated": emulated,
        "cloud_estimated": measured.cloud.estimated,
        "arms_measured": every,
        **dataclasses.asdict(made),
    }


def _show(made: "Plan", measured: "Profile", every: int, emulated: str) -> None:
    from rich.text import Text

    from hedgerow.views.literal import literal_console

    console = literal_console(width_characters=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)
    console.print(
        f"task '{measured.task_name}', profiled {measured.made} on {measured.machine.processor};"
        f" uplink {made.link.uplink_mbps:g} Mbit/s, round trip {made.link.rtt_ms:g} ms, deadline {made.deadline_ms:g} ms"
    )
    if emulated:
        console.print(Text(emulated, "bold"))
    if measured.cloud.estimated:
        console.print("cloud times are estimated: this machine's own stand for the server's")
    console.print(_table(made, every))
    console.print(Text.assemble("chosen: ", (made.chosen or "none", "bold"), f" ({made.reason}): {made.because}"))
    console.print(f"reserve: {made.reserve or 'none fits'}")
    for what, unit, turns in (("uplink", "Mbit/s", made.uplink_turns), ("round trip", "ms", made.rtt_turns)):
        for line in _turn_lines(what, unit, turns, made):
            console.print(line)


def _table(made: "Plan", every: int) -> "Table":
    from rich.table import Table

    dropped = every - len(made.arms)
    table = Table(
        title=f"{len(made.arms)} undominated arms of {every} ({dropped} left out: no link or price favours them);"
        " * on the Pareto front of latency, energy and agreement"
    )
    table.add_column("", width=1)
    table.add_column("arm", overflow="fold")
    for name in ("latency ms", "energy mJ", "bytes up", "agreement", "cost mJ"):
        table.add_column(name, justify="right")
    table.add_column("remark", overflow="fold")
    for arm in made.arms:
        table.add_row(*_cells(arm), style="bold" if arm.name == made.chosen else None)
    return table


def _cells(arm: "ArmOutlook") -> list[str]:
    cost = "-" if arm.cost_mj is None else f"{arm.cost_mj:.1f}"
    figures = [f"{arm.latency_ms:.1f}", f"{arm.energy_mj:.1f}", str(arm.up_bytes), f"{arm.quality:.3f}", cost]
    remark = f"not admissible: {arm.obstacle}" if arm.cost_mj is None else arm.obstacle
    return ["*" if arm.on_front else "", arm.name, *figures, remark]


def _turn_lines(what: str, unit: str, turns: "tuple[Turn, ...]", made: "Plan") -> list[str]:
    if not turns:
        return [f"{what}: {made.chosen or 'no arm'} is chosen whatever it is, all else equal"]
    lines = [f"{what} below {turns[0].at:g} {unit}: {turns[0].below}"]
    for turn, following in itertools.pairwise(turns):
        lines.append(f"{what} {turn.at:g} to {following.at:g} {unit}: {turn.above}")
    return [*lines, f"{what} above {turns[-1].at:g} {unit}: {turns[-1].above}"]
