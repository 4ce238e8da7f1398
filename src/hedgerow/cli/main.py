"""Collects the verbs and turns Hedgerow's errors into one clear line and a documented exit code.

A verb is a module in this package with a function `register(app: typer.Typer) -> None`; it imports what it needs
inside its command, so that `hedgerow --help` stays quick.
"""

import importlib
import pkgutil
import sys
from functools import cache
from typing import Annotated

import typer

from hedgerow import __version__, cli
from hedgerow.errors import HedgerowError, HostError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Neural-network inference that always answers on time. "
    "Exit codes: 0 done, 1 a check found something wrong, 2 your input, 3 the peer, 4 the network, 5 the model, "
    "6 this machine.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"hedgerow {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What may stand before the verb."""


@cache
def _collect() -> None:
    for module in sorted(pkgutil.iter_modules(cli.__path__), key=lambda found: found.name):
        if module.name == "main" or module.name.startswith("_"):
            continue
        importlib.import_module(f"hedgerow.cli.{module.name}").register(app)


def main() -> None:
    """Entry point of the `hedgerow` command."""
    _collect()
    try:
        app()
    except HedgerowError as error:
        print(f"hedgerow: {error} [at fault: {error.at_fault}]", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        print(f"hedgerow: {error} [at fault: {HostError.at_fault}]", file=sys.stderr)
        sys.exit(HostError.exit_code)


if __name__ == "__main__":
    main()
