"""`hedgerow replay`: put a journal's events through a fresh core and compare every decision with what was decided live."""

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("replay")(replay)


def replay(
    journal: Annotated[Path, typer.Argument(help="A journal, as `hedgerow run --journal` writes it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Replay a journal: equal outcomes exit with 0, the first difference is told and exits with 1."""
    from hedgerow.device.journal import replay as replay_journal

    found = replay_journal(journal)
    equal = found.difference is None
    if as_json:
        told = {"steps": found.steps, "decisions": found.decisions, "equal": equal, "difference": found.difference}
        told |= {"arbitrated": found.arbitrated}
        print(json.dumps(told))
    elif equal:
        views = f", {found.arbitrated} times views that differed" if found.arbitrated else ""
        print(f"{found.steps} steps, {found.decisions} decisions{views}: equal")
    else:
        print(f"{found.steps} steps, {found.decisions} decisions equal, then a difference in {found.difference}")
    if not equal:
        raise typer.Exit(1)
