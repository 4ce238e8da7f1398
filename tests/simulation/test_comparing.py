"""A small comparison: the same with one worker and two, parts that add up, and a policy that raises costs only itself."""

from dataclasses import fields
from functools import cache

import numpy as np
import pytest

from hedgerow.core import policies
from hedgerow.core.policies import ONLY, Choice, Policy, View, by_name
from hedgerow.errors import UsageError
from hedgerow.simulation import cells, comparing, scenario
from hedgerow.simulation.comparing import Compared, compare
from hedgerow.simulation.oracles import table_of
from hedgerow.simulation.summing import summary
from hedgerow.simulation.world import run

SMALL = """format = 1
name = "small"
seconds = 2
[cloud]
factor = 0.25
[tariff]
money_per_mb = 1.0
[[group]]
name = "all"
radios = [""]
deadlines_ms = [30]
device_factors = [2]
[[price]]
disagreement_mj = 500
[[price]]
disagreement_mj = 2000
money_mj = 2000
"""
POLICIES = ("hedgerow", "dads")


@cache
def small() -> tuple[scenario.Scenario, list[cells.Unit]]:
    found = scenario.parse(SMALL, name="small")
    return found, cells.units(
        found, [each for link in ("drive-mixed", "wifi-site") for each in cells.load_courses(link)]
    )


@cache
def compared(workers: int = 1) -> Compared:
    return compare(*small(), POLICIES, workers=workers)


def test_two_workers_find_what_one_finds() -> None:
    one, two = compared(1), compared(2)
    assert summary(one) == summary(two)
    for mine, other in zip(one.ran, two.ran, strict=True):
        for this, that in zip(mine, other, strict=True):
            for part in fields(this):
                assert np.array_equal(getattr(this, part.name), getattr(that, part.name))


def test_each_policy_runs_in_each_world_at_each_price_beside_the_device_and_the_best_arms() -> None:
    found = compared()
    for unit, rows in zip(found.units, found.ran, strict=True):
        for price in range(2):
            names = [row.policy for row in rows if row.price == price]
            assert names[0] == "device-only"
            assert {*POLICIES, *(ONLY + arm for arm in comparing.candidates(found, unit.cell, price))} <= set(names)
            assert len(set(names)) == len(names)
        assert not any(row.error for row in rows)


def test_a_row_is_what_the_world_gives() -> None:
    whole, units = small()
    setup = cells.build(whole, cells.profile_of(whole), units[0])
    prices = whole.price[1].prices()
    made = run(setup, by_name("hedgerow"), prices)
    (row,) = (each for each in compared().ran[0] if (each.policy, each.price) == ("hedgerow", 1))
    assert row.cost_mj == pytest.approx(float(made.cost_mj(prices, setup.table).sum()))
    assert (row.late, row.requests, row.reserves) == (made.late.sum(), len(setup.arrivals), made.reserve.sum())
    parts = row.energy_mj + row.money * prices.money_mj + prices.reserve_mj * row.reserves
    assert row.cost_mj == pytest.approx(parts + prices.disagreement_mj * float((1.0 - made.quality).sum()))


def test_one_arm_for_all_has_the_cores_own_plan_where_it_is_not_allowed() -> None:
    whole, units = small()
    setup = cells.build(whole, cells.profile_of(whole), units[0])
    for price, point in enumerate(whole.price):
        prices = point.prices()
        table = table_of(setup, prices)
        cost, own = table.cost_mj(prices, setup), table.own_cost_mj(prices)
        assert not np.isfinite(cost).all()  # else this shows nothing
        expected = [
            sum(each if np.isfinite(each) else mine for each, mine in zip(column, own, strict=True))
            for column in cost.T
        ]
        judged = compared().judged[0]
        assert judged.arm_cost_mj[price] == pytest.approx(np.array(expected))
        assert judged.clairvoyant_mj[price] == pytest.approx(np.minimum(cost.min(axis=1), own).sum())
        assert judged.free_mj[price] <= judged.clairvoyant_mj[price]


class Broken:
    """Raises in a world of its own liking."""

    name, uses_reserve = "broken", True

    def choose(self, view: View) -> Choice | None:
        raise ZeroDivisionError("nothing left")


def test_a_policy_that_raises_is_told_and_all_else_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    real = policies.by_name

    def found(name: str, table: object = None) -> Policy:
        return Broken() if name == "broken" else real(name, table)  # type: ignore[arg-type]

    monkeypatch.setattr(comparing, "by_name", found)
    whole, units = small()
    both = compare(whole, units[:1], ("broken", "hedgerow"), workers=1)
    told = summary(both)
    assert [(each["policy"], each["error"]) for each in told["errors"]] == [
        ("broken", "ZeroDivisionError: nothing left")
    ]
    good = [row for row in both.ran[0] if row.policy != "broken"]
    wanted = {(row.policy, row.price): row.cost_mj for row in compared().ran[0]}
    assert all(row.cost_mj == wanted[row.policy, row.price] for row in good if (row.policy, row.price) in wanted)
    assert {row["name"]: row["cost"] is None for row in told["policies"]}["broken"]


def test_policies_are_chosen_by_name() -> None:
    assert comparing.chosen_policies("hedgerow, dads,hedgerow") == ("hedgerow", "dads")
    assert comparing.chosen_policies("all") == policies.names()
    assert comparing.chosen_policies("only:local:x") == ("only:local:x",)
    with pytest.raises(UsageError, match="no policy 'nonsense'"):
        comparing.chosen_policies("nonsense")
