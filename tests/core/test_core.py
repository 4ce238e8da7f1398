"""The core in a small virtual world: what is promised, under a good link, a bad one and none."""

from collections import Counter

import pytest

from hedgerow.core import Arm, ArmTable, Criticality, CrossStep, RunStep, Stream
from hedgerow.core import records as r
from hedgerow.errors import UsageError
from tests.core.world import MS, small_table, world

CAMERA = Stream("camera", 150 * MS, period_ns=90 * MS)


def test_good_link_answers_from_the_cloud_and_leaves_the_reserve_unused() -> None:
    w = world(CAMERA)
    w.periodic(CAMERA, 50)
    w.run(10_000 * MS)
    sources = Counter(deliver.source for _, deliver in w.delivered.values())
    assert w.late(CAMERA.deadline_ns) == []
    assert sources[r.Source.REMOTE] >= 48  # the first may come before the first probe is back
    started = [record for record in w.records if isinstance(record, r.ReserveStarted)]
    assert len(started) <= 2
    assert w.forgotten == set(w.arrived)
    assert w.core.in_flight == 0


@pytest.mark.parametrize("beyond_ns", [0, 1])
def test_a_timer_beyond_its_bound_is_noted_whatever_event_comes_before_it(beyond_ns: int) -> None:
    core = world(CAMERA).core
    core.step(r.RequestArrived(0, CAMERA.name, 0), now_ns=0)
    wake_ns = core.next_wakeup_ns()
    assert wake_ns is not None
    now_ns = wake_ns + core.margins.timer_ns + beyond_ns
    outcome = core.step(r.RequestArrived(1, CAMERA.name, now_ns), now_ns=now_ns)
    found = [record for record in outcome.records if isinstance(record, r.BoundExceeded) and record.what == "timer"]
    assert [record.request for record in found] == [-1] * beyond_ns
    again = core.step(r.TimerFired(), now_ns=now_ns)  # the same lateness is told once
    assert not any(isinstance(record, r.BoundExceeded) and record.what == "timer" for record in again.records)


def test_dead_link_answers_everything_on_the_device_in_time() -> None:
    w = world(CAMERA, answer_ns=lambda now: None)
    w.periodic(CAMERA, 50)
    w.run(10_000 * MS)
    assert w.late(CAMERA.deadline_ns) == []
    assert {deliver.source for _, deliver in w.delivered.values()} == {r.Source.LOCAL}


def test_blackout_in_mid_drive_costs_no_deadline_and_ends_with_the_cloud_again() -> None:
    w = world(CAMERA, answer_ns=lambda now: None if 2000 * MS <= now < 4000 * MS else 40 * MS)
    w.periodic(CAMERA, 80)
    w.run(20_000 * MS)
    assert w.late(CAMERA.deadline_ns) == []
    after = [w.delivered[n][1].source for n, captured in w.arrived.items() if captured > 5500 * MS]
    assert after
    assert set(after) == {r.Source.REMOTE}
    moved = [record for record in w.records if isinstance(record, r.BreakerMoved)]
    assert "open" in {record.after for record in moved}


def test_two_streams_through_a_blackout_at_every_phase_are_never_late() -> None:
    fast = Stream("fast", 60 * MS, period_ns=60 * MS)
    slow = Stream("slow", 100 * MS, period_ns=100 * MS)
    for phase in range(0, 60, 3):
        w = world(
            fast,
            slow,
            table=small_table(small_ms=15.0),
            answer_ns=lambda now: None if (1500 + phase) * MS <= now else 25 * MS,  # noqa: B023
        )
        events = sorted(
            [(i * fast.deadline_ns, "fast") for i in range(40)]
            + [(phase * MS // 2 + i * slow.deadline_ns, "slow") for i in range(24)]
        )
        for number, (moment, stream) in enumerate(events):
            w.request(number, stream, moment)
        w.run(20_000 * MS)
        by_stream = {n: events[n][1] for n in w.arrived}
        late = [n for n in w.late(60 * MS) if by_stream[n] == "fast"]
        late += [n for n in w.late(100 * MS) if by_stream[n] == "slow"]
        assert late == [], phase


def test_safety_delivers_its_own_answer_and_attaches_the_remote_one() -> None:
    stream = Stream("brake", 150 * MS, Criticality.SAFETY, period_ns=100 * MS)
    w = world(stream, answer_ns=lambda now: 20 * MS)
    w.periodic(stream, 20)
    w.run(5000 * MS)
    assert {deliver.source for _, deliver in w.delivered.values()} == {r.Source.LOCAL}
    assert any(deliver.advised for _, deliver in w.delivered.values())


def test_background_waits_for_the_link_and_is_spooled_when_it_never_comes() -> None:
    stream = Stream("log", 150 * MS, Criticality.BACKGROUND, expiry_ns=3000 * MS)
    w = world(stream, table=None, answer_ns=lambda now: None)
    w.request(0, "log", 0)
    w.run(10_000 * MS)
    status = w.delivered[0][1].status
    assert status in (r.Status.SPOOLED, r.Status.ANSWERED)


def test_cloud_only_has_no_reserve_and_is_late_in_a_blackout() -> None:
    w = world(CAMERA, policy="cloud-only", answer_ns=lambda now: None if now > 1000 * MS else 40 * MS)
    w.periodic(CAMERA, 30)
    w.run(20_000 * MS)
    assert len(w.late(CAMERA.deadline_ns)) > 10
    assert w.forgotten == set(w.arrived)


def test_safe_value_stands_in_when_nothing_fits() -> None:
    stream = Stream("fast", 20 * MS, has_safe_value=True)
    w = world(stream, answer_ns=lambda now: None)
    w.request(0, "fast", 0)
    w.run(1000 * MS)
    assert w.delivered[0][1].status is r.Status.SAFE_VALUE
    assert w.latency_ms(0) <= 20


def test_without_a_safe_value_the_fastest_local_answer_comes_late_and_says_so() -> None:
    stream = Stream("fast", 20 * MS)
    w = world(stream, answer_ns=lambda now: None)
    w.request(0, "fast", 0)
    w.run(1000 * MS)
    assert w.delivered[0][1].status is r.Status.LATE
    assert w.delivered[0][1].model == "small"


def test_overrun_drops_older_samples_and_tells_each() -> None:
    stream = Stream("flood", 100 * MS, period_ns=10 * MS)
    w = world(stream, answer_ns=lambda now: None)
    w.periodic(stream, 100)
    w.run(20_000 * MS)
    outcome = Counter(deliver.status for _, deliver in w.delivered.values())
    assert set(w.delivered) == set(w.arrived)
    assert outcome[r.Status.DROPPED] > 20
    assert outcome[r.Status.ANSWERED] >= 25
    assert w.delivered[99][1].status is not r.Status.DROPPED


def test_duplicate_and_unknown_answers_are_ignored_and_recorded() -> None:
    w = world(CAMERA)
    w.periodic(CAMERA, 3, first=500 * MS)
    w.run(3000 * MS)
    outcome = w.core.step(r.AnswerArrived(1, 1, 4000, 0, 0, MS), now_ns=w.now)
    assert outcome.actions == ()
    assert outcome.records == (r.Ignored("AnswerArrived", 1),)


def test_time_never_runs_back_and_wrong_callers_are_told() -> None:
    w = world(CAMERA)
    w.core.step(r.TimerFired(), now_ns=10)
    with pytest.raises(UsageError, match="time ran back"):
        w.core.step(r.TimerFired(), now_ns=9)
    with pytest.raises(UsageError, match="no stream 'x'"):
        w.core.step(r.RequestArrived(0, "x", 0), now_ns=10)


def test_when_bounds_are_hopeless_the_device_answers_at_once_as_it_would_alone() -> None:
    from tests.core.world import local_model

    base = small_table(small_ms=40.0)
    wild = local_model("small", (1.0, 40 / 3, 40 / 3, 40 / 3), 0.8, bound_factor=5.0)
    table = ArmTable(base.arms, (wild, base.locals[1]))
    for answer in (30 * MS, 200 * MS, None):
        w = world(CAMERA, table=table, answer_ns=lambda now: answer)  # noqa: B023
        w.periodic(CAMERA, 60)
        w.run(20_000 * MS)
        assert w.late(CAMERA.deadline_ns) == [], answer


def test_a_hopeless_newcomer_does_not_drop_what_is_promised() -> None:
    stream = Stream("camera", 200 * MS)
    w = world(stream, policy="device-only", table=small_table(small_ms=60.0))
    w.request(0, "camera", 300 * MS)
    w.at(301 * MS, r.RequestArrived(1, "camera", 301 * MS))
    w.at(302 * MS, r.RequestArrived(2, "camera", 52 * MS))  # its deadline is over already
    w.arrived |= {1: 301 * MS, 2: 52 * MS}
    w.run(3000 * MS)
    assert w.delivered[1][1].status is r.Status.ANSWERED
    assert w.delivered[2][1].status is not r.Status.ANSWERED


def test_lost_probes_alone_open_the_breaker() -> None:
    stream = Stream("rare", 150 * MS)
    w = world(stream, policy="device-only", answer_ns=lambda now: 20 * MS if now < 1000 * MS else None)
    for number in range(8):
        w.request(number, "rare", number * 900 * MS)
    w.run(8000 * MS)
    moved = [(record.before, record.after) for record in w.records if isinstance(record, r.BreakerMoved)]
    assert ("probing", "closed") in moved
    assert moved[-1] != ("probing", "closed")
    assert ("closed", "open") in moved


def test_background_whose_cut_is_passed_tries_again_from_the_sample() -> None:
    stream = Stream("log", 150 * MS, Criticality.BACKGROUND, expiry_ns=4000 * MS)
    w = world(stream, answer_ns=lambda now: 20 * MS if now > 2000 * MS else None)
    w.request(0, "log", 500 * MS)
    w.run(20_000 * MS)
    assert w.delivered[0][1].status in (r.Status.ANSWERED, r.Status.SPOOLED)
    assert w.forgotten == {0}


def test_a_safety_answer_of_the_cloud_stands_in_when_every_local_engine_fails() -> None:
    stream = Stream("brake", 150 * MS, Criticality.SAFETY)
    w = world(stream, answer_ns=lambda now: 5 * MS)
    w.request(0, "brake", 0)
    w.request(1, "brake", 500 * MS)
    w.run(500 * MS)
    core, now = w.core, 500 * MS
    for _ in range(12):
        running = [(lane, job) for lane, (job, _) in w._jobs.items()]
        if 1 in w.delivered or not running:
            break
        lane, job = running[0]
        now += 10 * MS
        w.now = now
        if isinstance(job, r.Encode):
            w._step(r.EncodeDone(lane, job.job, 9000, 2 * MS))
            w._step(r.ChunkAcked(1, 1, 9000))
            w._step(r.AnswerArrived(1, 1, 4000, 0, 0, MS))
        else:
            w._step(r.JobEnded(lane, job.job, "broken"))
    assert w.delivered[1][1].source is r.Source.REMOTE
    assert core.next_wakeup_ns() is None or core.in_flight == 0


def test_probes_of_two_links_never_share_a_number() -> None:
    first, second = (
        Arm(f"{link}:big", (CrossStep(link, "jpeg:75", 11_000, MS, 2 * MS), RunStep("cloud", "big", 0, 3, MS)), 0.97)
        for link in ("cloud", "edge")
    )
    core = world(CAMERA, table=ArmTable((first, second), small_table().locals)).core
    outcome = core.step(r.RequestArrived(0, CAMERA.name, 0), now_ns=0)
    probes = {action.link: action.probe for action in outcome.actions if isinstance(action, r.Probe)}
    assert len(set(probes.values())) == 2
    outcome = core.step(r.ProbeAnswered(probes["edge"], MS, 2 * MS, 8192), now_ns=MS)
    closed = [record.link for record in outcome.records if isinstance(record, r.BreakerMoved)]
    assert closed == ["edge"]
