"""Where what is made is kept: whole files that are never overwritten, a record beside each, and how far training has come.

A made file NAME.onnx has NAME.adapt.json beside it, written last: only with it does the file count as made. Making the same
again from the same is no error and does nothing; making another thing under the same name is a UsageError, but for settings that
follow from models (thresholds, temperatures): these are made anew when the models change, unless somebody else changed the file.

What is about to be written is declared first, by digest, in a hidden file that goes when the record is there: files that a killed
process left behind are known as its own, and made again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hedgerow.errors import HostError, UsageError
from hedgerow.models.home import home, make_directory, read_whole, write_whole

RECORD_BYTES_MAX = 16 * 2**20
Say = Callable[[str], None]
NO_PYTORCH = "needs PyTorch: pip install 'hedgerow[adapt]' (in a clone: .venv/bin/pip install -e '.[adapt]')"


def needs_pytorch() -> None:
    """HostError where there is none: asked before anything is fetched, counted or written."""
    if find_spec("torch") is None:
        raise HostError(NO_PYTORCH)


def adapted(task: str) -> Path:
    """The folder of what `make adapt` makes for the task of this name: below the home, beside models/ and tasks/."""
    return home() / "adapted" / task


def digest(data: bytes) -> str:
    """SHA-256 (hex)."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Made:
    """A thing that is made once: `path` its main file, `origin` all that decides what comes out (ids, settings, seed, data).

    `renewable`: it holds settings, no model; from another origin it is made anew.
    """

    path: Path
    origin: Mapping[str, Any]
    renewable: bool = False

    @property
    def record_path(self) -> Path:
        return self.path.with_suffix(".adapt.json")

    def record(self) -> dict[str, Any] | None:
        """The record of what lies there, None where it is to be made; UsageError when it was made from something else."""
        found = read_record(self.record_path) if self.record_path.exists() else None
        declared = self._declared()
        if found is None:
            if not self._ours(declared):
                raise UsageError(f"{self.path} is there and was not made here; it is not overwritten: name another")
            return None
        same = found["origin"] == json.loads(json.dumps(self.origin))
        if same and not declared:
            return found
        if same and all(self._holds(name, {kept}) for name, kept in found["files"].items()):
            self._intent_path.unlink(missing_ok=True)  # it was killed after its record was there
            return found
        known = {name: {kept} | declared.get(name, set()) for name, kept in found["files"].items()}
        if (same or self.renewable) and self._ours(declared | known):
            return None
        raise UsageError(
            f"{self.path} was made from other models, data or settings, or changed since; it is not overwritten: name another"
            " or remove it"
        )

    def keep(self, files: Mapping[Path, bytes], figures: Mapping[str, Any]) -> dict[str, Any]:
        """Declare all files, write them, then the record; returns the record. HostError when the disk is full."""
        declared = self._declared()
        for path, data in files.items():
            declared.setdefault(path.name, set()).add(digest(data))
        text = json.dumps({name: sorted(digests) for name, digests in declared.items()})
        write_whole(self._intent_path, text.encode())
        for path, data in files.items():
            write_whole(path, data)
        record = {
            "origin": dict(self.origin),
            "files": {path.name: digest(data) for path, data in files.items()},
            "figures": dict(figures),
        }
        write_whole(self.record_path, (json.dumps(record, indent=1) + "\n").encode())
        self._intent_path.unlink(missing_ok=True)
        return json.loads(json.dumps(record))  # type: ignore[no-any-return]

    @property
    def _intent_path(self) -> Path:
        return self.path.with_name(f".{self.path.stem}.adapt.partial.json")

    def _declared(self) -> dict[str, set[str]]:
        """Digests by file name of what was about to be written when its process was killed; empty where none was."""
        if not self._intent_path.is_file():
            return {}
        found = json.loads(self._intent_path.read_bytes())  # written whole, by `keep` alone
        return {name: set(digests) for name, digests in found.items()}

    def _ours(self, known: Mapping[str, set[str]]) -> bool:
        """Whether all that lies under these names and `path` was written here."""
        names = {self.path.name, *known}
        return all(self._holds(name, known.get(name, set())) for name in names if (self.path.parent / name).exists())

    def _holds(self, name: str, digests: set[str]) -> bool:
        path = self.path.parent / name
        return path.is_file() and digest(path.read_bytes()) in digests

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
