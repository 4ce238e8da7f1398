"""What `hedgerow simulate --links DIR` does: compare, show the table, keep results and pictures."""

import json
import sys
from pathlib import Path
from typing import Any

from hedgerow.cli._progress import with_progress
from hedgerow.errors import UsageError


def compare(
    scenario: str | None, links: str | None, policies: str, *, seeds: int, first: int, workers: int, ray: str | None,
    output: Path | None, plots: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Policies beside each other over one scenario's cells."""
    from hedgerow.simulation import comparing, results, summing
    from hedgerow.simulation.cells import check_left, courses_of, load_courses, units
    from hedgerow.simulation.scenario import load

    wanted = load(scenario or "standard")
    if wanted.fleet is not None:
        from hedgerow.cli._fleet import fleet

        if links is not None or ray is not None or output is not None or seeds > 1:
            raise UsageError(
                "a fleet takes its links from its scenario, and runs one seed here: leave --links, --ray, -o, --seeds out"
            )
        name = "hedgerow" if policies == "all" else policies
        fleet(wanted, policy=name, seed=first, picture=None if plots is None else plots / "fleet.png", as_json=as_json)
        return
    names = comparing.chosen_policies(policies)
    if output is not None:
        results.check(output)
    if wanted.variant and plots is not None:
        raise UsageError("a scenario with variants has no pictures: leave --plots out")
    if plots is not None:
        from hedgerow.views import comparison as pictures

        pictures.check()
        results.writable(plots, plots)
    courses = courses_of(wanted) if links is None else load_courses(links)
    every = [unit for seed in range(first, first + seeds) for unit in units(wanted, courses, seed=seed)]
    if wanted.variant:
        from hedgerow.cli._beside import beside

        beside(wanted, every, names, workers=workers, ray=ray, output=output, as_json=as_json)
        return
    check_left(wanted)
    _check_arms(wanted, every, names)
    found = with_progress(
        "worlds", 2 * len(every),
        lambda tell: comparing.compare(wanted, every, names, workers=workers, ray=ray, progress=tell),
    )  # fmt: skip
    summary = summing.summary(found)
    if output is not None:
        results.write(output, results.rows(found))
    if as_json:
        print(json.dumps(summary), flush=True)
    else:
        _show(summary)
    if plots is not None:
        for path in pictures.draw(summary, plots, _timeline(found, names)):
            print(f"wrote {path}", file=sys.stderr)


def _check_arms(wanted: Any, every: list[Any], names: tuple[str, ...]) -> None:
    """That the arms which "only:ARM" names are there, before anything runs."""
    from hedgerow.core.policies import ONLY, by_name
    from hedgerow.simulation.cells import build, profile_of

    fixed = [name for name in names if name.startswith(ONLY)]
    if fixed:
        table = build(wanted, profile_of(wanted), every[0]).table
        for name in fixed:
            by_name(name, table)


def _timeline(found: Any, names: tuple[str, ...]) -> Any:
    """One cellular link under ours (or the first policy), request by request."""
    import numpy as np

    from hedgerow.core.policies import by_name
    from hedgerow.simulation.cells import build, profile_of
    from hedgerow.simulation.world import run
    from hedgerow.views.comparison import OURS, Timeline

    unit = next((each for each in found.units if each.cell.group != "wifi"), found.units[0])
    ran = found.ran[found.units.index(unit)]
    good = [each.policy for each in ran if each.policy in names and not each.error]
    if not good:
        return None
    name = OURS if OURS in good else good[0]
    setup = build(found.scenario, profile_of(found.scenario), unit)
    made = run(setup, by_name(name, setup.table), found.scenario.price[0].prices())
    captured = np.array([each.captured_ns for each in setup.arrivals], np.int64)
    rows = unit.course.rows_at(captured)
    trips = np.where(unit.course.frozen[rows], np.nan, unit.course.round_trip_ns[rows] / 1e6)
    arms = [
        arm if source == "remote" or stopped or source == "reused" else f"local:{arm}" if source == "local" else ""
        for arm, source, stopped in zip(made.arm, made.source, made.stopped.tolist(), strict=True)
    ]
    return Timeline(
        f"{unit.course.name} ({unit.cell.radio}), {unit.cell.deadline_ms:g} ms, device x{unit.cell.device_factor:g},"
        f" under {name} (simulated)",
        unit.cell.deadline_ms, captured / 1e9, np.where(made.told_ns < 0, np.nan, made.told_ns / 1e6), arms, made.reserve,
        trips,
    )  # fmt: skip


def _show(summary: dict[str, Any]) -> None:
    from rich.table import Table

    from hedgerow.views.literal import literal_console

    console = literal_console()
    if not console.is_terminal:
        console.width = 160
    links = f"{summary['links']} link{'' if summary['links'] == 1 else 's'}, {summary['worlds']} worlds"
    table = Table(title=f"{links}; {summary['cells_counted']} of {summary['cells']} cells count")
    columns = ("policy", "late", "above device", "p99 ms", "energy mJ", "kB up", "agrees", "cost mJ", "/ hindsight",
               "/ clairvoyant", "95 %", "gap closed")  # fmt: skip
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", no_wrap=place == 0)
    for row in sorted(
        summary["policies"], key=lambda row: (row["cost"] is None, row["worlds_failed"] > 0, row["cost"] or 0.0)
    ):
        if row["cost"] is None:
            table.add_row(row["name"], *["-"] * (len(columns) - 1))
            continue
        interval = row["cost_over_clairvoyant_95"]
        table.add_row(
            row["name"] + (f" ({row['worlds_failed']} worlds failed)" if row["worlds_failed"] else ""), f"{row['late']:,}",
            _count(row["late_above_device_only"]), _ms(row["p99_ms"]),
            f"{row['energy_mj']:.1f}", f"{row['uplink_bytes'] / 1000:.1f}", f"{row['agreement']:.3f}",
            f"{row['cost']:.1f}", f"{row['cost_over_hindsight']:.3f}", f"{row['cost_over_clairvoyant']:.3f}",
            "one link" if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}", f"{row['gap_closed']:.2f}",
        )  # fmt: skip
    for row in summary["oracles"]:
        if row["cost"] is not None:
            table.add_row(
                f"({row['name']})", *["-"] * 6, f"{row['cost']:.1f}", f"{row['cost_over_hindsight']:.3f}",
                f"{row['cost_over_clairvoyant']:.3f}", "", f"{row['gap_closed']:.2f}",
            )  # fmt: skip
    console.print(table)
    console.print(
        "cost: mJ a request, mean over the cells that count; devices and links are simulated (emulated speeds)"
    )
    if not summary["cells_counted"]:
        console.print(
            "no cell counts: in each, one arm is the clairvoyant's for more than 95 % of the requests (--json has them)"
        )
    for row in summary["policies"]:
        if row["late_of_all"] > (row["late"] or 0):
            words = f"in all worlds, counting or not, {row['late_of_all']:,} of {row['requests_of_all']:,} late"
            console.print(f"{row['name']}: {words}")
    for error in summary["errors"]:
        console.print(f"{error['policy']} failed on {', '.join(error['links'][:5])}: {error['error']}")


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _ms(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"
