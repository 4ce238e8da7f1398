"""The checker accepts what was proven and rejects every claim that was falsified, digests mended."""

from random import Random

import msgspec
import pytest

from hedgerow.assurance.certification import checker
from hedgerow.assurance.certification import document as d
from hedgerow.assurance.certification.mutations import falsified, places
from hedgerow.assurance.certification.proving import prove
from hedgerow.assurance.certification.random_sets import large_set
from tests.assurance.certification.examples import inputs


def proven(given: d.Inputs | None = None) -> d.Document:
    document = prove(given or inputs()).document
    assert document is not None
    return document


def certified(count: int) -> list[d.Document]:
    """The first random sets that are certified."""
    found: list[d.Document] = []
    seed = 0
    while len(found) < count:
        document = prove(large_set(Random(seed))).document
        found += [document] if document else []
        seed += 1
    return found


def test_what_was_proven_is_accepted() -> None:
    for document in (proven(), *certified(12)):
        assert checker.check(document) == []


def test_every_leaf_of_every_claim_matters() -> None:
    """Each claim, one by one, made one more, one less, or another word."""
    document = proven()
    plain = msgspec.json.decode(msgspec.json.encode(document))
    tried = 0
    for place in places(plain):
        for change in (1, -1):
            changed = msgspec.json.decode(msgspec.json.encode(document))
            inner = changed
            for step in place[:-1]:
                inner = inner[step]
            value = inner[place[-1]]
            if isinstance(value, bool):
                inner[place[-1]] = not value
            elif isinstance(value, int):
                inner[place[-1]] = value + change
            elif isinstance(value, str):
                inner[place[-1]] = value + "!" * change if change > 0 else value[1:]
            else:
                inner[place[-1]] = value[:-1] if change > 0 else [*value, value[0]]
            false = msgspec.convert(changed, d.Document).sealed()
            assert checker.check(false), f"accepted with another {place}"
            tried += 1
    assert tried > 200


def test_random_falsehoods_in_random_certificates_are_rejected() -> None:
    random = Random(5)
    for document in certified(12):
        for _ in range(12):
            kind, false = falsified(document, random)
            assert false != document
            assert checker.check(false), f"accepted with another {kind}"


def test_minus_one_is_no_way_around_it() -> None:
    """A figure that stands in for "wrong" must not be what is claimed."""
    document = proven()
    plain = msgspec.json.decode(msgspec.json.encode(document))
    for key in ("slack_ns", "extra_blocking_ns"):
        for value in (-1, 0, -(10**12), 10**12):
            changed = msgspec.json.decode(msgspec.json.encode(plain))
            changed["modes"][0]["lanes"][0]["streams"][0][key] = value
            assert checker.check(msgspec.convert(changed, d.Document).sealed())


def test_another_digest_is_rejected() -> None:
    false = msgspec.structs.replace(proven(), digest="0" * 64)
    assert checker.check(false) == ["digest does not follow from the inputs"]


@pytest.mark.parametrize("word", ['name = "front"', "deadline_ms = 90", "period_ms = 200", "keep_every = 2"])
def test_another_streams_text_does_not_bear_the_old_claims(word: str) -> None:
    document = proven()
    text = document.inputs.streams.replace(word, word.replace("front", "rear").replace("0", "9").replace("= 2", "= 3"))
    given = msgspec.structs.replace(document.inputs, streams=text)
    false = msgspec.structs.replace(document, inputs=given, streams_sha256=d.text_digest(text)).sealed()
    assert checker.check(false)


def test_the_checker_shares_no_code_with_the_analysis() -> None:
    import ast
    from pathlib import Path

    path = Path(checker.__file__)
    assert len(path.read_text().splitlines()) < 200
    named = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    own = {module for module in named if module and module.startswith("hedgerow")}
    assert own == {"hedgerow.assurance.certification", "hedgerow.assurance.certification.streams", "hedgerow.errors"}
