import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hedgerow.core.records import MS, SECOND
from hedgerow.errors import UsageError
from hedgerow.simulation.power import RADIOS, Battery, Bill, Radio, RadioFigures, Tariff, radio_of

Ints = NDArray[np.int64]
PLAIN = RadioFigures("plain", 10.0, 500.0, 200 * MS, 1000.0, 80.0, 40.0, 300.0, 2 * SECOND)


def test_a_small_schedule_is_the_integral_done_by_hand() -> None:
    radio = Radio(PLAIN)
    # idle 1 s, promotion, 0.5 s active with 1 Mbit up, 1 s of tail, 0.2 s active with 2 Mbit down, then 5 s to the end
    radio.transfer(SECOND, SECOND + 500 * MS, up_bytes=125_000)
    radio.transfer(2500 * MS, 2700 * MS, down_bytes=250_000)
    total = radio.at(7700 * MS)
    by_hand = 10 * 1 + 500 * 0.2 + (1000 * 0.5 + 80) + 300 * 1 + (1000 * 0.2 + 80) + 300 * 2 + 10 * 3
    assert total == pytest.approx(by_hand)
    assert radio.at(7700 * MS) == pytest.approx(by_hand)  # asking again adds nothing


def test_random_schedules_are_the_sum_over_every_millisecond() -> None:
    """A second implementation: the state of each millisecond, from the definition."""
    for seed in range(40):
        random = np.random.default_rng(seed)
        starts = np.sort(random.integers(0, 60_000, 12))
        ends = starts + random.integers(1, 3000, 12)
        sizes = random.integers(0, 10**6, (12, 2))
        figures = list(RADIOS.values())[seed % len(RADIOS)]
        radio = Radio(figures)
        for start, end, (up, down) in zip(starts.tolist(), ends.tolist(), sizes.tolist(), strict=True):
            radio.transfer(start * MS, end * MS, up, down)
        assert radio.at(100_000 * MS) == pytest.approx(_by_milliseconds(figures, starts, ends, sizes), rel=1e-9)


def _by_milliseconds(figures: RadioFigures, starts: Ints, ends: Ints, sizes: Ints) -> float:
    active = np.zeros(100_000, dtype=bool)
    for start, end in zip(starts, ends, strict=True):
        active[start:end] = True
    tail = np.zeros(100_000, dtype=bool)
    for end in ends:
        tail[end : end + figures.tail_ns // MS] = True
    powers = np.where(active, figures.active_mw, np.where(tail, figures.tail_mw, figures.idle_mw))
    wakes = sum(not active[:start].any() or not (active[start - 1] or tail[start - 1]) for start in starts)
    first = starts == starts[0]
    assert wakes >= 1
    wakes -= int(first.sum()) - 1  # transfers that start together wake it once
    bits = (sizes @ np.array([figures.up_mw_per_mbps, figures.down_mw_per_mbps])).sum() / 125_000
    return float(powers.sum() / 1000 + wakes * figures.promotion_mw * figures.promotion_ns / SECOND + bits)


def test_a_transfer_within_the_tail_needs_no_promotion() -> None:
    radio = Radio(PLAIN)
    assert radio.ready_ns(0) == PLAIN.promotion_ns
    radio.transfer(0, 100 * MS)
    assert radio.ready_ns(100 * MS) == 0
    assert radio.ready_ns(2099 * MS) == 0
    assert radio.ready_ns(2100 * MS) == PLAIN.promotion_ns
    added = radio.transfer(1100 * MS, 1200 * MS)
    assert added == pytest.approx(300 * 1 + 1000 * 0.1)


def test_the_published_lte_figures_give_the_published_ratio() -> None:
    """The MobiSys paper: a single small transfer is mostly tail, and costs LTE far more than Wi-Fi."""
    costs = {}
    for name in ("lte", "wifi"):
        radio = Radio(RADIOS[name])
        radio.transfer(0, 100 * MS, up_bytes=11_000)
        costs[name] = radio.at(20 * SECOND)
    assert costs["lte"] > 20 * costs["wifi"]
    assert 1060.0 * 11.576 / costs["lte"] > 0.9


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("LTE", "lte"),
        ("LTE-A", "lte"),
        ("5G-mid", "5g-low"),
        ("5G-mmWave", "5g-mmwave"),
        ("802.11ax 80 MHz", "wifi"),
        ("", "lte"),
    ],
)
def test_a_traces_radio_has_figures(label: str, name: str) -> None:
    assert radio_of(label).name == name


def test_the_cores_model_of_a_radio_has_its_tail_per_request() -> None:
    energy = PLAIN.as_energy(uplink_mbps=10.0, period_ns=SECOND)
    assert energy.radio_mj(SECOND / 2) == pytest.approx((1000 + 800) * 0.5 + 300)
    assert PLAIN.as_energy(uplink_mbps=10.0, period_ns=60 * SECOND).radio_tail_mj == pytest.approx(600)


def test_a_battery_gives_what_it_holds_and_then_is_dead() -> None:
    battery = Battery.of_wh(1.0)
    assert battery.capacity_mj == 3_600_000
    assert battery.draw(900_000, load_mw=1000.0) == 0.75
    assert battery.draw(2_600_000) == pytest.approx(100 / 3600)
    assert battery.draw(200_000) == 0.0
    assert battery.dead


def test_voltage_solves_its_own_equation() -> None:
    battery = Battery.of_wh(10.0, fraction=0.5, resistance_ohm=0.2)
    volts = battery.voltage_v(5000.0)
    assert volts == pytest.approx(3.78 - 0.2 * 5.0 / volts)
    assert battery.voltage_v() == pytest.approx(3.78)


def test_a_cold_battery_falls_off_a_cliff_with_energy_left() -> None:
    warm, cold = Battery.of_wh(10.0, resistance_ohm=0.05), Battery.of_wh(10.0, resistance_ohm=0.55)
    for battery in (warm, cold):
        while not battery.dead:
            battery.draw(0.01 * battery.capacity_mj, load_mw=4000.0)
    assert warm.level_mj / warm.capacity_mj < 0.06
    assert cold.level_mj / cold.capacity_mj > 0.1
    assert cold.fraction == 0.0
    assert Battery.of_wh(1.0, fraction=0.2, resistance_ohm=2.0).voltage_v(50_000.0) == 0.0


def test_an_allowance_ends_within_a_transfer_and_comes_back() -> None:
    bill = Bill(Tariff(money_per_mb=0.5, money_per_cloud_s=0.1, free_mb=1.0, period_ns=10 * SECOND))
    assert bill.charge(600_000, now_ns=0) == 0.0
    assert bill.charge(600_000, now_ns=SECOND) == pytest.approx(0.1)
    assert bill.charge(100_000, 2 * SECOND, now_ns=2 * SECOND) == pytest.approx(0.05 + 0.2)
    assert bill.charge(900_000, now_ns=10 * SECOND) == 0.0
    assert bill.money == pytest.approx(0.35)
    assert bill.traffic_bytes == 2_200_000


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot end before"):
        Radio(PLAIN).transfer(SECOND, 0)
    with pytest.raises(UsageError, match="capacity"):
        Battery(0.0)
    with pytest.raises(UsageError, match="prices"):
        Tariff(money_per_mb=-1.0)
    assert not math.isnan(Battery(5.0).level_mj)
