"""What a device reads of itself: a battery that falls by what was spent, heat that throttles, radio and tariff that add up."""

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.simulation.gauges import Gauges
from hedgerow.simulation.world import Run, run
from tests.simulation.worlds import ran, scenario, setup


def _gauges(made: Run) -> Gauges:
    assert made.gauges is not None
    return made.gauges


def test_the_battery_falls_by_what_was_spent_and_by_what_the_rest_takes() -> None:
    made = ran("[battery]\nwh = 0.05\nidle_mw = 500\n[device]\nreading_ms = 500\n", policy="device-only")
    readings = _gauges(made).readings
    assert [each.now_ns // 500_000_000 for each in readings] == list(range(1, len(readings) + 1))
    assert all(each.celsius is None for each in readings)
    at = next(each for each in readings if each.now_ns == 15 * r.SECOND)
    assert at.fraction is not None
    spent = made.energy_mj.sum() + made.probe_mj + 500 * 15
    assert (1 - at.fraction) * 0.05 * 3.6e6 == pytest.approx(spent, rel=1e-6)


def test_an_empty_battery_ends_the_device() -> None:
    made = ran("[battery]\nwh = 0.01\nidle_mw = 9000\n", policy="device-only")
    dead = _gauges(made).dead_ns
    assert dead is not None
    assert 3 * r.SECOND <= dead <= 5 * r.SECOND
    after = dead // (100 * r.MS)
    assert not made.late[: after - 1].any()
    assert made.late[after + 1 :].all()
    assert np.all(made.told_ns[after + 1 :] == -1)


def test_a_voltage_cliff_comes_before_the_end_of_the_charge() -> None:
    weak = _gauges(ran("[battery]\nwh = 0.01\nidle_mw = 9000\nresistance_ohm = 0.25\n", policy="device-only"))
    sound = _gauges(ran("[battery]\nwh = 0.01\nidle_mw = 9000\nresistance_ohm = 0\n", policy="device-only"))
    assert weak.dead_ns is not None
    assert sound.dead_ns is not None
    assert weak.dead_ns < sound.dead_ns


def test_the_core_is_told_and_energy_gets_dearer() -> None:
    world, told = setup("[battery]\nwh = 1\nfraction = 0.1\n"), []
    run(
        world,
        by_name("ours", world.table),
        scenario().price[0].prices(),
        watch=lambda now, event, outcome: told.append(event),
    )
    levels = [each.fraction for each in told if isinstance(each, r.BatteryLevel)]
    assert len(levels) >= 19
    assert levels == sorted(levels, reverse=True)
    assert levels[0] < 0.1


HOT = "[device]\nheat = true\nambient_c = 40\nrise_c = 80\ntime_constant_s = 2\nthrottle_at_c = 46\nrelease_at_c = 44\n"


def test_a_busy_lane_heats_up_is_throttled_and_slower() -> None:
    cool, hot = ran(policy="only:local:small"), ran(HOT, policy="only:local:small")
    readings = _gauges(hot).readings
    assert max(each.celsius or 0 for each in readings) > 46
    assert max(each.throttled or 0 for each in readings) > 0.1
    assert hot.told_ns[50:].mean() > 1.2 * cool.told_ns[50:].mean()
    assert hot.told_ns[0] == cool.told_ns[0]


def test_a_lane_that_does_little_stays_cool() -> None:
    made = ran(HOT, policy="ours")
    readings = _gauges(made).readings
    assert max(each.celsius or 0 for each in readings[2:]) < 46
    assert made.source.count("remote") > 90


def test_heat_reaches_the_core_as_temperature_and_throttling() -> None:
    world, told = setup(HOT), []
    run(
        world,
        by_name("only:local:small", world.table),
        r.Prices(),
        watch=lambda now, event, outcome: told.append(event),
    )
    assert max(each.celsius for each in told if isinstance(each, r.Temperature)) > 46
    shares = [each.share for each in told if isinstance(each, r.Throttled)]
    assert max(shares) > 0.1
    assert shares[-1] == 0.0  # told once more when it is over


def test_the_radio_pays_for_its_tails_and_nothing_is_decided_by_it() -> None:
    plain, made = ran(), ran('[radio]\nname = "lte"\n')
    assert np.array_equal(plain.told_ns, made.told_ns)
    assert np.array_equal(plain.energy_mj, made.energy_mj)
    assert made.radio_mj > 10 * 1060  # ten seconds and more of tail at least, by Huang et al.


def test_without_an_allowance_the_bill_is_bytes_times_the_price() -> None:
    price, world = "[tariff]\nmoney_per_mb = 2\n", setup()
    plain, free, all_free = ran(price), ran(f"{price}free_mb = 0.5\n"), ran(f"{price}free_mb = 1000\n")
    table = setup(price).table
    sent = (plain.up_bytes.sum() + plain.probe_bytes) / 1e6
    assert plain.money(table).sum() == pytest.approx(2 * sent)
    assert free.money(table).sum() == pytest.approx(2 * (sent - 0.5))
    assert all_free.money(table).sum() == 0
    assert np.array_equal(plain.told_ns, free.told_ns)
    assert world.gauges is None
