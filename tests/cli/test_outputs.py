"""Where a file cannot be written is found out before the work, and nothing is left of the finding out."""

from pathlib import Path

import pytest

from hedgerow.cli._outputs import check_new, check_writable
from hedgerow.errors import HostError, UsageError


def test_a_place_that_does_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(tmp_path / "a", None)
    check_new(tmp_path / "a", tmp_path / "new" / "folder" / "b", None)
    assert not list(tmp_path.iterdir())


def test_a_place_that_does_not_is_told_with_who_is_at_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="create it first"):
        check_writable(tmp_path / "none" / "a")
    for check in (check_writable, check_new):
        with pytest.raises(UsageError, match="is a folder"):
            check(tmp_path)
        with pytest.raises(HostError, match="cannot write in /proc"):
            check(Path("/proc/a"))


def test_what_is_never_overwritten_is_new_and_named_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("there")
    check_writable(tmp_path / "a")
    with pytest.raises(UsageError, match="not overwritten"):
        check_new(tmp_path / "a")
    with pytest.raises(UsageError, match="named twice"):
        check_new(tmp_path / "b", tmp_path / "b")
    with pytest.raises(UsageError, match="named twice"):
        check_new(tmp_path / "b", tmp_path / "sub" / ".." / "b")
    with pytest.raises(UsageError, match="is a file"):
        check_new(tmp_path / "a" / "b")


def test_a_device_is_written_to_and_is_no_new_file() -> None:
    check_writable(Path("/dev/null"), Path("/dev/stdout"))
    with pytest.raises(UsageError, match="not overwritten"):
        check_new(Path("/dev/null"))
