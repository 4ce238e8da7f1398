"""`hedgerow adapt`: make a model easier to place. One file `_adapt_NAME.py` a way, each with its own `register(group)`."""

import importlib
import pkgutil

import typer

from hedgerow import cli


def register(app: typer.Typer) -> None:
    """Add the verb."""
    group = typer.Typer(no_args_is_help=True, help="Make a model easier to place: int8, exits, bottlenecks, routing.")
    for module in sorted(pkgutil.iter_modules(cli.__path__), key=lambda found: found.name):
        if module.name.startswith("_adapt_"):
            importlib.import_module(f"hedgerow.cli.{module.name}").register(group)
    app.add_typer(group, name="adapt")
