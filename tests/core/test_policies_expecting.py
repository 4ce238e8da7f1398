"""What a part of a payload is worth when an arm is chosen, held against plain loops over samples and parts."""

from dataclasses import replace

import numpy as np
import pytest

from hedgerow.core import Arm, ArmTable, CrossStep, RunStep
from hedgerow.core import records as r
from hedgerow.core.policies import View
from hedgerow.core.policies.expecting import expected, stand_in
from tests.core.test_exhaustive import LOCAL, SMALL
from tests.core.walker import MS

PREFIXES = ((0.5, 0.75), (0.65, 0.85), (0.8, 0.9))
THERE = RunStep("cloud", "big", 0, 2, 5 * MS)
CROSS = CrossStep("cloud", "ints", 9500, 2 * MS, 4 * MS, prefixes=PREFIXES)
CUT = Arm("cut", (CROSS, THERE), 0.97)
SHORT = Arm("short", (CrossStep("cloud", "channel", 9000, 2 * MS, 4 * MS), THERE), 0.97)
TABLE = ArmTable((LOCAL, CUT, SHORT), (SMALL,))
BARE = ArmTable((LOCAL, replace(CUT, steps=(replace(CROSS, prefixes=()), THERE)), SHORT), (SMALL,))
SAMPLES = np.array([[60e6, 2000.0, 1.0], [10e6, 3000.0, 1.0], [10e6, 6500.0, 1.0], [10e6, 300.0, 2.0]])
WEIGHTS = np.array([0.1, 0.2, 0.4, 0.3])


def view(table: ArmTable = TABLE, reserve_quality: float = 0.8) -> View:
    rows = table.rows(("trips", "bytes", "tier"), "cloud")
    network = SAMPLES @ rows
    count = len(table.arms)
    return View(
        table, network_ns=network, device_ns=table.busy_ns.copy(), weights=WEIGHTS, admissible=np.ones(count, np.bool_),
        energy_mj=np.zeros(count), cost_mj=np.full(count, 5.0), available_ns=40.0 * MS, time_left_ns=60.0 * MS,
        reserve_energy_mj=1.0, reserve_quality=reserve_quality, prices=r.Prices(), samples=SAMPLES,
    )  # fmt: skip


@pytest.mark.parametrize("behind", [0.0, 0.8, 0.88, 0.95])
def test_what_comes_too_late_as_a_whole_may_be_in_time_as_a_part(behind: float) -> None:
    seen, plain = view(reserve_quality=behind), view(BARE, behind)
    cost, without = expected(seen)[0], expected(plain)[0]
    useful = stand_in(seen).useful_ns
    gained = 0.0
    for weight, (_, ns_per_byte, _), latency in zip(WEIGHTS, SAMPLES, seen.latency_ns(1), strict=True):
        better = [(share, agrees) for share, agrees in PREFIXES if agrees > behind]
        if better and latency > useful and latency - 9500 * (1 - better[0][0]) * ns_per_byte <= useful:
            gained += weight * (better[0][1] - behind)
    assert without[1] - cost[1] == pytest.approx(gained * seen.prices.disagreement_mj)
    assert (gained > 0) == (behind < 0.85)
    assert (cost[[0, 2]] == without[[0, 2]]).all()


def test_it_can_decide_for_the_layers_although_they_take_more_bytes() -> None:
    cost = expected(view())[0]
    assert cost[1] < cost[2]
    cost = expected(view(reserve_quality=0.95))[0]
    assert cost[1] >= cost[2]


def test_where_no_part_is_asked_for_none_is_counted_on() -> None:
    assert (expected(replace(view(), parts=False))[0] == expected(view(BARE))[0]).all()
