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


def test_pictures_without_labels_are_refused(task_file: Path) -> None:
    for path in list((task_file.parent / "images").iterdir()):
        path.rename(path.with_name("x" + path.name))
    images = str(task_file.parent / "images")
    done = RUNNER.invoke(app, ["adapt", "temperature", str(task_file), "--images", images, "--all"])
    assert done.exit_code != 0
    assert "labels.csv" in str(done.exception) + done.output
