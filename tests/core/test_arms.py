"""Arms and their matrix: what each takes, gates weighted by who passes, and tables that cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from hedgerow.core.arms import Arm, ArmTable, CrossStep, Energy, GateStep, RunStep
from hedgerow.errors import UsageError
from tests.core.world import MS, local_model, small_table

SMALL = local_model("small", (1.0, 10.0, 20.0), 0.8)
CROSS = CrossStep("cloud", "jpeg", 1000, 2 * MS, 4 * MS, decode_ns=MS)
GATED = Arm(
    "gated",
    (RunStep("device", "small", 0, 2, 31 * MS), GateStep(0.9, 0.75), CROSS, RunStep("cloud", "big", 0, 3, 8 * MS)),
    0.95,
)


def test_amounts_count_every_step_and_spent_only_what_passes_the_gate() -> None:
    table = ArmTable((GATED,), (SMALL,))
    assert {name: row[0] for name, row in table.amounts.items()} == {
        "lane:cpu": 33 * MS,
        "bytes:cloud": 1000,
        "trips:cloud": 1,
        "tier:cloud": 9 * MS,
    }
    assert table.busy_ns[0] == 31 * MS + 0.25 * 2 * MS
    assert table.up_bytes[0] == 250
    assert table.cloud_ns[0] == 0.25 * 9 * MS
    assert table.is_remote.tolist() == [True]


def test_rows_are_zero_where_no_arm_takes_any() -> None:
    rows = small_table().rows(("trips", "bytes", "queue"), "cloud")
    assert rows.shape == (3, 4)
    assert rows[0].tolist() == [0, 0, 1, 1]
    assert not rows[2].any()


def test_what_crosses_is_what_the_run_beyond_needs() -> None:
    assert GATED.sends(2) == ("big", -1)
    split = small_table().arms[3]
    assert split.sends(1) == ("small", 1)
    assert (split.model, GATED.model) == ("small", "big")
    assert split.crossing is not None
    assert small_table().arms[0].crossing is None


def test_energy_is_power_times_time_and_a_tail_for_the_radio() -> None:
    energy = Energy(active_mw=4000, radio_mw=1000, radio_tail_mj=2)
    assert energy.busy_mj(10 * MS) == pytest.approx(40.0)
    assert energy.radio_mj(5 * MS) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("arms", "locals_", "words"),
    [
        ((), (SMALL,), "at least one arm"),
        ((GATED, GATED), (SMALL,), "same name"),
        ((GATED,), (), "at least one local model"),
        ((GATED,), (replace(SMALL, name="other"),), "no local times"),
        ((GATED,), (replace(SMALL, lane="npu"),), "encodes on lane 'cpu'"),
        ((replace(GATED, steps=(CROSS,)),), (SMALL,), "runs nothing"),
        ((GATED,), (replace(SMALL, tail_bound_ns=(1,)),), "unequal numbers"),
    ],
)
def test_tables_that_cannot_be_are_refused(arms: tuple[Arm, ...], locals_: tuple, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UsageError, match=words):
        ArmTable(arms, locals_)


def test_equal_tables_give_equal_bits() -> None:
    first, second = small_table(), small_table()
    for name in first.amounts:
        np.testing.assert_array_equal(first.amounts[name], second.amounts[name])


def test_what_a_step_holds_a_lane_for_is_its_longest_segment_by_its_bound() -> None:
    table = ArmTable((GATED,), (SMALL,))  # segments of 1, 10 and 20 ms, bounds a fifth above
    assert table.held_ns(RunStep("device", "small", 0, 2, 0)) == ("cpu", 24 * MS)
    assert table.held_ns(RunStep("device", "small", 0, 1, 0)) == ("cpu", 12 * MS)
    assert table.held_ns(RunStep("device", "small", 0, 0, 0, "npu")) == ("npu", int(1.2 * MS))
    assert table.held_ns(RunStep("cloud", "big", 0, 2, 0)) == ("", 0)
    assert table.held_ns(CROSS) == ("cpu", 4 * MS)
    assert table.held_ns(GateStep(0.5, 0.5)) == ("", 0)


def test_steps_that_say_nothing_else_cost_nothing_more() -> None:
    assert CrossStep("cloud", "jpeg", 1, 1, 1) == CrossStep("cloud", "jpeg", 1, 1, 1, 0, 0, "cpu")
    assert RunStep("device", "small", 0, 0, 1).lane == "cpu"
    table = ArmTable((GATED,), (SMALL,))
    assert (table.money_per_mb, table.money_per_cloud_s) == (0.0, 0.0)
    assert (SMALL.last, SMALL.segment_longest_ns(), SMALL.segment_longest_ns(0)) == (2, 24 * MS, 24 * MS)
    assert replace(SMALL, segment_bound_ns=(9, 5, 7)).segment_longest_ns(1) == 7
