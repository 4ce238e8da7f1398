"""What must be counted is counted: violations are planted, one of each sort, beside what must not count."""

from dataclasses import replace
from pathlib import Path

import pytest

from hedgerow.assurance import Evidence, Timed
from hedgerow.assurance.evidence import Step
from hedgerow.campaigns.judging import UNANSWERED, examine, judge
from hedgerow.core import records as r
from hedgerow.core.records import MS, Margins, Source, Status
from hedgerow.device.session import Session
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.assurance.rows import row
from tests.device.conftest import profile, task
from tests.device.small import tagged

__all__ = ["profile", "task"]

MARGINS = Margins(timer_ns=5 * MS, cancel_ns=10 * MS, deliver_ns=1 * MS)


def evidence(*excesses: r.BoundExceeded) -> Evidence:
    """A story in which request 0 ran from 50 to 109 ms, with these records at its end."""
    decision = r.Decision(0, "local:a", r.Reason.LEAST_EXPECTED_COST, "a", 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)
    told = r.Delivered(0, Status.ANSWERED, Source.LOCAL, "local:a", r.Reason.LOCAL_DONE, 109.0, 1.0, 0)
    run = r.Run("cpu", 1, 0, "a", 0, 0)
    steps: list[Step] = [
        (0, r.RequestArrived(0, "s", 0), r.Outcome((decision,))),
        (50 * MS, r.TimerFired(), r.Outcome((), (run,))),
        (109 * MS, r.RunDone("cpu", 1, 0, (59 * MS,)), r.Outcome((*excesses, told))),
    ]
    return Evidence.of(steps, margins=MARGINS)


def silent(index: int) -> Timed:
    return replace(row(index, 5000.0), request=-1, status=Status.FAILED, source=Source.NONE, reason=UNANSWERED)


def test_a_request_that_nobody_answers_is_unanswered_and_not_also_late() -> None:
    verdict = judge([row(0, 50.0), silent(1)], evidence())
    assert verdict.unanswered == ["request 1: nothing came"]
    assert (verdict.late_link, verdict.late_device, verdict.violated) == ([], [], True)


def test_late_without_an_exceeded_bound_is_the_links_and_with_one_the_devices() -> None:
    late = judge([row(0, 110.0)], evidence())
    assert len(late.late_link) == 1
    assert late.violated
    excused = judge([row(0, 110.0)], evidence(r.BoundExceeded(0, "run a", 59.0, 40.0)))
    assert (excused.late_link, len(excused.late_device), excused.violated) == ([], 1, False)
    assert "run a 19.0 ms over its bound" in excused.late_device[0]
    too_small = judge([row(0, 110.0)], evidence(r.BoundExceeded(0, "run a", 49.0, 40.0)))
    assert len(too_small.late_link) == 1


@pytest.mark.parametrize(("latency_ms", "late"), [(100.0, 0), (105.9, 0), (106.1, 1)])
def test_a_background_request_may_be_handed_back_at_its_expiry_and_not_much_later(latency_ms: float, late: int) -> None:
    spooled = replace(row(0, latency_ms), status=Status.SPOOLED, source=Source.NONE, reason="expired")
    assert len(judge([spooled], evidence()).late_link) == late


def test_what_is_in_time_is_counted_by_how_it_ended() -> None:
    safe = replace(row(1, 99.0), status=Status.SAFE_VALUE, source=Source.SAFE_VALUE)
    remote = replace(row(2, 10.0), source=Source.REMOTE)
    verdict = judge([row(0, 50.0), safe, remote], evidence())
    assert not verdict.violated
    assert (verdict.requests, verdict.safe_values, verdict.remote) == (3, 1, 1)


def test_a_journal_is_replayed_and_one_that_is_cut_or_doctored_is_told(
    task: Task, profile: Profile, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    with Session(task, profile=profile, deadline_ms=400, journal=path) as session:
        for number in range(5):
            session.answer(tagged(number))
    whole = examine(path)
    assert (whole.cut, whole.difference) == ("", "")
    assert whole.steps > 5
    text = path.read_bytes()
    path.write_bytes(text[:-20])
    assert "cut short" in examine(path).cut
    path.write_bytes(text.replace(b'"reason":"local_done"', b'"reason":"hold_ended"', 1))
    assert examine(path).difference.startswith("step ")
    path.write_bytes(b"")
    with pytest.raises(UsageError, match="empty"):
        examine(path)
