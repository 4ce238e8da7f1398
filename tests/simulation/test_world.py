"""The very same core in the virtual world: every request answered once, equal again for an equal world, priced afterwards."""

from dataclasses import replace

import numpy as np
import pytest

from hedgerow.core import Arm, ArmTable, Criticality, GateStep
from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.simulation.course import Course
from hedgerow.simulation.world import Setup, run
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


def gated_setup(stop_at: float) -> Setup:
    """The small model asked first; eight samples of which it is ever surer, all of the last four rightly so."""
    plain = small_setup()
    local, _, cloud, _ = plain.table.arms
    cascade = Arm("cascade:small>cloud:big:jpeg:75", (*local.steps, GateStep(stop_at, 0.5), *cloud.steps), 0.95)
    table = ArmTable((*plain.table.arms, cascade), plain.table.locals)
    sure = tuple(each / 8 for each in range(8))
    agreement = {"local:small": "00001111", "cloud:big:jpeg:75": "11110000"}
    return replace(plain, table=table, confidences={"small": sure}, agreement=agreement)


def test_a_gate_stops_the_samples_of_which_the_model_is_sure_and_each_answer_is_judged_by_who_gave_it() -> None:
    setup = gated_setup(0.5)
    made = run(setup, by_name("only:cascade:small>cloud:big:jpeg:75"), PRICES)
    sure = np.array([arrival.sample % 8 >= 4 for arrival in setup.arrivals])
    assert np.array_equal(made.stopped[2:], sure[2:])
    assert [source == "local" for source in made.source[2:]] == sure[2:].tolist()
    assert made.agrees[2:].all()  # the cloud is right where the model was unsure, and nowhere else
    assert not made.stood_in[2:].any()
    assert (made.up_bytes[2:] > 0).tolist() == (~sure[2:]).tolist()


def test_what_stands_in_for_a_crossing_that_fails_is_judged_as_the_unsure_answer_that_it_is() -> None:
    dead = Course.steady(round_trip_ms=30, up_mbps=20, down_mbps=50).unrolled(20_000 * MS).with_blackout(
        from_ns=2000 * MS, for_ns=500 * MS
    )  # fmt: skip
    setup = replace(gated_setup(0.5), course=dead)
    made = run(setup, by_name("only:cascade:small>cloud:big:jpeg:75"), PRICES)
    stood_in = np.flatnonzero(made.stood_in).tolist()
    assert stood_in
    assert not made.agrees[stood_in].any()
    assert (made.quality[stood_in] < 0.2).all()
    assert (made.quality[made.stopped] > 0.8).all()
