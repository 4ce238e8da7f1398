"""Certified streams on trial: what is declared can be certified, and lateness is only excused by what a journal shows."""

import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from hedgerow.assurance import Evidence, late_requests
from hedgerow.assurance.certification.inputs import inputs_of
from hedgerow.assurance.certification.proving import prove
from hedgerow.assurance.evidence import Excess, Hold
from hedgerow.assurance.rows import Timed
from hedgerow.campaigns.certified import (
    Found,
    Proofs,
    certify,
    judge,
    judge_late,
    proofs_of,
    run_certified,
    streams_text,
)
from hedgerow.campaigns.device import Kept, Offered, timed
from hedgerow.core.records import MS, Margins, Source, Status
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
    """So many samples of the front stream; each is told of its answer only `hold_s` after it was decided, or later."""
    stream, rows = Offered("front", "safety", 1.0, 1.0), []
    if hold_s:
        session.listen(lambda *_: time.sleep(hold_s))
    for number in range(count):
        captured = time.monotonic_ns()
        future = session.submit(tagged(number), stream="front", captured_at=captured / 1e9)
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


S = 1000 * MS
CAPTURED = 100 * S


def planted(*, captured_ns: int = CAPTURED, late_ms: float = 5.0, request: int = 7) -> Timed:
    """A local answer, so late after a deadline of 50 ms."""
    told_ns = captured_ns + 50 * MS + int(late_ms * MS)
    return Timed(0, request, captured_ns, told_ns, 50 * MS, Status.LATE, Source.LOCAL, "local:tiny", "tiny", "", 0.0, 0)


def sorted_out(row: Timed, excesses: list[Excess], proofs: Proofs) -> tuple[int, int, int, bool]:
    """Unexcused, unwithdrawn, beside an excess; and whether that is a violation."""
    found = Found()
    evidence = Evidence(Margins(), excesses=excesses)
    for late in late_requests([row], evidence):
        judge_late(found, late, row, evidence, proofs, "planted")
    assert found.late == 1
    counts = len(found.late_unexcused), len(found.late_unwithdrawn), len(found.late_beside_excess)
    return *counts, found.violated


OWN = Excess(7, CAPTURED + 20 * MS, "run tiny", 6 * MS)
OTHER = Excess(6, CAPTURED + 20 * MS, "run tiny", 6 * MS)
SMALL = replace(OWN, by_ns=MS)


@pytest.mark.parametrize(
    ("withdrawn_ns", "unwithdrawn"),
    [
        ([], 1),
        ([CAPTURED - 1], 1),  # an earlier one excuses nothing later
        ([CAPTURED - 60 * S, CAPTURED + 90 * S], 1),
        ([CAPTURED], 0),
        ([CAPTURED - 60 * S, CAPTURED + 20 * MS], 0),
        ([CAPTURED + 55 * MS + S], 0),
        ([CAPTURED + 55 * MS + S + 1], 1),
    ],
)
def test_only_a_withdrawal_from_capture_to_a_second_after_excuses(withdrawn_ns: list[int], unwithdrawn: int) -> None:
    assert sorted_out(planted(), [OWN], Proofs(withdrawn_ns)) == (0, unwithdrawn, 0, bool(unwithdrawn))


@pytest.mark.parametrize(
    ("from_ns", "to_ns", "unwithdrawn"),
    [
        (CAPTURED - S, CAPTURED + S, 0),
        (CAPTURED - S, CAPTURED, 1),  # it stood again
        (CAPTURED, CAPTURED + S, 0),
        (CAPTURED + 1, CAPTURED + S, 1),
    ],
)
def test_where_no_proof_stood_at_the_capture_none_must_be_withdrawn(from_ns: int, to_ns: int, unwithdrawn: int) -> None:
    proofs = Proofs([CAPTURED - S])
    for at_ns, stands in ((0, True), (from_ns, False), (from_ns, False), (to_ns, True)):
        proofs.now(at_ns, stands)
    assert sorted_out(planted(), [OWN], proofs)[1] == unwithdrawn


def test_a_session_without_a_certificate_promises_nothing() -> None:
    assert sorted_out(planted(), [OWN], Proofs(stands=[False])) == (0, 0, 0, False)


def test_an_excess_that_does_not_explain_the_lateness_is_told_apart_and_still_asks_for_the_withdrawal() -> None:
    withdrawn = Proofs([CAPTURED + 60 * MS])
    assert sorted_out(planted(), [OTHER], withdrawn) == (0, 0, 1, False)
    assert sorted_out(planted(), [SMALL], withdrawn) == (0, 0, 1, False)
    assert sorted_out(planted(), [OTHER], Proofs()) == (0, 1, 1, True)
    assert sorted_out(planted(), [], withdrawn) == (1, 0, 0, True)
    before, after = (replace(OTHER, at_ns=at_ns) for at_ns in (CAPTURED - 1, CAPTURED + 56 * MS))
    assert sorted_out(planted(), [before, after], withdrawn) == (1, 0, 0, True)


def test_the_lane_s_excess_before_it_excuses_fully() -> None:
    """The request's own run began after the one before it had gone beyond its bound."""
    row, withdrawn = planted(), Proofs([CAPTURED + 60 * MS])
    evidence = Evidence(Margins(), excesses=[OTHER], holds=[Hold(7, "cpu", CAPTURED + 30 * MS, CAPTURED + 54 * MS)])
    found = Found()
    for late in late_requests([row], evidence):
        judge_late(found, late, row, evidence, withdrawn, "planted")
    assert (found.late, found.late_unexcused, found.late_beside_excess, found.violated) == (1, [], [], False)


def test_the_modes_time_and_the_excesses_are_counted(task: Task, profile: Profile, tmp_path: Path) -> None:
    found = judged(task, profile, tmp_path, hold_s=0.03)
    assert found.exceedances["delivery"] >= 2  # the last may come when the session is closed
    assert found.exceedances["least"] == 2
    assert found.by_mode_ms


def test_the_replay_tells_when_proofs_were_withdrawn_and_when_none_stood(
    task: Task, profile: Profile, tmp_path: Path
) -> None:
    """Samples far sooner than declared go beyond a bound each, until the last mode's proof is withdrawn as well."""
    certificate = certify(profile, tmp_path, "tiny")
    journal = tmp_path / "journal"
    with Session(
        task, profile=profile, certificate=certificate, journal=journal, watch_vitals=False, say=lambda _: None
    ) as session:
        offered(session, 40, hold_s=0.003)
    found = Found()
    proofs = proofs_of(journal, found)
    assert found.withdrawals == len(proofs.withdrawn_ns) >= 3
    assert proofs.stands[:2] == [True, False]
    assert proofs.changed_ns[0] == proofs.withdrawn_ns[2]  # there are three modes
    assert proofs.stood(proofs.changed_ns[0] - 1)
    assert not proofs.stood(proofs.changed_ns[0])


@pytest.mark.slow
def test_real_processes(tmp_path: Path) -> None:
    certificate, found = run_certified(tmp_path, trials=4, seconds=6.0, a_session=2)
    assert found.trials == 4
    assert not found.violated
    assert sum(found.phases.values()) == 4
    assert certificate.governing().streams
