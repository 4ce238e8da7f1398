"""The SHA-256 by which a model file is known everywhere, computed once per file and process."""

import hashlib
from functools import lru_cache
from pathlib import Path

from hedgerow.errors import UsageError


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes; remembered until its size or modification time changes. UsageError: unreadable."""
    try:
        status = path.stat()
        return _sha256(str(path.absolute()), status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error


@lru_cache(maxsize=256)
def _sha256(path: str, _mtime_ns: int, _size_bytes: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
