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


def test_prices_change_beyond_their_limits_and_not_at_them() -> None:
    settings = BudgetSettings(energy_mw=50.0, low_battery_fraction=0.2, hot_celsius=85.0)
    budgets = Budgets(settings)
    budgets.battery_fraction, budgets.celsius = 0.2, 85.0
    budgets.spend(energy_mj=500.0)
    assert budgets.energy_price == 1.0
    budgets.celsius = 85.001
    assert budgets.energy_price == 2.0
    budgets.battery_fraction = 0.199
    assert budgets.energy_price == 4.0
    budgets.spend(energy_mj=0.001)
    assert budgets.energy_price == 8.0
    assert BudgetSettings() == BudgetSettings(None, None, 0.2, 85.0)


def test_energy_comes_back_at_its_rate_up_to_ten_seconds_worth() -> None:
    budgets = Budgets(BudgetSettings(energy_mw=50.0, uplink_bytes_per_s=8.0))
    budgets.spend(energy_mj=1100.0, uplink_bytes=80)
    budgets.fill(11 * SECOND)  # 1100 - 500 less 550
    assert budgets.energy_price == 2.0
    budgets.fill(12 * SECOND)
    assert budgets.energy_price == 1.0
    budgets.fill(500 * SECOND)
    budgets.spend(energy_mj=500.0)
    assert budgets.energy_price == 1.0
    budgets.spend(energy_mj=0.5)
    assert budgets.energy_price == 2.0
    assert budgets.bytes_left == 80


def test_time_that_ran_back_is_not_filled_twice() -> None:
    budgets = Budgets(BudgetSettings(uplink_bytes_per_s=100.0))
    budgets.spend(uplink_bytes=1000)
    budgets.fill(4 * SECOND)
    budgets.fill(2 * SECOND)
    budgets.fill(4 * SECOND)
    assert budgets.bytes_left == 400
    assert budgets.battery_fraction == 1.0
    assert budgets.celsius == 0.0


def test_without_an_energy_budget_nothing_is_overdrawn() -> None:
    budgets = Budgets(BudgetSettings(uplink_bytes_per_s=100.0))
    budgets.spend(energy_mj=1e9)
    assert budgets.energy_price == 1.0
