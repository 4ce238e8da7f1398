"""What is asked for and cannot be is refused with what would be enough; what is made is kept within its budget."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from hedgerow.adaptation.bottleneck.graph import LATENT
from hedgerow.adaptation.bottleneck.making import PICTURES_MIN, Wanted, make, plan_for, share_before_latent
from hedgerow.adaptation.parts import part_of
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.graph import Graph
from hedgerow.models.preparation import FRAME
from hedgerow.models.task import Task, TaskModel
from tests.adaptation.small_network import network, write_pictures, write_task


def wanted(cut: str = "one.output", target: str = "two.output", **other: object) -> Wanted:
    asked = {"bytes": 120, "budget": 0.9, "steps": 12, "taught": 4, "versions": 2, "middle": 8} | other
    return Wanted("slim", cut, target, **asked)  # type: ignore[arg-type]


def small(folder: Path) -> TaskModel:
    return Task.load(write_task(folder, small=network())).model("small")


def quiet(_text: str) -> None:
    pass


def test_a_budget_that_the_head_exceeds_is_refused() -> None:
    graph = Graph.open(network())
    with pytest.raises(UsageError, match="no room for an encoder"):
        plan_for(graph, wanted(budget=0.2))
    with pytest.raises(UsageError, match="hidden channels"):
        plan_for(graph, wanted(hidden=(1000,)))
    with pytest.raises(UsageError, match="no cut"):
        plan_for(graph, wanted(cut="nowhere"))
    with pytest.raises(UsageError, match="height, width"):
        plan_for(graph, wanted(target="features"))


def test_the_encoder_is_as_wide_as_the_budget_allows() -> None:
    graph = Graph.open(network())
    narrow, wide = (plan_for(graph, wanted(budget=budget)) for budget in (0.86, 0.97))
    assert 8 <= narrow.hidden[0] <= wide.hidden[0] <= 24


def test_too_few_photographs_are_refused(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "images", 3)
    with pytest.raises(UsageError, match=f"at least {PICTURES_MIN} are needed"):
        make(wanted(), small(tmp_path), paths, tmp_path, quiet)


def test_one_is_made_goes_on_where_it_stopped_and_is_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch, which is not installed here")
    training = importlib.import_module("hedgerow.adaptation.bottleneck.training_bottleneck")
    paths = write_pictures(tmp_path / "images", 40)
    model = small(tmp_path)
    first = make(wanted(), model, paths, tmp_path / "a", quiet)
    data = Path(first["file"]).read_bytes()
    assert first["joints"] == [LATENT]
    assert share_before_latent(data, Graph.open(model.path)) <= 0.9
    with Chain.open(data, joints=[LATENT], preparation=model.preparation) as chain:
        frame = np.zeros((16, 16, 3), np.uint8)
        alive = chain.run({FRAME: frame}, 0, 1).tensors
        assert alive[LATENT].dtype == np.int8
        assert np.isfinite(chain.run(alive, 2).tensors["logits"].astype(float)).all()
    said: list[str] = []
    assert make(wanted(), model, paths, tmp_path / "a", said.append) == first
    assert said == []
    stopped: list[str] = []

    def stop(text: str) -> None:
        stopped.append(text)
        if text.startswith("step 5 "):
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "SAVE_EVERY", 5)
    with pytest.raises(KeyboardInterrupt):
        make(wanted(), model, paths, tmp_path / "b", stop)
    make(wanted(), model, paths, tmp_path / "b", stopped.append)
    assert any("going on after step 5" in text for text in stopped)
    assert (tmp_path / "b" / "slim.onnx").read_bytes() == data
    with pytest.raises(UsageError, match="not overwritten"):
        make(wanted(bytes=200), model, paths, tmp_path / "a", quiet)


def test_pictures_that_judge_are_left_out(tmp_path: Path) -> None:
    paths = [path for path in write_pictures(tmp_path / "images", 60) if part_of(path.stem) == "judge"]
    assert len(paths) >= PICTURES_MIN
    with pytest.raises(UsageError, match="photographs to train"):
        make(wanted(), small(tmp_path), paths, tmp_path, quiet)


def test_without_steps_it_is_the_transform_alone(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="gradients need PyTorch, which is not installed here")
    paths = write_pictures(tmp_path / "images", 40)
    entry = make(wanted("one.output", "two.output", steps=0, taught=0), small(tmp_path), paths, tmp_path, quiet)
    graph = Graph.open(entry["file"])
    assert graph.knows("decoder.plain")
    assert not graph.knows("decoder.first")


def test_without_training_it_is_linear_keeps_its_budget_goes_on_and_is_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="gradients need PyTorch, which is not installed here")
    training = importlib.import_module("hedgerow.adaptation.bottleneck.training_bottleneck")
    paths = write_pictures(tmp_path / "images", 40)
    model = small(tmp_path)
    asked = wanted(target="one.output", steps=0, taught=0, budget=0.97)
    first = make(asked, model, paths, tmp_path / "a", quiet)
    data = Path(first["file"]).read_bytes()
    assert share_before_latent(data, Graph.open(model.path)) <= 0.97
    with Chain.open(data, joints=[LATENT], preparation=model.preparation) as chain:
        alive = chain.run({FRAME: np.zeros((16, 16, 3), np.uint8)}, 0, 1).tensors
        assert alive[LATENT].dtype == np.int8
        assert np.isfinite(chain.run(alive, 2).tensors["logits"].astype(float)).all()
    saw: list[str] = []

    def stop(text: str) -> None:
        saw.append(text)
        if text.startswith("latent "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(asked, model, paths, tmp_path / "b", stop)
    monkeypatch.setattr(training, "gradients", None)  # they are kept: not asked for again
    make(asked, model, paths, tmp_path / "b", quiet)
    assert (tmp_path / "b" / "slim.onnx").read_bytes() == data


def test_a_budget_without_room_for_a_linear_code_is_refused_before_any_picture_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_pictures(tmp_path / "images", 40)
    monkeypatch.setattr("hedgerow.adaptation.bottleneck.making.see", None)
    with pytest.raises(UsageError, match="no room for an encoder"):
        make(wanted(target="one.output", steps=0, budget=0.2), small(tmp_path), paths, tmp_path / "a", quiet)
