"""Each invariant can fail: a bug is planted in the core (or between it and the world), and found by the one meant for it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from hedgerow.core import Criticality
from hedgerow.core import records as r
from hedgerow.core.lanes import Forecast, sustainable
from hedgerow.simulation.campaign import Violation, try_scene
from hedgerow.simulation.drawing import draw_scene
from hedgerow.simulation.invariants import carries, unruly_requests

REQUESTS = 120
Outcomes = Callable[[int, r.Event, r.Outcome], r.Outcome]


def first(plant: Callable[[Any], None], seeds: Iterable[int] = range(40)) -> Violation:
    """The first violation that a plant brings about."""
    for seed in seeds:
        found = try_scene(draw_scene(seed, REQUESTS), plant=plant).violation
        if found is not None:
            return found
    raise AssertionError("no world notices")


def outcomes(change: Outcomes) -> Callable[[Any], None]:
    """A plant that changes what each step of the core gives."""

    def plant(body: Any) -> None:
        step = body.core.step

        def stepped(event: r.Event, *, now_ns: int) -> r.Outcome:
            return change(now_ns, event, step(event, now_ns=now_ns))

        body.core.step = stepped

    return plant


def actions(change: Callable[[r.Action], tuple[r.Action, ...]]) -> Callable[[Any], None]:
    """A plant that puts others in the place of each action."""

    def changed(now_ns: int, event: r.Event, outcome: r.Outcome) -> r.Outcome:
        return r.Outcome(outcome.records, tuple(new for old in outcome.actions for new in change(old)))

    return outcomes(changed)


def records(change: Callable[[r.Record], tuple[r.Record, ...]]) -> Callable[[Any], None]:
    def changed(now_ns: int, event: r.Event, outcome: r.Outcome) -> r.Outcome:
        return r.Outcome(tuple(new for old in outcome.records for new in change(old)), outcome.actions)

    return outcomes(changed)


def test_nothing_is_planted_and_nothing_is_found() -> None:
    assert [try_scene(draw_scene(seed, REQUESTS)).violation for seed in range(12)] == [None] * 12


def test_answered_twice() -> None:
    found = first(actions(lambda one: (one, one) if type(one) is r.Deliver else (one,)))
    assert (found.invariant, "twice" in found.what) == ("once", True)


def test_never_answered() -> None:
    dropped = actions(lambda one: () if type(one) is r.Deliver and one.request % 50 == 49 else (one,))
    found = first(dropped)
    assert found.invariant == "once"


def test_never_forgotten() -> None:
    found = first(actions(lambda one: () if type(one) is r.Forget and one.request == 99 else (one,)))
    assert (found.invariant, "forgotten" in found.what) == ("once", True)


def test_decided_after_its_end() -> None:
    def late(now_ns: int, event: r.Event, outcome: r.Outcome) -> r.Outcome:
        return r.Outcome((*outcome.records, *told), outcome.actions)

    told = (r.Decision(10**6, "", r.Reason.POLICY_FIXED, "", 0, 0, 0, 0, 0, 0),)
    assert first(outcomes(late)).invariant == "once"


def test_a_wake_up_in_the_past() -> None:
    def plant(body: Any) -> None:
        body.core.next_wakeup_ns = lambda: body.clock.now_ns

    assert first(plant).invariant == "time"


def test_no_rest() -> None:
    def plant(body: Any) -> None:
        def again() -> None:
            body.post(r.TimerFired())
            body.clock.at(body.clock.now_ns + 1, again)

        body.clock.at(0, again)

    assert first(plant).invariant == "time"


def test_two_jobs_on_a_lane() -> None:
    found = first(actions(lambda one: (one, replace(one, job=one.job + 1)) if type(one) is r.Run else (one,)))
    assert found.invariant == "lane"


def test_a_job_that_does_not_run_is_preempted() -> None:
    def another(one: r.Action) -> tuple[r.Action, ...]:
        return (replace(one, job=one.job + 1),) if isinstance(one, r.Preempt | r.Cancel) else (one,)

    assert first(actions(another)).invariant == "lane"


def test_more_in_flight_than_the_limit() -> None:
    def plant(body: Any) -> None:
        body.core.limits = replace(body.core.limits, requests_in_flight_max=10**6)

    assert first(plant, range(200)).invariant == "limits"


def test_a_drop_for_a_limit_that_is_not_reached() -> None:
    def plant(body: Any) -> None:
        body.core.limits = replace(body.core.limits, requests_in_flight_max=1)

    found = first(plant)
    assert (found.invariant, "dropped for the limit" in found.what) == ("limits", True)


def test_background_is_kept_and_a_mission_dropped() -> None:
    def plant(body: Any) -> None:
        core, decide = body.core, body.core._decide

        def decided(flight: Any) -> None:
            waiting = [each for each in core._flights.values() if each.may_yield]
            if flight.background or not waiting:
                decide(flight)
            else:
                core._end_without(flight, r.Reason.LIMIT_REACHED, r.Status.DROPPED)

        core._decide = decided
        core.limits = replace(core.limits, requests_in_flight_max=0)

    assert first(plant).invariant == "limits"


def test_more_crossings_remembered_than_the_limit() -> None:
    def plant(body: Any) -> None:
        for link in body.core._links.values():
            link._limits = replace(link._limits, late_answers_kept_max=10**6)

    assert first(plant, range(300)).invariant == "limits"


def test_two_probes_at_once() -> None:
    found = first(actions(lambda one: (one, replace(one, probe=one.probe + 1)) if type(one) is r.Probe else (one,)))
    assert found.invariant == "limits"


def test_late_and_called_in_time() -> None:
    late = actions(
        lambda one: (
            (replace(one, status=r.Status.ANSWERED),)
            if type(one) is r.Deliver and one.status is r.Status.LATE
            else (one,)
        )
    )
    assert first(late).invariant == "honest"


def test_an_answer_that_nobody_gave() -> None:
    def invented(one: r.Action) -> tuple[r.Action, ...]:
        if type(one) is r.Deliver and one.source is r.Source.LOCAL:
            return (replace(one, source=r.Source.REMOTE),)
        return (one,)

    assert first(actions(invented)).invariant == "honest"


def reused_despite(**changed: Any) -> Callable[[Any], None]:
    """A plant whose core is told that samples are alike, whatever the world says."""

    def plant(body: Any) -> None:
        take_up = body.core._reuse.take_up

        def misled(event: r.RequestArrived, flight: Any, now_ns: int) -> bool:
            kept = body.core._reuse._standing.get(event.stream)
            told = {"change": event.change, "change_from": event.change_from} | changed
            return bool(take_up(replace(event, **told), flight, now_ns)) if kept else False

        body.core._reuse.take_up = misled

    return plant


@pytest.mark.parametrize("changed", [{}, {"change": 0.0}])
def test_an_answer_is_given_again_although_the_scene_changed(changed: dict[str, Any]) -> None:
    worlds = [seed for seed in range(60) if any(each.reuse_below for each in draw_scene(seed, 5).streams)]
    assert len(worlds) > 5
    if changed:
        assert first(reused_despite(**changed), worlds).invariant == "reuse"
    else:
        with pytest.raises(AssertionError, match="no world notices"):
            first(reused_despite(), worlds)


def test_an_answer_is_kept_that_was_late_or_none() -> None:
    found = first(actions(lambda one: (replace(one, reusable=True),) if type(one) is r.Deliver else (one,)))
    assert found.invariant == "reuse"


def test_a_bound_exceeded_by_nothing() -> None:
    found = first(
        records(
            lambda one: (one, r.BoundExceeded(1, "run small", 2.0, 1.0)) if type(one) is r.ReserveStarted else (one,)
        )
    )
    assert found.invariant == "honest"


def test_a_distrusted_link_is_used() -> None:
    def plant(body: Any) -> None:
        records(
            lambda one: (r.RemoteDistrusted("cloud", 1, 1, 0.1, 1.0, 0.1), one) if type(one) is r.Decision else (one,)
        )(body)

    assert first(plant).invariant == "honest"


def test_a_lane_goes_on_for_what_is_answered() -> None:
    assert first(actions(lambda one: () if type(one) is r.Cancel else (one,))).invariant == "lane"


def test_bytes_go_on_for_what_nobody_wants() -> None:
    found = first(actions(lambda one: () if type(one) is r.StopSending else (one,)), range(100))
    assert (found.invariant, "still sent" in found.what) == ("once", True)


def test_work_is_begun_for_what_is_answered() -> None:
    def plant(body: Any) -> None:
        jobs = iter(range(10**6, 10**7))
        lane = next(iter(body.core._desks))
        model = next(iter(body.core._desks[lane].models))
        actions(
            lambda one: (
                (one, r.Run(lane, next(jobs), one.request, model, 0, 0))
                if type(one) is r.Deliver and not body._jobs
                else (one,)
            )
        )(body)

    found = first(plant)
    assert (found.invariant, "after it was answered" in found.what) == ("once", True)


@pytest.mark.parametrize(
    "wrong",
    [{"age_ms": -1.0}, {"uplink_bytes": 1}, {"status": r.Status.FAILED}, {"reason": r.Reason.EXPIRED}, {"arm": "?"}],
)
def test_an_end_is_recorded_otherwise_than_it_came(wrong: dict[str, Any]) -> None:
    found = first(records(lambda one: (replace(one, **wrong),) if type(one) is r.Delivered else (one,)))
    assert (found.invariant, "than is recorded" in found.what) == ("honest", True)


def test_another_model_is_named_than_answered() -> None:
    def other(one: r.Action) -> tuple[r.Action, ...]:
        return (replace(one, model="m9"),) if type(one) is r.Deliver and one.source is r.Source.REMOTE else (one,)

    found = first(actions(other))
    assert (found.invariant, "said to be answered by m9" in found.what) == ("honest", True)


def test_the_other_side_is_told_a_wrong_time() -> None:
    found = first(
        actions(lambda one: (replace(one, useful_until_ns=one.useful_until_ns + 1),) if type(one) is r.Send else (one,))
    )
    assert (found.invariant, "useful until" in found.what) == ("honest", True)


def test_a_change_of_modes_that_is_not_told() -> None:
    found = first(records(lambda one: () if type(one) is r.ModeChanged else (one,)), range(100))
    assert found.invariant in ("mode", "honest", "reserve")


def test_a_model_that_the_mode_does_not_allow() -> None:
    def plant(body: Any) -> None:
        body.core._modes.reserves = lambda stream: tuple(body.core.table.locals)
        modes = body.core._modes
        allowance = modes.allowance
        every = tuple(model.name for model in body.core.table.locals)
        modes.allowance = lambda stream: replace(allowance(stream), reserves=every)

    found = first(plant, range(100))
    assert (found.invariant, "stands in reserve" in found.what) == ("mode", True)


def test_a_sample_is_left_out_that_the_mode_takes() -> None:
    def plant(body: Any) -> None:
        body.core._modes.arrived = lambda event, now_ns: event.request % 9 != 8

    assert first(plant).invariant == "mode"


def test_more_is_promised_than_the_lane_can_do() -> None:
    def plant(body: Any) -> None:
        for desk in body.core._desks.values():
            desk._fits = lambda jobs, now_ns: True

    assert first(plant).invariant == "feasible"


def test_a_reserve_that_starts_too_late() -> None:
    def plant(body: Any) -> None:
        for desk in body.core._desks.values():
            desk._margins = replace(desk._margins, timer_ns=0)  # lateness of timers is not counted
            desk._may_block = lambda promised, busy_ns, now_ns: True  # nor what optional work takes away

    assert first(plant).invariant in ("reserve", "honest")


def test_a_request_with_a_reserve_is_not_answered() -> None:
    def plant(body: Any) -> None:
        core = body.core
        settle = core._settle

        def settled(flight: Any) -> None:
            if flight.request % 40 != 39:
                settle(flight)
            elif not flight.closed:
                core._deliver(flight, r.Status.FAILED, r.Source.NONE, r.Reason.EXPIRED)

        core._settle = settled

    assert first(plant).invariant == "reserve"


def test_a_request_is_dropped_that_a_device_alone_answers() -> None:
    def plant(body: Any) -> None:
        core = body.core
        decide = core._decide

        def decided(flight: Any) -> None:
            if flight.request % 40 != 39:
                decide(flight)
            else:
                core._end_without(flight, r.Reason.NOTHING_FITS)

        core._decide = decided

    found = first(plant)
    assert (found.invariant, "device alone" in found.what) == ("twin", True)


def test_bytes_that_nobody_counts() -> None:
    def plant(body: Any) -> None:
        body.core._budgets.spend = lambda **spent: None

    assert first(plant, range(60, 120)).invariant == "budget"


def test_a_link_that_is_never_probed() -> None:
    def plant(body: Any) -> None:
        for link in body.core._links.values():
            link.probe_if_due, link.probe_due_ns = lambda now_ns: 0, lambda: None

    found = first(plant)
    assert (found.invariant, "was not probed" in found.what) == ("breaker", True)


def test_a_link_that_stays_open_although_its_probe_was_answered() -> None:
    def plant(body: Any) -> None:
        for link in body.core._links.values():
            probed = link.probed
            link.probed = lambda event, now_ns, probed=probed: probed(r.ProbeLost(event.probe), now_ns)

    found = first(plant)
    assert (found.invariant, "was answered" in found.what) == ("breaker", True)


def test_a_move_of_the_breaker_that_is_not_told() -> None:
    found = first(records(lambda one: () if type(one) is r.BreakerMoved else (one,)))
    assert found.invariant == "breaker"


def test_a_core_that_raises() -> None:
    def plant(body: Any) -> None:
        body.core._settle = lambda flight: {}[flight]

    assert first(plant).invariant == "crash"


def test_the_naive_sum_of_a_lanes_load_promises_no_more_than_the_cores() -> None:
    """A second opinion on `sustainable`: whatever it calls carried, the core keeps room for."""
    some = 0
    for seed in range(150):
        scene = draw_scene(seed, 5)
        if not carries(scene):
            continue
        some += 1
        for lane in {model.lane for model in scene.table.locals}:
            models = [model for model in scene.table.locals if model.lane == lane]
            bound = min(model.tail_bound_ns[0] for model in models)
            blocking = max(max(model.segment_bound_ns) for model in models) + scene.margins.timer_ns
            coming = [
                Forecast(
                    0, each.period_ns or 0, each.deadline_ns - each.capture_delay_ns - scene.margins.before(each), bound
                )
                for each in scene.streams
                if each.criticality is not Criticality.BACKGROUND
            ]
            assert sustainable(coming, blocking_ns=blocking)
    assert some > 30


def test_samples_sooner_than_declared_are_known() -> None:
    scene = draw_scene(1, 50)
    calm = replace(scene, faults=())
    poisson = {place for place, stream in enumerate(scene.streams) if stream.period_ns is None}
    assert not {each.request for each in calm.samples if each.stream not in poisson} & unruly_requests(calm)
    both = replace(
        calm.samples[-1],
        request=50,
        captured_ns=calm.samples[-1].captured_ns + 1,
        arrival_ns=calm.samples[-1].arrival_ns + 1,
    )
    if calm.samples[-1].stream not in poisson:
        assert 50 in unruly_requests(replace(calm, samples=(*calm.samples, both)))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_requests() -> None:
    from hedgerow.simulation.campaign import run_campaign

    told = run_campaign(first=10_000, seeds=100, requests=1000, workers=2)
    assert told["requests"] == 100_000
    assert told["violated"] == []


def test_an_answer_that_is_said_to_have_stood_at_a_gate() -> None:
    def claims(now_ns: int, event: r.Event, outcome: r.Outcome) -> r.Outcome:
        def changed(one: Any) -> Any:
            ended = type(one) in (r.Deliver, r.Delivered) and one.reason is r.Reason.LOCAL_DONE
            return replace(one, reason=r.Reason.CONFIDENT_AT_GATE) if ended else one

        return r.Outcome(tuple(map(changed, outcome.records)), tuple(map(changed, outcome.actions)))

    assert first(outcomes(claims)).invariant == "gate"


def test_a_gate_that_everybody_passes() -> None:
    def plant(body: Any) -> None:
        step = body.core.step

        def unsure(event: r.Event, *, now_ns: int) -> r.Outcome:
            seen = replace(event, confidence=None) if type(event) is r.RunDone else event
            outcome: r.Outcome = step(seen, now_ns=now_ns)
            return outcome

        body.core.step = unsure

    found = first(plant)
    assert (found.invariant, "crosses" in found.what) == ("gate", True)
