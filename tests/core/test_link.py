"""A link's attempts and probes: each ends once, teaches once, and moves the breaker by its table."""

from hedgerow.core import Stream
from hedgerow.core import records as r
from hedgerow.core.beliefs import LOST_NS
from hedgerow.core.breaker import State
from hedgerow.core.link import Attempt, Link
from hedgerow.core.records import MS, SECOND, Limits
from tests.core.world import World, world

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
    assert made.link.probe_due_ns() == made.link.breaker.retry_at_ns
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
    assert not made.link.probed(r.ProbeLost(7), 0)


def test_a_probe_of_which_nothing_is_reported_is_lost_and_a_late_report_is_nobodys() -> None:
    made = Made()
    made.link.wanted_ns = 0
    made.link.probe_if_due(0)
    ends = LIMITS.probe_timeout_ns + LIMITS.probe_margin_ns
    assert made.link.probe_due_ns() == ends
    made.link.probe_if_due(ends - 1)
    made.link.probe_if_due(ends)
    moves = [(each.before, each.after) for each in made.records if isinstance(each, r.BreakerMoved)]
    assert moves == [("open", "probing"), ("probing", "open")]
    assert not made.link.probed(r.ProbeAnswered(1, MS, MS, 8192), ends + 1)
    assert made.link.breaker.state is State.OPEN


def test_the_devices_network_is_back_then_the_next_probe_leaves_at_once() -> None:
    made = Made()
    for _ in range(3):  # the wait is long by now
        due = made.link.wanted_ns = made.link.breaker.retry_at_ns
        made.link.probe_if_due(due)
        made.link.probed(r.ProbeLost(len(made.actions)), due)
    made.link.up(due + MS)
    assert made.link.breaker.retry_at_ns == due + MS
    assert made.link.probe_if_due(due + MS) == LIMITS.probe_bytes
    made.link.up(due + 2 * MS)  # while it probes: a loss is then waited for no longer than the first time
    made.link.probed(r.ProbeLost(4), due + 3 * MS)
    assert made.link.breaker.retry_at_ns <= due + 3 * MS + LIMITS.reopen_first_ns * 5 // 4


def test_silence_on_a_link_believed_good_is_probed_although_requests_are_sent_into_it() -> None:
    made = Made().open()
    ends = LIMITS.probe_timeout_ns + LIMITS.probe_margin_ns
    most = 20 * MS + LIMITS.failures_to_open * (LIMITS.probe_silence_ns + ends)
    moment, request = 20 * MS, 0
    while made.link.open_for_requests:
        moment += 10 * MS
        assert moment <= most, "still believed good"
        made.link.wanted_ns, request = moment, request + 1
        made.link.sent(
            Attempt(request, 1, moment, 1000, 5.0 * MS, 10.0 * MS, moment + 60 * SECOND, moment + 61 * SECOND)
        )
        made.link.probe_if_due(moment)


def test_an_answer_teaches_trip_rate_cloud_and_bound() -> None:
    made = Made().open()
    made.send(0)
    made.link.acked(0, 1, 400, now_ns=112 * MS)
    made.link.acked(0, 1, 800, now_ns=113 * MS)
    assert made.link.attempts[0, 1].first_ack_ns == 112 * MS  # the trip is the first one's
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


def test_what_was_too_late_teaches_by_the_time_that_all_of_it_took_at_least() -> None:
    """What is acknowledged lags behind what has crossed: by it alone a link would look slower than it is."""
    made = Made().open()
    made.send(0)
    made.link.acked(0, 1, 100, now_ns=110 * MS)
    made.link.acked(0, 1, 500, now_ns=150 * MS)
    made.link.failed(0, 1, fault="too_late", link_at_fault=False, now_ns=160 * MS)
    assert made.link.belief.latest()[1] == 50 * MS / 1000


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


def test_the_core_by_itself_ends_probes_of_which_its_shell_never_tells() -> None:
    class Mute(World):
        """Its shell loses every probe and tells of none."""

        def _carry_out(self, action: r.Action) -> None:
            if not isinstance(action, r.Probe):
                super()._carry_out(action)

    stream = Stream("camera", 150 * MS, period_ns=90 * MS)
    made = world(stream)
    mute = Mute(made.core)
    mute.periodic(stream, 200)
    mute.run(20 * SECOND)
    moved = [
        (now, each.after) for now, _, out in mute.steps for each in out.records if isinstance(each, r.BreakerMoved)
    ]
    probing = [now for now, after in moved if after == "probing"]
    opened = [now for now, after in moved if after == "open"]
    limits = made.core.limits
    ends = limits.probe_timeout_ns + limits.probe_margin_ns
    assert len(probing) >= 5
    assert [end - begin for begin, end in zip(probing, opened, strict=False)] == [ends] * len(opened)
    waits = [begin - end for end, begin in zip(opened, probing[1:], strict=False)]
    assert max(waits) <= 1.25 * limits.reopen_last_ns
    assert mute.core.step(r.ProbeAnswered(1, MS, MS, 8192), now_ns=mute.now).records == (
        r.Ignored("ProbeAnswered", -1),
    )


def test_what_was_observed_is_told_in_its_units() -> None:
    made = Made().open()
    assert made.records[-1:] == [r.BreakerMoved("cloud", "probing", "closed", "probe_answered")]
    (probed,) = [each for each in made.records if isinstance(each, r.RemoteObserved)]
    assert (probed.round_trip_ms, probed.cloud_ms, probed.late, probed.lost) == (10.0, 0.0, False, False)
    assert abs(probed.mbit_per_s - (8192 - 1024) * 8 / 10_000) < 1e-9  # after its first chunk, in 10 ms beyond the trip
    made.send(0)
    made.link.acked(0, 1, 1000, now_ns=110 * MS)
    made.link.answered(0, 1, queue_ns=3 * MS, cloud_ns=10 * MS, now_ns=133 * MS)
    assert made.records[-1:] == [r.RemoteObserved("cloud", 10.0, 0.8, 10.0, late=False, lost=False)]  # 8 kbit in 10 ms
    assert made.link.belief.latest() == (13 * MS, 10 * MS / 1000, 2.0)  # the trip with the queue


def test_an_answer_is_late_only_after_it_was_useful() -> None:
    for now, late in ((200 * MS, False), (200 * MS + 1, True)):
        made = Made().open()
        made.send(0)
        made.link.answered(0, 1, queue_ns=0, cloud_ns=0, now_ns=now)
        observed = made.records[-1]
        assert isinstance(observed, r.RemoteObserved)
        assert observed.late is late
        assert observed.cloud_ms == 5.0  # no time of the cloud was told: it is as it was planned


def test_what_the_prediction_missed_teaches_the_bound() -> None:
    made = Made().open()
    for request, network_ms in enumerate((10, 20, 40)):
        made.send(request)
        made.link.answered(request, 1, queue_ns=2 * MS, cloud_ns=5 * MS, now_ns=(107 + network_ms) * MS)
    bound = made.link.belief.bound
    assert abs((bound._level or 0.0) - 1.25) < 1e-9  # ratios 1, 2, 4: from 0 half way to 1, from there half way to 2
    assert bound.bound() > 4.0


def test_an_acknowledgement_later_than_the_network_took_is_no_negative_rate() -> None:
    made = Made().open()
    made.send(0)
    made.link.acked(0, 1, 1000, now_ns=130 * MS)
    made.link.answered(0, 1, queue_ns=20 * MS, cloud_ns=5 * MS, now_ns=131 * MS)
    trip, rate, _ = made.link.belief.latest()
    assert (trip, rate) == (6 * MS + 20 * MS, 0.0)
    assert made.records[-1].mbit_per_s == 0.0  # type: ignore[union-attr]


def test_probes_have_numbers_cost_bytes_and_come_after_silence_only() -> None:
    made = Made()
    made.link.wanted_ns, believed = 0, made.link.belief.latest()[1]
    assert made.link.probe_if_due(0) == LIMITS.probe_bytes
    assert made.link.probe_if_due(1) == 0
    assert not made.link.probed(r.ProbeAnswered(2, 1, 1, 1), 1)
    assert made.link.probed(r.ProbeAnswered(1, 10 * MS, 5 * MS, 8192), 2 * MS)
    assert made.link.belief.latest()[:2] == (10 * MS, believed)  # less transfer than trip tells nothing of the rate
    assert made.link.probe_due_ns() == LIMITS.probe_silence_ns
    assert made.link.probe_if_due(LIMITS.probe_silence_ns - 1) == 0
    assert made.link.probe_if_due(LIMITS.probe_silence_ns) == LIMITS.probe_bytes
    sent = made.actions[-1]
    assert sent == r.Probe(2, "cloud", LIMITS.probe_bytes, False, LIMITS.probe_timeout_ns)


def test_nobody_probes_later_than_five_seconds_after_the_last_who_wanted_it() -> None:
    made = Made().open()
    made.link.wanted_ns = LIMITS.probe_silence_ns - 5 * SECOND
    assert made.link.probe_due_ns() == LIMITS.probe_silence_ns
    made.link.wanted_ns -= 1
    assert made.link.probe_due_ns() is None


def test_a_lost_probe_counts_as_a_loss_only_while_the_link_is_believed_open() -> None:
    made = Made()
    made.link.wanted_ns = 0
    made.link.probe_if_due(0)
    made.link.probed(r.ProbeLost(1), 500 * MS)
    assert not (made.link.belief.samples == LOST_NS).any()
    other = Made().open()
    other.link.probe_if_due(LIMITS.probe_silence_ns)
    other.link.probed(r.ProbeLost(2), LIMITS.probe_silence_ns + 500 * MS)
    assert (other.link.belief.samples == LOST_NS).sum() == 1


def test_what_stopped_half_way_teaches_by_its_own_time() -> None:
    made = Made().open()
    made.send(0)
    made.link.acked(0, 1, 250, now_ns=110 * MS)
    made.link.failed(0, 1, fault="cancelled", link_at_fault=False, now_ns=120 * MS)
    trip, rate, factor = made.link.belief.latest()
    assert (trip, rate, factor) == (10 * MS, 10 * MS / 1000, 1.0)
    assert made.records[-1:] == [r.RemoteObserved("cloud", 10.0, 0.8, 5.0, late=True, lost=False)]  # 8 kbit in 10 ms


def test_a_refusal_before_and_at_the_end_of_its_use() -> None:
    for now, losses in ((200 * MS - 1, 0), (200 * MS, 1)):
        made = Made().open()
        made.send(0)
        made.link.failed(0, 1, fault="gone", link_at_fault=False, now_ns=now)
        assert sum(isinstance(each, r.RemoteObserved) and each.lost for each in made.records) == losses


def test_an_overloaded_cloud_stands_for_its_wait() -> None:
    """Whether it was acknowledged before or not: of a refusal's own time nothing is known but that it was refused."""
    for acknowledged in (False, True):
        made = Made().open()
        rate = made.link.belief.latest()[1]
        made.send(0)
        if acknowledged:
            made.link.acked(0, 1, 400, now_ns=105 * MS)
        made.link.failed(0, 1, fault="overloaded", link_at_fault=False, now_ns=110 * MS)
        assert made.link.belief.latest() == (10 * MS + LIMITS.overload_queue_ns, rate, 1.0)


def test_what_was_stopped_never_makes_the_link_look_faster() -> None:
    """How long it took so far is a least time: what is believed slower stays."""
    made = Made().open()
    made.link.belief.observe(now_ns=30 * MS, trip_ns=10 * MS, ns_per_byte=50_000.0, factor=1.0, queue_ns=0.0)
    made.send(0)
    made.link.acked(0, 1, 250, now_ns=110 * MS)
    made.link.failed(0, 1, fault="cancelled", link_at_fault=False, now_ns=120 * MS)
    assert made.link.belief.latest()[:2] == (10 * MS, 50_000.0)


def test_a_probe_teaches_the_rate_of_what_follows_its_first_chunk() -> None:
    """The first chunk's acknowledgement is the trip; of a probe that was that chunk alone the rate stays as it was believed."""
    for size, transfer_ms, taught in (
        (8192, 45, 35 * MS / 7168),
        (2048, 11, MS / 1024),
        (1024, 30, None),
        (500, 30, None),
    ):
        made = Made()
        made.link.wanted_ns, believed = 0, made.link.belief.latest()[1]
        made.link.probe_if_due(0)
        assert made.link.probed(r.ProbeAnswered(1, 10 * MS, transfer_ms * MS, size), 50 * MS)
        assert made.link.belief.latest() == (10 * MS, believed if taught is None else taught, 1.0)


def suspected(made: Made, now_ns: int) -> list[float] | None:
    """What an attempt under way gives to expect, (trip in ns, ns per byte), if it weighs at all."""
    return made.link.belief.samples[1, :2].tolist() if made.link.weights(now_ns)[1] > 0 else None


def acknowledging() -> Made:
    """A link of which every trip so far took 10 ms and the first attempt was acknowledged; 8192 bytes took 10 ms beside it."""
    made = Made().open()
    made.send(0, at_ns=30 * MS)
    made.link.acked(0, 1, 1000, now_ns=40 * MS)
    made.link.answered(0, 1, queue_ns=0, cloud_ns=0, now_ns=50 * MS)
    return made


def test_an_attempt_that_is_silent_for_longer_than_usual_gives_half_as_much_again_to_expect() -> None:
    made = acknowledging()
    rate = made.link.belief.latest()[1]
    made.send(1)
    assert suspected(made, 113 * MS) is None  # 1.3 usual trips
    assert suspected(made, 113 * MS + 1) == [13 * MS * 1.5 + 1.5, rate]
    assert suspected(made, 160 * MS) == [90 * MS, rate]
    assert made.link.weights(160 * MS)[1] == 0.5
    made.link.acked(1, 1, 500, now_ns=165 * MS)
    assert suspected(made, 166 * MS) == [
        65 * MS,
        rate * 1.5 * 66 / 15,
    ]  # silent no more, but slow: 15 ms were predicted
    made.send(2, at_ns=170 * MS)
    made.link.failed(2, 1, fault="cancelled", link_at_fault=False, now_ns=300 * MS)
    made.link.answered(1, 1, queue_ns=0, cloud_ns=0, now_ns=300 * MS)
    assert suspected(made, 400 * MS) is None  # nothing is under way


def test_an_attempt_that_is_acknowledged_and_still_slow_gives_its_rate_to_expect() -> None:
    made = acknowledging()
    made.send(1)  # 10 ms on the network and 5 ms in the cloud were predicted
    made.link.acked(1, 1, 200, now_ns=112 * MS)
    usual_ns = 1.3 * (10 * MS + 5 * MS) + 5 * MS
    assert suspected(made, 100 * MS + int(usual_ns)) is None
    assert suspected(made, 100 * MS + int(usual_ns) + 1) is not None
    rate = made.link.belief.latest()[1]
    assert rate == 10 * MS / 1000
    assert suspected(made, 160 * MS) == [
        12 * MS,
        rate * 1.5 * 60 / 15,
    ]  # half as much again as 4 times what was predicted
    assert made.link.weights(160 * MS)[1] == 0.5
    assert made.link.belief.latest()[1] == rate  # and nothing of it is observed yet


def test_the_newest_attempt_that_takes_longer_than_usual_is_believed() -> None:
    made = acknowledging()
    rate = made.link.belief.latest()[1]
    for request, at in ((1, 100), (2, 120), (3, 160)):
        made.send(request, at_ns=at * MS)
    assert suspected(made, 165 * MS) == [45 * MS * 1.5, rate]  # the third is not slow yet
    made.link.acked(2, 1, 10, now_ns=166 * MS)
    assert suspected(made, 167 * MS) == [
        46 * MS,
        rate * 1.5 * 47 / 15,
    ]  # acknowledged, and slow by the whole of its time


def test_what_was_sent_no_later_than_the_newest_that_was_answered_is_no_suspect() -> None:
    """One attempt that hangs says nothing of the link on which a later one has come back."""
    made = acknowledging()
    for request, at in ((1, 100), (2, 122), (3, 125)):
        made.send(request, at_ns=at * MS)
    assert suspected(made, 134 * MS) == [34 * MS * 1.5, made.link.belief.latest()[1]]
    made.link.answered(3, 1, queue_ns=0, cloud_ns=0, now_ns=135 * MS)
    assert suspected(made, 190 * MS) is None
    made.link.answered(
        1, 1, queue_ns=0, cloud_ns=0, now_ns=191 * MS
    )  # an older one's answer takes nothing of that back
    assert suspected(made, 192 * MS) is None
    made.send(4, at_ns=192 * MS)
    assert suspected(made, 232 * MS) == [40 * MS * 1.5, made.link.belief.latest()[1]]


def test_a_server_that_never_acknowledges_is_not_suspected_of_silence() -> None:
    made = Made().open()
    for request in range(3):
        made.send(request)
        assert suspected(made, 190 * MS) is None
        made.link.answered(request, 1, queue_ns=0, cloud_ns=5 * MS, now_ns=190 * MS)


def test_a_link_that_is_not_used_is_probed_less_and_less_often_and_at_once_more_often_when_it_is() -> None:
    """A probe leaves when the silence since the last is a quarter of the time without use, between both limits."""
    made, asked, waits = Made().open(), 0, []
    for number in range(2, 17):
        made.link.wanted_ns = asked + 8 * SECOND
        due = made.link.probe_due_ns()
        assert due is not None
        waits.append(due - asked)
        assert waits[-1] == min(max(LIMITS.probe_silence_ns, asked // 4), LIMITS.probe_silence_max_ns)  # unused since 0
        assert made.link.probe_if_due(due - 1) == 0
        assert made.link.probe_if_due(due) > 0
        asked = due
        made.link.probed(r.ProbeAnswered(number, 10 * MS, 20 * MS, 8192), due + 20 * MS)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (LIMITS.probe_silence_ns, LIMITS.probe_silence_max_ns)
    made.send(0, at_ns=asked + SECOND // 2)
    assert made.link.probe_due_ns() == asked + LIMITS.probe_silence_ns


def test_no_clock_is_taken_for_a_link_that_has_long_been_without_use() -> None:
    """A clock that begins at the machine's start is hours ahead when the first link is opened."""
    spaces = []
    for began in (0, 50_000 * SECOND):
        made = Made()
        made.link.wanted_ns = began
        made.link.probe_if_due(began)
        made.link.probed(r.ProbeAnswered(1, 10 * MS, 20 * MS, 8192), began + 20 * MS)
        due = made.link.probe_due_ns()
        assert due is not None
        spaces.append(due - began)
    assert spaces == [LIMITS.probe_silence_ns] * 2


def test_a_probe_is_of_what_is_believed_to_cross_in_its_time() -> None:
    for ns_per_byte, size in (
        (1.0, 8192),
        (2441.0, 8192),
        (5000.0, 4000),
        (9_700.0, 2061),
        (10_000.0, 2048),
        (1e6, 2048),
    ):
        made = Made()
        made.link.belief.observe(now_ns=0, trip_ns=10 * MS, ns_per_byte=ns_per_byte, factor=1.0, queue_ns=0.0)
        made.link.wanted_ns = 0
        assert made.link.probe_if_due(0) == size
        probe = made.actions[-1]
        assert isinstance(probe, r.Probe)
        assert probe.payload_bytes == size
        assert size in (LIMITS.probe_bytes, LIMITS.probe_bytes_min) or size * ns_per_byte <= LIMITS.probe_sending_ns
