"""Where fetched models, photographs and tasks lie, and the one way in which a file gets there.

Rule: a file under the home is either whole or absent. It is written beside its place, flushed to the disk and then
renamed, so an interrupted fetch leaves nothing half-made and two processes may write the same file at once.
"""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from hedgerow.errors import HostError, UsageError


def home() -> Path:
    """The directory of fetched things: $HEDGEROW_HOME, else <venv>/var/hedgerow, else ~/.cache/hedgerow.

    The directory need not exist yet.
    """
    named = os.environ.get("HEDGEROW_HOME", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "var" / "hedgerow"
    return Path("~/.cache/hedgerow").expanduser()


def make_directory(path: Path) -> Path:
    """Create `path` and its parents where they are missing; HostError when this machine will not have it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"cannot create {path}: {_reason(error)}; set HEDGEROW_HOME to a writable directory") from error
    return path


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`, all of it or nothing; HostError when the disk is full or not writable.

    A device, a pipe or /dev/stdout is written to and never replaced by a file; of a link, what it leads to is written.
    """
    make_directory(path.parent)
    try:
        if is_channel(path):
            with path.open("ab") as file:  # of standard output in a file, behind what was printed
                file.write(data)
            return
        path = path.resolve()
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    except OSError as error:
        raise HostError(f"cannot write {path}: {_reason(error)}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except OSError as error:
        raise HostError(f"cannot write {path}: {_reason(error)}") from error
    finally:
        Path(partial).unlink(missing_ok=True)


def is_channel(path: Path) -> bool:
    """Whether it is a device, a pipe, or a link to a file that this process has open (/dev/stdout)."""
    if path.is_symlink() and os.readlink(path).startswith(("/proc/", "/dev/")):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def holds(path: Path, sha256: str) -> bool:
    """Whether `path` is a file whose bytes have this SHA-256 (hex)."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def read_whole(path: Path, kind: str, *, bytes_max: int, made_by: str) -> bytes:
    """The bytes of a file of this kind ("profile"), which the command `made_by` writes.

    UsageError, naming file and command, when it is missing, a folder or larger than `bytes_max`; HostError when the machine
    cannot read it.
    """
    try:
        if path.stat().st_size > bytes_max:
            raise UsageError(f"{path} is larger than {bytes_max} bytes: that is no {kind}")
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no {kind} {path}; make one with `{made_by}`") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder, not a {kind}") from None
    except OSError as error:
        raise HostError(f"cannot read the {kind} {path}: {_reason(error)}") from error
