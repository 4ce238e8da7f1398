"""`hedgerow adapt all`: make every adapted model that this version knows; what `make adapt` runs."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hedgerow.errors import UsageError


def register(group: typer.Typer) -> None:
    """Add the verb."""
    group.command("all")(make_all)


def make_all(
    data: Annotated[
        Path | None, typer.Option(help="Folder with images/ and cifar10_jpeg.npz (default: the one used last).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance in it; the same seed makes the same models.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="This step alone; may be given again.")] = None,
) -> None:
    """Make int8 copies, exits, bottlenecks and thresholds, and the tasks that hold them. It may be stopped and goes on."""
    from hedgerow.adaptation import recipes
    from hedgerow.adaptation.keeping import adapted
    from hedgerow.adaptation.sources import remembered

    outcomes = recipes.make_all(data or remembered(), seed=seed, say=progress(), only=only or ())
    for task in dict.fromkeys(outcome.step.task for outcome in outcomes):
        if (adapted(task) / "task.toml").is_file():
            print(adapted(task) / "task.toml")
    wrong = [outcome for outcome in outcomes if outcome.problem]
    if wrong:
        names = ", ".join(outcome.step.name for outcome in wrong)
        raise UsageError(f"{len(wrong)} of {len(outcomes)} steps were not made ({names}): {wrong[0].problem}")


def progress() -> Callable[[str], None]:
    """Lines on standard error with the time since the start."""
    started = time.monotonic()
    return lambda text: print(f"{time.monotonic() - started:7.1f} s  {text}", file=sys.stderr, flush=True)
