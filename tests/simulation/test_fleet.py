"""Fleets: every device is the real core with draws of its own, whoever else there is; all share cells and one cloud."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.simulation import fleet as fleets
from hedgerow.simulation.fleet import Fleet, Shared, run_size
from hedgerow.simulation.parts import OutagePart
from hedgerow.simulation.scenario import Scenario
from hedgerow.simulation.transfer import NEVER_NS
from hedgerow.simulation.world import Run, run
from tests.simulation.profiles import profile
from tests.simulation.worlds import LINK
from tests.simulation.worlds import PLAIN as PLAIN_TEXT
from tests.simulation.worlds import scenario as declared

PRICES = r.Prices()
PLAIN = "[fleet]\ndevices = [1, 6]\ndevices_per_cell = 3\n"
OUTAGE = f"{PLAIN}[fleet.outage]\nat_s = 4\nfor_s = 2\n"


def _fleet(more: str = PLAIN, devices: int = 6, seed: int = 0) -> Fleet:
    return Fleet(declared(more), profile(), devices, seed)


@cache
def _ran(more: str = PLAIN, devices: int = 6, seed: int = 0, policy: str = "ours") -> tuple[dict[str, Any], list[Run]]:
    return run_size(_fleet(more, devices, seed), policy, PRICES, twins=True)


@pytest.mark.parametrize("more", [PLAIN, OUTAGE, f'{OUTAGE}[[fault]]\nkind = "server-kill"\nat_s = 7\n'])
def test_each_request_is_answered_once_and_none_late_above_the_device_alone(more: str) -> None:
    fleet = _fleet(more)
    devices = [fleet.device(number, "ours", PRICES) for number in range(6)]
    before_ns = 0
    for moment in range(200):
        fleet.clock.run(moment * 100 * r.MS)
        assert before_ns <= fleet.clock.now_ns <= moment * 100 * r.MS
        before_ns = fleet.clock.now_ns
    for each in devices:
        assert each.recorder.delivered == [1] * len(each.setup.arrivals)
    row, runs = _ran(more)
    assert row["late_above_device_only"] == 0
    assert row["requests"] == sum(len(made.told_ns) for made in runs) >= 590
    cloud = row["cloud"]
    assert cloud["came"] == cloud["answered"] + sum(cloud["refused"].values())
    assert 0 < cloud["utilisation"] <= 1


def test_a_seed_repeats_and_another_differs() -> None:
    first, again, other = (run_size(_fleet(OUTAGE, seed=seed), "ours", PRICES)[1] for seed in (0, 0, 1))
    assert all(np.array_equal(one.told_ns, two.told_ns) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one.told_ns, two.told_ns) for one, two in zip(first, other, strict=True))


def test_another_device_changes_nobody_elses_draws() -> None:
    small, large = _fleet(devices=4), _fleet(devices=40)
    for number in range(4):
        one, other = small.setup(number), large.setup(number)
        assert one.arrivals == other.arrivals
        assert one.limits == other.limits
        assert one.course.equals(other.course)
        for request in (0, 7, 99):
            times = [each.lanes().segments_ns(request, "big", 0, 2, 0) for each in (one, other)]
            assert times[0] == times[1]
            there = [each._times(number).segments_ns(request, "big", 0, 2) for each in (small, large)]
            assert there[0] == there[1]
    assert len({large.setup(number).limits.seed for number in range(40)}) == 40
    assert len({large.setup(number).arrivals[0].captured_ns for number in range(40)}) == 40


def test_what_is_equal_is_held_once() -> None:
    fleet = _fleet()
    one, other = fleet.setup(0), fleet.setup(5)
    assert one.table is other.table
    assert one.agreement is other.agreement
    assert fleet._times(0)._works is fleet._times(5)._works


@pytest.mark.parametrize("policy", ["ours", "cloud-only"])
def test_a_fleet_of_one_is_the_device_alone(policy: str) -> None:
    _, (inside,) = run_size(_fleet(devices=1), policy, PRICES)
    setup = _fleet(devices=1).setup(0)
    alone = run(setup, by_name(policy, setup.table), PRICES)
    assert np.array_equal(inside.told_ns, alone.told_ns)
    assert np.array_equal(inside.energy_mj, alone.energy_mj)
    assert inside.source == alone.source
    assert inside.steps == alone.steps


def test_a_shared_cell_is_slower_than_one_alone() -> None:
    narrow = f"{PLAIN}rate_factor = 0.05\n".replace("devices_per_cell = 3", "cells = 1")
    alone, shared = (_ran(narrow, devices)[0] for devices in (1, 6))
    assert shared["remote"] < alone["remote"]
    assert shared["late"] == 0


def test_too_small_a_cloud_saturates_and_never_computes_more_than_there_is_time() -> None:
    rows = []
    for devices in (1, 12, 45):  # a request takes about 3 ms there: one replica serves about 33 devices at 10 Hz
        fleet = _fleet(PLAIN + "rate_factor = 50\n", devices)
        rows.append(run_size(fleet, "cloud-only", PRICES)[0])
    busy = [row["cloud"]["utilisation"] for row in rows]
    assert all(0 < share <= 1 for share in busy)
    assert busy == sorted(busy)
    assert [row["cloud"]["saturated"] for row in rows] == [False, False, True]
    few = rows[0]["cloud"]
    work_ns = sum(made.cloud_ns.sum() for made in run_size(_fleet(devices=1), "cloud-only", PRICES)[1])
    assert few["utilisation"] == pytest.approx(work_ns / (10 * r.SECOND), rel=0.02)


def test_the_queue_waits_as_a_queue_of_staggered_cameras_must() -> None:
    """Below saturation the mean wait lies under that of M/D/1 at the same load: cameras are steadier than Poisson."""
    fleet = _fleet(PLAIN + "rate_factor = 50\n", 20)
    row, runs = run_size(fleet, "cloud-only", PRICES)
    cloud = row["cloud"]
    served = np.concatenate([made.cloud_ns[made.cloud_ns > 0] for made in runs]) / r.MS
    load = cloud["utilisation"]
    variability = 1 + (served.std() / served.mean()) ** 2
    assert 0 <= cloud["queue_mean_ms"] <= load * served.mean() * variability / (2 * (1 - load))


def test_in_an_outage_nothing_crosses_and_afterwards_they_do_not_come_all_at_once() -> None:
    more = OUTAGE.replace("devices_per_cell = 3", "devices_per_cell = 10")
    row, runs = _ran(more, 24)
    back = row["reconnection"]
    outage = back["per_100ms"][int((4 - back["from_s"]) * 10) :][:20]
    assert sum(outage) == 0
    assert back["usual_per_100ms"] > 9
    assert back["peak_per_100ms"] <= 24 + 24 / 2  # every camera once, and not half of the probes beside them
    assert back["back_after_ms"] is not None
    assert row["late"] == 0
    inside = [source for made in runs for source in made.source[44:58]]
    assert "remote" not in inside


def test_a_dead_cell_takes_nothing_and_counts_nothing() -> None:
    cell = Shared(LINK, up=True, outage=OutagePart(1.0, 1.0))
    assert cell.send(1000, r.SECOND) == (NEVER_NS, NEVER_NS)
    assert cell.arrived == {}
    assert cell.backlog_bytes(r.SECOND) == 0
    first, done = cell.send(1000, 2 * r.SECOND)
    assert first <= done < NEVER_NS
    assert cell.arrived == {20: 1}


def test_each_device_has_a_battery_of_its_own() -> None:
    fleet = _fleet(f"{PLAIN}[battery]\nwh = 0.0003\n")
    devices = [fleet.device(number, "device-only", PRICES) for number in range(6)]
    fleet.clock.run(20 * r.SECOND)
    assert all(each.body.dead for each in devices)
    assert len({int(each.recorder.told.max()) for each in devices}) == 6


def test_devices_take_the_speeds_in_turn() -> None:
    text = declared(plain=PLAIN_TEXT.replace("device_factors = [1]", "device_factors = [1, 2]") + PLAIN)
    fleet = Fleet(text, profile(), 4)
    medians = [fleet.setup(number).table.local("small").tail_median_ns[0] for number in range(4)]
    assert medians == [medians[0], 2 * medians[0]] * 2


def test_every_size_is_told_and_progress_adds_up() -> None:
    steps: list[int] = []
    scenario: Scenario = declared(PLAIN)
    found = fleets.run(scenario, profile(), progress=steps.append)
    assert [row["devices"] for row in found["sizes"]] == [1, 6]
    assert sum(steps) == fleets.steps_of(scenario)
    assert found["outage"] is None
    assert found["saturates_at"] is None
