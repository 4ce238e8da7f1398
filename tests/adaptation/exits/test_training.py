"""Training, where PyTorch is: written files give PyTorch's answers, a stopped training ends as one that was not, nothing is
made twice. Elsewhere these are left out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hedgerow.adaptation.exits.architecture import Recipe
from hedgerow.adaptation.exits.frozen import Wish, make_exits
from hedgerow.adaptation.exits.heads import small_head
from hedgerow.adaptation.exits.network_file import exit_file, whole_file
from hedgerow.adaptation.exits.running import WithExits
from hedgerow.adaptation.exits.settling import Promise
from hedgerow.adaptation.exits.subject import Pictures, subject_of
from hedgerow.adaptation.keeping import Checkpoint
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.task import Task
from tests.adaptation.exits.small_model import write_task
from tests.adaptation.exits.small_network import SMALL

pytest.importorskip(
    "torch", reason="PyTorch is not installed: nothing can be trained here (pip install 'hedgerow[adapt]')"
)

MEAN, STD = np.full(3, 127.5, np.float32), np.full(3, 64.0, np.float32)
RECIPE = Recipe(sides_px=(16, 32, 32), batch=16, cycles=((2, 0.05), (1, 0.02)), threads=1)


class Stopped(Exception):
    """Someone pulled the plug."""


def _train(folder: Path, stop_after: int = 99) -> dict[str, np.ndarray]:
    from hedgerow.adaptation.exits.training_resnet import trained

    chance = np.random.default_rng(0)

    def progress(epoch: int, loss: float) -> None:
        assert np.isfinite(loss)
        if epoch == stop_after:
            raise Stopped

    return trained(
        chance.integers(0, 256, (48, 32, 32, 3), dtype=np.uint8),
        chance.integers(0, 5, 48),
        5,
        SMALL,
        RECIPE,
        seed=3,
        mean=MEAN,
        std=STD,
        checkpoint=Checkpoint(folder),
        progress=progress,
    )


def test_a_stopped_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    straight = _train(tmp_path / "a")
    with pytest.raises(Stopped):
        _train(tmp_path / "b", stop_after=2)
    resumed = _train(tmp_path / "b")
    assert all(np.array_equal(straight[name], resumed[name]) for name in straight)


def test_the_files_answer_as_the_trained_network(tmp_path: Path) -> None:
    from hedgerow.adaptation.exits.training_resnet import answers

    state = _train(tmp_path)
    pictures = np.random.default_rng(1).normal(size=(20, 3, 32, 32)).astype(np.float32)
    *exits, whole = answers(state, SMALL, 5, pictures, threads=1)
    joints = [stage.joint for stage in SMALL.exits]
    files = [exit_file(state, SMALL, number, "") for number in (0, 1)]
    with WithExits(whole_file(state, SMALL, ""), files, joints) as model:
        found = model.answers([{"input": each[None]} for each in pictures])
    assert found.whole.tolist() == whole.argmax(1).tolist()
    for number, each in enumerate(exits):
        assert found.labels[:, number].tolist() == each.argmax(1).tolist()


def test_a_head_in_training_computes_what_its_file_computes() -> None:
    import torch

    from hedgerow.adaptation.exits.heads import pooled
    from hedgerow.adaptation.exits.training_heads import run

    head = small_head("j", (4, 6, 6), 3, seed=1)
    tensor = np.random.default_rng(0).random((2, 4, 6, 6)).astype(np.float32)
    weights = {name: torch.from_numpy(array) for name, array in head.weights.items()}
    with Chain.open(head.file("")) as chain:
        found = chain.run({"j": tensor}, 1).tensors["logits"].astype(np.float64)
    np.testing.assert_allclose(
        run(head.operations, weights, torch.from_numpy(pooled(tensor))).numpy(), found, atol=1e-5
    )


def _pictures(count: int) -> Pictures:
    chance = np.random.default_rng(0)
    tints = chance.integers(0, 200, (count, 1, 1, 3))
    return Pictures(
        {f"p{n}": (tints[n] + chance.integers(0, 56, (28, 30, 3))).astype(np.uint8) for n in range(count)}, None
    )


def test_a_frozen_model_gets_exits_that_hang_in_a_task_and_are_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hedgerow.adaptation.exits.frozen.ASKING_OVERHEAD", 0)
    subject = subject_of(str(write_task(tmp_path)), lambda text: None)
    said: list[str] = []
    records: list[dict[str, Any]] = []
    for folder in ("one", "one", "two"):
        (tmp_path / folder).mkdir(exist_ok=True)
        records.append(make_exits(tmp_path / folder, subject, _pictures(240), Wish(Promise(0.2)), said.append))
    assert records[0] == records[1] == records[2]
    assert sum("choosing exits" in text for text in said) == 2  # once for each folder
    figures = records[0]["figures"]
    assert figures["entries"], figures["summary"]
    assert figures["disagreement_got"] <= 0.3
    for entry in figures["entries"]:
        assert (tmp_path / "one" / entry["file"]).read_bytes() == (tmp_path / "two" / entry["file"]).read_bytes()
    with pytest.raises(UsageError, match="not overwritten"):
        make_exits(tmp_path / "one", subject, _pictures(241), Wish(Promise(0.2)), said.append)


def test_the_command_writes_a_task_that_opens(tmp_path: Path) -> None:
    from PIL import Image
    from typer.testing import CliRunner

    from hedgerow.cli import main

    if not main.app.registered_commands and not main.app.registered_groups:
        main._collect()
    task = write_task(tmp_path)
    (tmp_path / "pictures").mkdir()
    for name, frame in _pictures(240).frames.items():
        Image.fromarray(frame).save(tmp_path / "pictures" / f"{name}.png")
    arguments = ["adapt", "exits", f"{task}:small", "--data", str(tmp_path / "pictures"), "--at-most", "0.2"]
    result = CliRunner().invoke(main.app, [*arguments, "-o", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    made = Task.load(tmp_path / "out" / "task.toml")
    assert {model.name for model in made.models} == {"small", *(entry["name"] for entry in figures["entries"])}
