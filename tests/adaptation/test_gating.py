"""Gates: what stays and what is sent, counted by hand; the codec's choice; the task file that is written; what is refused."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hedgerow.adaptation import gating
from hedgerow.adaptation.gating import Answers, Outcome
from hedgerow.adaptation.keeping import Checkpoint
from hedgerow.cli import adapt
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from tests.device.small import pair_task


def of(labels: list[int], confidence: list[float], size: int = 0) -> Answers:
    return Answers(np.array(labels), np.array(confidence, float), np.full(len(labels), size))


def quiet(_text: str) -> None:
    pass


@pytest.fixture
def task_and_pictures(tmp_path: Path) -> tuple[Task, list[Path]]:
    random = np.random.default_rng(3)
    (tmp_path / "pictures").mkdir()
    for number in range(60):
        frame = random.integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(frame).save(tmp_path / "pictures" / f"{number:03d}.png")
    return pair_task(tmp_path), sorted((tmp_path / "pictures").glob("*.png"))


def test_outcome_by_hand() -> None:
    small, reference = of([1, 2, 3, 4], [0.9, 0.8, 0.4, 0.1]), of([1, 9, 3, 4], [1.0] * 4)
    found = gating.outcome(0.5, small, reference, of([7, 4], [1.0, 1.0], 100), 400)
    assert found == Outcome(4, 0.5, 0.5, 0.5)  # sample 1 stays and is wrong, sample 2 is spoilt by the codec


def test_the_gate_keeps_what_was_asked_and_refuses_what_cannot_be_shown() -> None:
    sure = np.linspace(0, 1, 400)
    small = Answers((sure < 0.5).astype(int), sure, np.zeros(400, int))
    reference = of([0] * 400, [1.0] * 400)
    found = gating.gate_for(small, reference, at_most=0.05)
    assert 0.45 < found.threshold <= 0.5
    with pytest.raises(UsageError, match="59 samples without a disagreement would be enough"):
        gating.check_enough(20, 0.05)
    with pytest.raises(UsageError, match="no gate keeps"):
        gating.gate_for(of([1] * 400, [0.5] * 400), reference, at_most=0.05)


def test_answers_are_the_model_s_own_and_go_on_where_they_stopped(
    task_and_pictures: tuple[Task, list[Path]], tmp_path: Path
) -> None:
    task, paths = task_and_pictures
    kept, said = Checkpoint(tmp_path / "kept"), list[str]()
    whole = gating.answers(task, "small", paths, say=said.append, kept=kept)
    with task.open("small") as chain:
        meaning = task.interpret(chain.run(task.sample(paths[7])).tensors)
    assert (whole.label[7], whole.confidence[7]) == (meaning.label_index, pytest.approx(meaning.confidence))
    kept.save("small.raw.json", b"[[1, 0.5, 0], [2, 0.25, 0]]")
    again = gating.answers(task, "small", paths, say=quiet, kept=kept)
    assert again.label[:2].tolist() == [1, 2]
    assert again.label[2:].tolist() == whole.label[2:].tolist()


def test_a_cascade_with_nothing_below_its_gate_sends_nothing(task_and_pictures: tuple[Task, list[Path]]) -> None:
    task, paths = task_and_pictures
    alone = gating.play(task, "small", 0.0, "jpeg:90,292", paths, say=quiet)
    assert (alone.escalated, alone.bytes_saved) == (0.0, 1.0)
    every = gating.play(task, "small", 2.0, "raw", paths, say=quiet)
    assert (every.escalated, every.agreement, every.bytes_saved) == (1.0, 1.0, 0.0)


def test_the_smallest_codec_that_keeps_the_answers(
    task_and_pictures: tuple[Task, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, paths = task_and_pictures
    wanted = gating.answers(task, "big", paths, say=quiet)
    monkeypatch.setattr(gating, "CODECS", ("jpeg:1,2", "raw"))
    codec, tried = gating.smallest_codec(task, paths, wanted, say=quiet)
    assert codec == "raw"
    assert tried["raw"]["agreement"] == 1.0
    assert tried["jpeg:1,2"]["bytes"] < tried["raw"]["bytes"]


def test_the_command_writes_a_new_task_and_never_over_one(
    task_and_pictures: tuple[Task, list[Path]], tmp_path: Path
) -> None:
    app = typer.Typer()
    adapt.register(app)
    app.command()(lambda: None)
    out = tmp_path / "new" / "gated.toml"
    told = ["adapt", "gate", str(tmp_path / "pair.toml"), "--model", "small", "--images", str(tmp_path / "pictures")]
    done = CliRunner().invoke(app, [*told, "--at-most", "0.9", "-o", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "gate = " in done.stdout
    assert "judged on" in done.stdout
    tables = tomllib.loads(out.read_text())
    assert [each.get("gate") is not None for each in tables["model"]] == [True, False]
    assert (out.parent / tables["model"][0]["file"]).resolve() == (tmp_path / "small.onnx").resolve()
    with pytest.raises(UsageError, match="not overwritten"):
        CliRunner().invoke(app, [*told, "-o", str(out)], catch_exceptions=False)
    with pytest.raises(UsageError, match="the reference"):
        CliRunner().invoke(app, [*told[:4], "big", *told[5:]], catch_exceptions=False)
    with pytest.raises(UsageError, match="would be enough"):
        CliRunner().invoke(app, [*told, "--at-most", "0.01"], catch_exceptions=False)
