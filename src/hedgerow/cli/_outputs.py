"""Whether a file can be written where it was asked for, found out before minutes of work are put into it."""

import tempfile
from pathlib import Path

from hedgerow.errors import HostError, UsageError
from hedgerow.models.home import is_channel

OTHER = "{} is there and is another one; it is not overwritten: name another folder with -o"


def check_own(folder: Path, record: str) -> None:
    """UsageError where the folder's task file is there and nothing says that it was made here."""
    if (folder / "task.toml").exists() and not (folder / record).exists():
        raise UsageError(OTHER.format(folder / "task.toml"))


def check_writable(*paths: Path | None) -> None:
    """UsageError for a folder in the file's place or one that is missing, HostError where this machine lets nobody write. Devices
    and pipes are written to as they are."""
    for path in paths:
        if path is None or is_channel(path):
            continue
        if path.is_dir():
            raise UsageError(f"{path} is a folder; name a file in it")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}; create it first")
        _probe(path.parent)


def _probe(folder: Path) -> None:
    """By a file that is gone at once: permissions alone do not tell what a machine lets its administrator do."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HostError(f"cannot write in {folder} ({error.strerror or error}); choose another place") from error


def check_new(*paths: Path | None) -> None:
    """For files that are never overwritten and whose folders are created: UsageError where one is there, or where two are one."""
    given = [path for path in paths if path is not None]
    for path in given:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; name a file in it")
        if path.exists():
            raise UsageError(f"{path} is there and is not overwritten; name another")
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        if not folder.is_dir():
            raise UsageError(f"{folder} is a file; {path} cannot lie in it")
        _probe(folder)
    if len({path.resolve() for path in given}) < len(given):
        raise UsageError(f"{given[0]} is named twice; give each file a name of its own")
