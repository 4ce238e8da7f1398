"""The audit of remote answers: what it claims about false alarms, how soon it finds a liar, and that it costs no answer."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from hedgerow.core import Criticality, Limits, Stream
from hedgerow.core import records as r
from hedgerow.core.audit import BETS, Audits, Trust
from hedgerow.core.flight import Flight, Job
from hedgerow.core.link import Link
from tests.core.world import MS, World, small_table, world

CAMERA = Stream("camera", 150 * MS, period_ns=90 * MS)
EVERY = Limits(audit_share=1.0, audit_spacing_ns=0)


def alarms_at(trust: Trust, agreements: Sequence[bool], expected: float) -> int | None:
    """After how many audits the trust ends; None if it never does."""
    for number, agrees in enumerate(agreements, start=1):
        if trust.observe(agrees, expected):
            return number
    return None


def wealth_of(agreements: Sequence[bool], expected: Sequence[float]) -> float:
    """The definition: bets that begin at each audit, with stakes of sum 1; what has not begun yet is kept."""
    total = 1.0 - sum(1 / (n * (n + 1)) for n in range(1, len(agreements) + 1))
    for begin in range(len(agreements)):
        for size in BETS:
            won = 1.0
            for agrees, p in list(zip(agreements, expected, strict=True))[begin:]:
                won *= 1 - size if agrees else 1 + size * (1 - p) / p
            total += won / ((begin + 1) * (begin + 2)) / len(BETS)
    return total


def test_the_recursion_is_the_mixture_that_the_proof_is_about() -> None:
    random = np.random.default_rng(1)
    agreements, expected = (random.random(25) < 0.8).tolist(), random.uniform(0.05, 0.6, 25).tolist()
    trust = Trust(1e-9)
    for agrees, p in zip(agreements, expected, strict=True):
        trust.observe(agrees, p)
    assert trust.wealth == pytest.approx(wealth_of(agreements, expected), rel=1e-12)


def test_under_the_hypothesis_the_expected_wealth_stays_one() -> None:
    """All sequences of ten audits, each with its own probability: the expectation is exact, not sampled."""
    expected = [0.05, 0.3, 0.5, 0.1, 0.7, 0.25, 0.05, 0.9, 0.4, 0.2]
    mean = 0.0
    for agreements in itertools.product((True, False), repeat=len(expected)):
        trust, chance = Trust(1e-12), 1.0
        for agrees, p in zip(agreements, expected, strict=True):
            chance *= 1 - p if agrees else p
            trust.observe(agrees, p)
        mean += chance * trust.wealth
    assert mean == pytest.approx(1.0, rel=1e-9)


def most_alarms(sessions: int, rate: float, tail: float = 1e-4) -> int:
    """The count that a binomial of this rate exceeds with probability `tail` at most, summed exactly."""
    reached, count = 0.0, -1
    while reached < 1.0 - tail:
        count += 1
        reached += math.comb(sessions, count) * rate**count * (1 - rate) ** (sessions - count)
    return count


@pytest.mark.parametrize("rate", [0.001, 0.05])
def test_false_alarms_of_two_thousand_sessions_stay_within_the_stated_rate(rate: float) -> None:
    random, alarms = np.random.default_rng(7), 0
    for session in range(2000):
        expected = (0.05, 0.15, 0.35, 0.6)[session % 4]
        agreements = random.random(200) >= expected  # the worst that is still as expected
        alarms += alarms_at(Trust(rate), agreements.tolist(), expected) is not None
    assert alarms <= most_alarms(2000, rate)
    assert rate < 0.01 or alarms > 0  # the simulation can raise one


@pytest.mark.parametrize(
    ("expected", "wrong", "good_before", "most"),
    [
        (0.05, 1.0, 0, 5), (0.15, 1.0, 0, 8), (0.35, 1.0, 0, 13), (0.6, 1.0, 0, 27),
        (0.05, 1.0, 1000, 9), (0.35, 1.0, 1000, 30),
        (0.05, 0.5, 0, 20), (0.35, 0.5, 0, 200),
    ],
)  # fmt: skip
def test_a_cloud_that_lies_is_found_after_few_audits(
    expected: float, wrong: float, good_before: int, most: int
) -> None:
    """`wrong`: share of answers replaced by a label that the device does not give; the others differ as expected."""
    random, found = np.random.default_rng(3), []
    for _ in range(200):
        trust = Trust(0.001)
        differs = wrong + (1 - wrong) * expected
        good = [True] * good_before
        lying = (random.random(2000) >= differs).tolist()
        at = alarms_at(trust, good + lying, expected)
        assert at is not None
        found.append(at - good_before)
    assert sorted(found)[179] <= most  # nine of ten


def compares(w: World) -> list[tuple[int, r.Compare]]:
    return [(now, action) for now, _, out in w.steps for action in out.actions if isinstance(action, r.Compare)]


def distrusted(w: World) -> list[r.RemoteDistrusted]:
    return [record for record in w.records if isinstance(record, r.RemoteDistrusted)]


def sources(w: World, since: int, until: int) -> set[r.Source]:
    return {w.delivered[n][1].source for n, captured in w.arrived.items() if since <= captured < until}


def test_an_honest_cloud_is_audited_and_stays_in_use() -> None:
    w = world(CAMERA, limits=EVERY)
    w.periodic(CAMERA, 60)
    w.run(10_000 * MS)
    assert len(compares(w)) > 40
    assert distrusted(w) == []
    assert w.late(CAMERA.deadline_ns) == []
    assert sources(w, 1000 * MS, 9000 * MS) == {r.Source.REMOTE}
    assert w.forgotten == set(w.arrived)
    assert w.core.in_flight == 0


def test_a_lying_cloud_is_closed_until_the_operator_trusts_it_again() -> None:
    w = world(CAMERA, limits=EVERY)
    w.agrees = lambda compare: False
    w.periodic(CAMERA, 200)
    w.at(12_000 * MS, r.TrustRestored("cloud"))
    w.run(12_000 * MS - 1)
    (found,) = distrusted(w)
    p = (1 - 0.97) + (1 - 0.8) + 0.05
    soonest = next(n for n in itertools.count(1) if wealth_of([False] * n, [p] * n) >= 2000)
    assert found.disagreed == found.audited == soonest == 8
    assert found.expected == pytest.approx(8 * p)
    assert found.wealth >= 2 / found.false_alarm_rate == 2000
    told = next(now for now, _, out in w.steps if any(isinstance(each, r.RemoteDistrusted) for each in out.records))
    assert sources(w, told, 11_800 * MS) == {r.Source.LOCAL}
    late_probes = [now for now, _, out in w.steps if now > told and any(isinstance(a, r.Probe) for a in out.actions)]
    assert late_probes == []
    assert w.late(CAMERA.deadline_ns) == [number for number in w.arrived if number not in w.delivered]
    w.agrees = lambda compare: True
    w.run(30_000 * MS)
    assert sources(w, 13_000 * MS, 18_000 * MS) == {r.Source.REMOTE}
    assert len(distrusted(w)) == 1


def test_what_is_on_its_way_when_trust_ends_is_not_delivered() -> None:
    """Answers take longer than samples are apart, so some cross while the last comparison is made."""
    w = world(Stream("camera", 400 * MS, period_ns=90 * MS), limits=EVERY, answer_ns=lambda now: 250 * MS)
    w.agrees = lambda compare: False
    w.periodic(CAMERA, 150)
    w.run(30_000 * MS)
    told = next(now for now, _, out in w.steps if any(isinstance(each, r.RemoteDistrusted) for each in out.records))
    crossing = [
        send.request for now, _, out in w.steps for send in out.actions if isinstance(send, r.Send) and now <= told
    ]
    after = [n for n in crossing if w.delivered[n][0] > told]
    assert after
    assert {w.delivered[n][1].source for n in after} == {r.Source.LOCAL}


def test_advice_is_compared_without_any_run_of_its_own() -> None:
    brake = Stream("brake", 150 * MS, Criticality.SAFETY, period_ns=100 * MS)
    w = world(brake, limits=Limits(audit_share=1e-9, audit_spacing_ns=0), answer_ns=lambda now: 20 * MS)
    w.periodic(brake, 30)
    w.run(5000 * MS)
    runs = [
        action for _, _, out in w.steps for action in out.actions if isinstance(action, r.Run) and action.first == 0
    ]
    assert len(compares(w)) > 20
    assert len(runs) <= len(w.arrived)
    assert w.forgotten == set(w.arrived)


def test_a_cloud_that_is_honest_where_both_answers_will_be_there_cannot_hide_behind_that() -> None:
    """It is slow and honest nine times of ten, so that the reserve is ready before it, and lies in between."""
    table, limits, records, actions = small_table(), Limits(audit_share=0.1, seed=3), list[r.Record](), list[r.Action]()
    link = Link("cloud", limits, records, actions)
    audits = Audits(limits, table.locals, {"cloud": link}, records, actions)
    arm = next(each for each in table.arms if each.crossing)
    counts = {True: 0, False: 0}
    for number in itertools.count():
        now, lies = number * 90 * MS, number % 10 == 9
        flight = Flight(number, CAMERA, now, now, now, arm=arm, closed=True, result=None if lies else table.locals[0])
        flight.joints["small"] = -1 if lies else table.locals[0].last
        audits.consider(flight, now)
        if flight.audit is None:
            continue
        audit = flight.audit
        if lies:
            job = Job(1, flight, "cpu", None, audit.model.name, 0, audit.model.last, now, 1, 1, mandatory=False)
            audits.ran(job, r.RunDone("cpu", 1, audit.model.last, ()))
        assert audit.first is None  # both are there
        counts[lies] += 1
        assert audits.compared(r.Compared(number, audit.model.name, agrees=not lies)) == [flight]
        if not link.trusted:
            break
        assert number < 20_000, "never found"
    assert counts[False] > 10 * counts[True]  # together these would have looked better than what is expected


def test_a_share_is_drawn_by_the_seed_and_nothing_at_share_zero() -> None:
    def audited(limits: Limits) -> list[int]:
        w = world(CAMERA, limits=limits)
        w.periodic(CAMERA, 300)
        w.run(60_000 * MS)
        return [action.request for _, action in compares(w)]

    one, same, other, none = (
        audited(Limits(audit_share=share, audit_spacing_ns=0, seed=seed))
        for share, seed in ((0.2, 1), (0.2, 1), (0.2, 2), (0.0, 1))
    )
    assert one == same
    assert one != other
    assert none == []
    assert 35 <= len(one) <= 85  # 60 expected of 300


def test_comparisons_keep_their_distance() -> None:
    w = world(CAMERA, limits=Limits(audit_share=1.0, audit_spacing_ns=1000 * MS, audit_wait_ns=300 * MS))
    w.periodic(CAMERA, 100)
    w.run(20_000 * MS)
    answered = sorted(w.delivered[action.request][0] for _, action in compares(w))
    assert len(answered) >= 7
    assert all(later - sooner >= 1000 * MS for sooner, later in itertools.pairwise(answered))


def test_a_comparison_that_never_comes_is_given_up_and_a_late_one_ignored() -> None:
    w = world(CAMERA, limits=EVERY)
    w.comparing_ns = 60_000 * MS
    w.periodic(CAMERA, 30)
    w.run(10_000 * MS)
    asked = compares(w)
    assert w.core.in_flight == 0
    assert w.forgotten == set(w.arrived)
    under_way = [sum(now - EVERY.audit_wait_ns < then <= now for then, _ in asked) for now, _ in asked]
    assert max(under_way) == EVERY.audits_max
    w.run(120_000 * MS)
    ignored = [record for record in w.records if record == r.Ignored("Compared", asked[0][1].request)]
    assert len(ignored) == 1


def test_what_cannot_be_compared_says_nothing() -> None:
    w = world(CAMERA, limits=EVERY)
    w.agrees = lambda compare: None
    w.periodic(CAMERA, 60)
    w.run(10_000 * MS)
    assert len(compares(w)) > 40
    assert distrusted(w) == []


def test_audits_leave_the_room_of_requests_alone() -> None:
    """At the limit of requests in flight, audits under way do not count."""
    limits = Limits(audit_share=1.0, audit_spacing_ns=0, requests_in_flight_max=1, audit_wait_ns=60_000 * MS)
    w = world(CAMERA, limits=limits)
    w.comparing_ns = 50_000 * MS
    w.periodic(CAMERA, 40)
    w.run(100_000 * MS)
    assert {deliver.status for _, deliver in w.delivered.values()} == {r.Status.ANSWERED}


def audit_runs(w: World) -> list[tuple[int, r.Run]]:
    """Runs that began after their request was delivered."""
    runs = [(now, action) for now, _, out in w.steps for action in out.actions if isinstance(action, r.Run)]
    return [(now, run) for now, run in runs if run.request in w.delivered and now >= w.delivered[run.request][0]]


def test_an_audit_gives_way_to_a_new_request_at_once_and_goes_on_from_its_joint() -> None:
    w = world(CAMERA, table=small_table(small_ms=75.0), limits=EVERY)
    w.periodic(CAMERA, 60)
    w.run(10_000 * MS)
    runs = audit_runs(w)
    assert any(run.first > 0 for _, run in runs)
    arrivals = {now: out for now, event, out in w.steps if isinstance(event, r.RequestArrived)}
    interrupted = 0
    for begun, run in runs:
        ended = next(now for now, event, _ in w.steps if isinstance(event, r.RunDone) and event.job == run.job)
        for moment in (each for each in arrivals if begun < each < ended):
            assert r.Preempt(run.lane, run.job) in arrivals[moment].actions
            interrupted += 1
    assert interrupted > 5
    assert len(compares(w)) > 20
    assert w.late(CAMERA.deadline_ns) == []


def test_no_segment_of_an_audit_is_longer_than_what_is_certified_to_block() -> None:
    w = world(CAMERA, limits=EVERY)
    w.core._desks["cpu"].expect([(CAMERA, [], 1)], 5 * MS)  # as a certificate's mode without reserves says
    w.periodic(CAMERA, 30)
    w.run(10_000 * MS)
    assert audit_runs(w) == []
    assert {w.delivered[n][1].source for n in list(w.arrived)[2:]} == {r.Source.REMOTE}
    assert w.forgotten == set(w.arrived)  # given up, once they have waited for long enough
