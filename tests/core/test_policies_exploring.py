"""Exploring: ours with a known chance of another arm, at a price that is bounded in every view."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hedgerow.core.policies import View, by_name
from hedgerow.core.policies.checking_views import made_views
from hedgerow.core.policies.examples import cascade, chain, steady
from hedgerow.core.policies.expecting import expected
from hedgerow.core.policies.exploring import SHARE_MIN, Explores, Exploring
from hedgerow.core.records import Reason
from tests.core.world import small_table

MANY = chain((3,) * 14, (1,) * 14, tuple(60 - 4 * layer for layer in range(14)))
TABLES = (small_table(), cascade(), chain((6, 12, 12, 12), (1, 1, 1, 1), (40, 12, 6, 3)), MANY)
VIEWS = [view for table in TABLES for view in made_views(table, 40)]
BOTH = (Exploring(), Exploring("exploring-more", 0.3, 100.0, 4096))


def shares(policy: Exploring, view: View) -> list[float]:
    """The formula, arm by arm, in plain Python."""
    best = by_name("ours").choose(view)
    cost = expected(view)[0].tolist()
    found = [0.0] * len(cost)
    if best is None:
        return found
    others = [arm for arm in range(len(cost)) if view.admissible[arm] and arm != best.arm]
    others.sort(key=lambda arm: (round(max(0.0, cost[arm] - cost[best.arm]), 6), arm))
    local = next((arm for arm in others if not view.table.is_remote[arm]), None)
    others = others[: policy.others_max]
    if local is not None and view.table.is_remote[best.arm] and all(view.table.is_remote[arm] for arm in others):
        others[-1] = local
    for arm in others:
        excess = max(0.0, cost[arm] - cost[best.arm])
        share = (min(policy.epsilon, policy.budget_mj / excess) if excess > 0 else policy.epsilon) / len(others)
        found[arm] = share if share >= SHARE_MIN else 0.0
    found[best.arm] = 1.0 - sum(found)
    return found


@pytest.mark.parametrize("policy", BOTH)
def test_the_propensities_are_those_of_the_formula(policy: Exploring) -> None:
    for view in VIEWS:
        assert policy.propensities(view) == pytest.approx(shares(policy, view), abs=1e-8)


@pytest.mark.parametrize("policy", BOTH)
def test_exploring_is_rare_and_its_price_is_bounded_in_every_view(policy: Exploring) -> None:
    explored = 0
    for view in VIEWS:
        share, best = policy.propensities(view), by_name("ours").choose(view)
        assert (best is None) == (share.sum() == 0)
        if best is None:
            continue
        assert share.sum() == 1.0  # in whole steps of the draw, so exactly
        assert not share[~view.admissible].any()
        assert 1.0 - share[best.arm] <= policy.epsilon + 1e-9
        cost = np.where(share > 0, expected(view)[0], 0.0)
        assert (share * (cost - cost[best.arm])).sum() <= policy.budget_mj + 1e-6
        explored += share[best.arm] < 1
    assert explored > len(VIEWS) // 2


def test_both_kinds_are_found_by_name() -> None:
    for each in BOTH:
        found: object = by_name(each.name)
        assert found == each


def test_of_many_arms_the_cheapest_are_drawn_and_a_local_one_among_them() -> None:
    view = steady(MANY, mbps=200, rtt_ms=5)
    drawn = np.flatnonzero(BOTH[0].propensities(view))
    cost = expected(view)[0]
    dearer = sorted(cost[drawn].tolist()) != sorted(cost.tolist())[: len(drawn)]
    assert len(drawn) == 9
    assert dearer, "a local arm takes the place of a cheaper remote one"
    assert not MANY.is_remote[drawn].all()
    assert np.count_nonzero(BOTH[1].propensities(view)) == np.count_nonzero(view.admissible)


def test_a_choice_states_its_own_propensity_and_why_it_was_made() -> None:
    policy = by_name("exploring-more")
    assert isinstance(policy, Explores)
    for view in VIEWS[::7]:
        told, best = policy.propensities(view), by_name("ours").choose(view)
        for seed in range(30):
            choice = policy.choose(replace(view, seed=seed))
            assert (choice is None) == (best is None)
            if choice is not None and best is not None:
                assert choice.propensity == told[choice.arm]
                assert (choice.reason is Reason.EXPLORED) == (choice.arm != best.arm)


def test_over_requests_each_arm_comes_as_often_as_it_says() -> None:
    policy, view, tries = Exploring(epsilon=0.3, budget_mj=1e9), steady(cascade()), 6_000
    counts = Counter(_arm(policy, replace(view, seed=3, request=number)) for number in range(tries))
    for arm, share in enumerate(policy.propensities(view).tolist()):
        assert abs(counts[arm] / tries - share) < 5 * (share * (1 - share) / tries) ** 0.5 + 1e-9


def _arm(policy: Exploring, view: View) -> int:
    choice = policy.choose(view)
    assert choice is not None
    return choice.arm
