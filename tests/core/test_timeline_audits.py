"""Audits, moment by moment: what is run here to compare, what is asked of the shell, and when it is let go."""

from dataclasses import replace
from typing import Any

from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable
from hedgerow.core.records import Reason, Source, Status
from tests.core.script import Script, kinds
from tests.core.test_exhaustive import JPEG, LOCAL, ONE, SMALL, WIDE
from tests.core.test_timeline import STREAM, deliver
from tests.core.walker import MS

AUDITED: dict[str, Any] = {"audit_share": 1.0, "audit_spacing_ns": 0}


def test_an_audited_answer_is_run_here_by_the_shortest_model_and_compared() -> None:
    table = ArmTable((LOCAL, JPEG), (WIDE, SMALL))  # `wide` ends sooner, but takes longer from the sample on
    s = Script(table, STREAM, **AUDITED)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    assert s.answered(40, 0) == (
        deliver(0, Status.ANSWERED, Source.REMOTE, "jpeg", "big", Reason.REMOTE_IN_TIME),
        r.Run("cpu", 2, 0, "small", 0, 1),
    )
    assert s.core.in_flight == 1
    assert s.ran(55, 2, 1, 6, 9) == (r.Compare(0, "small"),)
    assert s.do(56, r.Compared(0, "wide", True)) == ()
    assert s.told() == (r.Ignored("Compared", 0),)
    assert s.do(57, r.Compared(0, "small", True)) == (r.Forget(0),)
    assert s.told() == ()
    assert s.do(58, r.Compared(0, "small", True)) == ()


def test_an_audit_goes_on_from_the_joint_that_is_kept() -> None:
    s = Script(ONE, STREAM, policy="split", **AUDITED)
    s.arrive(10, "arm")
    s.ran(16, 1, 0, 6)
    s.encoded(17, 2, 4000)
    assert s.answered(40, 0)[-1] == r.Run("cpu", 3, 0, "small", 1, 1)
    assert s.ran(49, 3, 1, 9) == (r.Compare(0, "small"),)


def test_an_audit_whose_engine_fails_or_that_finds_no_room_is_dropped() -> None:
    s = Script(ONE, STREAM, **AUDITED)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    s.answered(40, 0)
    assert s.do(41, r.JobEnded("cpu", 2, "broken")) == (r.Forget(0),)
    t = Script(ONE, STREAM, audit_wait_ns=100 * MS, **AUDITED)
    t.arrive(10, "arm")
    t.encoded(12, 1)
    t.answered(40, 0)
    t.ran(55, 2, 1, 6, 9)
    assert t.wake_ms == 140  # the shell never tells
    assert t.timer(140) == (r.Forget(0),)


def test_audits_keep_their_number_and_their_distance() -> None:
    s = Script(ONE, STREAM, audit_share=1.0, audit_spacing_ns=300 * MS, audits_max=1)
    for start, audited in ((10, True), (110, False), (500, False), (900, True)):
        request = s._requests
        job = 1 + sum(1 for each in s.asked if isinstance(each, r.Run | r.Encode))
        s.arrive(start, "arm")
        s.encoded(start + 2, job)
        assert (r.Run("cpu", job + 1, request, "small", 0, 1) in s.answered(start + 30, request)) is audited, start
        if start == 10:
            s.ran(start + 45, job + 1, 1, 6, 9)  # and is compared only after the third came
        if start == 500:
            s.do(700, r.Compared(0, "small", True))


def test_an_audit_that_could_prove_nothing_is_not_run() -> None:
    poor = ArmTable((LOCAL, replace(JPEG, quality=0.3)), (replace(SMALL, quality=0.2),))
    s = Script(poor, STREAM, **AUDITED)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    assert kinds(s.answered(40, 0)) == ["Deliver", "Forget"]


def test_where_no_disagreement_is_expected_at_all_few_end_trust() -> None:
    perfect = ArmTable((LOCAL, replace(JPEG, quality=1.0)), (replace(SMALL, quality=1.0),))
    s = Script(perfect, STREAM, audit_allowance=0.0, **AUDITED)
    distrusted: list[r.Record] = []
    for request in range(4):
        start, job = 10 + 200 * request, 1 + 2 * request
        s.arrive(start, "arm")
        if distrusted:  # its link is closed: the device alone answers
            break
        s.encoded(start + 2, job)
        s.answered(start + 30, request)
        s.ran(start + 45, job + 1, 1, 6, 9)
        assert s.do(start + 47, r.Compared(request, "small", False)) == (r.Forget(request),)
        distrusted += s.all(r.RemoteDistrusted)
    assert len(distrusted) == 1
