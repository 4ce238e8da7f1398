"""The desk of a lane by itself: what fits, what it keeps room for and who gives way, worked out on paper.

`small` takes 20 ms (segments 8 and 12), `big` 40 ms (4, 20, 16); the timer may be 2 ms late, delivery takes 1 ms. Moments in ms.
"""

import pytest

from hedgerow.core import Criticality, LocalModel, Stream
from hedgerow.core import records as r
from hedgerow.core.desk import Desk
from hedgerow.core.flight import Flight, Job, Plan, Primary
from hedgerow.core.lanes import Forecast
from hedgerow.core.records import Reason
from tests.core.test_exhaustive import BIG, SMALL, model
from tests.core.walker import MARGINS, MS

BOTH = ("small", "big")


class Made:
    """One desk and what it asks for."""

    def __init__(self, *models: LocalModel) -> None:
        self.records: list[r.Record] = []
        self.actions: list[r.Action] = []
        self.desk = Desk("cpu", models or (SMALL, BIG), MARGINS, self.records, self.actions)
        self.numbers = 0

    def flight(
        self, due: int, plan: LocalModel | None = SMALL, *, guaranteed: bool = True, eager: bool = False
    ) -> Flight:
        stream = Stream(f"s{self.numbers}", 100 * MS)
        made = Flight(self.numbers, stream, 0, (due + 1) * MS, due * MS, plan=None if plan is None else Plan(plan, 0))
        made.guaranteed, made.eager = guaranteed, Reason.REMOTE_FAILED if eager else None
        self.numbers += 1
        return made

    def run(self, flight: Flight, started: int, bound: int, segment: int, *, mandatory: bool, now: bool = True) -> Job:
        job = Job(99, flight, "cpu", None, "small", 0, 1, started * MS, bound * MS, segment * MS, mandatory)
        self.desk.running = flight.job = job
        return job

    def starts(self, due: int, now: int, *others: Flight, allowed: tuple[str, ...] = BOTH) -> dict[str, float]:
        found = self.desk.starts(allowed, others, due * MS, now * MS)
        return {name: moment / MS for name, moment in found.items()}

    def dispatch(self, now: float, *flights: Flight) -> list[r.Action]:
        self.actions.clear()
        self.desk.dispatch(flights, int(now * MS))
        return list(self.actions)

    @property
    def wake(self) -> float | None:
        return None if self.desk.wake_ns is None else self.desk.wake_ns / MS


def test_an_empty_lane_bears_each_model_until_its_bound_before_the_due_moment() -> None:
    made = Made()
    assert made.starts(100, 0) == {"small": 80, "big": 60}
    assert made.starts(100, 58) == {"small": 80, "big": 60}
    assert made.starts(100, 59) == {"small": 80}  # the longer one must leave the timer its margin
    assert made.starts(100, 80) == {"small": 80}
    assert made.starts(100, 81) == {}
    assert made.starts(100, 0, allowed=("big",)) == {"big": 60}
    assert made.starts(100, 0, allowed=()) == {}


def test_what_is_due_later_pushes_the_new_start_forward_and_what_is_due_sooner_takes_room() -> None:
    made = Made()
    later, sooner = made.flight(110), made.flight(50)
    assert made.starts(100, 0, later) == {"small": 70, "big": 50}
    assert made.starts(100, 0, made.flight(140)) == {"small": 80, "big": 60}
    assert made.starts(60, 20, sooner) == {"small": 40}  # 20 and 20 until 60: from 20 on at the latest
    assert made.starts(60, 21, sooner) == {}
    assert made.starts(60, 21, made.flight(50, None)) == {"small": 40}
    assert made.starts(60, 21, made.flight(50, model("other", (20,), 1.0))) == {}
    far = made.flight(50, LocalModel("far", "npu", 1.0, (1,), (20 * MS,), (1,), (20 * MS,)))
    assert made.starts(60, 21, far) == {"small": 40}  # another lane's


def test_only_what_counts_is_in_the_calendar() -> None:
    made = Made()
    hopeless = made.flight(50, guaranteed=False)
    assert made.starts(60, 21, hopeless) == {"small": 40}
    hopeless.likely = True  # 15 and a quarter, for as long as the median is in time: 18.75 from 35 on at the latest
    assert made.starts(60, 21, hopeless) == {"small": 40}
    assert made.starts(60, 22, hopeless) == {}
    assert made.starts(60, 36, hopeless) == {"small": 40}


def test_behind_what_runs_and_may_go_on_to_its_next_joint() -> None:
    made = Made()
    made.run(made.flight(500, None), 10, 30, 12, mandatory=False)
    assert made.starts(54, 20) == {"small": 34}  # free at 20 + 12, and the margin
    assert made.starts(53, 20) == {}
    assert made.starts(62, 35, allowed=("small",)) == {"small": 42}  # free at its end, 40
    assert made.starts(61, 35) == {}
    assert made.starts(70, 48) == {"small": 50}  # over its bound: any moment now
    assert made.starts(70, 49) == {}


def test_a_running_reserve_delays_only_what_is_due_before_it() -> None:
    made = Made()
    own = made.flight(60)
    made.run(own, 10, 20, 12, mandatory=True)
    assert made.starts(70, 20, own) == {"small": 50}
    assert made.starts(50, 20, own) == {}  # 10 left of the first, 20 after it: until 50, but free only from 34 on
    assert made.starts(48, 14, own) == {"small": 24}  # 16 left until 60: from 44 on, so 24; free from 28 = 48 - 20 on
    assert made.starts(47, 14, own) == {}
    assert made.desk.busy_for_ns(25 * MS) == 5 * MS


def test_a_running_plan_that_is_only_likely_may_take_its_whole_bound_from_all_others() -> None:
    made = Made()
    running = made.flight(60, guaranteed=False)
    running.likely = True
    made.run(running, 0, 20, 12, mandatory=True)
    assert made.starts(81, 5, running, allowed=("small",)) == {"small": 61}  # behind 5 + 12 + 2, and its likely rest
    assert made.starts(30, 5, running, allowed=("small",)) == {}
    late = made.flight(41, guaranteed=False)
    late.likely = True
    made.run(late, 0, 40, 35, mandatory=True)  # by its bound until 40, though likely it is over at 19
    assert made.starts(61, 5, late, allowed=("small",)) == {}


def test_a_reserve_that_is_no_longer_wanted_holds_the_lane_until_it_has_ended() -> None:
    made = Made()
    own = made.flight(60)
    job = made.run(own, 10, 20, 12, mandatory=True)
    own.closed, own.plan = True, None  # answered from afar
    made.desk.cancel(own, 14 * MS)
    assert job.cancelling
    assert made.starts(48, 16, own, allowed=("small",)) == {"small": 28}  # free at 14 + 12, and the margin
    assert made.starts(47, 16, own, allowed=("small",)) == {}


def test_how_long_mandatory_work_may_still_hold_the_lane() -> None:
    made = Made()
    assert made.desk.busy_for_ns(0) == 0
    job = made.run(made.flight(60), 10, 20, 12, mandatory=True)
    assert made.desk.busy_for_ns(15 * MS) == 15 * MS
    assert made.desk.busy_for_ns(40 * MS) == 0
    for word in ("preempting", "cancelling"):
        setattr(job, word, True)
        assert made.desk.busy_for_ns(15 * MS) == 0
        setattr(job, word, False)
    job.mandatory = False
    assert made.desk.busy_for_ns(15 * MS) == 0


def test_room_is_kept_for_streams_of_known_distance_that_are_answered_here() -> None:
    made = Made()
    camera = Stream("camera", 80 * MS, period_ns=70 * MS, capture_delay_ns=5 * MS)
    silent, log = Stream("arm", 80 * MS), Stream("log", 80 * MS, Criticality.BACKGROUND, period_ns=90 * MS)
    made.desk.expect([(camera, BOTH, 2), (silent, BOTH, 1), (log, BOTH, 1)])
    assert made.desk._forecasts == {"camera": Forecast(0, 140 * MS, 74 * MS, 20 * MS)}
    made.desk.arrived("camera", 30 * MS)
    made.desk.arrived("other", 30 * MS)
    assert made.desk._forecasts["camera"].earliest_ns == 170 * MS
    made.desk.expect([(camera, ("big",), 1)], 7 * MS)
    assert made.desk._forecasts == {"camera": Forecast(100 * MS, 70 * MS, 74 * MS, 40 * MS)}
    made.desk.expect([(camera, ("big",), 3)], 7 * MS)  # the next one taken may still be the very next
    assert made.desk._forecasts["camera"] == Forecast(100 * MS, 210 * MS, 74 * MS, 40 * MS)
    made.desk.expect([(camera, ("elsewhere",), 1)])
    assert made.desk._forecasts == {}


def test_no_room_is_kept_where_the_lane_could_not_keep_up() -> None:
    made = Made()
    for deadline, kept in ((43, 1), (42, 0)):  # 20 of blocking, 2 of the timer's and 20 of its own: due 42 of 43
        made.desk.expect([(Stream("camera", deadline * MS, period_ns=200 * MS), ("small",), 1)])
        assert len(made.desk._forecasts) == kept


def test_the_first_starts_at_its_turn_and_the_wake_up_is_for_it() -> None:
    made = Made()
    first, second = made.flight(60), made.flight(50)
    assert made.dispatch(0, first, second) == []
    assert made.wake == 18  # 60 - 20 - 20, less the margin; the second is due first and starts
    assert made.dispatch(17.999999, first, second) == []
    assert made.dispatch(18, first, second) == [r.Run("cpu", 1, 1, "small", 0, 1)]
    assert made.records == [r.ReserveStarted(1, "small", Reason.LATEST_START, 12.0)]
    assert second.started
    assert made.dispatch(19, first, second) == []  # the lane is taken


def test_an_eager_one_goes_first_only_if_the_others_can_wait_for_its_longest_segment() -> None:
    made = Made()
    first, eager = made.flight(60), made.flight(90, eager=True)
    assert made.dispatch(23, first, eager) == [r.Run("cpu", 1, 1, "small", 0, 1)]
    assert made.wake == 24  # 40 - 2 - 2 less its longest segment of 12: then it gives way
    other = Made()
    first, eager = other.flight(60), other.flight(90, eager=True)
    assert other.dispatch(26, first, eager) == [r.Run("cpu", 1, 1, "small", 0, 1), r.Preempt("cpu", 1)]
    other = Made()
    first, eager = other.flight(60), other.flight(90, eager=True)
    assert other.dispatch(27, first, eager) == [r.Run("cpu", 1, 0, "small", 0, 1)]


def test_a_running_job_gives_way_at_the_joint_before_the_next_must_start() -> None:
    made = Made()
    tried = made.flight(500, None)
    made.run(tried, 0, 40, 16, mandatory=False)
    waiting = made.flight(60)
    assert made.dispatch(10, waiting) == []
    assert made.wake == 20  # 40 less the longest segment, the timer's margin and that of the handing over
    assert made.dispatch(19.999999, waiting) == []
    assert made.dispatch(20, waiting) == [r.Preempt("cpu", 99)]
    assert made.dispatch(23, waiting) == []  # once


def test_a_reserve_gives_way_to_what_is_due_sooner_and_not_to_what_is_due_later() -> None:
    made = Made()
    own = made.flight(60)
    made.run(own, 0, 20, 12, mandatory=True)
    assert made.dispatch(10, own, made.flight(70)) == []
    assert made.desk.wake_ns is None
    sooner = made.flight(40)
    assert made.dispatch(3, own, sooner) == []
    assert made.wake == 4  # 20 - 12 - 2 - 2
    assert made.dispatch(4, own, sooner) == [r.Preempt("cpu", 99)]


def test_eager_work_makes_what_is_only_tried_give_way_at_once() -> None:
    made = Made()
    made.run(made.flight(500, None), 0, 40, 16, mandatory=False)
    assert made.dispatch(1, made.flight(400, eager=True)) == [r.Preempt("cpu", 99)]


def test_what_is_cancelled_is_cancelled_once_and_only_here() -> None:
    made = Made()
    own = made.flight(60)
    job = made.run(own, 0, 20, 12, mandatory=True)
    job.lane = "npu"
    made.desk.cancel(own, 5 * MS)
    assert made.actions == []
    job.lane = "cpu"
    made.desk.cancel(own, 5 * MS)
    made.desk.cancel(own, 6 * MS)
    assert made.actions == [r.Cancel("cpu", 99)]
    assert made.desk.finished(98) is None
    assert made.desk.finished(99) is job
    assert (made.desk.running, own.job) == (None, None)
    assert made.desk.finished(99) is None


@pytest.mark.parametrize(("due", "starts"), [(40, False), (41, True), (500, True)])
def test_what_nothing_guarantees_starts_only_if_the_promised_can_wait(due: int, starts: bool) -> None:
    made = Made()
    hopeless, promised = made.flight(15, guaranteed=False), made.flight(due)
    actions = made.dispatch(7, hopeless, promised)  # 7 + 12 + 2 = 21 and 20 more
    assert (r.Run("cpu", 1, 0, "small", 0, 1) in actions) is starts
    assert hopeless.primary is Primary.NONE
