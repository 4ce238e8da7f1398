"""`hedgerow evaluate`: what another policy would have cost, told from a journal without running it."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from hedgerow.cli._policies import POLICY_HELP

WIDTH_WITHOUT_TERMINAL = 130


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("evaluate")(evaluate)


def evaluate(
    journal: Annotated[
        Path, typer.Argument(help="A journal that `exploring` logged: `hedgerow run --policy exploring`.")
    ],
    policy: Annotated[str, typer.Option(help=f"The policy in question. {POLICY_HELP}")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Estimate what a policy would have cost, from what another one's journal explored; docs/evaluate.md has the formulas.

    Exit code 1 where the journal explored too little of what it chooses: then no figure is given, but what would be enough.
    """
    from rich.text import Text

    from hedgerow.assurance.evaluation import Unsupported
    from hedgerow.assurance.evaluation import evaluate as estimate
    from hedgerow.core.policies import by_name
    from hedgerow.journal import read_steps
    from hedgerow.views.evaluation import evaluation_table, support_line
    from hedgerow.views.literal import literal_console

    console = literal_console(width_characters=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)
    asked = by_name(policy, read_steps(journal)[0].table)
    try:
        found = estimate(journal, asked)
    except Unsupported as refused:
        if as_json:
            support = dataclasses.asdict(refused.support)
            print(json.dumps({"policy": asked.name, "refused": str(refused), "support": support}))
        else:
            console.print(Text.assemble(("refused", "bold red"), f": {refused}"))
            console.print(support_line(refused.support))
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps(dataclasses.asdict(found)))
    else:
        console.print(evaluation_table(found, journal=str(journal)))
