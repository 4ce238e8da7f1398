"""Task files: a good one loads, and everything wrong in one is named with file and key."""

from pathlib import Path

import pytest

from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.models.task_file import FILE_BYTES_MAX
from tests.models.small_models import write_classifier

TEXT = """\
[task]
name = "pets"
kind = "classification"
reference = "large"
labels = "labels.txt"

[[model]]
name = "small"
file = "small.onnx"
joints = ["flat"]
[model.preparation]
version = 1
resize_shorter = 5
crop = 4
interpolation = "bilinear"
scale = 255
mean = [0, 0, 0]
std = [1, 1, 1]
layout = "NCHW"

[[model]]
name = "large"
file = "sub/large.onnx"
[model.preparation]
version = 1
resize_shorter = 8
crop = 6
interpolation = "bicubic"
scale = 1.0
mean = [0.5, 0.5, 0.5]
std = [1.0, 2.0, 1.0]
layout = "NCHW"
"""


@pytest.fixture
def task_path(tmp_path: Path) -> Path:
    write_classifier(tmp_path / "small.onnx")
    (tmp_path / "sub").mkdir()
    write_classifier(tmp_path / "sub" / "large.onnx", side_px=6)
    (tmp_path / "labels.txt").write_text("cat\ndog\nhérisson\n", encoding="utf-8")
    path = tmp_path / "task.toml"
    path.write_text(TEXT)
    return path


def test_a_good_file_loads(task_path: Path) -> None:
    task = Task.load(task_path)
    assert (task.name, task.kind, task.reference) == ("pets", "classification", "large")
    assert task.labels == ("cat", "dog", "hérisson")
    assert [(model.name, model.joints) for model in task.models] == [("small", ("flat",)), ("large", ())]
    assert task.model("large").path == task_path.parent / "sub" / "large.onnx"
    large = task.model("large").preparation
    assert large is not None
    assert (large.crop, large.std) == (6, (1.0, 2.0, 1.0))
    assert Task.load(str(task_path)).task_id == task.task_id


def test_labels_and_preparations_may_be_left_out(task_path: Path) -> None:
    path = task_path.parent / "plain.toml"
    path.write_text(
        '[task]\nname="t"\nkind="tensors"\nreference="m"\n[[model]]\nname="m"\nfile="small.onnx"\n', encoding="utf-8"
    )
    task = Task.load(path)
    assert task.labels == ()
    assert [spec.name for spec in task.inputs] == ["input"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "pets"', "name = pets", r"not valid TOML: .*line 2"),
        ('name = "pets"', "", r"\[task\]: 'name' is missing"),
        ('reference = "large"', "", r"\[task\]: 'reference' is missing"),
        ('name = "pets"', 'name = ""', r"\[task\]: 'name' must be a text"),
        ('name = "pets"', "name = 3", r"\[task\]: 'name' must be a text, not 3"),
        ('name = "pets"', 'name = "../pets"', "'name' must be 1 to 64 letters"),
        ('name = "pets"', 'name = "pets"\ncolour = 1', r"\[task\]: unknown key 'colour'; known: name, kind"),
        ("[task]", "[tasks]", "unknown key 'tasks'"),
        ("[task]", "[[task]]", r"the table \[task\] is missing"),
        ('kind = "classification"', 'kind = "detection"', "kind must be one of"),
        ('reference = "large"', 'reference = "huge"', "no model 'huge'; it has small, large"),
        ('name = "large"', 'name = "small"', "two models named 'small'"),
        ('file = "small.onnx"', 'file = "none.onnx"', r"model 'small': cannot read the model .*none\.onnx: No such"),
        ('file = "small.onnx"', 'file = "labels.txt"', r"model 'small': .*labels\.txt"),
        ('file = "small.onnx"', 'file = "a\\u0000b"', "'file' must be a text"),
        ('file = "small.onnx"', 'path = "small.onnx"', r"\[\[model\]\] number 1: unknown key 'path'"),
        ('joints = ["flat"]', 'joints = "flat"', "'joints' must be a list of cut names, not 'flat'"),
        ('joints = ["flat"]', "joints = [1]", "'joints' must be a list of cut names"),
        (
            "[model.preparation]\nversion = 1\nresize_shorter = 5",
            "[model.preparation]",
            "'version', 'resize_shorter' are missing",
        ),
        ("crop = 4", "crop = 9", r"model 'small': preparation: 'crop' \(9\) must not exceed"),
        ("crop = 4", "crop = 3", "model 'small' takes .* its preparation makes"),
        ("crop = 4", "crop = 4\ncroop = 3", "model 'small': preparation: unknown key 'croop'"),
        ('labels = "labels.txt"', 'labels = "none.txt"', r"\[task\]: cannot read labels .*none\.txt"),
        ('labels = "labels.txt"', 'labels = ["cat"]', "'labels' must be a text"),
        ('labels = "labels.txt"', 'labels = "small.onnx"', "are not UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_by_file_and_key(task_path: Path, old: str, new: str, said: str) -> None:
    assert old in TEXT
    task_path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(UsageError, match=f"task.toml.*{said}") as caught:
        Task.load(task_path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(f"{task_path}: ") <= 1


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("cat\ndog\n", "no output with one value for each of the 2 labels"),
        ("", r"labels\.txt has 0 lines"),
        ("cat\n\nhen\n", r"labels\.txt has an empty line 2"),
    ],
)
def test_labels_that_do_not_fit_are_refused(task_path: Path, labels: str, said: str) -> None:
    (task_path.parent / "labels.txt").write_text(labels)
    with pytest.raises(UsageError, match=said):
        Task.load(task_path)


def test_a_model_that_is_not_a_table_is_refused(task_path: Path) -> None:
    head = TEXT.split("[[model]]")[0]
    for entries, said in (
        ("", "needs 1 to 64 tables"),
        ("model = []\n", "needs 1"),
        ("model = [3]\n", "must be a table"),
    ):
        task_path.write_text(entries + head)
        with pytest.raises(UsageError, match=said):
            Task.load(task_path)


def test_a_file_that_cannot_be_a_task_is_refused(task_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the task file .*none\.toml: No such file"):
        Task.load(task_path.parent / "none.toml")
    with pytest.raises(UsageError, match="cannot read the task file"):
        Task.load(task_path.parent)
    task_path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"not a TOML file in UTF-8 \(byte 0\)"):
        Task.load(task_path)
    task_path.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(UsageError, match="at most"):
        Task.load(task_path)
    task_path.write_text("a = " + "[" * 5000)
    with pytest.raises(UsageError, match="not valid TOML"):
        Task.load(task_path)


def test_the_fetched_task_loads(imagenet_task: Path) -> None:
    task = Task.load(imagenet_task)
    assert [model.name for model in task.models] == ["mobilenet-v2", "efficientnet-lite2"]
    assert task.reference == "efficientnet-lite2"
    assert len(task.labels) == 1000
