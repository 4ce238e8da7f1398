"""Tasks: samples are checked whole, answers mean something, and a task's identity covers what decides an answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hedgerow.errors import EngineError, UsageError
from hedgerow.models.facts import model_facts
from hedgerow.models.preparation import Preparation
from hedgerow.models.task import Interpretation, Task, TaskModel
from tests.models.small_models import write_classifier, write_sum

HALF = (0.5, 0.5, 0.5)
PREPARATION = Preparation(1, 4, 4, "bilinear", 255.0, HALF, HALF)
FRAME = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def task_model(path: Path, *, name: str | None = None, preparation: Preparation | None = PREPARATION) -> TaskModel:
    found = model_facts(path)
    return TaskModel(name or path.stem, path, preparation, (), found.model_id, found.inputs, found.outputs)


@pytest.fixture
def pictures(tmp_path: Path) -> Task:
    """Two classifiers of three labels with one preparation."""
    models = tuple(task_model(write_classifier(tmp_path / f"m{seed}.onnx", seed=seed)) for seed in (0, 1))
    return Task("pets", "classification", models, "m1", ("cat", "dog", "hen"))


@pytest.fixture
def alone(tmp_path: Path) -> Task:
    """A model alone with three input tensors."""
    return Task.of_model(write_sum(tmp_path / "sum.onnx"))


def sums(batch: int = 1) -> dict[str, Any]:
    return {"a": np.ones((batch, 3), np.float32), "b": np.ones((batch, 3), np.float32), "count": np.array([4])}


def test_a_frame_a_picture_and_a_named_frame_are_the_same_sample(pictures: Task, tmp_path: Path) -> None:
    Image.fromarray(FRAME).save(tmp_path / "a.png")
    for value in (FRAME, {"frame": FRAME}, tmp_path / "a.png", str(tmp_path / "a.png")):
        sample = pictures.sample(value)
        assert list(sample) == ["frame"]
        np.testing.assert_array_equal(sample["frame"], FRAME)
    assert pictures.sample(FRAME)["frame"] is FRAME


def test_an_opened_model_answers_as_plain_numpy_does(pictures: Task) -> None:
    import onnx
    from onnx import numpy_helper

    model = pictures.model("m0")
    weight = numpy_helper.to_array(onnx.load(model.path).graph.initializer[0])
    expected = weight @ PREPARATION.prepare({"frame": FRAME})["input"].reshape(-1)
    with pictures.open("m0") as chain:
        outputs = chain.run(pictures.sample(FRAME)).tensors
    np.testing.assert_allclose(outputs["logits"][0], expected, rtol=1e-4, atol=1e-5)
    assert pictures.interpret(outputs).label == pictures.labels[int(expected.argmax())]


def test_a_bad_picture_is_refused(pictures: Task, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no")
    with pytest.raises(UsageError, match=r"a\.jpg is not a picture"):
        pictures.sample(tmp_path / "a.jpg")
    with pytest.raises(UsageError, match="must be uint8"):
        pictures.sample(FRAME.astype(np.float32))
    with pytest.raises(UsageError, match="not 'image'"):
        pictures.sample({"image": FRAME})


def test_named_tensors_of_any_batch_are_a_sample_of_a_model_alone(alone: Task) -> None:
    assert (alone.kind, alone.name, alone.reference) == ("tensors", "sum", "sum")
    for batch in (1, 5):
        given = sums(batch)
        taken = alone.sample(given)
        assert all(taken[name] is given[name] for name in given)
    assert [spec.name for spec in alone.inputs] == ["a", "b", "count"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"a": np.full((1, 3), np.nan, np.float32)}, "tensor 'a' holds NaN or infinite"),
        ({"b": np.full((1, 3), np.inf, np.float32)}, "tensor 'b' holds NaN or infinite"),
        ({"a": np.ones((1, 3))}, "tensor 'a' must be float32, not float64"),
        ({"a": np.ones((1, 4), np.float32)}, r"tensor 'a' must have shape \(batch, 3\), not \(1, 4\)"),
        ({"a": np.ones(3, np.float32)}, "tensor 'a' must have shape"),
        ({"a": np.ones((2, 3), np.float32)}, "has 1 along 'batch', another tensor has 2"),
        ({"a": np.ones((0, 3), np.float32)}, "tensor 'a' is empty"),
        ({"a": [[1.0, 2.0, 3.0]]}, "tensor 'a' must be a NumPy array, not list"),
        ({"count": np.array([4], np.int32)}, "tensor 'count' must be int64"),
        ({"c": np.ones(3)}, "expected the tensors 'a' float32 .*; given: 'a', 'b', 'c', 'count'"),
    ],
)
def test_wrong_tensors_are_refused_by_name(alone: Task, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        alone.sample(sums() | changes)


def test_a_model_alone_takes_no_picture_and_needs_names_for_several_tensors(alone: Task, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"takes tensors .* not a picture file"):
        alone.sample("photo.jpg")
    with pytest.raises(UsageError, match="give named tensors: 'a'"):
        alone.sample(np.ones((1, 3), np.float32))
    single = Task.of_model(write_classifier(tmp_path / "m.onnx"))
    taken = single.sample(np.ones((2, 3, 4, 4), np.float32))
    assert list(taken) == ["input"]


def test_joints_of_a_model_alone_are_kept(tmp_path: Path) -> None:
    task = Task.of_model(write_classifier(tmp_path / "m.onnx"), joints=("flat",))
    with task.open("m") as chain:
        assert len(chain.segments) == 3


def test_the_top_class_has_a_label_and_its_softmax_probability(pictures: Task) -> None:
    logits = np.array([[1.0, 3.0, 2.0]], np.float32)
    expected = np.exp(3) / (np.exp(1) + np.exp(3) + np.exp(2))
    found = pictures.interpret({"logits": logits})
    assert (found.label_index, found.label) == (1, "dog")
    assert found.confidence == pytest.approx(expected)
    huge = pictures.interpret({"logits": logits * 1e30})
    assert huge == Interpretation(1, "dog", 1.0)


def test_scores_that_are_probabilities_already_are_left_as_they_are(pictures: Task) -> None:
    found = pictures.interpret({"p": np.array([[0.1, 0.2, 0.7]], np.float32)})
    assert found.label == "hen"
    assert found.confidence == pytest.approx(0.7)


def test_the_scores_are_the_first_output_with_a_value_per_label(pictures: Task) -> None:
    outputs = {"features": np.ones((1, 9), np.float32), "logits": np.array([[5.0, 1.0, 0.0]], np.float32)}
    assert pictures.interpret(outputs).label == "cat"


def test_outputs_without_one_samples_scores_are_refused(pictures: Task) -> None:
    with pytest.raises(UsageError, match="no class scores among the outputs features"):
        pictures.interpret({"features": np.ones((1, 9), np.float32)})
    with pytest.raises(UsageError, match=r"one sample at a time .* \(2, 3\)"):
        pictures.interpret({"logits": np.ones((2, 3), np.float32)})
    with pytest.raises(EngineError, match="not finite"):
        pictures.interpret({"logits": np.array([[1.0, np.nan, 0.0]], np.float32)})


def test_tensors_have_no_label(alone: Task) -> None:
    assert alone.interpret({"sum": np.ones((1, 3), np.float32)}) == Interpretation(None, None, None)


def test_classes_agree_by_their_top_class(pictures: Task) -> None:
    one = {"logits": np.array([[1.0, 3.0, 2.0]], np.float32)}
    same = {"logits": np.array([[-9.0, 0.1, 0.0]], np.float32)}
    other = {"logits": np.array([[1.0, 3.0, 3.1]], np.float32)}
    assert pictures.agrees(one, same)
    assert not pictures.agrees(one, other)


@pytest.mark.parametrize(
    ("change", "agree"),
    [
        ({}, True),
        ({"sum": np.array([[100.0, 0.09, 0.0]], np.float32)}, True),
        ({"sum": np.array([[100.0, 0.2, 0.0]], np.float32)}, False),
        ({"sum": np.array([[100.0, np.nan, 0.0]], np.float32)}, False),
        ({"sum": np.array([[100.0, 0.0]], np.float32)}, False),
        ({"sum": np.array([[100.0, 0.0, 0.0]])}, False),
        ({"counted": np.array([5])}, False),
        ({"more": np.array([5])}, False),
    ],
)
def test_tensors_agree_within_a_thousandth_of_the_largest(alone: Task, change: dict[str, Any], agree: bool) -> None:
    outputs = {"sum": np.array([[100.0, 0.0, 0.0]], np.float32), "counted": np.array([4])}
    assert alone.agrees(outputs | change, outputs) is agree


def test_identity_covers_what_decides_an_answer_and_nothing_else(pictures: Task, tmp_path: Path) -> None:
    first, second = pictures.models
    moved = replace(first, path=write_classifier(tmp_path / "elsewhere.onnx"), joints=("flat",))
    same = Task("pets", "classification", (moved, second), "m1", ("cat", "dog", "hen"))
    assert same.task_id == pictures.task_id
    bicubic = replace(first, preparation=Preparation(1, 4, 4, "bicubic", 255.0, HALF, HALF))
    others = [
        Task("pets2", "classification", (first, second), "m1", pictures.labels),
        Task("pets", "classification", (first, second), "m0", pictures.labels),
        Task("pets", "classification", (second,), "m1", pictures.labels),
        Task("pets", "classification", (first, second), "m1", ("cat", "dog", "owl")),
        Task("pets", "classification", (bicubic, second), "m1", pictures.labels),
        Task("pets", "classification", (replace(first, model_id="0" * 64), second), "m1", pictures.labels),
    ]
    assert len({task.task_id for task in [pictures, *others]}) == 7


def test_a_task_that_does_not_hold_together_is_refused(pictures: Task, tmp_path: Path) -> None:
    first, second = pictures.models
    labels = pictures.labels
    with pytest.raises(UsageError, match="kind must be one of classification, tensors, not 'detection'"):
        Task("t", "detection", (first,), "m0")
    with pytest.raises(UsageError, match="two models named 'm0'"):
        Task("t", "classification", (first, first), "m0", labels)
    with pytest.raises(UsageError, match="no model 'm9'; it has m0, m1"):
        Task("t", "classification", (first, second), "m9", labels)
    with pytest.raises(UsageError, match="labels belong to kind 'classification'"):
        Task("t", "tensors", (first,), "m0", labels)
    with pytest.raises(UsageError, match="give all its models a preparation, or none"):
        Task("t", "classification", (first, replace(second, preparation=None)), "m0", labels)
    with pytest.raises(UsageError, match="model 'm0' has no output with one value for each of the 2 labels"):
        Task("t", "classification", (first,), "m0", labels[:2])
    with pytest.raises(UsageError, match="no model 'm9'"):
        pictures.open("m9")
    wide = task_model(write_sum(tmp_path / "wide.onnx", width=5), preparation=None)
    narrow = task_model(write_sum(tmp_path / "narrow.onnx"), preparation=None)
    with pytest.raises(UsageError, match=r"model 'wide' takes .* but the reference takes"):
        Task("t", "tensors", (narrow, wide), "narrow")


def test_a_preparation_that_does_not_fit_its_model_is_refused(tmp_path: Path) -> None:
    larger = write_classifier(tmp_path / "larger.onnx", side_px=5)
    with pytest.raises(UsageError, match=r"takes 'input' float32 \(batch, 3, 5, 5\), its preparation makes"):
        Task("t", "classification", (task_model(larger),), "larger")
    renamed = write_classifier(tmp_path / "renamed.onnx", input_name="picture")
    with pytest.raises(UsageError, match=r"set preparation\.input to the model's one input"):
        Task("t", "classification", (task_model(renamed),), "renamed")
    three = write_sum(tmp_path / "three.onnx")
    with pytest.raises(UsageError, match=r"set preparation\.input"):
        Task("t", "classification", (task_model(three),), "three")
