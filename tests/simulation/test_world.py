"""The very same core in the virtual world: every request answered once, equal again for an equal world, priced afterwards."""

import numpy as np
import pytest

from hedgerow.core import Criticality
from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.simulation.course import Course
from hedgerow.simulation.world import run
from tests.core.world import MS
from tests.simulation.small import PlainServer, small_setup

PRICES = r.Prices()


@pytest.mark.parametrize("policy", ["ours", "device-only", "cloud-only"])
def test_a_good_link_answers_all_in_time_and_the_same_again(policy: str) -> None:
    setup = small_setup()
    first, second = run(setup, by_name(policy), PRICES), run(setup, by_name(policy), PRICES)
    assert np.array_equal(first.told_ns, second.told_ns)
    assert np.array_equal(first.cost_mj(PRICES, setup.table), second.cost_mj(PRICES, setup.table))
    assert not first.late.any()
    assert set(first.source[5:]) == {"local" if policy == "device-only" else "remote"}


def test_latency_of_a_remote_answer_is_the_sum_of_its_parts() -> None:
    setup = small_setup()
    made = run(setup, by_name("ours"), PRICES)
    arm = setup.table.arms[int(made.chosen[10])]
    crossing = arm.crossing
    assert crossing is not None
    sending = (crossing.up_bytes + 400) * 8 / 20e6 * 1e9
    expected = crossing.encode_median_ns + sending + 30 * MS + 10 * MS + 1000 * 8 / 50e6 * 1e9
    assert made.told_ns[10] == pytest.approx(expected, rel=0.001)
    energy = setup.table.energy
    assert made.energy_mj[10] == pytest.approx(
        energy.busy_mj(crossing.encode_median_ns) + energy.radio_mj(sending), rel=0.001
    )


def test_a_dead_link_or_server_makes_nothing_late() -> None:
    dead = Course.steady(round_trip_ms=30, up_mbps=0, down_mbps=0)
    for setup in (small_setup(dead), small_setup(server=lambda: PlainServer(alive=False))):
        made = run(setup, by_name("ours"), PRICES)
        assert not made.late.any()
        assert set(made.source) == {"local"}


def test_a_blackout_in_mid_drive_costs_reserves_and_no_deadline() -> None:
    course = Course.steady(round_trip_ms=30, up_mbps=20, down_mbps=50)
    setup = small_setup(course.unrolled(20_000 * MS).with_blackout(from_ns=3000 * MS, for_ns=3000 * MS))
    made = run(setup, by_name("ours"), PRICES)
    assert not made.late.any()
    outage = [index for index, arrival in enumerate(setup.arrivals) if 3000 <= arrival.captured_ns / MS < 6000]
    assert all(made.source[index] == "local" for index in outage)
    assert 1 <= made.reserve[outage].sum() <= 3  # then the breaker is open
    assert made.source[-1] == "remote"


def test_safety_answers_are_the_devices_own() -> None:
    made = run(small_setup(criticality=Criticality.SAFETY), by_name("ours"), PRICES)
    assert set(made.source) == {"local"}
    assert not made.late.any()
