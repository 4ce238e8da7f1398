"""Texts and their classes: tables are read whole or refused with the line, and unseen texts are halved by their letters."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hedgerow.adaptation.text import sources
from hedgerow.adaptation.text.sources import Texts, check_training, halves, parse_table, read_tables
from hedgerow.errors import UsageError
from hedgerow.models.fetch.packages import Parcel
from tests.adaptation.text import small

HEAD = "Category\tText\nd\tstring\nclass\t\n"


def table(*rows: tuple[str, str]) -> bytes:
    return (HEAD + "".join(f"{label}\t{text}\n" for label, text in rows)).encode()


def test_a_table_is_read() -> None:
    found = parse_table(table(("b", "one two"), ("a", "three"), ("b", "four")), "x.tab")
    assert found.classes == ("a", "b")
    assert found.labels.tolist() == [1, 0, 1]
    assert found.texts == ("one two", "three", "four")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not a .tab table"),
        (b"\x89PNG\r\n\x1a\n\xff", "not text in UTF-8"),
        (b"file,label\na.jpg,1\nb,2\nc,3\n", "is not a .tab table with the columns Category and Text"),
        (HEAD.encode(), "holds 0 texts"),
        (table(("a", "x")) + b"only\n", "line 5: 1 columns instead of 2"),
        (table(("a", "x"), ("", "y")), "line 5: it has no class"),
        (table(("a", "x"), ("b", " ")), "line 5: it has no text"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_table(data, "x.tab")


def test_a_class_that_was_not_trained_is_refused_with_its_line() -> None:
    with pytest.raises(UsageError, match=r"line 5: the class 'c' is none of the 2 classes"):
        parse_table(table(("a", "x"), ("c", "y")), "x.tab", classes=("a", "b"))


def test_an_empty_class_is_refused() -> None:
    with pytest.raises(UsageError, match="the class 'b' has no text"):
        parse_table(table(("a", "x")), "x.tab", classes=("a", "b"))


def test_a_file_of_labels_fixes_the_order_and_must_fit(tmp_path: Path) -> None:
    (tmp_path / "train.tab").write_bytes(table(("a", "x"), ("b", "y")))
    (tmp_path / "labels.txt").write_text("b\na\n")
    train, unseen = read_tables(tmp_path / "train.tab", tmp_path / "train.tab", tmp_path / "labels.txt")
    assert train.classes == unseen.classes == ("b", "a")
    (tmp_path / "labels.txt").write_text("b\nsomething else\n")
    with pytest.raises(UsageError, match="the class 'a' is none of the 2 classes"):
        read_tables(tmp_path / "train.tab", tmp_path / "train.tab", tmp_path / "labels.txt")
    (tmp_path / "labels.txt").write_text("b\nb\n")
    with pytest.raises(UsageError, match="none of them empty or twice"):
        read_tables(tmp_path / "train.tab", tmp_path / "train.tab", tmp_path / "labels.txt")
    with pytest.raises(UsageError, match="there is no table"):
        read_tables(tmp_path / "none.tab", tmp_path / "train.tab")


def test_a_class_of_few_texts_says_how_many_would_be_enough() -> None:
    few = Texts(("x",) * 25, np.array([0] * 22 + [1] * 3), ("a", "b"))
    with pytest.raises(UsageError, match="the class 'b' has 3 texts; 20 of each class would be enough"):
        check_training(few, "the table")
    with pytest.raises(UsageError, match="knows one class"):
        check_training(Texts(("x",), np.array([0]), ("a",)), "the table")


def test_halves_depend_on_the_letters_alone() -> None:
    texts = small.texts(400)
    one, other = halves(texts)
    turned = halves(texts.take(np.arange(400)[::-1]))
    assert len(one.texts) + len(other.texts) == 400
    assert 150 < len(one.texts) < 250
    assert set(one.texts) == set(turned[0].texts)
    assert not set(one.texts) & set(other.texts)


def test_what_was_fetched_is_kept_and_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEDGEROW_HOME", str(tmp_path))
    asked: list[str] = []

    def obtain(parcel: Parcel) -> dict[str, bytes]:
        asked.append(parcel.package)
        return {"in/vocab.txt": b"words"}

    monkeypatch.setattr(sources, "obtain", obtain)
    parcel = Parcel("some", "1", {"in/vocab.txt": hashlib.sha256(b"words").hexdigest()}, "none")
    say: Callable[[str], None] = lambda _text: None  # noqa: E731
    assert sources._fetched(parcel, say) == sources._fetched(parcel, say) == {"in/vocab.txt": b"words"}
    assert asked == ["some"]
    (tmp_path / "adapted" / "fetched" / "some" / "vocab.txt").write_bytes(b"wor")
    assert sources._fetched(parcel, say) == {"in/vocab.txt": b"words"}
    assert asked == ["some", "some"]
