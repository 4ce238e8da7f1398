"""Budgets: buckets of ten seconds' worth; short of energy, energy gets dearer; nothing is ever refused."""

from hedgerow.core.budgets import Budgets, BudgetSettings
from hedgerow.core.records import SECOND


def test_without_settings_nothing_is_limited() -> None:
    budgets = Budgets(BudgetSettings())
    budgets.spend(uplink_bytes=1e12, energy_mj=1e12)
    budgets.fill(SECOND)
    assert budgets.bytes_left == float("inf")
    assert budgets.energy_price == 1.0


def test_bytes_come_back_at_their_rate_up_to_ten_seconds_worth() -> None:
    budgets = Budgets(BudgetSettings(uplink_bytes_per_s=100.0))
    assert budgets.bytes_left == 1000
    budgets.spend(uplink_bytes=1500)
    assert budgets.bytes_left == -500
    budgets.fill(3 * SECOND)
    assert budgets.bytes_left == -200
    budgets.fill(2 * SECOND)  # time that ran back fills nothing
    budgets.fill(100 * SECOND)
    assert budgets.bytes_left == 1000


def test_each_shortage_doubles_the_price_of_energy() -> None:
    budgets = Budgets(BudgetSettings(energy_mw=50.0))
    assert budgets.energy_price == 1.0
    budgets.battery_fraction = 0.1
    assert budgets.energy_price == 2.0
    budgets.celsius = 90.0
    assert budgets.energy_price == 4.0
    budgets.spend(energy_mj=501.0)
    assert budgets.energy_price == 8.0
    budgets.fill(SECOND)
    budgets.battery_fraction = 0.9
    budgets.celsius = 20.0
    assert budgets.energy_price == 1.0
