"""A link's attempts and probes: each ends once, teaches once, and moves the breaker by its table."""

from hedgerow.core import records as r
from hedgerow.core.beliefs import LOST_NS
from hedgerow.core.breaker import State
from hedgerow.core.link import Attempt, Link
from hedgerow.core.records import MS, SECOND, Limits

LIMITS = Limits(late_answers_kept_max=3)


class Made:
    def __init__(self) -> None:
        self.records: list[r.Record] = []
        self.actions: list[r.Action] = []
        self.link = Link("cloud", LIMITS, self.records, self.actions)

    def open(self) -> "Made":
        self.link.wanted_ns = 0
        self.link.probe_if_due(0)
        assert self.link.probed(r.ProbeAnswered(1, 10 * MS, 20 * MS, 8192), 20 * MS)
        assert self.link.open_for_requests
        return self

    def send(self, request: int, at_ns: int = 100 * MS) -> None:
        lost_at = at_ns + 200 * MS
        self.link.sent(Attempt(request, 1, at_ns, 1000, 5.0 * MS, 10.0 * MS, at_ns + 100 * MS, lost_at))


def test_is_open_only_after_a_probe_came_back() -> None:
    made = Made()
    assert not made.link.open_for_requests
    made.open()
    assert made.actions == [r.Probe(1, "cloud", LIMITS.probe_bytes, True, LIMITS.probe_timeout_ns)]
    moves = [each for each in made.records if isinstance(each, r.BreakerMoved)]
    assert [each.after for each in moves] == ["probing", "closed"]


def test_nobody_wants_it_nobody_probes() -> None:
    made = Made()
    made.link.wanted_ns = 0
    made.link.probe_if_due(0)
    made.link.probed(r.ProbeLost(1), 0)
    assert made.link.probe_due_ns() == LIMITS.reopen_first_ns
    made.link.breaker.retry_at_ns = 60 * SECOND
    assert made.link.probe_due_ns() is None
    made.link.wanted_ns = 56 * SECOND
    assert made.link.probe_due_ns() == 60 * SECOND


def test_one_probe_at_a_time_and_strangers_are_not_ours() -> None:
    made = Made()
    made.link.wanted_ns = 0
    made.link.probe_if_due(0)
    made.link.probe_if_due(SECOND)
    assert len(made.actions) == 1
    assert made.link.probe_due_ns() is None
    assert not made.link.probed(r.ProbeLost(7), 0)


def test_an_answer_teaches_trip_rate_cloud_and_bound() -> None:
    made = Made().open()
    made.send(0)
    made.link.acked(0, 1, 400, now_ns=112 * MS)
    made.link.acked(0, 1, 300, now_ns=113 * MS)  # never falls
    assert made.link.attempts[0, 1].acked_bytes == 400
    made.link.answered(0, 1, queue_ns=2 * MS, cloud_ns=10 * MS, now_ns=142 * MS)
    _, rate, factor = made.link.belief.latest()
    assert factor == 2.0  # 10 ms where 5 were planned
    assert rate == (30 - 12) * MS / 1000  # 42 ms less queue and cloud, less the trip, over the bytes
    assert made.link.attempts == {}


def test_two_losses_in_a_row_open_it_and_its_return_forgives_them() -> None:
    made = Made().open()
    for request in range(2):
        made.send(request)
    assert made.link.lose_silent(299 * MS) == []
    assert [each.request for each in made.link.lose_silent(300 * MS)] == [0, 1]
    assert made.link.breaker.state is State.OPEN
    assert (made.link.belief.samples == LOST_NS).sum() == 2
    due = made.link.breaker.retry_at_ns
    made.link.wanted_ns = due
    made.link.probe_if_due(due)
    made.link.probed(r.ProbeAnswered(2, MS, MS, 8192), due + MS)
    assert made.link.open_for_requests
    weights = made.link.belief.weights(due + MS)
    assert sum(weight > 0 for weight in weights) == 3  # the prior and both probes


def test_a_refusal_is_no_loss_but_silence_beyond_its_use_is() -> None:
    made = Made().open()
    made.send(0)
    made.link.failed(0, 1, fault="cancelled", link_at_fault=False, now_ns=120 * MS)
    assert not any(isinstance(each, r.RemoteObserved) and each.lost for each in made.records)
    made.send(1)  # too late, and not one byte acknowledged
    made.link.failed(1, 1, fault="too_late", link_at_fault=False, now_ns=250 * MS)
    made.send(2)
    made.link.failed(2, 1, fault="link", link_at_fault=True, now_ns=120 * MS)
    assert sum(isinstance(each, r.RemoteObserved) and each.lost for each in made.records) == 2
    assert made.link.breaker.state is State.OPEN


def test_a_refusal_never_makes_the_link_look_fast() -> None:
    made = Made().open()
    trip, rate, _ = made.link.belief.latest()
    made.send(0)
    made.link.failed(0, 1, fault="too_large", link_at_fault=False, now_ns=103 * MS)
    assert made.link.belief.latest()[:2] == (trip, rate)
    made.send(1)
    made.link.failed(1, 1, fault="overloaded", link_at_fault=False, now_ns=103 * MS)
    assert made.link.belief.latest()[0] > trip  # the wait that a refusal stands for
    assert made.link.belief.latest()[1] == rate


def test_what_was_too_late_teaches_by_what_had_crossed() -> None:
    made = Made().open()
    made.send(0)
    made.link.acked(0, 1, 100, now_ns=110 * MS)
    made.link.acked(0, 1, 500, now_ns=150 * MS)
    made.link.failed(0, 1, fault="too_late", link_at_fault=False, now_ns=160 * MS)
    assert made.link.belief.latest()[1] == 50 * MS / 500


def test_a_server_that_does_not_acknowledge_leaves_the_rate_as_it_was() -> None:
    made = Made().open()
    _, rate, _ = made.link.belief.latest()
    made.send(0)
    made.link.answered(0, 1, queue_ns=0, cloud_ns=5 * MS, now_ns=160 * MS)
    assert made.link.belief.latest()[1] == rate


def test_no_more_attempts_are_remembered_than_the_limit() -> None:
    made = Made().open()
    for request in range(5):
        made.send(request)
    assert [key[0] for key in made.link.attempts] == [2, 3, 4]
