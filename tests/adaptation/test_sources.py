import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hedgerow.adaptation import sources
from hedgerow.adaptation.parts import part_of
from hedgerow.errors import UsageError


def picture(path: Path, shade: int = 90, side: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (shade, shade, shade)).save(path)
    return path


def jpeg(shade: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (32, 32), (shade, 10, 10)).save(data, "JPEG")
    return data.getvalue()


def cifar(folder: Path, **changed: object) -> Path:
    parts = [jpeg(shade) for shade in (10, 200, 60, 120)]
    arrays: dict[str, object] = {"classes": np.array(["cat", "dog"])}
    for which in ("train", "test"):
        arrays[f"{which}_jpeg"] = np.frombuffer(b"".join(parts), np.uint8)
        arrays[f"{which}_sizes"] = np.array([len(part) for part in parts])
        arrays[f"{which}_labels"] = np.array([0, 1, 0, 1])
    np.savez(folder / sources.CIFAR_NAME, **(arrays | changed))  # type: ignore[arg-type]
    return folder


def test_photographs_are_read_by_stem_and_belong_to_parts(tmp_path: Path) -> None:
    for number in range(40):
        picture(tmp_path / "images" / f"{number:04}.png")
    paths = sources.photographs(tmp_path, print)
    parts = [sources.of_parts(paths, part) for part in ("train", "calibrate", "judge")]
    assert sorted(path for part in parts for path in part) == paths
    assert all(part_of(path.stem) == "judge" for path in parts[2])
    assert set(sources.frames(paths[:2])) == {"0000", "0001"}
    assert sources.judged(tmp_path, None, print) == parts[2]
    assert len(sources.judged(None, tmp_path / "images", print)) == 40


@pytest.mark.parametrize("needed", [1, 5])
def test_too_few_pictures_say_how_many_are_enough(tmp_path: Path, needed: int) -> None:
    with pytest.raises(UsageError, match="no picture in"):
        sources.picture_paths(tmp_path)
    picture(tmp_path / "a.png")
    if needed > 1:
        with pytest.raises(UsageError, match=r"there are 1 pictures in .*; at least 5 are needed"):
            sources.picture_paths(tmp_path, at_least=needed)


def test_a_damaged_picture_and_a_double_name_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(UsageError, match=r"bad\.jpg"):
        sources.frames(sources.picture_paths(tmp_path))
    picture(tmp_path / "bad.png")
    with pytest.raises(UsageError, match="two pictures called 'bad'"):
        sources.picture_paths(tmp_path)


def test_cifar_is_read_whole(tmp_path: Path) -> None:
    found = sources.cifar10(cifar(tmp_path), "train")
    assert found.names == ("train-00000", "train-00001", "train-00002", "train-00003")
    assert found.pictures.shape == (4, 32, 32, 3)
    assert abs(int(found.pictures[1, 0, 0, 0]) - 200) < 9
    assert found.take([1, 2]).labels.tolist() == [1, 0]
    assert sum(len(found.of(part).names) for part in ("train", "calibrate", "judge")) == 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_labels": np.array([0, 1, 0])}, "do not fit"),
        ({"train_labels": np.array([0, 1, 0, 7])}, "label 7 is none of the 2 classes"),
        ({"train_labels": np.array([0, 0, 0, 0])}, "class 'dog' has no picture"),
        ({"train_sizes": np.array([1, 1, 1, 1])}, "do not fit"),
        ({"train_jpeg": np.zeros(2588, np.uint8)}, "do not fit|not a picture"),
    ],
)
def test_a_wrong_cifar_is_refused(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sources.cifar10(cifar(tmp_path, **changed), "train")


def test_a_missing_or_foreign_cifar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data"):
        sources.cifar10(tmp_path, "test")
    (tmp_path / sources.CIFAR_NAME).write_bytes(b"something else")
    with pytest.raises(UsageError, match="not the expected file"):
        sources.cifar10(tmp_path, "test")


def test_folders_of_classes_and_a_table_say_the_same(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        picture(tmp_path / name / f"{name}1.png")
    rows, classes = sources.labelled_folder(tmp_path)
    assert classes == ("cat", "dog")
    for encoding in ("utf-8", "utf-8-sig"):  # some programs put a mark in front
        (tmp_path / "labels.csv").write_text("file,label\ncat/cat1.png,cat\ndog/dog1.png,dog\n", encoding=encoding)
        assert sources.labelled_folder(tmp_path) == (rows, classes)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,class\na.png,1\n", "columns file,label"),
        ("file,label\na.png,1\na.png,2\n", "line 3: 'a.png' is named twice"),
        ("file,label\nb.png,1\n", "there is no picture 'b.png'"),
        ("file,label\na.png,\n", "has no label"),
        ("file,label\na.png,1\n", "at least two"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, table: str, message: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(UsageError, match=message):
        sources.labelled_folder(tmp_path)


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    with pytest.raises(UsageError, match="1 folders"):
        sources.labelled_folder(tmp_path)
    (tmp_path / "dog").mkdir()
    with pytest.raises(UsageError, match=r"no picture in .*dog"):
        sources.labelled_folder(tmp_path)


def test_the_folder_of_data_is_remembered_while_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_HOME", str(tmp_path / "home"))
    assert sources.remembered() is None
    data = tmp_path / "data"
    data.mkdir()
    sources.remember(data)
    assert sources.remembered() == data
    data.rmdir()
    assert sources.remembered() is None
