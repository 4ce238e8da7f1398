"""`hedgerow simulate`: the real core in a virtual world."""

from typing import Annotated

import typer

from hedgerow.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("simulate")(simulate)


def simulate(
    campaign: Annotated[
        bool, typer.Option("--campaign", help="Random worlds with random faults; are all promises kept?")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many worlds.")] = 1000,
    requests: Annotated[int, typer.Option(min=1, max=1_000_000, help="Requests in each world.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="The first world's seed; the others follow.")] = 0,
    workers: Annotated[int, typer.Option(min=0, max=1024, help="Processes; 0: one a core.")] = 0,
    only: Annotated[
        str | None, typer.Option(help="Keep only these faults and requests, as a shrunk world prints it.")
    ] = None,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Cut the first seed's world down to what still fails.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Run the real core in a virtual world of modelled lanes, links and clouds.

    With --campaign: exit code 1 on any violation, each with the line that repeats it. docs/campaign.md says what is looked at.
    """
    from hedgerow.cli._campaign import campaign as run

    if not campaign:
        raise UsageError("say what to simulate: --campaign")
    run(seeds=seeds, requests=requests, first=seed, workers=workers, only=only, shrunk=shrink, as_json=as_json)
