"""The tokeniser: BERT's own examples by hand, and text by text the same as Hugging Face's where that is installed."""

import importlib
import importlib.util
import random

import pytest

from hedgerow.adaptation.text.words import WordPiece, read_vocabulary
from hedgerow.errors import PeerError
from hedgerow.models.fetch.minilm import IDS, MASK

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "un",
    "##aff",
    "##able",
    "run",
    "##ning",
    ",",
    "e",
    "##a",
    "東",
    "$",
    "1",
    "##0",
]


@pytest.fixture
def words() -> WordPiece:
    return WordPiece(read_vocabulary("\n".join(PIECES).encode()))


def pieces(words: WordPiece, text: str, tokens_max: int = 100) -> list[str]:
    return [PIECES[number] for number in words.numbers(text, tokens_max=tokens_max)][1:-1]


def test_a_word_is_its_longest_pieces_from_the_left(words: WordPiece) -> None:
    assert pieces(words, "unaffable running") == ["un", "##aff", "##able", "run", "##ning"]
    assert pieces(words, "unaffab") == ["[UNK]"]


def test_letters_are_lowered_accents_dropped_and_marks_stand_alone(words: WordPiece) -> None:
    assert pieces(words, "Éa,$10\u200b\x00") == ["e", "##a", ",", "$", "1", "##0"]
    assert pieces(words, "run\u00a0東東\ue000") == ["run", "東", "東"]
    assert pieces(words, "e" * 101) == ["[UNK]"]


def test_a_text_is_cut_and_padded(words: WordPiece) -> None:
    assert pieces(words, "run run run run", tokens_max=4) == ["run", "run"]
    made = words.tensors(["run", "", "run run run run"], tokens=4)
    assert made[IDS].tolist() == [[2, 7, 3, 0], [2, 3, 0, 0], [2, 7, 7, 3]]
    assert made[MASK].tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]


@pytest.mark.parametrize("data", [b"", b"a\nb", b"\xff\xfe"])
def test_another_file_is_no_vocabulary(data: bytes) -> None:
    with pytest.raises(PeerError, match="vocabulary"):
        read_vocabulary(data)


@pytest.mark.skipif(importlib.util.find_spec("tokenizers") is None, reason="Hugging Face's tokenizers is not installed")
def test_it_agrees_with_another_implementation() -> None:
    tokenizers = importlib.import_module("tokenizers")
    letters = "abcxyzéüß東京 .,$'-\t\u00a0\u200b\u0301ΩД9"
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *"abcxyzß.,$'-9ωд東",
        *(f"##{each}" for each in "abcxyzß9ωд"),
        "ab",
        "##bc",
    ]
    numbers = {piece: number for number, piece in enumerate(vocabulary)}
    other = tokenizers.BertWordPieceTokenizer(numbers, lowercase=True)
    ours = WordPiece(numbers)
    chance = random.Random(3)
    for _ in range(2000):
        text = "".join(chance.choice(letters) for _ in range(chance.randrange(30)))
        assert ours.numbers(text, tokens_max=1000) == other.encode(text).ids, repr(text)
