"""A profile judged as evidence: this machine's or another's, old or new, with samples enough or not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hedgerow.doctor.evidence import evidence
from hedgerow.doctor.findings import Finding, Level
from hedgerow.profiling import Profile
from hedgerow.profiling.times import Times, times
from tests.device.small import dense_task, profile_of

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    made = profile_of(dense_task(tmp_path_factory.mktemp("task")))
    enough = times([1000] * 1000)
    return msgspec.structs.replace(
        made, quick=False, inputs="pictures", made=NOW.isoformat(), timer_lateness=enough, cancellation=enough,
        delivery=enough, crossings=()
    )  # fmt: skip


def judged(profile: Profile, **changed: object) -> dict[str, Finding]:
    known = msgspec.structs.replace(profile, **changed)
    return {each.name: each for each in evidence(known, profile.machine, NOW)}


def test_a_good_profile_is_in_order(profile: Profile) -> None:
    told = judged(profile)
    assert set(told) == {"profile's machine", "profile's age", "profile's samples"}
    assert {each.level for each in told.values()} == {Level.OK}


@pytest.mark.parametrize(
    ("field", "value", "level"),
    [("processor", "another", Level.DANGER), ("cores", 96, Level.DANGER), ("onnxruntime", "0.1", Level.WARN)],
)
def test_another_machine_is_told(profile: Profile, field: str, value: object, level: Level) -> None:
    finding = judged(profile, machine=msgspec.structs.replace(profile.machine, **{field: value}))["profile's machine"]
    assert finding.level is level
    assert f"{field} {value}, here" in finding.seen


@pytest.mark.parametrize(
    ("days", "level", "seen"),
    [(29, Level.OK, "29 days"), (40, Level.WARN, "40 days"), (-3, Level.WARN, "in the future")],
)
def test_its_age_is_told(profile: Profile, days: int, level: Level, seen: str) -> None:
    finding = judged(profile, made=(NOW - timedelta(days=days)).isoformat())["profile's age"]
    assert finding.level is level
    assert seen in finding.seen


def test_a_time_that_is_none_is_told(profile: Profile) -> None:
    assert judged(profile, made="yesterday")["profile's age"].level is Level.WARN


def test_too_few_samples_are_named_and_counted(profile: Profile) -> None:
    finding = judged(profile, timer_lateness=times([5] * 300))["profile's samples"]
    assert finding.level is Level.WARN
    assert "1 of" in finding.seen
    assert "timer lateness: 300" in finding.seen


@pytest.mark.parametrize(("delivery", "count"), [(None, 0), (times([5] * 40), 40)])
def test_deliveries_count_too(profile: Profile, delivery: Times | None, count: int) -> None:
    finding = judged(profile, delivery=delivery)["profile's samples"]
    assert finding.level is Level.WARN
    assert f"(delivery: {count})" in finding.seen


def test_quick_and_generated_are_told(profile: Profile) -> None:
    told = judged(profile, quick=True, inputs="generated")
    assert told["profile kind"].level is Level.WARN
    assert told["profile inputs"].level is Level.INFO


def test_a_saved_profile_reads_back_as_the_same_evidence(profile: Profile, tmp_path: Path) -> None:
    profile.save(tmp_path / "profile.json")
    assert list(evidence(Profile.load(tmp_path / "profile.json"), profile.machine, NOW)) == list(
        evidence(profile, profile.machine, NOW)
    )
