"""A bar on standard error, where a person sees it; elsewhere nothing."""

import sys
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def with_progress(what: str, total: int, work: Callable[[Callable[[int], None]], Result]) -> Result:
    """What `work` returns; it is given a function that is told how many more steps are done."""
    if not sys.stderr.isatty():
        return work(lambda count: None)
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from hedgerow.views.literal import literal_console

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=literal_console(stderr=True), transient=True) as progress:
        bar = progress.add_task(what, total=total)
        return work(lambda count: progress.advance(bar, count))
