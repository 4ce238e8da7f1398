"""`hedgerow guard`: a small process that answers for a session that is slow, stuck, stopped or dead, and starts it again."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="guard")(guard)


def guard(
    file: Annotated[Path, typer.Argument(metavar="STREAMS.toml", help="Streams with deadlines and safe values.")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The session's program.")],
    socket: Annotated[str | None, typer.Option(help="Where consumers find the guard; printed when it listens.")] = None,
) -> None:
    """Start COMMAND and stand between it and its consumers: each frame's answer, or its safe value in time.

    Prints `guarding at PATH`; what happens is told on standard error. SIGTERM or SIGINT end both; SIGUSR1 prints counts.
    """
    from hedgerow.guard.launch import default_socket, launch, read

    launch(read(file), socket or default_socket(file), command)
