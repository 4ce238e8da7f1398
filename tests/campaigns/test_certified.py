"""Certified streams on trial: what is declared can be certified, and lateness is only excused by what a journal shows."""

import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from hedgerow.assurance.certification.inputs import inputs_of
from hedgerow.assurance.certification.proving import prove
from hedgerow.assurance.rows import Timed
from hedgerow.campaigns.certified import Found, certify, judge, run_certified, streams_text
from hedgerow.campaigns.device import Kept, Offered, timed
from hedgerow.core.records import MS
from hedgerow.device.session import Session
from hedgerow.errors import HostError
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.device.small import dense_task, profile_of, tagged


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return dense_task(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module")
def profile(task: Task) -> Profile:
    return profile_of(task)


def test_the_tightest_bearable_streams_are_certified(profile: Profile, tmp_path: Path) -> None:
    certificate = certify(profile, tmp_path, "tiny")
    assert [each.name for each in certificate.declared.streams] == ["front", "side", "rear"]
    assert [each.name for each in certificate.governing().modes] == ["nominal", "half rate", "stop"]
    assert prove(inputs_of(streams_text(profile, "tiny", 1.0), profile)).document is None


def test_a_profile_that_bears_no_three_streams_is_told(profile: Profile, tmp_path: Path) -> None:
    slow = profile.timer_lateness
    busy = replace_times(profile, slow.p999_ns * 1_000)
    with pytest.raises(HostError, match="too busy"):
        certify(busy, tmp_path, "tiny")


def replace_times(profile: Profile, timer_ns: int) -> Profile:
    """The same with timers so late."""
    late = msgspec.structs.replace(profile.timer_lateness, p999_ns=timer_ns, max_ns=timer_ns)
    return msgspec.structs.replace(profile, timer_lateness=late)


def offered(session: Session, count: int, *, hold_s: float = 0.0) -> list[Timed]:
    """So many samples of the front stream; each hears of its answer only after `hold_s`."""
    stream, rows = Offered("front", "safety", 1.0, 1.0), []
    for number in range(count):
        captured = time.monotonic_ns()
        future = session.submit(tagged(number), stream="front", captured_at=captured / 1e9)
        if hold_s:
            future.add_done_callback(lambda _: time.sleep(hold_s))
        answer = future.result()
        kept = Kept(replace(stream, deadline_ms=answer.deadline_ms), number, captured, future, time.monotonic_ns(), 1)
        rows.append(timed(number, kept, kept.told_ns))
        time.sleep(0.02)
    return rows


def judged(task: Task, profile: Profile, folder: Path, late_ms: float = 0.0, hold_s: float = 0.0) -> Found:
    """What is found of a short real run whose rows are told `late_ms` after their deadline (0: as they were)."""
    certificate = certify(profile, folder, "tiny")
    with Session(
        task,
        profile=profile,
        certificate=certificate,
        journal=folder / "journal",
        watch_vitals=False,
        say=lambda _: None,
    ) as session:
        rows = offered(session, 3, hold_s=hold_s)
    if late_ms:
        rows = [replace(row, told_ns=row.captured_ns + row.deadline_ns + int(late_ms * MS)) for row in rows]
    found = Found()
    judge(found, rows, folder / "journal")
    return found


def test_a_run_in_time_is_no_violation(task: Task, profile: Profile, tmp_path: Path) -> None:
    found = judged(task, profile, tmp_path)
    assert (found.requests, found.late, found.unanswered) == (3, 0, 0)
    assert not found.violated


def test_lateness_without_an_exceeded_bound_is_a_violation(task: Task, profile: Profile, tmp_path: Path) -> None:
    """The journal's own excesses (samples sooner than declared) lie before the last request; its lateness has none."""
    found = judged(task, profile, tmp_path, late_ms=5.0)
    assert found.late == 3
    assert found.violated


def test_the_modes_time_and_the_excesses_are_counted(task: Task, profile: Profile, tmp_path: Path) -> None:
    found = judged(task, profile, tmp_path, hold_s=0.03)
    assert found.exceedances["delivery"] >= 2  # the last may come when the session is closed
    assert found.exceedances["least"] == 2
    assert found.by_mode_ms


@pytest.mark.slow
def test_real_processes(tmp_path: Path) -> None:
    certificate, found = run_certified(tmp_path, trials=4, seconds=6.0, a_session=2)
    assert found.trials == 4
    assert not found.violated
    assert sum(found.phases.values()) == 4
    assert certificate.governing().streams
