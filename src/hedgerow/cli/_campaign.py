"""What `hedgerow simulate --campaign` does: run it, show its progress, print its figures; exit code 1 on any violation."""

import json
from typing import Any

import typer

from hedgerow.cli._progress import with_progress

SHOWN = (
    "requests", "seeds", "faults_drawn", "reserves_used", "remote", "late", "twins", "violations", "requests_per_s", "wall_s"
)  # fmt: skip


def campaign(
    *, seeds: int, requests: int, first: int, workers: int, only: str | None, shrunk: bool, as_json: bool
) -> None:
    """Random worlds with random faults around the real core, invariants after every event."""
    from hedgerow.simulation.campaign import Only, run_campaign

    kept = None if only is None else Only.parse(only)
    if shrunk:
        _shrink(first, requests, kept, as_json)
        return
    result = with_progress(
        "worlds", seeds, lambda tell: run_campaign(
            first=first, seeds=seeds, requests=requests, workers=workers, only=kept, progress=tell
        )
    )  # fmt: skip
    if as_json:
        print(json.dumps(result))
    else:
        print(", ".join(f"{name.replace('_', ' ')} {result[name]:,}" for name in SHOWN))
        for each in result["violated"]:
            print(f"{each['what']}\n    {each['repeat']}")
        if not result["violations"]:
            print(
                f"no violation: at 95 % fewer than {3 / result['requests']:.1e} of such requests; bug finding, no proof"
            )
    if result["violations"]:
        raise typer.Exit(1)


def _shrink(seed: int, requests: int, kept: Any, as_json: bool) -> None:
    from hedgerow.simulation.shrink import shrink

    found = shrink(seed, requests, only=kept)
    if as_json:
        row = {
            "seed": seed,
            "invariant": found.invariant,
            "what": found.what,
            "runs": found.runs,
            "only": str(found.only),
        }
        faults = [str(fault) for fault in found.scene.faults]
        print(json.dumps({**row, "faults": faults, "requests": len(found.scene.samples), "repeat": found.line}))
    else:
        print(found)
    raise typer.Exit(1)
