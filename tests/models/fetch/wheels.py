"""Makes small wheels, and points pip at a directory of them and at nothing else."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

PACKAGE = "hedgerow-parcel-for-tests"


def make_wheel(directory: Path, files: Mapping[str, bytes], *, version: str = "1.0") -> Path:
    """A wheel of PACKAGE that carries `files`."""
    stem = PACKAGE.replace("-", "_")
    information = f"{stem}-{version}.dist-info"
    wheel = directory / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return wheel


def only_from(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip finds what lies in `directory`; no index is asked."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
