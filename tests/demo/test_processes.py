"""Other processes: read by lines, ended by their own handle, their failures in one line."""

import os
from pathlib import Path

import pytest

from hedgerow.demo.processes import Child, settle_on, two_cores
from hedgerow.errors import HostError


def child(tmp_path: Path, text: str, core: int | None = None) -> Child:
    """A process that runs this program."""
    (tmp_path / "a_child_of_a_test.py").write_text(text)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(tmp_path)
    try:
        return Child("child", ["a_child_of_a_test"], core=core, log=tmp_path / "child.log")
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def test_lines_are_heard_and_orders_obeyed(tmp_path: Path) -> None:
    made = child(tmp_path, "print('first')\nprint('ready')\nprint('got', input())\n")
    also: list[str] = []
    assert made.await_line("ready", timeout_s=20, also=also.append) == "ready"
    made.order("go")
    assert made.await_line("got", timeout_s=20) == "got go"
    made.ended(20)
    assert also == ["first"]


def test_an_early_end_tells_its_last_words(tmp_path: Path) -> None:
    made = child(tmp_path, "raise SystemExit('no such thing')\n")
    with pytest.raises(HostError, match="ended early: no such thing; see "):
        made.await_line("ready", timeout_s=20)
    made.kill()


def test_silence_is_named(tmp_path: Path) -> None:
    made = child(tmp_path, "input()\n")
    with pytest.raises(HostError, match="said nothing for"):
        made.await_line("ready", timeout_s=0.3)
    made.stop()


@pytest.mark.skipif(two_cores()[0] is None, reason="this system has one core, or does not let cores be chosen")
def test_a_child_stays_on_its_core(tmp_path: Path) -> None:
    core = two_cores()[1]
    made = child(tmp_path, "import os\nprint(sorted(os.sched_getaffinity(0)))\n", core)
    assert made.await_line("[", timeout_s=20) == f"[{core}]"
    made.ended(20)


def test_no_core_is_no_wish() -> None:
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    settle_on(None)
    settle_on(10_000)
    assert before == (os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None)
