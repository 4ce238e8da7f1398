"""Where what is made is kept: whole files that are never overwritten, a record beside each, and how far training has come.

A made file NAME.onnx has NAME.adapt.json beside it, written last: only with it does the file count as made. Making the same
again from the same is no error and does nothing; making another thing under the same name is a UsageError.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hedgerow.errors import UsageError
from hedgerow.models.home import home, make_directory, read_whole, write_whole

RECORD_BYTES_MAX = 16 * 2**20
Say = Callable[[str], None]


def adapted(task: str) -> Path:
    """The folder of what `make adapt` makes for the task of this name: below the home, beside models/ and tasks/."""
    return home() / "adapted" / task


def digest(data: bytes) -> str:
    """SHA-256 (hex)."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Made:
    """A thing that is made once: `path` its main file, `origin` all that decides what comes out (ids, settings, seed, data)."""

    path: Path
    origin: Mapping[str, Any]

    @property
    def record_path(self) -> Path:
        return self.path.with_suffix(".adapt.json")

    def record(self) -> dict[str, Any] | None:
        """The record of what lies there, None where nothing does; UsageError when it was made from something else."""
        if not self.record_path.exists():
            if self.path.exists():
                raise UsageError(f"{self.path} is there and was not made here; it is not overwritten: name another")
            return None
        found = read_record(self.record_path)
        if found.get("origin") != json.loads(json.dumps(self.origin)):
            raise UsageError(
                f"{self.path} was made from other models, data or settings; it is not overwritten: name another or remove it"
            )
        return found

    def keep(self, files: Mapping[Path, bytes], figures: Mapping[str, Any]) -> dict[str, Any]:
        """Write all files, then the record; returns the record. HostError when the disk is full."""
        for path, data in files.items():
            write_whole(path, data)
        record = {
            "origin": dict(self.origin),
            "files": {path.name: digest(data) for path, data in files.items()},
            "figures": dict(figures),
        }
        write_whole(self.record_path, (json.dumps(record, indent=1) + "\n").encode())
        return json.loads(json.dumps(record))  # type: ignore[no-any-return]

    def checkpoint(self) -> "Checkpoint":
        """How far its making has come, if it was begun and stopped."""
        key = digest(json.dumps(self.origin, sort_keys=True).encode())[:16]
        return Checkpoint(self.path.parent / f".{self.path.stem}.{key}.partial")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder of whole files for work that may be stopped at any time and goes on from the last whole one."""

    folder: Path

    def load(self, name: str) -> bytes | None:
        """What was last saved under this name."""
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def save(self, name: str, data: bytes) -> None:
        """Replace what is kept under this name, whole or not at all."""
        make_directory(self.folder)
        write_whole(self.folder / name, data)

    def clear(self) -> None:
        """Forget it: the work is done."""
        shutil.rmtree(self.folder, ignore_errors=True)


def read_record(path: Path) -> dict[str, Any]:
    """A record as it was kept; UsageError when it is missing, cut short or something else."""
    data = read_whole(path, "record", bytes_max=RECORD_BYTES_MAX, made_by="hedgerow adapt")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is not a whole record; remove it and make it again with `hedgerow adapt`") from None
    if not isinstance(found, dict) or not {"origin", "files", "figures"} <= found.keys():
        raise UsageError(f"{path} is not a record of `hedgerow adapt`; remove it and make it again")
    return found
