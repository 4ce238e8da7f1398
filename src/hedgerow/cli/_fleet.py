"""What `hedgerow simulate SCENARIO` does where the scenario has a [fleet]: run every size, print a table, draw a picture."""

import json
from pathlib import Path

from hedgerow.cli._progress import with_progress
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

    found = with_progress(
        "virtual seconds", steps_of(scenario),
        lambda tell: run(scenario, scenario.load_profile(), policy=policy, seed=seed, price=price, progress=tell),
    )  # fmt: skip
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
