"""What `hedgerow simulate SCENARIO` does where the scenario has a [fleet]: run every size, print a table, draw a picture."""

import json
import sys
from pathlib import Path

from hedgerow.simulation.scenario import Scenario


def fleet(
    scenario: Scenario,
    *,
    policy: str = "ours",
    seed: int = 0,
    price: int = 0,
    picture: Path | None = None,
    as_json: bool,
) -> None:
    """Run the fleet and tell it; exit code 0 whatever came of it."""
    from hedgerow.simulation.fleet import run, steps_of
    from hedgerow.views.fleet import draw_fleet
    from hedgerow.views.literal import literal_console

    console = literal_console(stderr=True)
    if sys.stderr.isatty():
        from rich.progress import Progress

        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task("virtual seconds", total=steps_of(scenario))
            found = run(
                scenario, scenario.load_profile(), policy=policy, seed=seed, price=price,
                progress=lambda count: progress.advance(bar, count),
            )  # fmt: skip
    else:
        found = run(scenario, scenario.load_profile(), policy=policy, seed=seed, price=price)
    if picture is not None:
        draw_fleet(found, picture)
    if as_json:
        print(json.dumps(found))
    else:
        show(found)


def show(found: dict[str, object]) -> None:
    """The table, then what it does not hold."""
    from hedgerow.views.fleet import fleet_lines, fleet_table
    from hedgerow.views.literal import literal_console

    console = literal_console()
    if not console.is_terminal:
        console.width = 160
    console.print(fleet_table(found))
    for line in fleet_lines(found):
        console.print(line, highlight=False, soft_wrap=True)
