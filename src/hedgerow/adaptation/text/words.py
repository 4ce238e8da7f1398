"""Text to token numbers: the WordPiece scheme of BERT (Devlin et al. 2019), as MiniLM's vocabulary expects it.

Text is lower-cased, accents are dropped, punctuation stands alone, and each word is the fewest longest pieces of the
vocabulary, from the left; a word that no pieces make is unknown. An own few lines and no dependency: the vocabulary is all
that varies. The tests compare it, text by text, with Hugging Face's `tokenizers` where that is installed.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hedgerow.errors import PeerError
from hedgerow.models.fetch.minilm import IDS, MASK
from hedgerow.models.tensors import Tensors

VOCABULARY_MAX = 1_000_000
WORDS_KEPT_MAX = 200_000
WORD_CHARACTERS_MAX = 100  # a longer one is unknown, as in BERT
PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
_CONTINUED = "##"
_ASCII_WORDS = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_UNPRINTED = ("Cc", "Cf", "Co", "Cs")
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def read_vocabulary(data: bytes) -> dict[str, int]:
    """Piece -> number, from one piece a line; PeerError where it is no such list."""
    try:
        pieces = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise PeerError(f"the vocabulary is not UTF-8 text (byte {error.start}); fetch it again") from error
    numbers = {piece: number for number, piece in enumerate(pieces)}
    missing = [piece for piece in (PAD, UNKNOWN, START, END) if piece not in numbers]
    if missing or len(pieces) > VOCABULARY_MAX:
        raise PeerError(f"the vocabulary of {len(pieces)} pieces lacks {missing or 'a limit'}; it is another model's")
    return numbers


@dataclass(frozen=True, slots=True)
class WordPiece:
    """The tokeniser: `vocabulary` piece -> number. What a word came to is kept, as the same words come again."""

    vocabulary: Mapping[str, int]
    _kept: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)

    def numbers(self, text: str, *, tokens_max: int) -> list[int]:
        """[CLS] pieces [SEP], cut to `tokens_max` numbers (2 or more)."""
        found = [self.vocabulary[START]]
        for word in _words(text):
            found.extend(self._kept.get(word) or self._keep(word))
            if len(found) >= tokens_max:
                break
        return [*found[: tokens_max - 1], self.vocabulary[END]]

    def tensors(self, texts: Sequence[str], *, tokens: int) -> Tensors:
        """`input_ids` and `attention_mask`, both int64 (texts, tokens): padded on the right, 1 where a token stands."""
        ids = np.full((len(texts), tokens), self.vocabulary[PAD], np.int64)
        mask = np.zeros((len(texts), tokens), np.int64)
        for row, text in enumerate(texts):
            numbers = self.numbers(text, tokens_max=tokens)
            ids[row, : len(numbers)] = numbers
            mask[row, : len(numbers)] = 1
        return {IDS: ids, MASK: mask}

    def _keep(self, word: str) -> tuple[int, ...]:
        pieces = tuple(self._pieces(word))
        if len(self._kept) < WORDS_KEPT_MAX:
            self._kept[word] = pieces
        return pieces

    def _pieces(self, word: str) -> list[int]:
        if len(word) > WORD_CHARACTERS_MAX:
            return [self.vocabulary[UNKNOWN]]
        pieces: list[int] = []
        start = 0
        while start < len(word):
            prefix = _CONTINUED if start else ""
            for end in range(len(word), start, -1):
                number = self.vocabulary.get(prefix + word[start:end])
                if number is not None:
                    break
            else:
                return [self.vocabulary[UNKNOWN]]
            pieces.append(number)
            start = end
        return pieces


def _words(text: str) -> Iterator[str]:
    """Words and single marks, lower-cased and without accents."""
    if text.isascii() and text.isprintable():
        yield from (found.group() for found in _ASCII_WORDS.finditer(text.lower()))
        return
    cleaned = "".join(_spaced(character) for character in text)
    plain = unicodedata.normalize("NFD", cleaned.lower())
    for chunk in plain.split():
        word = ""
        for character in chunk:
            if unicodedata.category(character) == "Mn":
                continue
            if _is_mark(character):
                if word:
                    yield word
                yield character
                word = ""
            else:
                word += character
        if word:
            yield word


def _spaced(character: str) -> str:
    """The character, nothing for one that does not print, a space for white space, ideographs apart from each other."""
    code = ord(character)
    if character in "\t\n\r":
        return " "
    if code in (0, 0xFFFD) or unicodedata.category(character) in _UNPRINTED:
        return ""
    if any(first <= code <= last for first, last in _IDEOGRAPHS):
        return f" {character} "
    return " " if unicodedata.category(character) == "Zs" else character


def _is_mark(character: str) -> bool:
    """Punctuation, and every other sign of ASCII that is neither letter nor digit."""
    code = ord(character)
    ascii_sign = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_sign or unicodedata.category(character).startswith("P")
