"""What `hedgerow simulate` shows of a scenario with variants: the same worlds with and without some models and arms."""

import json
from pathlib import Path
from typing import Any

from hedgerow.cli._progress import with_progress

_COLUMNS = ("variant", "policy", "late", "above device", "p99 ms", "energy mJ", "kB up", "remote", "at a gate", "reserve",
            "agrees", "in reserve", "cost mJ", "first / this", "95 %")  # fmt: skip


def beside(
    scenario: Any, every: list[Any], names: tuple[str, ...], *, workers: int, ray: str | None, output: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Run all variants over these worlds; print one table, or one JSON object."""
    from hedgerow.simulation import results
    from hedgerow.simulation.beside import run_variants, summary

    steps = len(every) * len(scenario.variant)
    found = with_progress(
        "worlds", steps,
        lambda tell: run_variants(scenario, every, names, workers=workers, ray=ray, progress=tell),
    )  # fmt: skip
    told = summary(found)
    if output is not None:
        rows = [
            {"variant": variant, **row}
            for variant, ran in found.ran.items()
            for row in results.rows_of(scenario, found.units, ran)
        ]
        results.write(output, rows)
    if as_json:
        print(json.dumps(told), flush=True)
    else:
        _show(told)


def _show(told: dict[str, Any]) -> None:
    from rich.table import Table

    from hedgerow.views.literal import literal_console

    console = literal_console()
    if not console.is_terminal:
        console.width = 180
    links = f"{told['links']} link{'' if told['links'] == 1 else 's'}"
    table = Table(title=f"{told['scenario']}: {links}, {told['worlds']} worlds, each with every variant")
    for place, column in enumerate(_COLUMNS):
        table.add_column(column, justify="left" if place < 2 else "right", no_wrap=place < 2)
    for variant in told["variants"]:
        for row in variant["policies"]:
            table.add_row(variant["name"], row["name"], *_cells(row))
        table.add_section()
    console.print(table)
    console.print(
        "at a gate: answers that stood there; reserve: requests whose reserve had to start; in reserve: agreement of what"
    )
    console.print(
        "the device answered for a remote arm that did not come; cost: mJ a request, mean over all cells; first / this:"
    )
    console.print(
        "the first variant's cost over this one's, above 1 where this one is cheaper. Devices and links are simulated."
    )
    for error in told["errors"]:
        console.print(f"{error['policy']} failed on {error['link']} ({error['variant']}): {error['error']}")


def _cells(row: dict[str, Any]) -> list[str]:
    if "cost" not in row:
        return [f"{row['failed']} failed", *["-"] * (len(_COLUMNS) - 3)]
    above, p99, stood_in = row["late_above_device_only"], row["p99_ms"], row["agreement_stood_in"]
    ratio, interval = row.get("first_over_this"), row.get("first_over_this_95")
    return [
        f"{row['late']:,}", "-" if above is None else f"{above:,}", "never" if p99 is None else f"{p99:.1f}",
        f"{row['energy_mj']:.1f}", f"{row['uplink_bytes'] / 1000:.1f}", f"{row['remote']:.3f}", f"{row['stopped']:.3f}",
        f"{row['reserves']:.3f}", f"{row['agreement']:.3f}", "-" if stood_in is None else f"{stood_in:.3f}",
        f"{row['cost']:.1f}", "" if ratio is None else f"{ratio:.3f}",
        "" if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}",
    ]  # fmt: skip
