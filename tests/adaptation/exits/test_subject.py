"""Every way to name a model and its pictures, and every refusal says what would be enough."""

from pathlib import Path

import numpy as np
import pytest

from hedgerow.adaptation.exits.frozen import Wish, candidates, check_counts, make_exits, task_tables
from hedgerow.adaptation.exits.settling import Promise
from hedgerow.adaptation.exits.subject import Pictures, classes_of, pictures_of, subject_of
from hedgerow.errors import UsageError
from hedgerow.models.graph import Graph
from tests.adaptation.exits.small_model import LABELS, model_bytes, write_pictures, write_task


def _quiet(text: str) -> None:
    pass


def test_a_model_of_a_task_file_a_file_alone_and_nothing(tmp_path: Path) -> None:
    task = write_task(tmp_path)
    found = subject_of(f"{task}:small", _quiet)
    assert (found.name, found.joints, found.labels) == ("small", ("one", "two"), LABELS)
    assert subject_of(str(task), _quiet) == found
    said: list[str] = []
    alone = subject_of(str(tmp_path / "small.onnx"), said.append)
    assert (alone.labels, alone.preparation.crop, classes_of(alone)) == ((), 24, 5)
    assert "as for ImageNet" in said[0]
    for wrong, match in (("nothing", "is no model"), (f"{task}:big", "has no model 'big'")):
        with pytest.raises(UsageError, match=match):
            subject_of(wrong, _quiet)


def test_pictures_with_and_without_classes(tmp_path: Path) -> None:
    subject = subject_of(str(write_task(tmp_path)), _quiet)
    plain = pictures_of(write_pictures(tmp_path / "plain", 12), subject, 5, _quiet)
    assert plain.labels is None
    assert len(plain.frames) == 12
    assert sorted(plain.fitting + plain.choosing + plain.named("calibrate", "judge")) == sorted(plain.frames)
    for name in ("cat", "ant"):
        write_pictures(tmp_path / "classes" / name, 2)
    labelled = pictures_of(tmp_path / "classes", subject, 5, _quiet)
    assert labelled.labels is not None
    assert {name.split("/")[0]: label for name, label in labelled.labels.items()} == {"ant": 0, "cat": 2}
    assert labelled.fingerprint != plain.fingerprint
    assert labelled.labels_of(["cat/p0000.png"]) == np.array([2])


def test_a_class_that_is_no_label_is_refused(tmp_path: Path) -> None:
    subject = subject_of(str(write_task(tmp_path)), _quiet)
    for name in ("cat", "zebra"):
        write_pictures(tmp_path / "classes" / name, 2)
    with pytest.raises(UsageError, match="class 'zebra' is none of the 5 labels"):
        pictures_of(tmp_path / "classes", subject, 5, _quiet)
    alone = subject_of(str(tmp_path / "small.onnx"), _quiet)
    with pytest.raises(UsageError, match="2 classes, but 'small' gives 5"):
        pictures_of(tmp_path / "classes", alone, 5, _quiet)


def test_an_empty_class_and_a_broken_picture_are_named(tmp_path: Path) -> None:
    subject = subject_of(str(write_task(tmp_path)), _quiet)
    write_pictures(tmp_path / "classes" / "cat", 2)
    (tmp_path / "classes" / "dog").mkdir()
    with pytest.raises(UsageError, match=r"no picture in .*dog"):
        pictures_of(tmp_path / "classes", subject, 5, _quiet)
    (write_pictures(tmp_path / "plain", 3) / "p0001.png").write_bytes(b"not a picture")
    with pytest.raises(UsageError, match=r"p0001\.png"):
        pictures_of(tmp_path / "plain", subject, 5, _quiet)
    with pytest.raises(UsageError, match="cifar10_jpeg"):
        pictures_of(tmp_path / "other.npz", subject, 5, _quiet)


def test_too_few_pictures_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    subject = subject_of(str(write_task(tmp_path)), _quiet)
    pictures = pictures_of(write_pictures(tmp_path / "plain", 100), subject, 5, _quiet)
    with pytest.raises(UsageError, match="299 are needed even without a disagreement: about 997 pictures"):
        make_exits(tmp_path / "out", subject, pictures, Wish(Promise(0.01)), _quiet)
    frames = {f"x{number}": np.zeros((2, 2, 3), np.uint8) for number in range(30)}
    with pytest.raises(UsageError, match="pictures to train on"):
        check_counts(Pictures(frames, None), Promise(0.6))


def test_candidate_joints_are_the_task_s_or_spread_over_the_depth(tmp_path: Path) -> None:
    subject = subject_of(str(write_task(tmp_path)), _quiet)
    graph = Graph.open(model_bytes())
    assert [cut.name for cut in candidates(graph, subject, ())] == ["one", "two"]
    assert [cut.name for cut in candidates(graph, subject, ["two"])] == ["two"]
    alone = subject_of(str(tmp_path / "small.onnx"), _quiet)
    spread = candidates(graph, alone, ())
    assert spread
    assert all(0.1 <= cut.work_before <= 0.9 for cut in spread)
    with pytest.raises(UsageError, match="no cut 'nowhere'"):
        candidates(graph, subject, ["nowhere"])


def test_the_task_that_exits_join_keeps_its_models_and_gets_their_joints(tmp_path: Path) -> None:
    subject = subject_of(str(write_task(tmp_path)), _quiet)
    head, models, labels = task_tables(subject, ["two", "three"], lambda path: path.name)
    assert head["labels"] == "labels.txt"
    assert labels == b"ant\nbee\ncat\ndog\nelk\n"
    assert models[0]["joints"] == ["one", "two", "three"]
    head, models, labels = task_tables(
        subject_of(str(tmp_path / "small.onnx"), _quiet), ["two"], lambda path: path.name
    )
    assert (head["reference"], models[0]["joints"], labels) == ("small", ["two"], None)
