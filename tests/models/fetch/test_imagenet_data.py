"""Photographs and class names: complete, checked, and read back as they were written."""

from pathlib import Path

import pytest
from PIL import Image

from hedgerow.errors import HostError, UsageError
from hedgerow.models.fetch.imagenet_data import (
    CLASS_NAMES,
    PHOTOGRAPHS,
    class_names_text,
    fetch_class_names,
    fetch_photographs,
    read_index,
)
from tests.models.fetch.wheels import only_from


def test_the_index_names_twenty_pictures_that_open(photographs: list[tuple[Path, int]]) -> None:
    assert len(photographs) == len(PHOTOGRAPHS.members) == 20
    for path, label in photographs:
        assert path.stem.endswith(f"_{label}")
        with Image.open(path) as picture:
            assert min(picture.size) >= 224


def test_photographs_already_there_are_not_fetched_again(
    photographs: list[tuple[Path, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_from(tmp_path, monkeypatch)
    directory = photographs[0][0].parent
    assert read_index(fetch_photographs(directory)) == photographs
    with pytest.raises(HostError):
        fetch_photographs(tmp_path / "empty")


def test_the_class_names_are_in_class_order(imagenet_task: Path) -> None:
    names = (imagenet_task.parent / "labels.txt").read_text().splitlines()
    assert len(names) == 1000
    # three whose place is common knowledge, one of them named twice in the list
    assert names[0].startswith("tench")
    assert names[243] == "bull mastiff"
    assert names[134] == names[517] == "crane"
    assert fetch_class_names(imagenet_task.parent / "labels.txt").is_file()


def test_class_names_are_joined_by_their_word_net_id() -> None:
    synsets, lemmas = CLASS_NAMES.members
    members = {synsets: b"n2\nn1\n", lemmas: b"n1\tone, 1\nn2\ttwo\nn3\tthree\n"}
    assert class_names_text(members) == "two\none, 1\n"


def test_an_index_of_ones_own_is_read(tmp_path: Path) -> None:
    index = tmp_path / "mine.csv"
    index.write_text("file,label\na.jpg,3\nsub/b.png,0\n")
    assert read_index(index) == [(tmp_path / "a.jpg", 3), (tmp_path / "sub/b.png", 0)]


@pytest.mark.parametrize("text", ["picture,label\na.jpg,3\n", "file,label\na.jpg,dog\n", "file,label\na.jpg\n"])
def test_a_malformed_index_is_refused(tmp_path: Path, text: str) -> None:
    index = tmp_path / "bad.csv"
    index.write_text(text)
    with pytest.raises(UsageError, match=r"bad\.csv is not a table"):
        read_index(index)


def test_a_missing_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_index(tmp_path / "none.csv")
