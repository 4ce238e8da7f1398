"""Time of life: an answer that comes after its time is never delivered as one in time, and never as another request's."""

import pytest

from hedgerow.core import Stream
from hedgerow.core import records as r
from tests.core.world import MS, World, world

CAMERA = Stream("camera", 150 * MS, period_ns=90 * MS)


def late_world(policy: str) -> World:
    """A link that is good for a second, and then so slow that each answer comes after the deadline."""
    w = world(CAMERA, policy=policy, answer_ns=lambda now: 40 * MS if now < 1000 * MS else 210 * MS)
    w.periodic(CAMERA, 30)
    w.run(20_000 * MS)
    sent_late = [step for step in w.steps if isinstance(step[1], r.AnswerArrived) and step[0] > 1200 * MS]
    assert sent_late, "no answer came late"
    return w


def test_a_late_answer_only_teaches_while_the_reserve_answers() -> None:
    w = late_world("ours")
    assert w.late(CAMERA.deadline_ns) == []
    for moment, event, outcome in w.steps:
        if isinstance(event, r.AnswerArrived) and moment > w.arrived[event.request] + CAMERA.deadline_ns:
            assert not any(isinstance(action, r.Deliver) for action in outcome.actions)
            observed = [record for record in outcome.records if isinstance(record, r.RemoteObserved)]
            assert all(record.late for record in observed)


def test_without_a_reserve_it_is_delivered_as_late_and_says_so() -> None:
    w = late_world("cloud-only")
    found = 0
    for request, (moment, deliver) in w.delivered.items():
        in_time = moment <= w.arrived[request] + CAMERA.deadline_ns
        assert (deliver.status is r.Status.ANSWERED) <= in_time
        found += deliver.source is r.Source.REMOTE and deliver.status is r.Status.LATE
    assert found


@pytest.mark.parametrize(("request_ahead", "attempt_ahead"), [(1, 0), (0, 1), (0, -1)])
def test_an_answer_to_another_request_or_attempt_ends_nothing(request_ahead: int, attempt_ahead: int) -> None:
    w = world(CAMERA, answer_ns=lambda now: 40 * MS if now < 400 * MS else None)
    w.periodic(CAMERA, 5)  # the link is found good
    w.request(9, CAMERA.name, 500 * MS)
    w.run(505 * MS)
    sent = w.sent[-1]
    assert (sent.request, 9 in w.delivered) == (9, False)
    stray = r.AnswerArrived(sent.request + request_ahead, sent.attempt + attempt_ahead, 4000, 0, 0, MS)
    outcome = w.core.step(stray, now_ns=w.now)
    assert outcome.actions == ()
    assert outcome.records == (r.Ignored("AnswerArrived", stray.request),)
    w.run(5000 * MS)
    assert w.delivered[9][1].source is r.Source.LOCAL
    assert w.late(CAMERA.deadline_ns) == []
