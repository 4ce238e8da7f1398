"""The sweep against what it stands for: the core's own view and policy, moment by moment, to the last bit; and the core itself."""

import random

import numpy as np
import pytest

from hedgerow.benchmarks.decide import wide_table
from hedgerow.core import ArmTable, Core, Stream
from hedgerow.core import records as r
from hedgerow.core.beliefs import LOST_NS
from hedgerow.core.breaker import Signal
from hedgerow.core.budgets import Budgets, BudgetSettings
from hedgerow.core.choosing import Choosing
from hedgerow.core.desk import Desk
from hedgerow.core.flight import Flight, Plan
from hedgerow.core.insurance import HEAD_MARGIN, insurance
from hedgerow.core.link import Link
from hedgerow.core.policies import by_name
from hedgerow.core.records import MS
from hedgerow.core.reserves import to_hold
from hedgerow.errors import UsageError
from hedgerow.simulation.course import Course
from hedgerow.simulation.drawing import draw_scene
from hedgerow.simulation.sweep import NO_ARM, Sweep, moments_of
from tests.core.world import small_table
from tests.simulation.alone import drawn_table as kin_table

MARGINS = r.Margins()
DELIVER_NS = MARGINS.deliver_ns
FIRST = 2  # rows of a belief before what was observed: the prior, and what a silent attempt gives to expect


def drawn_table(seed: int) -> ArmTable:
    """A campaign's table: one to three models, cuts, a cascade; of those with one lane and one link."""
    return draw_scene(seed, 3).table


ONE_LANE = [seed for seed in range(14) if len({model.lane for model in drawn_table(seed).locals}) == 1
            and {arm.crossing.link for arm in drawn_table(seed).arms if arm.crossing} == {"cloud"}]  # fmt: skip
TABLES = {"small": small_table(), "wide": wide_table(40), **{f"seed {seed}": drawn_table(seed) for seed in ONE_LANE},
          **{f"kin {seed}": kin_table(random.Random(seed), with_kin=True) for seed in range(3)}}  # fmt: skip


def moments(table: ArmTable, count: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples of links good and dead, and times left around what the table's models take."""
    random = np.random.default_rng(seed)
    size = (count, samples)
    trips = np.where(random.random(size) < 0.05, LOST_NS, np.exp(random.normal(np.log(30 * MS), 1.0, size)))
    found = np.stack((trips, np.exp(random.normal(np.log(800), 1.5, size)), random.uniform(0.3, 4.0, size)), axis=2)
    longest = max(model.tail_bound_ns[0] for model in table.locals)
    left = random.uniform(0.0, 3.0 * longest, count).astype(np.int64)
    bounds = [model.tail_bound_ns[0] for model in table.locals]
    heads = [busy + late for busy in table.busy_ns[table.is_remote] for late in (0, MARGINS.timer_ns)]
    heads += [busy * HEAD_MARGIN + MARGINS.timer_ns for busy in table.busy_ns[table.is_remote]]
    heads = [min(bounds) + each for each in random.permutation(heads)[:20]]
    edges = np.array([*bounds, *(bound + MARGINS.timer_ns for bound in bounds), *heads]).astype(np.int64)
    left[: len(edges)] = edges  # on the very edge as well
    left[len(edges) : 2 * len(edges)] = edges - 1
    return found, left.astype(np.float64)


class Single:
    """One decision as the core makes it: its desks and calendar, its view, the policy `ours`."""

    def __init__(self, table: ArmTable, prices: r.Prices, samples: int) -> None:
        self.table = table
        limits = r.Limits(belief_samples_max=samples + FIRST)
        self.link = Link("cloud", limits, [], [])
        self.link.up(0)
        self.link.probe_if_due(0)
        self.link.signal(Signal.PROBE_ANSWERED, 0)
        self.desks = {model.lane: Desk(model.lane, table.locals, MARGINS, [], []) for model in table.locals}
        self.choosing = Choosing(table, limits, prices, {"cloud": self.link}, self.desks, MARGINS.timer_ns)
        self.policy, self.names = by_name("ours"), tuple(model.name for model in table.locals)

    def decide(self, samples: np.ndarray, left: float, weights: np.ndarray) -> tuple[int, float]:
        """(arm or NO_ARM, its cost) by a view whose beliefs are these."""
        due = int(left)
        flight = Flight(0, Stream("camera", due), 0, due, due)
        fits = {}
        for desk in self.desks.values():
            fits.update(desk.starts(self.names, [], due, 0))
        model = to_hold([self.table.local(name) for name in fits], due)
        start: int | None = None
        if model is not None:
            start = fits[model.name]
        else:
            flight.guaranteed = False
            model = min(self.table.locals, key=lambda each: each.tail_bound_ns[0])
            likely_ns = model.tail_median_ns[0] + model.tail_median_ns[0] // 4
            start = due - likely_ns if likely_ns <= due else None
        for row in samples[::-1]:  # the newest last
            self.link.belief.observe(now_ns=0, trip_ns=row[0], ns_per_byte=row[1], factor=row[2], queue_ns=0.0)
        flight.plan = Plan(model, 0)
        view = self.choosing.view(flight, self.names, fits, start, Budgets(BudgetSettings()), 0)
        newest = self.link.belief._newest
        count = len(samples)
        rows = [(newest - FIRST - age) % count + FIRST for age in range(count)]
        view.network_ns, view.weights = view.network_ns[rows], weights
        choice = self.policy.choose(view)
        return (NO_ARM, np.inf) if choice is None else (choice.arm, choice.cost_mj)


@pytest.mark.parametrize("samples", [1, 5])
@pytest.mark.parametrize("name", TABLES)
def test_every_moment_is_decided_as_ours_decides_it_by_the_cores_view(name: str, samples: int) -> None:
    table, prices = TABLES[name], r.Prices(money_mj=3.0, disagreement_mj=900.0, reserve_mj=15.0)
    seen, left = moments(table, 150, samples, seed=samples)
    weights = np.random.default_rng(7).random((len(left), samples))
    weights = np.ones((len(left), 1)) if samples == 1 else weights / weights.sum(axis=1, keepdims=True)
    single, swept = Single(table, prices, samples), Sweep(table, prices, chunk_values=700).decide(seen, left, weights)
    for row in range(len(left)):
        arm, cost = single.decide(seen[row], float(left[row]), weights[row])
        assert (int(swept.arm[row]), float(swept.cost_mj[row])) == (arm, cost), (row, left[row])


def test_there_are_arms_whose_head_makes_their_insurance_cheaper() -> None:
    """Else the tables above would not tell whether that is counted with."""
    later = [
        insurance(table, r.Prices(), Plan(model, 0)).later_ns.max()
        for table in TABLES.values()
        for model in table.locals
    ]
    assert sum(each > 0 for each in later) > 5


def test_the_core_itself_chooses_the_same_arm_when_all_that_it_knows_is_one_sample() -> None:
    table, prices = wide_table(24), r.Prices()
    seen, left = moments(table, 60, 1, seed=3)
    swept = Sweep(table, prices).decide(seen, left)
    chosen = 0
    for row in range(len(left)):
        if seen[row, 0, 0] >= LOST_NS or left[row] < min(model.tail_bound_ns[0] for model in table.locals):
            continue
        deadline = int(left[row]) + DELIVER_NS
        core = Core(table, policy=by_name("ours"), prices=prices, streams=[Stream("camera", deadline)])
        core._links["cloud"].signal(Signal.ANSWERED, 0)
        belief = core._links["cloud"].belief
        belief.observe(now_ns=0, trip_ns=seen[row, 0, 0], ns_per_byte=seen[row, 0, 1], factor=seen[row, 0, 2], queue_ns=0.0)  # fmt: skip
        belief.samples[0] = belief.samples[FIRST]  # the prior says the same, so that its weight changes nothing
        outcome = core.step(r.RequestArrived(0, "camera", 0), now_ns=0)
        decision = next(each for each in outcome.records if isinstance(each, r.Decision))
        if swept.arm[row] == NO_ARM:
            assert decision.reason is not r.Reason.LEAST_EXPECTED_COST
            continue
        chosen += 1
        assert decision.arm == table.arms[int(swept.arm[row])].name
        assert decision.cost_mj == pytest.approx(float(swept.cost_mj[row]), abs=1e-3)
    assert chosen > 20


def test_chunks_change_nothing() -> None:
    table = wide_table(16)
    seen, left = moments(table, 500, 3, seed=5)
    weights = np.full((500, 3), 1 / 3)
    whole, small = (Sweep(table, chunk_values=size).decide(seen, left, weights) for size in (1 << 20, 1))
    assert np.array_equal(whole.arm, small.arm)
    assert np.array_equal(whole.cost_mj, small.cost_mj)
    assert np.array_equal(whole.needed, small.needed)


def test_moments_of_a_course_say_what_the_link_is_like_and_lose_what_is_frozen() -> None:
    course = Course.steady(round_trip_ms=30, up_mbps=8, down_mbps=50).with_blackout(from_ns=100 * MS, for_ns=50 * MS)
    found = moments_of(course, np.array([0, 120 * MS, 200 * MS]))
    assert found.tolist() == [[30e6, 1000.0, 1.0], [LOST_NS, 1000.0, 1.0], [30e6, 1000.0, 1.0]]


def test_a_link_without_a_rate_leaves_what_is_local_as_it_is() -> None:
    table = small_table()
    found = moments_of(Course.steady(round_trip_ms=30, up_mbps=0, down_mbps=0), np.array([0]))
    swept = Sweep(table).decide(found, np.array([1e9]))
    assert np.isfinite(swept.cost_mj).all()


@pytest.mark.parametrize(
    ("samples", "left", "weights"), [((4, 2), 4, None), ((4, 3), 5, None), ((4, 2, 3), 4, None), ((4, 2, 3), 4, (4, 3))]
)
def test_shapes_that_do_not_belong_together_are_refused(
    samples: tuple[int, ...], left: int, weights: tuple[int, ...] | None
) -> None:
    given = None if weights is None else np.ones(weights)
    with pytest.raises(UsageError, match="belong together"):
        Sweep(small_table()).decide(np.ones(samples), np.ones(left), given)
