"""`hedgerow simulate`: the real core in a virtual world, alone against faults (--campaign) or under many policies."""

from pathlib import Path
from typing import Annotated

import typer

from hedgerow.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("simulate")(simulate)


def simulate(
    scenario: Annotated[
        str | None, typer.Argument(help="A scenario file (TOML) or a shipped scenario's name.  [default: standard]")
    ] = None,
    links: Annotated[str | None, typer.Option(metavar="DIR", help="A folder of link traces (CSV), or one.")] = None,
    policies: Annotated[str, typer.Option(help="Names with commas between, or all.")] = "all",
    campaign: Annotated[
        bool, typer.Option("--campaign", help="Random worlds with random faults; are all promises kept?")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=10_000_000, help="How many worlds (1,000), or draws of each link's (1).")
    ] = None,
    requests: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Of a campaign: in each world (1,000).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The first seed; the others follow.")] = 0,
    workers: Annotated[int, typer.Option(min=0, max=1024, help="Processes; 0: one a core.")] = 0,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Compute on a Ray cluster (extra); local: one here.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Every world's results: FILE.csv, or FILE.parquet (extra).")
    ] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Write pictures here (extra plots).")] = None,
    only: Annotated[str | None, typer.Option(help="Of a campaign: keep these faults and requests alone.")] = None,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Of a campaign: cut the first seed's world down to what still fails.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Run the real core in a virtual world of modelled lanes, links and clouds.

    With --links: policies beside each other, hindsight and the clairvoyants (docs/comparison.md). With --campaign: exit code 1 on
    any violation, each with the line that repeats it (docs/campaign.md).
    """
    if campaign:
        from hedgerow.cli._campaign import campaign as run

        if links is not None or scenario is not None:
            raise UsageError("--campaign draws its own worlds: leave the scenario and --links out")
        if output is not None or plots is not None or ray is not None or policies != "all":
            raise UsageError("--campaign has no --policies, --output, --plots or --ray: it draws its policies, too")
        run(
            seeds=seeds or 1000,
            requests=requests or 1000,
            first=seed,
            workers=workers,
            only=only,
            shrunk=shrink,
            as_json=as_json,
        )
        return
    if shrink or only is not None or requests is not None:
        raise UsageError("--shrink, --only and --requests belong to --campaign")
    from hedgerow.cli._compare import compare

    compare(
        scenario, links, policies, seeds=seeds or 1, first=seed, workers=workers, ray=ray, output=output, plots=plots,
        as_json=as_json,
    )  # fmt: skip
