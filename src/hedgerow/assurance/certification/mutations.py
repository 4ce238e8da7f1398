"""False certificates: one claim of a true one changed, all digests mended. A checker worth its name rejects every one."""

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from hedgerow.assurance.certification import document as d

Place = tuple[str | int, ...]
_NOT_CLAIMS = ("inputs", "digest")


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Every claim in a document's plain values: each leaf, and each list that is not empty."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if at or key not in _NOT_CLAIMS:
                yield from places(inner, (*at, key))
    elif isinstance(value, list):
        if value:
            yield at
        for number, inner in enumerate(value):
            yield from places(inner, (*at, number))
    else:
        yield at


def falsified(document: d.Document, random: Random) -> tuple[str, d.Document]:
    """One false certificate with its digest mended, and the kind of what was changed in it."""
    value = _plain(document)
    every = list(places(value))
    kinds = sorted({_kind(place) for place in every})
    kind = random.choice(kinds)  # each kind of field as often as any other
    while True:
        place = random.choice([each for each in every if _kind(each) == kind])
        changed = _plain(document)
        inner = changed
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = _false(inner[place[-1]], random)
        try:
            return kind, msgspec.convert(changed, d.Document).sealed()
        except msgspec.ValidationError:  # not even a document: try another way
            continue


def _plain(document: d.Document) -> Any:
    """Nested dicts and lists of one's own."""
    return msgspec.json.decode(msgspec.json.encode(document))


def _kind(place: Place) -> str:
    """A place without its numbers: "modes.lanes.streams.slack_ns"."""
    return ".".join(each for each in place if isinstance(each, str))


def _false(value: Any, random: Random) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + random.choice((-1, 1)) * random.choice((1, 1, max(1, value // 100), max(1, value)))
    if isinstance(value, str):
        return f"{value}?" if random.random() < 0.5 else value[:-1] if value else "?"
    if isinstance(value, list):
        if len(set(map(repr, value))) > 1 and random.random() < 0.3:
            return value[1:] + value[:1]
        return value[:-1] if random.random() < 0.5 else [*value, value[-1]]
    raise AssertionError(f"a document holds no {type(value).__name__}")
