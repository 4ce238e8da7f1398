"""A core under a certificate: which reserves, arms and samples there are in each mode, and what makes it change."""

import re
from dataclasses import replace

import pytest

from hedgerow.core import Arm, ArmTable, Criticality, CrossStep, RunStep, Stream
from hedgerow.core import records as r
from hedgerow.core.certificate import Allowance, Blocking, Certificate, Mode, Rule
from hedgerow.core.records import SECOND, Reason, Source, Status
from hedgerow.errors import UsageError
from tests.core.world import MS, World, local_model, small_table, world

CAMERA = Stream("camera", 150 * MS, period_ns=90 * MS, has_safe_value=True)
RULE = Rule(exceedances_max=2, return_after_ns=2 * SECOND, hot_celsius=80.0, cool_celsius=70.0)


def mode(name: str, *reserves: str, keep_every: int = 1, blocking_ms: float = 12.0) -> Mode:
    return Mode(name, (Allowance("camera", reserves, keep_every),), (Blocking("cpu", int(blocking_ms * MS)),))


FULL, HALF, STOP = mode("full", "small"), mode("half", "small", keep_every=2), mode("stop")


def certified(*modes: Mode, camera: Stream = CAMERA, rule: Rule = RULE, link_ms: float | None = None) -> World:
    found = Certificate("digest", (camera,), modes, rule)
    answer = None if link_ms is None else int(link_ms * MS)
    return world(certificate=found, answer_ns=lambda now: answer)


def changes(w: World) -> list[tuple[str, str, bool]]:
    return [(each.before, each.after, each.certified) for each in w.records if isinstance(each, r.ModeChanged)]


def test_within_its_bounds_a_certified_camera_is_answered_and_nothing_is_withdrawn() -> None:
    w = certified(FULL, STOP)
    w.periodic(CAMERA, 40)
    w.run(10_000 * MS)
    assert w.late(CAMERA.deadline_ns) == []
    assert changes(w) == []
    assert w.core.mode == "full"
    assert {deliver.model for _, deliver in w.delivered.values()} == {"small"}


def test_only_allowed_models_stand_in_reserve() -> None:
    table = small_table(small_ms=9.0)
    for allowed in ("small", "big"):
        camera = replace(CAMERA, deadline_ns=400 * MS, period_ns=300 * MS)
        permit = Certificate("digest", (camera,), (mode("only", allowed, blocking_ms=100),), RULE)
        w = world(table=table, certificate=permit, answer_ns=lambda now: None)
        w.periodic(camera, 10)
        w.run(10_000 * MS)
        plans = {each.plan for each in w.records if isinstance(each, r.ReserveChosen)}
        assert plans == {allowed}


def test_an_arm_that_would_hold_the_lane_longer_than_certified_is_not_offered() -> None:
    """The head of split:small@1:q4 holds the lane for 12 ms at most, the encoding of the JPEG for 4 ms."""
    chosen = {}
    for blocking_ms in (12.0, 3.0):
        w = certified(mode("full", "small", blocking_ms=blocking_ms), link_ms=20)
        w.periodic(CAMERA, 40)
        w.run(10_000 * MS)
        chosen[blocking_ms] = {each.arm for each in w.records if isinstance(each, r.Decision)}
        assert w.late(CAMERA.deadline_ns) == []
    assert "cloud:big:jpeg:75" in chosen[12.0]
    assert not any(arm.startswith(("cloud:", "split:")) for arm in chosen[3.0])


def test_exceeded_bounds_are_told_and_then_withdraw_the_certificate() -> None:
    w = certified(FULL, STOP)
    w.lane_factor = 1.5  # a quarter beyond every bound
    w.periodic(CAMERA, 20)
    w.run(1500 * MS)
    kinds = [type(each).__name__ for each in w.records]
    assert kinds.index("BoundExceeded") < kinds.index("CertificateWithdrawn") < kinds.index("ModeChanged")
    assert changes(w)[0] == ("full", "stop", True)
    assert w.core.mode == "stop"
    stopped = next(now for now, _, outcome in w.steps if any(isinstance(x, r.ModeChanged) for x in outcome.records))
    after = [w.delivered[n] for n, captured in w.arrived.items() if captured > stopped and n in w.delivered]
    assert after
    assert {deliver.source for _, deliver in after} == {Source.SAFE_VALUE}


def test_a_mode_without_reserves_still_takes_a_remote_answer_in_time() -> None:
    w = certified(STOP, link_ms=20)
    w.periodic(CAMERA, 40)
    w.run(10_000 * MS)
    sources = [w.delivered[n][1].source for n in sorted(w.delivered)]
    assert set(sources) == {Source.SAFE_VALUE, Source.REMOTE}
    assert sources.count(Source.REMOTE) > 30
    assert w.late(CAMERA.deadline_ns) == []
    assert changes(w) == []  # a safe value is what this mode promises: nothing is broken by it


def test_a_safety_stream_never_takes_the_clouds_answer_for_its_own() -> None:
    """Its safe value alone is promised: what the cloud says comes beside it, as advice."""
    w = certified(STOP, camera=replace(CAMERA, criticality=Criticality.SAFETY), link_ms=20)
    w.periodic(CAMERA, 40)
    w.run(10_000 * MS)
    assert {deliver.source for _, deliver in w.delivered.values()} == {Source.SAFE_VALUE}
    assert sum(deliver.advised for _, deliver in w.delivered.values()) > 30


def test_where_nothing_can_answer_the_safe_value_comes_at_once() -> None:
    w = certified(STOP)
    w.periodic(CAMERA, 10)
    w.run(10_000 * MS)
    assert {w.latency_ms(number) for number in w.delivered} == {0.0}
    assert {deliver.reason for _, deliver in w.delivered.values()} == {Reason.SAFE_VALUE_ONLY}


def test_a_safe_value_that_comes_too_late_breaks_even_that_modes_promise() -> None:
    w = certified(STOP, link_ms=20)
    w.periodic(CAMERA, 5)
    w.run(1000 * MS)
    w.answer_ns = lambda now: None  # it is sent, and nothing comes back
    w.request(9, "camera", 1500 * MS)
    w.run(1600 * MS)
    assert w.core.mode == "stop"
    w.core.step(r.TimerFired(), now_ns=1651 * MS)
    assert w.core.mode == ""


def test_what_is_put_off_in_a_lower_mode_still_fits_when_the_one_above_returns() -> None:
    w = certified(FULL, HALF, STOP)
    forecasts = w.core._desks["cpu"]._forecasts
    period = forecasts["camera"].period_ns
    w.at(0, r.Temperature(90.0))
    w.at(6000 * MS, r.Temperature(90.0))
    w.run(7000 * MS)
    assert w.core.mode == "stop"
    assert w.core._desks["cpu"]._forecasts["camera"].period_ns == period == CAMERA.period_ns


def test_captures_may_lie_closer_by_what_their_delay_leaves_room_for() -> None:
    """A loop that sleeps 90 ms wakes up to 4 ms late: never two captures too soon for a grid of 90 ms and 5 ms of delay."""
    late_ms = (0, 4, 1, 3, 0, 4, 4, 0)
    w = certified(FULL, camera=replace(CAMERA, capture_delay_ns=5 * MS))
    for number, late in enumerate(late_ms):
        w.request(number, "camera", 1000 * MS + number * 90 * MS + late * MS)
    w.run(5000 * MS)
    assert not [each for each in w.records if isinstance(each, r.BoundExceeded)]
    assert w.late(CAMERA.deadline_ns) == []


def test_a_stream_that_is_always_too_quick_is_found_out_in_spite_of_that_room() -> None:
    w = certified(FULL, camera=replace(CAMERA, capture_delay_ns=5 * MS))
    for number in range(12):
        w.request(number, "camera", 1000 * MS + number * 89 * MS)
    w.run(5000 * MS)
    found = [each.request for each in w.records if isinstance(each, r.BoundExceeded)]
    assert found
    assert found[0] == 6  # 1 ms each: the 5 ms are used up


def test_a_lower_rate_leaves_samples_out_at_once_and_says_so() -> None:
    for camera, status in ((CAMERA, Status.SAFE_VALUE), (replace(CAMERA, has_safe_value=False), Status.DROPPED)):
        w = certified(HALF, camera=camera)
        w.periodic(camera, 20)
        w.run(10_000 * MS)
        left_out = [n for n in w.delivered if w.delivered[n][1].reason is Reason.LOWER_RATE]
        assert left_out == list(range(1, 20, 2))
        assert {w.delivered[n][1].status for n in left_out} == {status}
        assert {w.latency_ms(n) for n in left_out} == {0.0}
        assert changes(w) == []


def test_heat_moves_to_the_next_mode_and_back_when_it_is_cool() -> None:
    w = certified(FULL, HALF)
    w.periodic(CAMERA, 60)
    w.at(1000 * MS, r.Temperature(85.0))
    w.at(2000 * MS, r.Temperature(75.0))
    w.at(2500 * MS, r.Temperature(65.0))
    w.run(10_000 * MS)
    assert changes(w) == [("full", "half", True), ("half", "full", True)]
    back = next(
        now for now, _, o in w.steps if any(isinstance(x, r.ModeChanged) and x.after == "full" for x in o.records)
    )
    assert back == 4500 * MS  # on time, by the core's own timer
    assert w.late(CAMERA.deadline_ns) == []


def test_so_does_throttling() -> None:
    w = certified(FULL, HALF)
    w.periodic(CAMERA, 30)
    w.at(1000 * MS, r.Throttled(0.04))
    w.at(1500 * MS, r.Throttled(0.2))
    w.run(2500 * MS)
    assert [each.because for each in w.records if isinstance(each, r.ModeChanged)] == ["throttling"]


def test_what_waits_gets_a_reserve_of_the_new_mode() -> None:
    camera = replace(CAMERA, deadline_ns=600 * MS, period_ns=500 * MS)
    big, small = mode("big", "big", blocking_ms=100), mode("small", "small", blocking_ms=100)
    w = certified(big, small, camera=camera, link_ms=400)
    w.periodic(camera, 6)
    w.at(2100 * MS, r.Temperature(90.0))  # request 4 has been sent; its answer is not back
    w.run(10_000 * MS)
    moved = [each for each in w.records if isinstance(each, r.ReserveChosen) and each.reason is Reason.MODE_CHANGED]
    assert [(each.request, each.plan) for each in moved] == [(4, "small")]
    assert w.late(camera.deadline_ns) == []


@pytest.mark.parametrize(
    ("delay_ms", "gap_ms", "what"), [(4, 90, None), (6, 90, "capture delay"), (0, 80, "least distance, by")]
)
def test_what_the_proof_assumes_of_the_streams_is_watched(delay_ms: int, gap_ms: int, what: str | None) -> None:
    w = certified(FULL, camera=replace(CAMERA, capture_delay_ns=5 * MS))
    for number in range(2):
        captured = 1000 * MS + number * gap_ms * MS
        w.arrived[number] = captured
        w.at(captured + delay_ms * MS, r.RequestArrived(number, "camera", captured))
    w.run(5000 * MS)
    found = {each.what for each in w.records if isinstance(each, r.BoundExceeded)}
    assert found == ({what} if what else set())


def test_a_slow_delivery_is_an_exceeded_bound() -> None:
    for late in (False, True):
        w = certified(FULL)
        w.at(5 * MS, r.DeliveryTook(0, 2 * MS, 3 * MS, late))
        w.run(6 * MS)
        assert r.BoundExceeded(0, "delivery", 3.0, 1.0) in w.records
        assert any(isinstance(each, r.CertificateWithdrawn) for each in w.records) is late


def test_streams_are_those_of_the_certificate() -> None:
    w = certified(FULL)
    with pytest.raises(UsageError, match="'lidar' is not in the certificate"):
        w.core.step(r.StreamOpened(Stream("lidar", 100 * MS)), now_ns=0)
    with pytest.raises(UsageError, match="not as it was certified"):
        w.core.step(r.StreamOpened(replace(CAMERA, deadline_ns=50 * MS)), now_ns=0)
    w.core.step(r.StreamOpened(CAMERA), now_ns=0)


def test_a_late_answer_that_was_promised_withdraws_even_without_an_exceedance() -> None:
    """Requests sooner than declared overload the lane; the least distance is told, and the broken promise withdraws."""
    safety = replace(CAMERA, criticality=Criticality.SAFETY, has_safe_value=False, deadline_ns=60 * MS)
    w = certified(FULL, HALF, camera=safety, rule=replace(RULE, exceedances_max=1000))
    for number in range(4):
        w.request(number, "camera", 1000 * MS + number * MS)
    w.run(3000 * MS)
    withdrawn = [each for each in w.records if isinstance(each, r.CertificateWithdrawn)]
    assert withdrawn
    assert re.search(r"request \d of 'camera' ended (late|dropped)", withdrawn[0].because)


def test_a_reserve_that_was_put_off_is_done_before_the_safe_value_would_go_out() -> None:
    """The link dies with requests under way; lanes and timers take their bounds exactly. Nobody needs the safe value."""
    w = certified(FULL)
    w.lane_factor = 1.2
    w.timer_late_ns = lambda wake: 0 if wake % (90 * MS) == 57 * MS else 2 * MS  # safe values go out on the dot
    w.answer_ns = lambda now: 40 * MS if now < 2000 * MS else None
    w.periodic(CAMERA, 40)
    w.run(10_000 * MS)
    sources = {deliver.source for _, deliver in w.delivered.values()}
    assert sources == {Source.REMOTE, Source.LOCAL}
    assert changes(w) == []


def test_work_on_another_lane_does_not_keep_a_reserve_from_starting() -> None:
    """The camera's reserve is on one lane; what would be sent is encoded on another, for longer than the reserve can wait."""
    small = local_model("small", (5.0, 25.0, 25.0), 0.8)
    big = local_model("big", (2.0, 20.0), 1.0, lane="npu")
    cross = CrossStep("cloud", "jpeg:75", 11_000, 10 * MS, 60 * MS, lane="npu")
    table = ArmTable((Arm("cloud:big", (cross, RunStep("cloud", "big", 0, 1, MS)), 1.0),), (small, big))
    camera = Stream("camera", 90 * MS, period_ns=120 * MS)
    allowed = Mode("full", (Allowance("camera", ("small",)),), (Blocking("cpu", 0), Blocking("npu", 60 * MS)))
    w = world(
        table=table, certificate=Certificate("digest", (camera,), (allowed,), RULE), answer_ns=lambda now: 35 * MS
    )
    w.encode_ns = 60 * MS
    w.lane_factor = 1.2
    w.periodic(camera, 30)
    w.run(10_000 * MS)
    assert w.late(camera.deadline_ns) == []
    assert changes(w) == []


def test_a_mode_that_ends_while_older_samples_make_room_leaves_no_one_without_an_end() -> None:
    stream = Stream("camera", 90 * MS, has_safe_value=True)
    modes = tuple(
        Mode(name, (Allowance("camera", reserves),), (Blocking("cpu", 40 * MS),))
        for name, reserves in (("nominal", ("small",)), ("safe", ()))
    )
    core = world(stream, policy="device-only", certificate=Certificate("d", (stream,), modes)).core
    told: list[r.Deliver] = []
    for number in range(3):
        outcome = core.step(r.RequestArrived(number, "camera", number * MS), now_ns=number * MS)
        told += [action for action in outcome.actions if isinstance(action, r.Deliver)]
    assert [(each.request, each.reason) for each in told[:1]] == [(1, r.Reason.NEWER_SAMPLE)]
    assert (
        core.mode == "safe"
    )  # what was promised was dropped: the proof is withdrawn, and no model may answer any more
    wake_ns = core.next_wakeup_ns()
    while wake_ns is not None and wake_ns < 200 * MS:
        outcome = core.step(r.TimerFired(), now_ns=wake_ns)
        told += [action for action in outcome.actions if isinstance(action, r.Deliver)]
        wake_ns = core.next_wakeup_ns()
    assert sorted(each.request for each in told) == [0, 1, 2]
