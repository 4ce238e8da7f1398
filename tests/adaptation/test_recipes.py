import importlib.machinery
import json
import sys
import tomllib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hedgerow.adaptation.keeping import Say
from hedgerow.adaptation.recipes import Entry, Step, make_all
from hedgerow.errors import UsageError


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, Any], Step]:
    """Plants a file of `making/` with this function and names a step after it."""
    monkeypatch.setenv("HEDGEROW_HOME", str(tmp_path / "home"))

    def plant(name: str, make: Any) -> Step:
        full = f"hedgerow.adaptation.making.{name}"
        module = types.ModuleType(full)
        module.__spec__ = importlib.machinery.ModuleSpec(full, None)
        module.make = make  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, full, module)
        return Step("letters", name)

    return plant


def first(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[Entry]:
    (folder / "labels.txt").write_text("a\nb\n")
    say(f"seed {seed}")
    return [{"name": "big", "file": "big.onnx", "joints": ["x"], "preparation": {"version": 1, "mean": [0.5, 1, 2]}}]


def second(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[Entry]:
    return [{"name": "small", "file": str(folder / "deep" / "small.onnx")}, {"name": "big", "gate": 0.8}]


def refused(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[Entry]:
    raise UsageError("there are 3 pictures; at least 300 are needed")


def test_steps_add_to_one_task_file(step: Any, tmp_path: Path) -> None:
    said: list[str] = []
    outcomes = make_all(None, seed=7, say=said.append, steps=[step("one", first), step("two", second)])
    assert [(each.models, each.problem) for each in outcomes] == [(("big",), ""), (("small", "big"), "")]
    found = tomllib.loads((tmp_path / "home" / "adapted" / "letters" / "task.toml").read_text())
    assert found["task"] == {"name": "letters", "kind": "classification", "reference": "big", "labels": "labels.txt"}
    big, small = found["model"]
    assert big == {
        "name": "big",
        "file": "big.onnx",
        "joints": ["x"],
        "gate": 0.8,
        "preparation": {"version": 1, "mean": [0.5, 1, 2]},
    }
    assert small == {"name": "small", "file": "deep/small.onnx"}
    assert "[1/2] letters, one: seed 7" in said


def test_a_refused_step_is_said_and_takes_nothing_away(step: Any, tmp_path: Path) -> None:
    said: list[str] = []
    make_all(None, seed=0, say=said.append, steps=[step("one", first), step("two", second)])
    task = tmp_path / "home" / "adapted" / "letters" / "task.toml"
    before = task.read_bytes()
    outcomes = make_all(None, seed=0, say=said.append, steps=[step("two", refused), step("one", first)])
    assert "at least 300" in outcomes[0].problem
    assert outcomes[1].problem == ""
    assert any("not made: there are 3 pictures" in line for line in said)
    assert task.read_bytes() == before


def test_what_this_version_lacks_is_left_out_aloud(step: Any) -> None:
    said: list[str] = []
    assert make_all(None, seed=0, say=said.append, steps=[Step("letters", "nothing_of_that_name")]) == []
    assert said == ["[1/1] letters, nothing_of_that_name: not part of this version; left out"]


def test_wrong_names_and_folders_are_refused(step: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no step 'tow'; there are one"):
        make_all(None, seed=0, say=print, only=["tow"], steps=[step("one", first)])
    with pytest.raises(UsageError, match="there is no folder"):
        make_all(tmp_path / "none", seed=0, say=print, steps=[step("one", first)])


def test_the_folder_of_data_is_remembered_outside_the_repository(step: Any, tmp_path: Path) -> None:
    make_all(tmp_path, seed=0, say=lambda _text: None, steps=[step("one", first)])
    assert json.loads((tmp_path / "home" / "adapted" / "data.json").read_bytes()) == {"data": str(tmp_path)}
