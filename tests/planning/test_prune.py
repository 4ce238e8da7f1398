"""Pruning against brute force: what it drops never wins, on any link and at any price of a grid."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.core.arms import ArmTable
from hedgerow.core.policies import by_name
from hedgerow.core.records import Margins, Prices
from hedgerow.errors import UsageError
from hedgerow.planning.outlook import LinkFigures, view_of
from hedgerow.planning.prune import dominator, footprints, pruned, subset, undominated
from tests.core.world import small_table
from tests.planning.tables import tables

LINKS = [LinkFigures(mbps, trip) for mbps in (0.2, 4.0, 200.0) for trip in (0.0, 30.0, 200.0)]
PRICES = [
    Prices(money, wrong, reserve) for money, wrong, reserve in ((0, 0, 0), (0, 200, 50), (5000, 2000, 0), (0, 9000, 20))
]
DEADLINES_MS = (20.0, 70.0, 400.0)
MATRICES = st.integers(1, 4).flatmap(
    lambda rows: st.lists(st.lists(st.integers(0, 3), min_size=rows, max_size=rows), min_size=1, max_size=9)
)


@given(MATRICES)
def test_an_arm_is_kept_where_no_other_is_as_good_in_everything(columns: list[list[int]]) -> None:
    keep = undominated(np.array(columns, dtype=np.float64).T)
    for index, mine in enumerate(columns):
        beaten = any(
            all(x <= y for x, y in zip(other, mine, strict=True)) and (other != mine or place < index)
            for place, other in enumerate(columns)
            if place != index
        )
        assert keep[index] == (not beaten)


@given(MATRICES)
def test_what_is_dropped_names_a_kept_arm_that_is_as_good(columns: list[list[int]]) -> None:
    amounts = np.array(columns, dtype=np.float64).T
    keep = undominated(amounts)
    for index in range(len(columns)):
        found = dominator(amounts, index)
        assert (found is None) == bool(keep[index])
        if found is not None:
            assert keep[found]
            assert (amounts[:, found] <= amounts[:, index]).all()


@settings(max_examples=50, deadline=None)
@given(tables())
def test_no_link_price_or_deadline_is_worse_off_for_pruning(table: ArmTable) -> None:
    """But for arms that are worse than the reserve: to these the policy gives credit for coming too late. And by one reserve for all:
    that a deeper head, itself no better, leaves a shorter one is not among the resources that arms are pruned by."""
    policy, few = by_name("ours"), pruned(table, arms_max=64)
    assert {arm.name for arm in few.arms} <= {arm.name for arm in table.arms}
    assert few.locals == table.locals
    for link, prices, deadline_ms in itertools.product(LINKS, PRICES, DEADLINES_MS):
        view, _ = view_of(table, link, deadline_ms=deadline_ms, prices=prices, margins=Margins())
        view.admissible &= ~(table.is_remote & (table.quality < view.reserve_quality))
        best = policy.choose(replace(view, insured=None))
        fewer, _ = view_of(few, link, deadline_ms=deadline_ms, prices=prices, margins=Margins())
        kept = policy.choose(replace(fewer, insured=None))
        if best is not None:
            assert kept is not None
            assert kept.cost_mj <= best.cost_mj + 1e-6


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(1, 5))
def test_a_table_is_cut_to_its_limit_and_keeps_local_arms_first(table: ArmTable, arms_max: int) -> None:
    few = pruned(table, arms_max=arms_max)
    kept = undominated(footprints(table))
    assert len(few.arms) == min(arms_max, int(kept.sum()))
    local_before = int((kept & ~table.is_remote).sum())
    assert int((~few.is_remote).sum()) == min(local_before, arms_max)


def test_a_subset_keeps_order_and_figures() -> None:
    table = small_table()
    few = subset(table, [2, 0])
    assert [arm.name for arm in few.arms] == [table.arms[2].name, table.arms[0].name]
    assert (few.energy, few.money_per_mb) == (table.energy, table.money_per_mb)


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one arm"):
        pruned(small_table(), arms_max=0)
