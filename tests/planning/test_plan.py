"""A plan's choice, front and turns against the policy asked plainly and against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings

from hedgerow.core.arms import ArmTable
from hedgerow.core.policies import by_name
from hedgerow.core.records import Margins, Prices
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.planning import arm_table, margins_of, plan
from hedgerow.planning.outlook import LinkFigures, view_of
from hedgerow.profiling import Profile
from tests.core.world import small_table
from tests.planning.tables import tables

LINKS = ((0.5, 20.0), (8.0, 20.0), (100.0, 5.0))


@settings(max_examples=15, deadline=None)
@given(tables())
def test_the_front_is_what_brute_force_finds(table: ArmTable) -> None:
    for mbps, trip in LINKS:
        made = plan(table, mbps, trip, 120.0)
        allowed = [arm for arm in made.arms if arm.cost_mj is not None]
        figures = {arm.name: (arm.latency_ms, arm.energy_mj, -arm.quality) for arm in allowed}
        for arm in made.arms:
            if arm.name not in figures:
                assert not arm.on_front
                continue
            mine = figures[arm.name]
            strictly = [x for x in figures.values() if x != mine and all(a <= b for a, b in zip(x, mine, strict=True))]
            twins = [name for name, x in figures.items() if x == mine]
            if strictly:
                assert not arm.on_front
            else:
                assert sum(each.on_front for each in allowed if each.name in twins) == 1


@settings(max_examples=15, deadline=None)
@given(tables())
def test_the_choice_is_the_cheapest_of_all_that_may_be_chosen(table: ArmTable) -> None:
    for mbps, trip in LINKS:
        made = plan(table, mbps, trip, 120.0)
        view, reserve = view_of(table, LinkFigures(mbps, trip), deadline_ms=120.0, prices=Prices(), margins=Margins())
        choice = by_name("ours").choose(view)
        assert made.chosen == (None if choice is None else table.arms[choice.arm].name)
        assert made.reserve == (None if reserve is None else reserve.name)
        costs = [arm.cost_mj for arm in made.arms if arm.cost_mj is not None]
        assert costs == sorted(costs)
        if choice is not None:
            assert choice.cost_mj == pytest.approx(costs[0], abs=2e-3)
            assert f"{choice.cost_mj:.1f} mJ" in made.because
        assert {arm.name for arm in made.arms if arm.cost_mj is None} == {
            table.arms[column].name for column in np.flatnonzero(~view.admissible)
        }


@settings(max_examples=10, deadline=None)
@given(tables(arms_max=5))
def test_the_choice_turns_where_it_is_said_to(table: ArmTable) -> None:
    made = plan(table, 8.0, 20.0, 120.0)
    for before, after in itertools.pairwise(made.uplink_turns):
        assert before.above == after.below
        assert before.at < after.at
    places = [0.05, *(turn.at for turn in made.uplink_turns), 2000.0]
    names = [turn.below for turn in made.uplink_turns] + [
        made.uplink_turns[-1].above if made.uplink_turns else made.chosen or "none"
    ]
    for low, high, name in zip(places, places[1:], names, strict=False):
        if high / low > 1.02:
            assert _chosen(table, low * 1.005) == _chosen(table, high * 0.995) == name


def _chosen(table: ArmTable, mbps: float) -> str:
    view, _ = view_of(table, LinkFigures(mbps, 20.0), deadline_ms=120.0, prices=Prices(), margins=Margins())
    choice = by_name("ours").choose(view)
    return "none" if choice is None else table.arms[choice.arm].name


def test_a_slow_link_leaves_the_work_here_and_a_fast_one_takes_it() -> None:
    table = small_table()
    slow, fast = plan(table, 0.1, 50.0), plan(table, 100.0, 5.0)
    assert slow.chosen == "local:small"
    assert fast.chosen == "cloud:big:jpeg:75"
    assert fast.uplink_turns[0].below == "local:small"
    assert fast.uplink_turns[-1].above == "cloud:big:jpeg:75"
    for turn in fast.uplink_turns:
        assert plan(table, turn.at * 0.99, 5.0).chosen == turn.below
        assert plan(table, turn.at * 1.01, 5.0).chosen == turn.above


def test_what_may_not_be_chosen_says_why() -> None:
    made = plan(small_table(), 8.0, 20.0, 100.0)
    obstacles = {arm.name: arm.obstacle for arm in made.arms}
    assert "beyond the deadline of 100 ms" in obstacles["local:big"]
    assert made.reserve == "small"
    late = plan(small_table(), 0.1, 500.0, 100.0)
    assert "after the deadline" in next(arm.obstacle for arm in late.arms if arm.name == "cloud:big:jpeg:75")
    needed = plan(small_table(), 1.5, 20.0, 100.0)
    assert "the reserve starts after" in next(a.obstacle for a in needed.arms if a.name == "cloud:big:jpeg:75")
    tight = plan(small_table(), 8.0, 20.0, 45.0)
    assert "holds the device" in next(arm.obstacle for arm in tight.arms if arm.name == "split:small@1:q4")


def test_where_nothing_fits_no_reserve_is_promised() -> None:
    made = plan(small_table(), 8.0, 20.0, 5.0)
    assert made.reserve is None
    assert {arm.name for arm in made.arms if arm.cost_mj is None} >= {"local:small", "local:big"}


def test_where_nothing_fits_the_plan_says_that_nothing_is_in_time() -> None:
    made = plan(small_table(), 0.1, 500.0, 5.0)
    assert made.reserve is None
    said = [made.because, *(arm.obstacle for arm in made.arms)]
    assert not any("the reserve" in text for text in said)
    assert "nothing answers in time, the answer will be late or the stream's safe value" in made.because


def test_a_dear_disagreement_buys_the_better_answer() -> None:
    table = small_table()
    cheap = plan(table, 30.0, 10.0, prices=Prices(disagreement_mj=0.0))
    dear = plan(table, 30.0, 10.0, prices=Prices(disagreement_mj=50_000.0))
    quality = {arm.name: arm.quality for arm in dear.arms}
    assert dear.chosen is not None
    assert cheap.chosen is not None
    assert quality[dear.chosen] > 0.9 >= quality[cheap.chosen] or quality[dear.chosen] >= quality[cheap.chosen]


def test_a_profile_plans_from_end_to_end(picture_profile: Profile, picture_task: Task) -> None:
    table = arm_table(picture_profile, picture_task)
    made = plan(table, 20.0, 30.0, margins=margins_of(picture_profile))
    assert made.chosen in {arm.name for arm in table.arms}
    assert made.front
    assert made.reason == "least_expected_cost"


@pytest.mark.parametrize("deadline_ms", [0.0, -5.0, float("nan"), float("inf")])
def test_a_deadline_that_cannot_be_is_refused(deadline_ms: float) -> None:
    with pytest.raises(UsageError, match="deadline"):
        plan(small_table(), 8.0, 20.0, deadline_ms)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(UsageError, match="no policy"):
        plan(small_table(), 8.0, 20.0, policy="magic")
