"""`hedgerow demo`: one drive, three times, on this machine: device-only, cloud-only and Hedgerow."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

INTERRUPTED = 130  # as shells say it: ended by Ctrl-C


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for result.json, the picture, journals and logs.")] = Path(
        "out/demo"
    ),
    profile: Annotated[Path | None, typer.Option(help="A profile to use again (else a quick one is measured).")] = None,
    adapted: Annotated[
        bool, typer.Option("--adapted", help="With the int8 copies, exits, cascade and bottlenecks of `make adapt`.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object and nothing else.")
    ] = False,
    seconds: Annotated[float, typer.Option(hidden=True)] = 15.0,
) -> None:
    """Drive through a squeeze, a blackout and a server crash with each strategy, live, and compare them in one table.

    Real server, relay and device processes on this machine; the link and a slower device are EMULATED. About a minute.
    """
    from rich.text import Text

    from hedgerow.adaptation.keeping import adapted as folder_of
    from hedgerow.demo.runner import Settings, drives_of, run_demo
    from hedgerow.views.drives import DrivesScreen
    from hedgerow.views.literal import literal_console
    from hedgerow.views.table import result_table

    task = folder_of("imagenet") / "task.toml" if adapted else None
    settings = Settings(out=out, seconds=seconds, profile=profile, task=task)
    errors = literal_console(stderr=True)
    try:
        with DrivesScreen(drives_of(settings), errors, live=errors.is_terminal and not as_json) as screen:
            result = run_demo(settings, screen)
    except KeyboardInterrupt:
        errors.print("interrupted: there is no result; the demo's other processes have ended")
        raise typer.Exit(INTERRUPTED) from None
    about = result.pop("about")
    if as_json:
        print(json.dumps(result))
        return
    console = literal_console(width_characters=None if sys.stdout.isatty() else 130)
    console.print(result_table(result["strategies"], title=f"deadline {settings.deadline_ms:g} ms; emulated link"))
    console.print(Text(f"{about['emulated']['device']}; {about['seconds_in_all']:.0f} s in all", "dim"))
    if about["warning"]:
        console.print(about["warning"], style="bold red")
    console.print(f"{about['picture']}\n{out / 'result.json'}", soft_wrap=True)
