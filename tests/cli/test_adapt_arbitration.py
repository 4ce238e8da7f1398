"""`hedgerow adapt temperature` and `disagreements`, on a small task and pictures made here."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hedgerow.cli.adapt import register
from hedgerow.models.task import Task
from hedgerow.planning.arbitrating import read_arbitration
from tests.device.small import pair_task

RUNNER, app = CliRunner(), typer.Typer()
register(app)
app.callback()(lambda: None)


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    """The pair, with 60 pictures that are named by what one of its models says, most of the time."""
    task, random = pair_task(tmp_path), np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    with task.open("big") as chain:
        for number in range(60):
            frame = random.integers(0, 256, (20, 24, 3), np.uint8)
            label = task.interpret(chain.run({"frame": frame}).tensors).label_index if number % 4 else number % 5
            Image.fromarray(frame).save(tmp_path / "images" / f"{label:04d}-{number}.png")
    return tmp_path / "pair.toml"


def test_temperatures_go_into_a_copy_and_weights_into_rules(task_file: Path) -> None:
    out, rules = task_file.parent / "new.toml", task_file.parent / "rules.toml"
    images = str(task_file.parent / "images")
    given = ["adapt", "temperature", str(task_file), "--images", images, "--all", "--json"]
    done = RUNNER.invoke(app, [*given, "-o", str(out), "--rules", str(rules)])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["models"]
    made = Task.load(out)
    assert {model.name: model.temperature for model in made.models} == {
        name: each["temperature"] for name, each in found.items()
    }
    assert dict(read_arbitration(rules, made).weights) == {name: each["weight"] for name, each in found.items()}
    few = RUNNER.invoke(app, [each for each in given if each != "--all"])
    assert "are too few to weigh models by" in str(few.exception)
    again = RUNNER.invoke(app, [*given, "-o", str(out)])
    assert again.exit_code != 0


def test_disagreements_are_shown_and_written(task_file: Path) -> None:
    images, table = str(task_file.parent / "images"), task_file.parent / "pairs.csv"
    done = RUNNER.invoke(app, ["adapt", "disagreements", str(task_file), "--images", images, "--csv", str(table)])
    assert done.exit_code == 0, done.output
    assert "small and big differ on" in done.stdout
    rows = table.read_text().splitlines()
    assert rows[0].startswith("small,big,times")
    times = sum(int(row.split(",")[2]) for row in rows[1:])
    assert f"differ on {times} of 60 samples" in done.stdout


def test_disagreements_as_json_are_tables(task_file: Path) -> None:
    given = ["adapt", "disagreements", str(task_file), "--images", str(task_file.parent / "images"), "--json"]
    told = json.loads(RUNNER.invoke(app, given).stdout)
    assert sum(row["times"] for row in told["pairs"]) == told["differing"] > 0
    assert all(isinstance(row["rules_right"], int) and row["small"] != row["big"] for row in told["pairs"])


def test_labels_of_which_no_model_is_right_about_any_are_not_taken_for_labels(task_file: Path) -> None:
    """As the numbers of a camera's frames are not."""
    folder, task, rows = task_file.parent / "images", Task.load(task_file), ["file,label"]
    with task.open("big") as big, task.open("small") as small:
        for path in sorted(folder.iterdir()):
            frame = {"frame": np.asarray(Image.open(path))}
            said = {task.interpret(each.run(frame).tensors).label_index for each in (big, small)}
            rows.append(f"{path.name},{min(set(range(5)) - said)}")
    (folder / "labels.csv").write_text("\n".join(rows))
    done = RUNNER.invoke(app, ["adapt", "disagreements", str(task_file), "--images", str(folder), "--json"])
    assert "no model is right about any" in done.stderr
    assert {row["rules_right"] for row in json.loads(done.stdout)["pairs"]} == {None}


def test_pictures_without_labels_are_refused(task_file: Path) -> None:
    for path in list((task_file.parent / "images").iterdir()):
        path.rename(path.with_name("x" + path.name))
    images = str(task_file.parent / "images")
    done = RUNNER.invoke(app, ["adapt", "temperature", str(task_file), "--images", images, "--all"])
    assert done.exit_code != 0
    assert "labels.csv" in str(done.exception) + done.output
