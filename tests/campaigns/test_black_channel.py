"""The attack on the safety layer: nothing wrong is accepted, each error meets its measures, and each check is needed."""

import json
from dataclasses import asdict

import pytest

from hedgerow.campaigns import black_channel
from hedgerow.campaigns.black_channel import Tally, attack
from hedgerow.campaigns.black_channel_errors import ERRORS, WRONG_FRAME
from hedgerow.wire import readers, seal
from hedgerow.wire.faults import Measure, reject
from hedgerow.wire.seal import Windows

EXPECTED = {
    # error: the measures that the safety layer's docstring names for it
    "corruption": {Measure.CHECKSUM, Measure.FORM},
    "repetition": {Measure.SEQUENCE},
    "order": {Measure.SEQUENCE, Measure.CHECKSUM},
    "loss": {Measure.SEQUENCE},
    "delay": {Measure.TIME_OF_LIFE, Measure.CHECKSUM},
    "insertion": {Measure.IDENTITY, Measure.SEQUENCE, Measure.CHECKSUM},
    "masquerade": {Measure.CHECKSUM, Measure.IDENTITY},
    "wrong_address": {Measure.IDENTITY, Measure.CHECKSUM},
}


def check(tally: Tally, count: int) -> None:
    assert (tally.tried, tally.wrong_accepted, tally.wrong) == (count, 0, [])
    assert tally.genuine_refused == 0
    assert tally.genuine >= count // 50
    assert set(tally.by_measure) == {measure.value for measure in Measure}  # all are used, and none is without a name
    assert sum(tally.by_measure.values()) + tally.harmless == count
    assert tally.harmless < count / 10
    for error, measures in EXPECTED.items():
        counts = tally.by_error[error]
        assert sum(counts.values()) >= count // len(ERRORS)
        assert {measure.value for measure in measures} <= set(counts), error


def test_nothing_wrong_is_accepted() -> None:
    check(attack(20_000), 20_000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_wrong_is_accepted_in_a_million() -> None:
    check(attack(1_000_000, seed=1), 1_000_000)


def check_wrong_frame(tally: Tally, count: int) -> None:
    assert (tally.tried, tally.wrong_accepted, tally.harmless, tally.genuine_refused) == (count, 0, 0, 0)
    assert sum(tally.by_measure.values()) == count
    assert set(tally.by_measure) == {"checksum", "identity", "sequence"}


def test_no_answer_to_another_frame_is_accepted() -> None:
    check_wrong_frame(attack(7000, among=WRONG_FRAME), 7000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_answer_to_another_frame_is_accepted_in_a_million() -> None:
    check_wrong_frame(attack(1_000_000, seed=1, among=WRONG_FRAME), 1_000_000)


def test_a_seed_repeats_the_attack_and_another_does_not() -> None:
    assert attack(1000, seed=4) == attack(1000, seed=4)
    assert attack(1000, seed=4) != attack(1000, seed=5)


@pytest.mark.parametrize(
    ("where", "check"),
    [
        (readers, "check_opening"),
        (readers, "check_content"),
        (readers, "check_part"),
        (readers, "check_ack"),
        (readers, "check_answer"),
        (Windows, "take"),
    ],
)
def test_the_attack_finds_each_check_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, where: object, check: str
) -> None:
    monkeypatch.setattr(where, check, lambda *_, **__: None)
    tally = attack(4000)
    assert tally.wrong_accepted > 0
    assert tally.wrong


@pytest.mark.parametrize("digest", ["answer_seal", "ack_seal", "opening_seal", "content_digest"])
def test_the_attack_finds_a_digest_that_does_not_cover_its_message(
    monkeypatch: pytest.MonkeyPatch, digest: str
) -> None:
    monkeypatch.setattr(seal, digest, lambda *_: b"the same for all")
    assert attack(4000).wrong_accepted > 0


def test_the_attack_finds_digests_of_parts_that_cover_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "prefix_digests", lambda _, ends: [b"the same for all"] * len(ends))
    assert attack(4000).wrong_accepted > 0


def test_the_attack_finds_a_reader_that_refuses_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise reject(Measure.CHECKSUM, "never right")

    monkeypatch.setattr(readers, "check_answer", refuse)
    assert attack(1000).genuine_refused > 0


def test_the_tally_is_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert black_channel.main(["800", "--seed", "2"]) == 0
    assert json.loads(capsys.readouterr().out) == asdict(attack(800, seed=2))
    assert black_channel.main(["70", "--wrong-frame"]) == 0
    assert list(json.loads(capsys.readouterr().out)["by_error"]) == ["wrong_frame"]
