"""The home of fetched things, and files that are whole or absent."""

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hedgerow.errors import HostError, UsageError
from hedgerow.models.home import holds, home, make_directory, read_whole, write_whole
from tests.models.fetch.wheels import sha256


def test_the_named_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_HOME", str(tmp_path / "mine"))
    assert home() == tmp_path / "mine"
    monkeypatch.setenv("HEDGEROW_HOME", "relative")
    assert home().is_absolute()


def test_without_a_name_the_virtual_environment_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_HOME", "  ")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    assert home() == tmp_path / "venv" / "var" / "hedgerow"


def test_outside_a_virtual_environment_the_users_cache_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEDGEROW_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert home() == tmp_path / ".cache" / "hedgerow"


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]
    assert holds(path, sha256(b"new"))
    assert not holds(path, sha256(b"old"))
    assert not holds(tmp_path, sha256(b""))


def test_a_write_that_fails_half_way_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # the kernel refuses bytes past it, as a full disk does
    try:
        with pytest.raises(HostError, match=r"cannot write .*file"):
            write_whole(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_or_device_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_whole(pipe, b"data")
    reader.join(20.0)
    assert read == [b"data"]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_bytes() == b"new"


def test_standard_output_is_written_to_even_where_it_is_a_file(tmp_path: Path) -> None:
    """A link like /dev/stdout, in a folder that may be written to: it stays, and what was printed before stays too."""
    link = tmp_path / "stdout"
    link.symlink_to("/proc/self/fd/1")
    program = f"""import sys; from pathlib import Path; from hedgerow.models.home import write_whole
sys.stdout.write("printed,"); sys.stdout.flush(); write_whole(Path({str(link)!r}), b"written")"""
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True, timeout=60)
    assert (tmp_path / "out").read_bytes() == b"printed,written"
    assert link.is_symlink()


def test_a_directory_in_the_way_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(HostError, match=r"cannot write .*file"):
        write_whole(tmp_path / "file", b"data")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError, match=r"cannot create .*; set HEDGEROW_HOME to a writable directory"):
        make_directory(tmp_path / "file" / "below")


def test_readers_beside_two_writers_see_only_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    versions = [bytes([letter]) * 200_000 for letter in b"ab"]
    write_whole(path, versions[0])

    def write(data: bytes) -> None:
        for _ in range(20):
            write_whole(path, data)

    writers = [threading.Thread(target=write, args=(data,)) for data in versions]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in versions
    for writer in writers:
        writer.join()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.json", "there is no profile .*none.json; make one with `hedgerow profile`"),
        ("folder", "folder is a folder, not a profile"),
        ("large.json", "large.json is larger than 4 bytes: that is no profile"),
    ],
)
def test_what_cannot_be_read_whole_is_named_with_the_command_that_makes_one(
    tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "large.json").write_bytes(b"12345")
    with pytest.raises(UsageError, match=words):
        read_whole(tmp_path / name, "profile", bytes_max=10_000 if name == "folder" else 4, made_by="hedgerow profile")


def test_a_file_within_its_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1234")
    assert read_whole(tmp_path / "file", "profile", bytes_max=4, made_by="hedgerow profile") == b"1234"
