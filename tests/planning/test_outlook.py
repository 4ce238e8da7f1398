"""The view that a plan makes against the view that the core makes, and latencies against a sum over steps."""

import numpy as np
import pytest
from hypothesis import given, settings

from hedgerow.core import Core, Limits, Margins, Prices, Stream
from hedgerow.core import records as r
from hedgerow.core.arms import Arm, ArmTable, CrossStep, RunStep
from hedgerow.core.link import FIRST_CHUNK_BYTES
from hedgerow.core.policies import Choice, View, by_name
from hedgerow.core.policies.expecting import expected
from hedgerow.errors import UsageError
from hedgerow.planning.outlook import LinkFigures, fitting, latency_ns, money_mj, view_of, whole_model
from tests.planning.tables import tables

LINK = LinkFigures(uplink_mbps=4.0, rtt_ms=60.0)
NS_PER_BYTE = 2000


class Eavesdropper:
    """The core's own policy, which keeps what it was shown."""

    name = "eavesdropper"
    uses_reserve = True

    def __init__(self) -> None:
        self.view: View | None = None
        self.choice: Choice | None = None

    def choose(self, view: View) -> Choice | None:
        self.view, self.choice = view, by_name("ours").choose(view)
        return self.choice


@settings(max_examples=80, deadline=None)
@given(tables())
def test_the_core_shows_its_policy_the_same(table: ArmTable) -> None:
    for deadline_ms in (15.0, 40.0, 120.0, 400.0):
        policy = Eavesdropper()
        stream = Stream("s", int(deadline_ms * r.MS))
        core = Core(table, policy=policy, streams=[stream], limits=Limits(), margins=Margins(), prices=Prices())
        now_ns = _introduce(core)
        core.step(r.RequestArrived(1, "s", now_ns), now_ns=now_ns)
        mine, _ = view_of(table, LINK, deadline_ms=deadline_ms, prices=Prices(), margins=Margins())
        theirs = policy.view
        assert theirs is not None
        np.testing.assert_array_equal(mine.admissible, theirs.admissible)
        np.testing.assert_allclose(mine.device_ns, theirs.device_ns, rtol=1e-9)
        for seen in theirs.network_ns[theirs.weights > 0]:
            np.testing.assert_allclose(mine.network_ns[0], seen, rtol=1e-9, atol=1e-3)
        np.testing.assert_allclose(mine.energy_mj, theirs.energy_mj, rtol=1e-9)
        np.testing.assert_allclose(mine.cost_mj, theirs.cost_mj, rtol=1e-9)
        assert (mine.available_ns, mine.time_left_ns) == (theirs.available_ns, theirs.time_left_ns)
        assert (mine.reserve_energy_mj, mine.reserve_quality) == (theirs.reserve_energy_mj, theirs.reserve_quality)
        _same_insurance(mine, theirs)
        for figures, others in zip(expected(mine), expected(theirs), strict=True):
            np.testing.assert_allclose(figures, others, rtol=1e-9, atol=1e-9)
        chosen = by_name("ours").choose(mine)
        assert (None if chosen is None else chosen.arm) == (None if policy.choice is None else policy.choice.arm)


def _same_insurance(mine: View, theirs: View) -> None:
    assert (mine.insured is None) == (theirs.insured is None)
    if mine.insured is None or theirs.insured is None:
        return
    for name in ("until_ns", "median_ns", "quality", "keeps_head"):
        np.testing.assert_array_equal(getattr(mine.insured, name), getattr(theirs.insured, name))
    assert mine.insured.useful_ns == theirs.insured.useful_ns


def _introduce(core: Core) -> int:
    """Let the core probe its link, if it has one, and find it as LINK is; returns the time."""
    if not core.table.is_remote.any():
        return 0
    outcome = core.step(r.LinkUp("cloud"), now_ns=0)
    (probe,) = (action for action in outcome.actions if isinstance(action, r.Probe))
    trip_ns = round(LINK.rtt_ms * r.MS)
    transfer_ns = trip_ns + NS_PER_BYTE * (probe.payload_bytes - FIRST_CHUNK_BYTES)  # it is in the trip
    core.step(r.ProbeAnswered(probe.probe, trip_ns, transfer_ns, probe.payload_bytes), now_ns=transfer_ns)
    return transfer_ns


@settings(max_examples=50, deadline=None)
@given(tables())
def test_latency_is_the_sum_over_an_arms_steps(table: ArmTable) -> None:
    link = LinkFigures(uplink_mbps=8.0, rtt_ms=25.0, queue_ms=3.0)
    for arm, found in zip(table.arms, latency_ns(table, link).tolist(), strict=True):
        assert found == pytest.approx(_by_hand(arm), rel=1e-9)


def _by_hand(arm: Arm) -> float:
    total = 0.0
    for step in arm.steps:
        match step:
            case RunStep():
                total += step.median_ns
            case CrossStep():
                total += step.encode_median_ns + step.decode_ns + 25e6 + 3e6 + step.up_bytes * 1000.0
    return total


@settings(max_examples=50, deadline=None)
@given(tables())
def test_the_reserve_is_the_quickest_that_fits(table: ArmTable) -> None:
    for due_ms in (5, 50, 500):
        due_ns = due_ms * r.MS
        margins = Margins(timer_ns=0)
        times = [model.tail_median_ns[0] for model in table.locals if model.tail_bound_ns[0] <= due_ns]
        assert [model.tail_median_ns[0] for model in fitting(table, due_ns, margins)] == sorted(times)


def test_money_and_whole_models() -> None:
    from tests.core.world import small_table

    table = small_table()
    assert money_mj(table, Prices(money_mj=1e6)).tolist() == [0.0] * 4
    assert [getattr(whole_model(table, column), "name", None) for column in range(4)] == ["small", "big", None, None]


@pytest.mark.parametrize(
    "figures", [(0.0, 10.0), (-1.0, 10.0), (float("nan"), 10.0), (5.0, -1.0), (5.0, float("nan")), (float("inf"), 1.0)]
)
def test_links_that_cannot_be_are_refused(figures: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="cannot be planned for"):
        LinkFigures(*figures)
