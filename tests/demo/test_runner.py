"""The whole demo, short: real server, relay and device processes; what it writes keeps its own rules."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hedgerow import simulation
from hedgerow.assurance import rows_from_text
from hedgerow.demo.runner import STRATEGIES, Settings, make_folder
from hedgerow.device.journal import replay
from hedgerow.errors import HostError, UsageError

PROFILE = Path(simulation.__path__[0]) / "profiles" / "photographs.json"
KEYS = [
    "name",
    "requests",
    "in_time",
    "late",
    "late_link",
    "late_device",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "uplink_bytes",
    "energy_mj",
    "agreement",
    "correct",
]


@pytest.fixture(scope="module")
def demo(imagenet_task: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A demo of three drives of 2 s each with the profile that comes along (the slow test measures one): (its folder, what it
    printed)."""
    assert imagenet_task.is_file()
    out = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "hedgerow.cli.main", "demo", "--seconds", "2", "--json", "--out", str(out)]
    command += ["--profile", str(PROFILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


@pytest.mark.timeout(200)
def test_the_result_has_the_promised_shape_and_adds_up(demo: tuple[Path, dict[str, Any]]) -> None:
    _, result = demo
    assert set(result) == {"deadline_ms", "strategies"}
    assert [each["name"] for each in result["strategies"]] == list(STRATEGIES)
    for each in result["strategies"]:
        assert list(each) == KEYS
        assert each["requests"] == 20
        assert each["in_time"] + each["late"] == each["requests"]
        assert each["late_link"] + each["late_device"] == each["late"]
        assert 0 < each["p50_ms"] <= each["p99_ms"] <= each["max_ms"]
        for share in ("agreement", "correct"):  # rounded to four digits
            assert 0 <= each[share] <= each["in_time"] / each["requests"] + 1e-4
    by_name = {each["name"]: each for each in result["strategies"]}
    assert by_name["device-only"]["uplink_bytes"] == 0
    assert by_name["cloud-only"]["uplink_bytes"] > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_hedgerow_keeps_its_promises_on_the_whole_drive(imagenet_task: Path, tmp_path: Path) -> None:
    assert imagenet_task.is_file()
    command = [sys.executable, "-m", "hedgerow.cli.main", "demo", "--json", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    device, cloud, ours = json.loads(done.stdout)["strategies"]
    assert device["late_link"] == ours["late_link"] == 0
    assert ours["late"] - device["late"] <= max(2, 0.005 * ours["requests"])
    assert ours["agreement"] > max(device["agreement"], cloud["agreement"])


def test_files_say_the_same(demo: tuple[Path, dict[str, Any]]) -> None:
    out, result = demo
    written = json.loads((out / "result.json").read_text())
    assert {key: written[key] for key in result} == result
    assert written["about"]["emulated"]["link"] is True
    assert written["about"]["emulated"]["device"].startswith("emulated device")
    for each in result["strategies"]:
        rows = rows_from_text((out / f"{each['name']}.rows.jsonl").read_text())
        assert (len(rows), sum(row.in_time for row in rows)) == (each["requests"], each["in_time"])
        assert replay(out / f"{each['name']}.journal").difference is None
    with Image.open(out / "timeline.png") as picture:
        assert picture.width == 1600


def test_no_process_is_left_behind(demo: tuple[Path, dict[str, Any]]) -> None:
    out, _ = demo
    proc = Path("/proc")
    if not proc.is_dir():
        pytest.skip("this system has no /proc to look into")
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # ended meanwhile
            assert str(out).encode() not in command


def test_nonsense_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 to 600 s"):
        Settings(tmp_path, seconds=0.1).course()
    with pytest.raises(UsageError, match="there is no profile"):
        Settings(tmp_path, profile=tmp_path / "none.json").check()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(HostError, match="cannot use the folder"):
        make_folder(blocked)


def test_what_an_earlier_run_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    for name in ("result.json", "hedgerow.journal", "notes.txt"):
        (tmp_path / name).write_text("old")
    make_folder(tmp_path)
    assert os.listdir(tmp_path) == ["notes.txt"]
