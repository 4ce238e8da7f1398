"""Whose fault a late answer was: stories told as steps of a journal, each with its verdict."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from hedgerow.assurance import Cause, Evidence, Timed, late_above_device_only, late_requests
from hedgerow.assurance.evidence import Step
from hedgerow.core import records as r
from hedgerow.core.records import MS, Margins, Reason, Source, Status
from tests.assurance.rows import row

MARGINS = Margins(timer_ns=5 * MS, cancel_ns=10 * MS, deliver_ns=1 * MS)


def step(at_ms: float, event: r.Event, *said: r.Record, do: tuple[r.Action, ...] = ()) -> Step:
    return round(at_ms * MS), event, r.Outcome(said, do)


def decided(at_ms: float, request: int, reason: Reason = Reason.LEAST_EXPECTED_COST, reserve: str = "small") -> Step:
    decision = r.Decision(request, "cloud:big", reason, reserve, 50.0, 1.0, 50.0, 60.0, 70.0, 0.1)
    return step(at_ms, r.RequestArrived(request, "main", round(at_ms * MS)), decision)


def ran(request: int, job: int, from_ms: float, to_ms: float, *said: r.Record) -> list[Step]:
    """The request's local run on the lane."""
    took = (round((to_ms - from_ms) * MS),)
    return [
        step(from_ms, r.TimerFired(), do=(r.Run("cpu", job, request, "small", 0, 0),)),
        step(to_ms, r.RunDone("cpu", job, 0, took), *said, delivered(request, to_ms)),
    ]


def delivered(
    request: int, at_ms: float, status: Status = Status.ANSWERED, reason: Reason = Reason.LOCAL_DONE
) -> r.Delivered:
    return r.Delivered(request, status, Source.LOCAL, "local:small", reason, at_ms, 1.0, 0)


def exceeded(request: int, by_ms: float, what: str = "run small") -> r.BoundExceeded:
    return r.BoundExceeded(request, what, 50.0 + by_ms, 50.0)


def cause_of(late: Timed, steps: Iterable[Step]) -> Cause | None:
    found = late_requests([late], Evidence.of(steps, margins=MARGINS))
    return found[0].cause if found else None


def test_what_is_in_time_is_nobodys_fault() -> None:
    assert cause_of(row(0, 99.0), [decided(0, 0), *ran(0, 1, 30, 98, exceeded(0, 30))]) is None


def test_late_without_any_excess_is_the_link() -> None:
    assert cause_of(row(0, 110.0), [decided(0, 0), *ran(0, 1, 50, 109.5)]) is Cause.LINK


def test_its_own_run_beyond_its_bound_is_the_device() -> None:
    assert cause_of(row(0, 110.0), [decided(0, 0), *ran(0, 1, 50, 109.5, exceeded(0, 15))]) is Cause.DEVICE


def test_a_run_before_it_on_the_lane_beyond_its_bound_is_the_device() -> None:
    story = [decided(-60, 0), decided(0, 1), *ran(0, 1, -10, 60, exceeded(0, 20)), *ran(1, 2, 60, 109.5)]
    assert cause_of(row(1, 110.0, captured_ms=0), story) is Cause.DEVICE


def test_an_excess_that_was_over_before_its_capture_is_no_excuse() -> None:
    story = [decided(-90, 0), *ran(0, 1, -80, -10, exceeded(0, 20)), decided(0, 1), *ran(1, 2, 60, 109.5)]
    assert cause_of(row(1, 110.0, captured_ms=0), story) is Cause.LINK


def test_an_excess_after_its_own_run_began_is_no_excuse() -> None:
    story = [decided(0, 1), *ran(1, 1, 30, 109.5), step(109.7, r.TimerFired(), exceeded(7, 40))]
    assert cause_of(row(1, 110.0, captured_ms=0), story) is Cause.LINK


def test_a_sample_that_was_handed_over_after_its_time_was_up_is_the_device() -> None:
    expired = r.Delivered(0, Status.SPOOLED, Source.NONE, "", Reason.EXPIRED, 120.0, 0.0, 0)
    late = replace(row(0, 121.0), reason=Reason.EXPIRED)
    arrived = r.RequestArrived(0, "main", 0)
    assert cause_of(late, [step(120, arrived, expired)]) is Cause.DEVICE
    assert cause_of(late, [step(1, arrived), step(120, r.TimerFired(), expired)]) is Cause.LINK


@pytest.mark.parametrize(("held_ms", "cause"), [(15, Cause.LINK), (16, Cause.DEVICE)])
def test_a_lane_that_is_handed_over_late_by_an_encoder_or_at_a_joint_is_the_device(held_ms: int, cause: Cause) -> None:
    """1 ms of its own work, 5 ms for handing over; late by 10 ms."""
    encode = step(20, r.TimerFired(), do=(r.Encode("cpu", 7, 9, "big", -1, "raw"),))
    encoded = step(20 + held_ms, r.EncodeDone("cpu", 7, 100, MS))
    assert cause_of(row(0, 110.0), [decided(0, 0), encode, encoded, *ran(0, 1, 50, 109.5)]) is cause
    run = step(20, r.TimerFired(), do=(r.Run("cpu", 7, 9, "big", 0, 3),))
    made_way = step(20 + held_ms, r.RunDone("cpu", 7, 1, (MS // 2, MS // 2)))
    assert cause_of(row(0, 110.0), [decided(0, 0), run, made_way, *ran(0, 1, 50, 109.5)]) is cause
    whole = step(20 + held_ms, r.RunDone("cpu", 7, 3, (MS // 4,) * 4))
    assert cause_of(row(0, 110.0), [decided(0, 0), run, whole, *ran(0, 1, 50, 109.5)]) is Cause.LINK


def blocked(excess: r.Record | None) -> list[Step]:
    """Request 0's reserve never begins: the lane is held by request 9's job from 20 to 130 ms; a remote answer ends it."""
    holding = step(20, r.TimerFired(), do=(r.Run("cpu", 9, 9, "big", 0, 0),))
    remote = step(109.5, r.AnswerArrived(0, 1, 100, 0, 0, 0), delivered(0, 109.5, reason=Reason.REMOTE_IN_TIME))
    ended = step(130, r.RunDone("cpu", 9, 0, (110 * MS,)), *(() if excess is None else (excess,)))
    encoded = step(1, r.TimerFired(), do=(r.Encode("cpu", 1, 0, "big", -1, "raw"),))
    return [decided(0, 0), encoded, step(2, r.EncodeDone("cpu", 1, 100, MS)), holding, remote, ended]


def test_a_job_that_still_kept_the_reserve_from_the_lane_counts_as_far_as_it_had_exceeded_its_bound_by_then() -> None:
    told = replace(row(0, 110.0), reason=Reason.REMOTE_IN_TIME)
    assert cause_of(told, blocked(None)) is Cause.LINK
    assert cause_of(told, blocked(exceeded(9, 40, "run big"))) is Cause.DEVICE  # 20 of the 40 ms by then
    assert cause_of(told, blocked(exceeded(9, 25, "run big"))) is Cause.LINK  # 5 of the 25 ms
    assert cause_of(told, blocked(exceeded(9, 15, "run big"))) is Cause.LINK  # none: it was within its bound then


def test_a_timer_that_ends_a_hold_too_late_is_the_device_and_one_after_it_is_not() -> None:
    held = replace(row(0, 110.0), reason=Reason.HOLD_ENDED)
    run = [decided(0, 0), *ran(0, 1, 50, 60)[:1], step(60, r.RunDone("cpu", 1, 0, (10 * MS,)))]
    said = delivered(0, 109.5, reason=Reason.HOLD_ENDED)
    timer = [*run, step(109.5, r.TimerFired(), exceeded(-1, 12, "timer"), said)]
    assert cause_of(held, timer) is Cause.DEVICE
    assert cause_of(row(0, 110.0), timer) is Cause.LINK  # it was not the timer that had to end it
    after = [*run, step(109.5, r.TimerFired(), said), step(111, r.TimerFired(), exceeded(-1, 12, "timer"))]
    assert cause_of(held, after) is Cause.LINK


def test_a_late_timer_is_the_device() -> None:
    story = [decided(0, 0), step(55, r.TimerFired(), exceeded(-1, 12, "timer")), *ran(0, 1, 55, 109.5)]
    assert cause_of(row(0, 110.0), story) is Cause.DEVICE


def test_a_reserve_that_began_too_late_by_itself_is_no_excuse() -> None:
    story = [decided(0, 0), step(60, r.TimerFired(), exceeded(0, 10, "reserve start")), *ran(0, 1, 60, 109.5)]
    assert cause_of(row(0, 110.0), story) is Cause.LINK


@pytest.mark.parametrize(("ended_ms", "cause"), [(49, Cause.LINK), (75, Cause.DEVICE)])
def test_a_cancellation_beyond_its_margin_is_the_device(ended_ms: float, cause: Cause) -> None:
    beyond = () if ended_ms <= 50 else (exceeded(0, ended_ms - 50, "cancellation"),)
    story = [
        decided(0, 0),
        decided(1, 1),
        step(20, r.TimerFired(), do=(r.Run("cpu", 1, 0, "small", 0, 0),)),
        step(40, r.TimerFired(), delivered(0, 40), do=(r.Cancel("cpu", 1),)),
        step(ended_ms, r.JobEnded("cpu", 1), *beyond),
        *ran(1, 2, ended_ms, 110.5),
    ]
    assert cause_of(row(1, 110.0, captured_ms=1), story) is cause


@pytest.mark.parametrize(("told_ms", "cause"), [(100.9, Cause.LINK), (102.5, Cause.DEVICE)])
def test_delivery_beyond_its_margin_is_the_device(told_ms: float, cause: Cause) -> None:
    story = [decided(0, 0), *ran(0, 1, 50, 100.4 if cause is Cause.LINK else 99.0)]
    assert cause_of(row(0, told_ms), story) is cause


def test_a_reserve_that_still_runs_beyond_its_bound_when_the_late_remote_answer_comes_is_the_device() -> None:
    story = [
        decided(0, 0),
        step(45, r.TimerFired(), do=(r.Run("cpu", 1, 0, "small", 0, 0),)),
        step(101.5, r.AnswerArrived(0, 1, 10, 0, 0, 0), delivered(0, 101.5)),
        step(102.5, r.RunDone("cpu", 1, 0, (57 * MS,)), exceeded(0, 3.0)),
    ]
    assert cause_of(row(0, 102.0), story) is Cause.DEVICE


def test_a_run_and_its_segments_are_the_same_time_once() -> None:
    twice = (exceeded(0, 6.0), exceeded(0, 6.0, "segment small:0"))
    assert cause_of(row(0, 110.0), [decided(0, 0), *ran(0, 1, 50, 109.5, *twice)]) is Cause.LINK
    timer = step(49, r.TimerFired(), exceeded(-1, 6.0, "timer"))
    assert cause_of(row(0, 110.0), [decided(0, 0), timer, *ran(0, 1, 50, 109.5, *twice)]) is Cause.DEVICE


def test_when_no_local_arm_fits_it_is_the_device() -> None:
    assert cause_of(row(0, 180.0), [decided(0, 0, Reason.NOTHING_FITS), *ran(0, 1, 50, 179.5)]) is Cause.DEVICE


def test_what_gave_way_to_a_newer_sample_for_want_of_room_is_the_device() -> None:
    gone = delivered(0, 60, Status.DROPPED, Reason.NEWER_SAMPLE)
    story = [decided(0, 0), step(60, r.RequestArrived(1, "main", 60 * MS), gone)]
    assert cause_of(row(0, 60.0, status=Status.DROPPED), story) is Cause.DEVICE


@pytest.mark.parametrize(("by_ms", "cause"), [(2.0, Cause.LINK), (60.0, Cause.DEVICE)])
def test_an_excess_excuses_no_more_than_itself(by_ms: float, cause: Cause) -> None:
    encode = r.Encode("cpu", 1, 0, "big", -1, "jpeg:75")
    story = [
        decided(0, 0, Reason.POLICY_FIXED, reserve=""),
        step(0, r.TimerFired(), do=(encode,)),
        step(5, r.EncodeDone("cpu", 1, 1000, 5 * MS), exceeded(0, by_ms, "encode")),
        step(150, r.AnswerArrived(0, 1, 10, 0, 0, 0), delivered(0, 150)),
    ]
    assert cause_of(row(0, 150.0), story) is cause


def test_no_answer_is_not_excused_by_a_small_excess() -> None:
    story = [decided(0, 0, Reason.POLICY_FIXED, reserve=""), step(5, r.TimerFired(), exceeded(0, 0.1, "encode"))]
    assert cause_of(row(0, 20.0, status=Status.FAILED), story) is Cause.LINK
    assert cause_of(replace(row(0, 20.0, status=Status.FAILED), reason="engine_failed"), story) is Cause.DEVICE


def test_what_the_journal_never_saw_is_the_link() -> None:
    assert cause_of(row(0, 500.0, request=-1, status=Status.FAILED), []) is Cause.LINK


def test_late_above_device_only_counts_what_the_twin_met() -> None:
    story = [decided(0, 0), *ran(0, 1, 50, 109.5), decided(100, 1), *ran(1, 2, 150, 209.5, exceeded(1, 15))]
    evidence = Evidence.of(story, margins=MARGINS)
    ours = [row(0, 110.0), row(1, 110.0)]
    assert late_above_device_only(ours, evidence, [row(0, 60.0), row(1, 60.0)]) == 1
    assert late_above_device_only(ours, evidence, [row(0, 130.0), row(1, 60.0)]) == 0
