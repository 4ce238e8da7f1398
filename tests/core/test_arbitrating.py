"""Arbitration in the core: what is delivered when the device and the cloud see different things, and what is remembered."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.core import Arm, ArmTable, CrossStep, GateStep, LocalModel, Prices, RunStep, Stream
from hedgerow.core import records as r
from hedgerow.core.arbitration import EARLIER, Arbitration, Cost, Group
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.policies import Policy
from hedgerow.core.records import Criticality, Reason, Source
from hedgerow.core.views import Arbitrated, Aside, Rule, Seen
from hedgerow.device.journal import Header, Journal, replay
from tests.core.walker import Prefers
from tests.core.world import MS, World, small_table, world

CAR, PEDESTRIAN, CYCLIST = range(3)
CASCADE = "small, then big"
ASKED = "cloud:big:jpeg:75"
"""What a safety stream's advice comes by: beside its own answer, and after it."""


def cascade_table() -> ArmTable:
    """The small model here, then the big one elsewhere unless a gate says otherwise."""
    table = small_table()
    small: LocalModel = table.locals[0]
    steps = (
        RunStep("device", "small", 0, 3, small.tail_median_ns[0]),
        GateStep(0.99, 0.5),
        CrossStep("cloud", "jpeg:75", 11_000, 2 * MS, 4 * MS),
        RunStep("cloud", "big", 0, 3, 15 * MS),
    )
    return ArmTable((*table.arms, Arm(CASCADE, steps, 0.97)), table.locals)


@dataclass
class Seeing(World):
    """A world whose models see: `here` and `there` give the view of a request, or None."""

    here: dict[int, Seen] = field(default_factory=dict)
    there: dict[int, Seen] = field(default_factory=dict)

    def at(self, moment: int, event: r.Event) -> None:
        if isinstance(event, r.RunDone) and event.last == 3:
            action = self._jobs[event.lane][0]
            event = r.RunDone(event.lane, event.job, event.last, event.segment_ns, 0.5, self.here.get(action.request))
        elif isinstance(event, r.AnswerArrived):
            seen = self.there.get(event.request)
            event = r.AnswerArrived(event.request, event.attempt, 4000, 0, 0, 15 * MS, 0.9, seen)
        super().at(moment, event)

    def told(self, request: int) -> list[Arbitrated]:
        """What was recorded of a request's views."""
        return [each for each in self.records if isinstance(each, Arbitrated) and each.request == request]


def preferring(stream: Stream) -> Policy:
    return cast(Policy, Prefers(ASKED if stream.criticality is Criticality.SAFETY else CASCADE))


def saw(*named: tuple[int, float], version: str = "1") -> Seen:
    return Seen(version, tuple(label for label, _ in named), tuple(share for _, share in named))


SMALL, BIG = saw((PEDESTRIAN, 0.6), (CYCLIST, 0.3)), saw((CYCLIST, 0.9), (CAR, 0.05))
MISSION = Stream("front", 200 * MS, period_ns=300 * MS)
SAFETY = Stream("front", 200 * MS, Criticality.SAFETY, period_ns=300 * MS)


def seeing(
    stream: Stream, rules: Arbitration | None, here: dict[int, Seen], there: dict[int, Seen], **limits: int
) -> Seeing:
    """As many requests as were seen here or there, run to their end."""
    made = world(
        stream,
        table=cascade_table(),
        policy=preferring(stream),
        arbitration=rules,
        limits=r.Limits(audit_share=0.0, **limits),
    )
    found = Seeing(made.core, answer_ns=made.answer_ns, here=here, there=there)
    found.at(0, r.LinkUp("cloud"))
    found.periodic(stream, max((*here, *there)) + 1, first=1000 * MS)
    found.run(60_000 * MS)
    return found


def test_without_rules_views_change_nothing() -> None:
    plain, seen = (seeing(MISSION, None, here, there) for here, there in (({0: SMALL}, {0: BIG}), ({0: SMALL}, {})))
    assert plain.delivered[0][1].reason is Reason.REMOTE_IN_TIME
    assert [step[2] for step in plain.steps] == [step[2] for step in seen.steps]


def test_the_remote_label_is_delivered_where_the_rules_say_it() -> None:
    found = seeing(MISSION, Arbitration(3), {0: SMALL}, {0: BIG})
    deliver = found.delivered[0][1]
    assert (deliver.source, deliver.model, deliver.reason) == (Source.REMOTE, "big", Reason.ARBITRATED)
    (told,) = found.told(0)
    assert (told.label, told.suggested, told.rule) == (CYCLIST, CYCLIST, Rule.LEAST_COST)
    assert [(each.model, each.tier, each.seen) for each in told.views] == [
        ("big", "cloud", BIG),
        ("small", "device", SMALL),
    ]
    assert dict(told.others) == {"device": PEDESTRIAN, "cloud": CYCLIST, "most_confident": CYCLIST}


def test_the_devices_outputs_are_delivered_where_its_label_is_decided() -> None:
    dear = Arbitration(3, costs=(Cost((CAR, CYCLIST), (PEDESTRIAN,), 20.0),))
    found = seeing(MISSION, dear, {0: SMALL}, {0: BIG})
    deliver = found.delivered[0][1]
    assert (deliver.source, deliver.model, deliver.reason) == (Source.LOCAL, "small", Reason.ARBITRATED)
    assert found.told(0)[0].label == PEDESTRIAN


def test_a_label_that_neither_says_comes_with_the_devices_outputs() -> None:
    rules = Arbitration(3, costs=(Cost((PEDESTRIAN, CYCLIST), (PEDESTRIAN, CYCLIST), 9.0), Cost((CAR,), (1, 2), 0.1)))
    found = seeing(MISSION, rules, {0: SMALL}, {0: BIG})
    assert found.delivered[0][1].source is Source.LOCAL
    assert found.told(0)[0].label == CAR


def test_a_group_is_said() -> None:
    rules = Arbitration(3, groups=(Group("vulnerable road user", (PEDESTRIAN, CYCLIST), 0.05),))
    (told,) = seeing(MISSION, rules, {0: SMALL}, {0: BIG}).told(0)
    assert (told.rule, told.group, told.label) == (Rule.GROUP, "vulnerable road user", CYCLIST)


def test_equal_labels_are_no_conflict_and_leave_no_record() -> None:
    found = seeing(MISSION, Arbitration(3), {0: saw((CYCLIST, 0.5))}, {0: BIG})
    assert found.told(0) == []
    assert found.delivered[0][1].reason is Reason.REMOTE_IN_TIME


def test_another_version_is_set_aside_and_recorded() -> None:
    rules = Arbitration(3, versions=(("big", "2"),))
    found = seeing(MISSION, rules, {0: SMALL}, {0: BIG})
    assert found.delivered[0][1].source is Source.LOCAL
    assert [each.aside for each in found.told(0)[0].views] == [Aside.VERSION, None]


def test_only_the_declared_streams_are_arbitrated() -> None:
    found = seeing(MISSION, Arbitration(3, streams=("rear",)), {0: SMALL}, {0: BIG})
    assert found.told(0) == []
    assert found.delivered[0][1].reason is Reason.REMOTE_IN_TIME


def test_a_safety_answer_is_the_devices_own_and_late_advice_is_recorded() -> None:
    found = seeing(SAFETY, Arbitration(3), {0: SMALL}, {0: BIG})
    deliver = found.delivered[0][1]
    assert (deliver.source, deliver.model, deliver.reason) == (Source.LOCAL, "small", Reason.LOCAL_DONE)
    (told,) = found.told(0)
    assert told.late
    assert (told.label, told.suggested) == (PEDESTRIAN, CYCLIST)


views = st.lists(st.integers(1, 100), min_size=3, max_size=3).map(
    lambda shares: saw(
        *sorted(((n, round(s / sum(shares), 6)) for n, s in enumerate(shares)), key=lambda pair: -pair[1])
    )
)


@given(st.lists(st.tuples(views, views), min_size=1, max_size=4), st.sampled_from([0.0, 1.0, 5.0]), st.floats(0, 50))
@settings(max_examples=60, deadline=None)
def test_a_safety_answer_is_never_overwritten(seen: list[tuple[Seen, Seen]], memory: float, dear: float) -> None:
    rules = Arbitration(3, memory=memory, costs=(Cost((0,), (1, 2), dear),))
    here, there = ({number: pair[side] for number, pair in enumerate(seen)} for side in (0, 1))
    found = seeing(SAFETY, rules, here, there)
    for number, (mine, _) in enumerate(seen):
        deliver = found.delivered[number][1]
        assert (deliver.source, deliver.model, deliver.reason) == (Source.LOCAL, "small", Reason.LOCAL_DONE)
        assert all(told.label == mine.labels[0] for told in found.told(number))


def test_advice_counts_for_the_next_sample_of_the_track() -> None:
    rules = Arbitration(3, memory=4.0)
    found = seeing(SAFETY, rules, {0: SMALL, 1: SMALL}, {0: BIG})
    own = [told for told in found.told(1) if not told.late]
    assert [(told.label, told.suggested) for told in own] == [(PEDESTRIAN, CYCLIST)]
    assert EARLIER in [each.model for each in own[0].views]
    forgetful = seeing(SAFETY, Arbitration(3), {0: SMALL, 1: SMALL}, {0: BIG})
    assert forgetful.told(1) == []


def test_a_declared_change_forgets_what_was_seen() -> None:
    again = seeing(SAFETY, Arbitration(3, memory=4.0, age_max_ns=10**12), {0: SMALL}, {0: BIG})
    again.here[1] = again.here[2] = SMALL
    again.at(again.now, r.RequestArrived(1, "front", again.now))
    again.at(again.now + 400 * MS, r.RequestArrived(2, "front", again.now + 400 * MS, None, changed=True))
    again.arrived |= {1: again.now, 2: again.now + 400 * MS}
    again.run(120_000 * MS)
    assert [told.suggested for told in again.told(1)] == [CYCLIST]
    assert again.told(2) == []


def test_tracks_are_remembered_apart_and_no_more_than_the_limit() -> None:
    found = seeing(MISSION, Arbitration(3, memory=1.0), {0: SMALL}, {0: BIG}, tracks_max=5)
    for number in range(1, 40):
        at = found.now + 300 * MS
        found.here[number], found.arrived[number] = SMALL, at
        found.at(at, r.RequestArrived(number, "front", at, track=number))
        found.run(at + 290 * MS)
        assert len(found.core._arbiter.tracks) <= 5
    assert len(found.core._arbiter.tracks) == 5


@pytest.mark.parametrize("memory", [0.0, 2.0])
def test_a_journal_with_views_replays_to_the_same_bytes(memory: float, tmp_path: Path) -> None:
    rules = Arbitration(3, memory=memory, groups=(Group("road user", (1, 2), 0.2),), costs=(Cost((0,), (1,), 7.0),))
    here, there = dict.fromkeys(range(8), SMALL), dict.fromkeys(range(0, 8, 2), BIG)
    found = seeing(MISSION, rules, here, there)
    core = found.core
    header = Header(core.table, "jpeg", core.limits, core.margins, Prices(), BudgetSettings(), None, rules)
    assert Header.decode(header.encode()).arbitration == rules
    journal = Journal(tmp_path / "journal", header)
    fresh = header.core(preferring(MISSION))
    for now, event, _ in [(0, r.StreamOpened(MISSION), None), *found.steps]:
        journal.append(now, event, fresh.step(event, now_ns=now))
    journal.close()
    assert journal.failure is None
    assert replay(tmp_path / "journal", preferring(MISSION)).difference is None
    assert b'"Arbitrated"' in (tmp_path / "journal").read_bytes()
