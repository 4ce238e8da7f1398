"""Single requests and pairs, moment by moment: what the core asks for, when it wants to be woken and what it writes down,
held against figures worked out on paper from the rules (see tests/core/script.py for the models and margins).

For the stream `arm` (deadline 80 ms) captured at 10: due 89 = 10 + 80 - 1; the reserve's latest start 69 = 89 - 20; the timer
for it 67 = 69 - 2; a held answer goes out at 87 = 89 - 2; a silent attempt is lost at 189 = 89 + 100.
"""

import pytest

from hedgerow.core import Criticality, Stream
from hedgerow.core import records as r
from hedgerow.core.arms import ArmTable
from hedgerow.core.records import Reason, Source, Status
from hedgerow.errors import UsageError
from tests.core.script import Script, kinds
from tests.core.test_exhaustive import JPEG, LOCAL, LOCAL_BIG, ONE, SMALL, TWO
from tests.core.walker import MS

STREAM = Stream("arm", 80 * MS)
BRAKE = Stream("brake", 60 * MS, Criticality.SAFETY)
VALUE = Stream("value", 80 * MS, has_safe_value=True)
LOG = Stream("log", 80 * MS, Criticality.BACKGROUND, expiry_ns=900 * MS)
RUN = r.Run("cpu", 2, 0, "small", 0, 1)
ENCODE = r.Encode("cpu", 1, 0, "big", -1, "jpeg")
ENERGY_SENT = (
    8.0 + 9000 * (MS / 7168) * 1200e-9 + 2.0
)  # 2 ms of encoding, 9000 bytes at the probe's rate (7168 in 1 ms after its first chunk), the radio's tail


def deliver(
    request: int, status: Status, source: Source, arm: str, model: str, reason: Reason, advised: bool = False
) -> r.Deliver:
    return r.Deliver(request, status, source, arm, model, reason, advised)


def sent(script: Script, request: int = 0, useful_ms: int = 89) -> r.Send:
    return r.Send(request, 1, "cloud", "big", -1, 2, "jpeg", useful_ms * MS)


def test_a_silent_link_costs_nothing_but_the_reserve() -> None:
    s = Script(ONE, STREAM)
    assert s.arrive(10, "arm") == (ENCODE,)
    decision, reserve = s.told()
    assert isinstance(decision, r.Decision)
    assert (decision.arm, decision.reason, decision.reserve) == ("jpeg", Reason.POLICY_FIXED, "small")
    assert (decision.slack_ms, decision.bound_ms) == (59.0, 10_000.0)
    assert decision.predicted_ms == pytest.approx(2 + 1 + 9000 / 7168 + 5, abs=1e-4)
    assert reserve == r.ReserveChosen(0, "small", Reason.LATEST_START, 69 * MS)
    assert s.wake_ms == 67
    assert s.encoded(12, 1) == (sent(s),)
    assert s.timer(67) == (RUN,)
    assert s.told() == (r.ReserveStarted(0, "small", Reason.LATEST_START, 2.0),)
    assert s.wake_ms == 189
    assert s.ran(82, 2, 1, 6, 9) == ()
    assert s.wake_ms == 87
    assert s.timer(87) == (
        deliver(0, Status.ANSWERED, Source.LOCAL, "jpeg", "small", Reason.HOLD_ENDED), r.Forget(0)
    )  # fmt: skip
    (told,) = s.all(r.Delivered)
    assert isinstance(told, r.Delivered)
    assert (told.age_ms, told.uplink_bytes) == (77.0, 9000)
    assert told.energy_mj == pytest.approx(ENERGY_SENT + 60.0, abs=1e-3)
    assert s.core.in_flight == 0
    assert s.timer(189) == (r.StopSending(0, 1),)
    assert s.told() == (r.RemoteObserved("cloud", 0.0, 0.0, 0.0, late=True, lost=True),)


def test_an_answer_in_time_is_delivered_and_its_double_is_not() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    assert s.answered(40, 0) == (
        deliver(0, Status.ANSWERED, Source.REMOTE, "jpeg", "big", Reason.REMOTE_IN_TIME), r.Forget(0)
    )  # fmt: skip
    (told,) = s.all(r.Delivered)
    assert isinstance(told, r.Delivered)
    assert (told.age_ms, told.reason) == (30.0, Reason.REMOTE_IN_TIME)
    assert told.energy_mj == pytest.approx(ENERGY_SENT, abs=1e-3)
    assert s.wake_ms == 1040  # silence from now on
    assert s.answered(41, 0) == ()
    assert s.told() == (r.Ignored("AnswerArrived", 0),)


def test_an_answer_while_the_reserve_runs_ends_it_and_the_request_goes_once_the_lane_is_free() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    s.timer(67)
    assert s.answered(70, 0) == (
        deliver(0, Status.ANSWERED, Source.REMOTE, "jpeg", "big", Reason.REMOTE_IN_TIME), r.Cancel("cpu", 2)
    )  # fmt: skip
    assert s.core.in_flight == 1
    assert s.do(73, r.JobEnded("cpu", 2)) == (r.Forget(0),)
    assert s.do(74, r.JobEnded("cpu", 2)) == ()
    assert s.told() == (r.Ignored("JobEnded", -1),)


def test_a_late_finish_is_late_and_each_excess_is_told() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    assert s.timer(70) == (RUN,)
    assert s.told() == (
        r.BoundExceeded(-1, "timer", 3.0, 2.0),
        r.ReserveStarted(0, "small", Reason.LATEST_START, -1.0),
        r.BoundExceeded(0, "reserve start", 1.0, 0.0),
    )
    assert s.ran(93, 2, 1, 9, 14) == (
        deliver(0, Status.LATE, Source.LOCAL, "jpeg", "small", Reason.HOLD_ENDED),
        r.Forget(0),
    )
    assert s.told()[:3] == (
        r.BoundExceeded(0, "segment small:0", 9.0, 8.0),
        r.BoundExceeded(0, "segment small:1", 14.0, 12.0),
        r.BoundExceeded(0, "run small", 23.0, 20.0),
    )


def test_bounds_are_not_exceeded_by_meeting_them() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(14, 1)
    assert s.told() == ()
    s.timer(69)  # as late as it may be
    assert s.told() == (r.ReserveStarted(0, "small", Reason.LATEST_START, 0.0),)
    assert kinds(s.ran(89, 2, 1, 8, 12)) == ["Deliver", "Forget"]
    assert s.all(r.BoundExceeded) == []
    assert s.ran(91, 9, 1, 1) == ()


def test_encoding_beyond_its_bound_is_told() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.do(15, r.EncodeDone("cpu", 1, 9000, 5 * MS))
    assert s.told() == (r.BoundExceeded(0, "encode", 5.0, 4.0),)


@pytest.mark.parametrize(("at_ms", "status"), [(90, Status.ANSWERED), (90.1, Status.LATE)])
def test_an_answer_is_late_after_its_deadline_and_not_at_it(at_ms: float, status: Status) -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    s.timer(67)
    first = s.ran(at_ms, 2, 1, 8, 12)[0]
    assert isinstance(first, r.Deliver)
    assert first.status is status


def test_a_failed_link_starts_the_reserve_at_once_and_its_answer_is_not_held() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    assert s.do(20, r.RemoteFailed(0, 1, "reset", True)) == (RUN,)
    assert s.told() == (
        r.RemoteObserved("cloud", 0.0, 0.0, 0.0, late=True, lost=True),
        r.ReserveStarted(0, "small", Reason.REMOTE_FAILED, 49.0),
    )
    assert s.ran(35, 2, 1, 6, 9) == (
        deliver(0, Status.ANSWERED, Source.LOCAL, "jpeg", "small", Reason.LOCAL_DONE), r.Forget(0)
    )  # fmt: skip


def test_after_a_failure_the_better_model_answers_if_it_fits() -> None:
    s = Script(TWO, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    assert s.do(20, r.RemoteFailed(0, 1, "reset", True)) == (r.Run("cpu", 2, 0, "big", 0, 2),)
    assert r.ReserveChosen(0, "big", Reason.REMOTE_FAILED, 0) in s.told()
    t = Script(TWO, STREAM)
    t.arrive(10, "arm")
    t.encoded(12, 1)
    assert t.do(50, r.RemoteFailed(0, 1, "reset", True)) == (RUN,)  # 40 ms do not fit before 89


def test_a_failure_while_the_reserve_runs_lets_it_answer_at_once() -> None:
    s = Script(TWO, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    s.timer(67)
    assert s.do(70, r.RemoteFailed(0, 1, "reset", True)) == ()
    assert kinds(s.ran(82, 2, 1, 6, 9)) == ["Deliver", "Forget"]
    assert s.all(r.Delivered)[0].reason is Reason.LOCAL_DONE  # type: ignore[union-attr]


def test_a_failure_after_the_reserve_is_done_delivers_it() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    s.timer(67)
    s.ran(82, 2, 1, 6, 9)
    assert kinds(s.do(84, r.RemoteFailed(0, 1, "gone", False))) == ["Deliver", "Forget"]
    assert s.all(r.Delivered)[0].source is Source.LOCAL  # type: ignore[union-attr]


def test_safety_sends_first_then_runs_its_own_and_tells_what_the_cloud_said_later() -> None:
    s = Script(ONE, BRAKE)
    assert s.arrive(10, "brake") == (ENCODE,)
    assert s.told()[1] == r.ReserveChosen(0, "small", Reason.SAFETY_CLASS, 0)
    assert s.encoded(12, 1) == (sent(s, useful_ms=69), RUN)
    assert s.told() == (r.ReserveStarted(0, "small", Reason.SAFETY_CLASS, 37.0),)
    assert s.ran(27, 2, 1, 6, 9) == (deliver(0, Status.ANSWERED, Source.LOCAL, "jpeg", "small", Reason.LOCAL_DONE),)
    assert s.wake_ms == 169
    assert s.answered(40, 0) == (r.Advise(0), r.Forget(0))


def test_safety_with_the_cloud_first_is_advised_and_still_its_own() -> None:
    s = Script(ONE, BRAKE)
    s.arrive(10, "brake")
    s.encoded(12, 1)
    assert s.answered(20, 0) == ()
    assert s.ran(27, 2, 1, 6, 9) == (
        deliver(0, Status.ANSWERED, Source.LOCAL, "jpeg", "small", Reason.LOCAL_DONE, advised=True), r.Forget(0)
    )  # fmt: skip


def test_a_closed_safety_request_is_let_go_when_its_crossing_fails_or_is_lost() -> None:
    for event, at in ((r.RemoteFailed(0, 1, "reset", True), 40.0), (r.TimerFired(), 169.0)):
        s = Script(ONE, BRAKE)
        s.arrive(10, "brake")
        s.encoded(12, 1)
        s.ran(27, 2, 1, 6, 9)
        assert r.Forget(0) in s.do(at, event)
        assert s.core.in_flight == 0


def test_a_split_continues_from_its_joint_and_its_insurance_shrinks() -> None:
    s = Script(ONE, STREAM, policy="split")
    assert s.arrive(10, "arm") == (r.Run("cpu", 1, 0, "small", 0, 0),)
    assert s.wake_ms == 67
    assert s.ran(16, 1, 0, 6) == (r.Encode("cpu", 2, 0, "small", 0, "q4"),)
    assert s.told() == (r.ReserveChosen(0, "small@1", Reason.CHEAPER_FROM_JOINT, 0),)
    assert s.wake_ms == 75  # 89 - 12 - 2
    assert s.encoded(17, 2, 4000) == (r.Send(0, 1, "cloud", "small", 0, 1, "q4", 89 * MS),)
    assert s.timer(75) == (r.Run("cpu", 3, 0, "small", 1, 1),)
    assert s.told() == (r.ReserveStarted(0, "small@1", Reason.LATEST_START, 2.0),)
    assert kinds(s.ran(84, 3, 1, 9)) == []
    assert s.wake_ms == 87


def test_a_gate_stops_at_its_confidence_and_not_below() -> None:
    for confidence, what in ((0.9, ["Deliver", "Forget"]), (0.899, ["Encode"]), (None, ["Encode"])):
        s = Script(ONE, STREAM, policy="ask")
        assert s.arrive(10, "arm") == (r.Run("cpu", 1, 0, "small", 0, 1),)
        assert kinds(s.do(25, r.RunDone("cpu", 1, 1, (6 * MS, 9 * MS), confidence))) == what
        if what[0] == "Deliver":
            (told,) = s.all(r.Delivered)
            assert isinstance(told, r.Delivered)
            assert told.reason is Reason.CONFIDENT_AT_GATE
            assert told.energy_mj == 60.0
        else:
            assert s.encoded(27, 2) == (sent(s),)
            assert s.wake_ms == 87  # its own answer stands: nothing is left to start


def test_a_whole_local_run_is_the_plan_and_starts_at_once() -> None:
    s = Script(TWO, STREAM, policy="local:big")
    assert s.arrive(10, "arm") == (r.Run("cpu", 1, 0, "big", 0, 2),)
    decision, reserve, started = s.told()
    assert isinstance(decision, r.Decision)
    assert (decision.arm, decision.reserve, decision.predicted_ms) == ("local:big", "big", 30.0)
    assert reserve == r.ReserveChosen(0, "big", Reason.LOCAL_CHOSEN, 0)
    assert started == r.ReserveStarted(0, "big", Reason.LOCAL_CHOSEN, 39.0)
    assert s.ran(40, 1, 2, 3, 15, 12) == (
        deliver(0, Status.ANSWERED, Source.LOCAL, "local:big", "big", Reason.LOCAL_DONE), r.Forget(0)
    )  # fmt: skip


def test_with_the_link_closed_the_best_local_answer_is_given_and_the_reason_told() -> None:
    s = Script(TWO, STREAM, open_link=False)
    assert kinds(s.arrive(10, "arm")) == ["Probe", "Run"]
    decision = s.told()[0]
    assert isinstance(decision, r.Decision)
    assert (decision.arm, decision.reason) == ("big", Reason.LINK_CLOSED)
    t = Script(TWO, STREAM, policy="nothing")
    t.arrive(10, "arm")
    assert t.told()[0].reason is Reason.ONLY_LOCAL_ADMISSIBLE  # type: ignore[union-attr]


def test_what_waits_for_a_link_that_broke_starts_at_once() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    assert s.do(20, r.LinkDown("cloud")) == (RUN,)
    assert r.ReserveStarted(0, "small", Reason.LINK_CLOSED, 49.0) in s.told()
    assert s.answered(30, 0)[0] == deliver(0, Status.ANSWERED, Source.REMOTE, "jpeg", "big", Reason.REMOTE_IN_TIME)


def test_an_engine_that_fails_in_the_reserve_gives_way_to_the_other_model() -> None:
    s = Script(TWO, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    assert s.timer(67) == (RUN,)
    assert s.do(68, r.JobEnded("cpu", 2, "broken")) == (r.Run("cpu", 3, 0, "big", 0, 2),)
    assert s.told()[0] == r.ReserveChosen(0, "big", Reason.ENGINE_FAILED, 0)
    assert s.do(69, r.JobEnded("cpu", 3, "broken")) == ()  # the cloud may still answer
    assert s.answered(70, 0)[0] == deliver(0, Status.ANSWERED, Source.REMOTE, "jpeg", "big", Reason.REMOTE_IN_TIME)


def test_when_every_engine_failed_and_the_link_too_the_request_fails_or_gets_its_safe_value() -> None:
    s = Script(ONE, STREAM, VALUE)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    s.timer(67)
    s.do(68, r.JobEnded("cpu", 2, "broken"))
    assert s.do(69, r.RemoteFailed(0, 1, "reset", True)) == (
        deliver(0, Status.FAILED, Source.NONE, "jpeg", "", Reason.REMOTE_FAILED), r.Forget(0)
    )  # fmt: skip
    s.arrive(110, "value")
    s.encoded(112, 3)
    s.do(120, r.RemoteFailed(1, 1, "gone", False))
    assert s.do(121, r.JobEnded("cpu", 4, "broken")) == (  # at once: there is nothing left to wait for
        deliver(1, Status.SAFE_VALUE, Source.SAFE_VALUE, "jpeg", "", Reason.ENGINE_FAILED), r.Forget(1)
    )  # fmt: skip


def test_an_engine_that_fails_after_the_link_did_fails_the_request() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    s.do(20, r.RemoteFailed(0, 1, "reset", True))
    assert s.do(21, r.JobEnded("cpu", 2, "broken")) == (
        deliver(0, Status.FAILED, Source.NONE, "jpeg", "", Reason.ENGINE_FAILED), r.Forget(0)
    )  # fmt: skip


def test_an_encoder_that_fails_leaves_the_reserve() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    assert s.do(11, r.JobEnded("cpu", 1, "broken")) == (RUN,)
    assert s.told() == (r.ReserveStarted(0, "small", Reason.REMOTE_FAILED, 58.0),)


def test_a_withdrawn_request_is_dropped_wherever_it_is() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    assert s.do(20, r.RequestWithdrawn(0)) == (
        deliver(0, Status.DROPPED, Source.NONE, "jpeg", "", Reason.WITHDRAWN), r.StopSending(0, 1), r.Forget(0)
    )  # fmt: skip
    assert s.do(21, r.RequestWithdrawn(0)) == ()
    s.arrive(100, "arm")
    assert kinds(s.do(101, r.RequestWithdrawn(1))) == ["Deliver", "Cancel"]
    assert s.encoded(102, 2) == (r.Forget(1),)


def test_background_is_tried_again_and_spooled_when_it_expires() -> None:
    s = Script(ONE, LOG)
    assert s.arrive(10, "log") == (ENCODE,)
    assert len(s.told()) == 1  # no reserve
    assert s.encoded(12, 1) == (sent(s, useful_ms=910),)
    assert s.wake_ms == 910
    assert s.do(20, r.RemoteFailed(0, 1, "gone", False)) == ()
    assert s.wake_ms == 520
    assert s.timer(520) == (r.Encode("cpu", 2, 0, "big", -1, "jpeg"),)
    assert s.encoded(522, 2) == (r.Send(0, 2, "cloud", "big", -1, 2, "jpeg", 910 * MS),)
    assert s.timer(910) == (
        deliver(0, Status.SPOOLED, Source.NONE, "jpeg", "", Reason.EXPIRED), r.StopSending(0, 2), r.Forget(0)
    )  # fmt: skip


def test_without_a_reserve_a_late_answer_still_counts_and_silence_ends() -> None:
    s = Script(ArmTable((LOCAL, JPEG), (SMALL,)), STREAM, policy="cloud-only")
    assert s.arrive(10, "arm") == (ENCODE,)
    assert s.encoded(12, 1) == (sent(s, useful_ms=2089),)
    assert s.wake_ms == 1000  # a probe
    s.do(1000, r.TimerFired())
    assert s.answered(1500, 0)[0] == deliver(0, Status.LATE, Source.REMOTE, "jpeg", "big", Reason.REMOTE_IN_TIME)
    s.arrive(2000, "arm")
    s.encoded(2002, 2)
    assert s.wake_ms == 2500  # silence since 1500: a probe
    s.timer(2500)
    assert s.wake_ms == 4000  # which is lost after half a second and its margin
    s.timer(4000)
    assert s.wake_ms == 2079 + 2000
    ended = s.timer(2079 + 2000)
    assert deliver(1, Status.FAILED, Source.NONE, "jpeg", "", Reason.REMOTE_FAILED) in ended


def test_the_newest_sample_takes_the_place_of_older_ones_that_only_wait() -> None:
    s = Script(ONE, Stream("fast", 50 * MS), policy="nothing")
    assert s.arrive(10, "fast") == (r.Run("cpu", 1, 0, "small", 0, 1),)
    assert s.arrive(11, "fast") == ()  # waits: 20 behind at most 20 until 50 of 60
    assert s.arrive(12, "fast") == (
        deliver(1, Status.DROPPED, Source.NONE, "small", "", Reason.NEWER_SAMPLE), r.Forget(1)
    )  # fmt: skip
    assert s.ran(25, 1, 1, 6, 9)[-1] == r.Run("cpu", 2, 2, "small", 0, 1)


def test_of_two_the_earlier_deadline_starts_first_and_the_other_makes_room() -> None:
    s = Script(ONE, STREAM, Stream("fast", 60 * MS))
    s.arrive(10, "arm")
    s.encoded(12, 1)
    assert s.wake_ms == 67
    assert kinds(s.arrive(20, "fast")) == ["Encode"]
    s.encoded(22, 2)
    assert s.wake_ms == 47  # backward: from 89 to 69, from min(69, 79) to 49, less the timer's margin
    assert s.timer(47) == (r.Run("cpu", 3, 1, "small", 0, 1),)
    assert s.ran(67, 3, 1, 8, 12) == (r.Run("cpu", 4, 0, "small", 0, 1),)
    assert s.ran(87, 4, 1, 8, 12)[0].request == 0  # type: ignore[union-attr]


def test_a_head_gives_way_in_time_for_another_reserve() -> None:
    s = Script(TWO, STREAM, Stream("late", 52 * MS), policy="local:big")
    assert s.arrive(10, "arm") == (r.Run("cpu", 1, 0, "big", 0, 2),)
    assert s.arrive(11, "late") == ()
    assert s.core.in_flight == 2


def test_limits_are_reached_with_a_record_and_never_a_crash() -> None:
    s = Script(ONE, STREAM, requests_in_flight_max=1)
    s.arrive(10, "arm")
    assert s.arrive(11, "arm") == (
        deliver(1, Status.DROPPED, Source.NONE, "", "", Reason.LIMIT_REACHED), r.Forget(1)
    )  # fmt: skip
    assert s.core.in_flight == 1


def test_at_the_limit_background_gives_way_the_oldest_first() -> None:
    s = Script(ONE, LOG, STREAM, VALUE, open_link=False, requests_in_flight_max=2)
    s.arrive(10, "log")  # with the link down and no plan of its own it waits for another try
    s.arrive(11, "log")
    assert s.arrive(12, "arm")[:2] == (
        deliver(0, Status.SPOOLED, Source.NONE, "", "", Reason.LIMIT_REACHED), r.Forget(0)
    )  # fmt: skip
    assert s.arrive(13, "log")[0] == deliver(3, Status.DROPPED, Source.NONE, "", "", Reason.LIMIT_REACHED)
    assert s.arrive(14, "value")[0] == deliver(1, Status.SPOOLED, Source.NONE, "", "", Reason.LIMIT_REACHED)
    assert s.arrive(15, "value")[0] == deliver(5, Status.SAFE_VALUE, Source.SAFE_VALUE, "", "", Reason.LIMIT_REACHED)
    assert s.core.in_flight == 2


def test_a_try_without_an_arm_does_not_bear_the_name_of_the_last_one() -> None:
    s = Script(ONE, LOG)
    s.arrive(10, "log")
    assert s.all(r.Decision)[0].arm == "jpeg"  # type: ignore[union-attr]
    s.encoded(12, 1)
    s.do(20, r.RemoteFailed(0, 1, "link", True))
    s.do(30, r.LinkDown("cloud"))
    s.timer(530)
    assert [each.arm for each in s.all(r.Decision)] == [""]  # type: ignore[union-attr]


def test_at_the_limit_of_attempts_the_oldest_is_given_up() -> None:
    s = Script(ONE, STREAM, Stream("long", 200 * MS), late_answers_kept_max=1)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    s.arrive(13, "long")
    given_up, *rest = s.encoded(15, 2)
    assert given_up == r.StopSending(0, 1)
    assert kinds(rest) == ["Send", "Run"]
    assert s.all(r.ReserveStarted) == [r.ReserveStarted(0, "small", Reason.REMOTE_FAILED, 54.0)]
    assert s.answered(16, 0) == ()


def test_wrong_events_are_refused_and_name_what_is_wrong() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    for event, words in (
        (r.RequestArrived(0, "arm", 0), "request 0 is not newer than 0"),
        (r.RequestArrived(5, "other", 0), "no stream 'other'"),
        (r.RequestArrived(5, "arm", 11 * MS + 1), "in the future"),
        (r.LinkDown("moon"), "no link 'moon'; there are: cloud"),
        (r.LinkUp("moon"), "no link 'moon'"),
        (r.CloudReport("moon", 0), "no link 'moon'"),
    ):
        with pytest.raises(UsageError, match=words):
            s.do(11, event)
    assert s.do(11, r.ProbeLost(7)) == ()
    assert s.told() == (r.Ignored("ProbeLost", -1),)
    assert s.arrive(11, "arm", captured_ms=11) == ()
    with pytest.raises(UsageError, match="arms are more than the limit of 3"):
        Script(ONE, STREAM, arms_max=3)
    with pytest.raises(UsageError, match="more than 1 streams"):
        Script(ONE, STREAM, BRAKE, streams_max=1)
    again = Script(ONE, STREAM, streams_max=1)
    again.do(3, r.StreamOpened(Stream("arm", 90 * MS)))  # new settings of the one there is
    again.arrive(10, "arm")
    assert again.wake_ms == 77


def test_a_deadline_of_its_own_counts_from_capture() -> None:
    s = Script(ONE, STREAM)
    s.do(20, r.RequestArrived(0, "arm", 10 * MS, 60 * MS))
    assert s.wake_ms == 10 + 60 - 1 - 20 - 2


def test_a_cloud_that_tells_of_its_queue_looks_slower_by_it() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    first = s.told()[0]
    s.do(11, r.CloudReport("cloud", 30 * MS))
    s.arrive(12, "arm")
    second = next(each for each in s.told() if isinstance(each, r.Decision))
    assert isinstance(first, r.Decision)
    assert second.predicted_ms == pytest.approx(first.predicted_ms + 30, abs=1e-3)


def test_battery_and_heat_make_energy_dearer_and_nothing_else() -> None:
    table = ArmTable((LOCAL, LOCAL_BIG, JPEG), (SMALL, *TWO.locals[1:]))
    costs = []
    for event in (None, r.BatteryLevel(0.1), r.Temperature(99.0)):
        s = Script(table, STREAM, policy="device-only")
        if event is not None:
            s.do(5, event)
        s.arrive(10, "arm")
        decision = s.told()[0]
        assert isinstance(decision, r.Decision)
        costs.append(decision.cost_mj)
    big_mj = 30 * 4.0  # 30 ms of the median at 4 W
    assert costs[0] == pytest.approx(big_mj)
    assert costs[1] == costs[2] == pytest.approx(2 * big_mj)


def test_what_is_likely_in_time_holds_the_lane_as_if_it_were_promised() -> None:
    """Due 29: 20 ms from 10 on do not fit, a usual day's 18.75 do. Its bound counts for the next one's wait."""
    s = Script(ONE, STREAM, Stream("soon", 20 * MS))
    assert s.arrive(10, "soon") == (RUN_FIRST,)
    assert s.told()[0].reason is Reason.NOTHING_FITS  # type: ignore[union-attr]
    s.arrive(11, "arm")
    (decision,) = s.all(r.Decision)
    assert isinstance(decision, r.Decision)
    assert decision.predicted_ms == pytest.approx(19 + 2 + 1 + 9000 / 7168 + 5, abs=1e-4)


RUN_FIRST = r.Run("cpu", 1, 0, "small", 0, 1)


def test_a_reserve_that_never_ends_is_waited_for_and_nothing_else_is_planned() -> None:
    s = Script(ArmTable((LOCAL,), (SMALL,)), STREAM, policy="local:small", open_link=False)
    assert s.arrive(10, "arm") == (RUN_FIRST,)
    assert s.wake_ms is None


def test_what_is_sent_after_its_use_is_lost_as_long_after_it_was_sent() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    assert s.timer(67) == ()  # the lane is taken
    assert kinds(s.encoded(95, 1)) == ["Send", "Run"]
    assert s.wake_ms == 195


def test_energy_is_told_to_four_places() -> None:
    s = Script(ONE, STREAM)
    s.arrive(10, "arm")
    s.encoded(12, 1)
    s.answered(40, 0)
    (told,) = s.all(r.Delivered)
    assert isinstance(told, r.Delivered)
    assert told.energy_mj == round(ENERGY_SENT, 4) != ENERGY_SENT
