"""A busy process computes while it should, and is gone afterwards."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from hedgerow.profiling.busy import busy_processes, work


def _children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "hedgerow.profiling.busy" in each.cmdline()]


def test_it_uses_processor_time_while_the_block_lasts_and_ends_with_it() -> None:
    with busy_processes(2):
        found = _children()
        assert len(found) == 2
        before = [each.cpu_times().user for each in found]
        end = time.monotonic() + 20
        while any(each.cpu_times().user <= old for each, old in zip(found, before, strict=True)):
            assert time.monotonic() < end, "a busy process does not compute"
            time.sleep(0.05)
    assert not any(each.is_running() for each in found)


def test_it_ends_when_the_block_fails() -> None:
    found: list[psutil.Process] = []

    def fail() -> None:
        with busy_processes(1):
            found.extend(_children())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert found
    assert not _children()


def test_it_ends_by_itself_when_its_time_is_up_or_its_parent_is_another(capsys: pytest.CaptureFixture[str]) -> None:
    work(0.0, os.getppid())
    work(60.0, -1)
    assert capsys.readouterr().out == "busy\nbusy\n"


def test_as_a_program_it_takes_its_time_and_its_parent() -> None:
    command = [sys.executable, "-m", "hedgerow.profiling.busy", "60", "-1"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=True).stdout == b"busy\n"
