"""A Rich console that prints names as they are: no `:name:` becomes an emoji, no `[name]` is markup."""

from typing import IO

from rich.console import Console


def literal_console(
    *, file: IO[str] | None = None, stderr: bool = False, width_characters: int | None = None
) -> Console:
    """A console for text with names from files in it; styles are given as `style=` or `Text`."""
    return Console(file=file, stderr=stderr, width=width_characters, emoji=False, markup=False, highlight=False)
