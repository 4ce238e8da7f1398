"""A certificate on its way to the run time: what governs, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from hedgerow.assurance.certification import document as d
from hedgerow.assurance.certification import load
from hedgerow.assurance.certification.inputs import inputs_of
from hedgerow.assurance.certification.proving import prove
from hedgerow.core.records import MS, Criticality
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.planning import arm_table, every_arm
from hedgerow.profiling import Profile
from tests.assurance.certification.examples import STREAMS, inputs
from tests.profiling.conftest import picture_profile, picture_task, tensor_task

__all__ = ["picture_profile", "picture_task", "tensor_task"]

FOR_PICTURES = """
format = 1
[[stream]]
name = "front"
period_ms = 5000
deadline_ms = 4000
capture_delay_ms = 20
jitter_ms = 5
criticality = "safety"
reserves = ["small"]
safe_value = [1, 2]
[[lane]]
name = "cpu"
margin_share = 0.5
"""


def certificate(path: Path, given: d.Inputs) -> Path:
    document = prove(given).document
    assert document is not None
    document.save(path)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return certificate(tmp_path / "cert.json", inputs())


def test_what_governs_is_what_was_proven(file: Path) -> None:
    found = load(file)
    governing = found.governing()
    assert governing.digest == found.digest
    front, side, background = governing.streams
    assert (front.period_ns, front.deadline_ns, front.capture_delay_ns) == (100 * MS, 90 * MS, 5 * MS)
    assert front.has_safe_value
    assert front.criticality is Criticality.SAFETY
    assert background.criticality is Criticality.BACKGROUND
    nominal, slow, safe = governing.modes
    assert [mode.name for mode in governing.modes] == ["nominal", "slow", "safe"]
    assert nominal.allowance("front").reserves == ("small",)
    assert nominal.allowance("side").reserves == ("small", "big")
    assert nominal.allowance("map").reserves == ()
    assert slow.allowance("side").keep_every == 2
    assert slow.allowance("side").reserves == ("small",)
    assert safe.allowance("front").reserves == ()
    assert nominal.blocking_ns("cpu") == 24 * MS
    assert found.safe_values == {"front": "stop"}
    assert found.margins.timer_ns == round(found.document.inputs.timer.p999_ns * 1.1)
    assert found.margins.deliver_ns == 2 * MS
    assert side.name == "side"


@pytest.mark.parametrize(
    ("delivery", "certified_ms"),
    [
        (None, 2.0),
        (d.Measured(1000, MS, MS, 9 * MS), 1.1),
        (d.Measured(60, MS, MS, MS), 2.0),
        (d.Measured(60, MS, 4 * MS, 4 * MS), 6.0),
    ],
)
def test_deliveries_count_as_they_were_measured(
    tmp_path: Path, delivery: d.Measured | None, certified_ms: float
) -> None:
    file = certificate(tmp_path / "cert.json", msgspec.structs.replace(inputs(), deliver=delivery))
    assert load(file).margins.deliver_ns == round(certified_ms * MS)


def test_a_file_that_was_saved_reads_the_same(file: Path) -> None:
    document = prove(inputs()).document
    assert load(file).document == document


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-40], "not a whole certificate"),
        (lambda text: "", "not a whole certificate"),
        (lambda text: "[1, 2]", "is not a certificate"),
        (lambda text: "{}", "is not a certificate"),
        (lambda text: text.replace('"format": 1', '"format": 2', 1), "format 2"),
        (lambda text: text.replace('"slack_ns"', '"slack"'), "damaged"),
        (lambda text: text.replace('"moments":', '"remark": "trust me", "moments":'), "unknown field"),
        (lambda text: text.replace('"feasible"', '"certain"'), "was altered"),
        (lambda text: text.replace("deadline_ms = 90", "deadline_ms = 95"), "was altered"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(file: Path, change: object, words: str) -> None:
    assert callable(change)
    before = file.read_text()
    after = change(before)
    assert after != before
    file.write_text(after)
    with pytest.raises(UsageError, match=words) as told:
        load(file)
    assert "\n" not in str(told.value)


def test_a_false_claim_with_a_mended_digest_is_refused(file: Path) -> None:
    document = msgspec.json.decode(file.read_bytes(), type=d.Document)
    false = msgspec.structs.replace(document, margins=d.MarginsClaim(1, 1, 1)).sealed()
    false.save(file)
    with pytest.raises(UsageError, match="claims what does not hold: margins"):
        load(file)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no certificate"):
        load(tmp_path / "none.json")
    with pytest.raises(UsageError, match="folder"):
        load(tmp_path)


def test_a_certificate_fits_its_own_profile_task_and_device_only(
    picture_profile: Profile, picture_task: Task, tensor_task: Task, tmp_path: Path
) -> None:
    found = load(certificate(tmp_path / "cert.json", inputs_of(FOR_PICTURES, picture_profile)))
    table = found.scale(arm_table(picture_profile, picture_task))
    found.check(picture_profile, picture_task, 1.0, 1, table)
    found.check(picture_profile, picture_task, 1.0, 1, found.scale(every_arm(picture_profile)))
    other = msgspec.structs.replace(picture_profile, made="2020-01-01T00:00:00+00:00")
    elsewhere = load(certificate(tmp_path / "far.json", _on_another_machine(picture_profile)))
    slower = found.scale(found.scale(table))
    for wrong, profile, task, factor, arms, words in (
        (found, picture_profile, tensor_task, 1.0, table, "certifies task"),
        (found, other, picture_task, 1.0, table, "was made from the profile of"),
        (found, picture_profile, picture_task, 2.0, table, "device_factor"),
        (found, picture_profile, picture_task, 1.0, slower, "bounds above"),
        (elsewhere, picture_profile, picture_task, 1.0, table, "holds on another processor"),
    ):
        with pytest.raises(UsageError, match=words) as told:
            wrong.check(profile, task, factor, 1, arms)
        assert "\n" not in str(told.value)


def _on_another_machine(profile: Profile) -> d.Inputs:
    given = inputs_of(FOR_PICTURES, profile)
    source = msgspec.structs.replace(given.profile, processor="another processor")
    return msgspec.structs.replace(given, profile=source)


def test_bounds_are_those_of_the_arm_table(picture_profile: Profile) -> None:
    """Two ways from the same profile to the same bounds: the planner's table, scaled, and the certificate's inputs."""
    document = prove(inputs_of(FOR_PICTURES.replace("0.5", "0.5\ndevice_factor = 3"), picture_profile)).document
    assert document is not None
    from hedgerow.assurance.certification.certificate_file import CertificateFile
    from hedgerow.assurance.certification.streams import parse_streams
    from hedgerow.planning.arms import Tiers

    file = CertificateFile("-", document, parse_streams(document.inputs.streams))
    table = file.scale(every_arm(picture_profile, tiers=Tiers(3.0)))
    assert {(each.model, each.segment_ns, each.tail_ns) for each in document.bounds} == {
        (each.name, each.segment_bound_ns, each.tail_bound_ns) for each in table.locals
    }
    assert {each.arm for each in document.holds} == {arm.name for arm in table.arms}


def test_the_file_is_readable_json(file: Path) -> None:
    found = json.loads(file.read_text())
    assert found["verdict"] == "feasible"
    assert found["inputs"]["streams"] == STREAMS
    assert max(map(len, file.read_text().splitlines())) < 2000
    assert replace(load(file), path="x").path == "x"
