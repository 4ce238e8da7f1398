"""What stands in for an arm: told ahead it is what `reserves.at_joint` will take once the head has run, and no later."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.core.arms import Arm, ArmTable, CrossStep, LocalModel, RunStep
from hedgerow.core.beliefs import LOST_NS
from hedgerow.core.breaker import Signal
from hedgerow.core.budgets import Budgets, BudgetSettings
from hedgerow.core.choosing import Choosing
from hedgerow.core.desk import Desk
from hedgerow.core.flight import NEVER_NS, Flight, Plan
from hedgerow.core.insurance import HEAD_MARGIN, insurance, insured
from hedgerow.core.link import Attempt, Link
from hedgerow.core.modes import Modes
from hedgerow.core.policies import View
from hedgerow.core.policies.expecting import expected
from hedgerow.core.records import MS, Limits, Margins, Prices, Stream
from hedgerow.core.reserves import Reserves
from tests.core.world import small_table

DUE_NS = 10_000 * MS
CAMERA = Stream("camera", DUE_NS)


def model(name: str, segments: list[tuple[int, int]], quality: float, lane: str) -> LocalModel:
    """`segments`: each one's median and what its bound is above it, in ms."""
    medians, bounds = tuple(m * MS for m, _ in segments), tuple((m + more) * MS for m, more in segments)
    places = range(len(segments))
    tails = (tuple(sum(medians[p:]) for p in places), tuple(sum(bounds[p:]) for p in places))
    return LocalModel(name, lane, quality, medians, bounds, *tails)


def cut(each: LocalModel, last: int, codec: str) -> Arm:
    """An arm whose head is this model up to a joint; at its last segment the whole model runs here first."""
    busy = sum(each.segment_median_ns[: last + 1])
    head, rest = RunStep("device", each.name, 0, last, busy, each.lane), RunStep("cloud", "far", 0, 0, 3 * MS)
    return Arm(f"{each.name}@{last}", (head, CrossStep("cloud", codec, 4000, MS, 2 * MS, lane=each.lane), rest), 0.9)


SEGMENTS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 30)), min_size=1, max_size=4)


@st.composite
def cut_tables(draw: st.DrawFn) -> ArmTable:
    """One to three models on one or two lanes, with an arm for every cut of each, one of no head, and each whole model."""
    models = tuple(
        model(
            f"m{place}",
            draw(SEGMENTS),
            draw(st.sampled_from((0.5, 0.8, 0.8, 1.0))),
            draw(st.sampled_from(("cpu", "cpu", "npu"))),
        )
        for place in range(draw(st.integers(1, 3)))
    )
    arms = [Arm(f"local:{m.name}", (RunStep("device", m.name, 0, len(m.segment_median_ns) - 1, m.tail_median_ns[0], m.lane),), m.quality)
            for m in models]  # fmt: skip
    arms += [cut(m, last, "q4") for m in models for last in range(len(m.segment_median_ns))]
    arms.append(
        Arm(
            "jpeg",
            (
                CrossStep("cloud", "jpeg", 9000, 2 * MS, 4 * MS, lane=models[0].lane),
                RunStep("cloud", "far", 0, 0, 3 * MS),
            ),
            0.97,
        )
    )
    return ArmTable(tuple(arms), models)


def reserves(table: ArmTable, prices: Prices) -> tuple[Reserves, Flight]:
    """The core's own, on a day without a mode or a scarce battery, and one request of its camera."""
    modes = Modes(table, Limits(), None, [])
    modes.open(CAMERA)
    desks = {lane: Desk(lane, table.locals, Margins(), [], []) for lane in {each.lane for each in table.locals}}
    flight = Flight(0, CAMERA, 0, DUE_NS, DUE_NS)
    return Reserves(table, prices, Budgets(BudgetSettings()), modes, {0: flight}, desks), flight


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(cut_tables(), st.sampled_from((0.0, 50.0, 2000.0)), st.data())
def test_it_is_what_the_core_takes_at_the_joint(table: ArmTable, price: float, data: st.DataObject) -> None:
    prices = Prices(disagreement_mj=price)
    held, flight = reserves(table, prices)
    plan = Plan(data.draw(st.sampled_from(table.locals)), 0)
    found = insurance(table, prices, plan)
    for column, arm in enumerate(table.arms):
        head = arm.steps[0]
        flight.joints = {head.model: head.last} if arm.crossing is not None and isinstance(head, RunStep) else {}
        taken = held.at_joint(flight, plan)
        if arm.crossing is not None and isinstance(head, RunStep) and head.last == table.local(head.model).last:
            own = table.local(head.model)  # the head has come to an answer: nothing is held any more
            assert (found.later_ns[column], found.median_ns[column]) == (NEVER_NS, 0.0)
            assert found.quality[column] == own.quality
            continue
        assert found.median_ns[column] == taken.median_ns, arm.name
        assert found.quality[column] == taken.model.quality
        assert found.later_ns[column] == plan.bound_ns - taken.bound_ns
        assert found.later_ns[column] >= 0


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(cut_tables(), st.integers(0, 200), st.integers(0, 200), st.data())
def test_for_a_request_a_head_is_counted_with_only_if_there_is_surely_time_for_it(
    table: ArmTable, available_ms: int, more_ms: int, data: st.DataObject
) -> None:
    plan, available = Plan(data.draw(st.sampled_from(table.locals)), 0), float(available_ms * MS)
    own = insurance(table, Prices(), plan)
    found = insured(table, own, plan, available, available + more_ms * MS)
    assert found.useful_ns == available + more_ms * MS
    for column in range(len(table.arms)):
        busy = table.busy_ns[column]
        assert found.keeps_head[column] == (busy <= available)
        if busy * HEAD_MARGIN > available:
            kept = (available, plan.median_ns, plan.model.quality)
        else:
            kept = (available + own.later_ns[column], own.median_ns[column], own.quality[column])
        assert (found.until_ns[column], found.median_ns[column], found.quality[column]) == kept


def test_no_stand_in_is_told_where_nothing_stands_in() -> None:
    choosing, link = chosen()
    flight = Flight(0, CAMERA, 0, DUE_NS, DUE_NS)
    view = choosing.view(flight, ("small", "big"), {}, None, Budgets(BudgetSettings()), 0)
    assert view.insured is None
    cost, needed = expected(view)
    assert np.isfinite(cost).all()
    assert link.open_for_requests
    assert (needed <= 1.0).all()


def chosen() -> tuple[Choosing, Link]:
    """`small_table` behind an open link that a probe found to take 10 ms a trip and 1000 ns a byte, two links in all."""
    table, limits, links = small_table(), Limits(belief_samples_max=6), {}
    for place, name in enumerate(("cloud", "edge")):
        links[name] = Link(name, limits, [], [], place=place)
    link = links["cloud"]
    link.up(0)
    link.probe_if_due(0)
    link.signal(Signal.PROBE_ANSWERED, 0)
    link.belief.observe(now_ns=0, trip_ns=10 * MS, ns_per_byte=1000.0, factor=1.0, queue_ns=0.0)
    desks = {"cpu": Desk("cpu", table.locals, Margins(), [], [])}
    return Choosing(table, limits, Prices(), links, desks, Margins().timer_ns), link


def view_at(choosing: Choosing, now_ns: int) -> View:
    model = choosing.table.locals[0]
    flight = Flight(0, CAMERA, now_ns, now_ns + 200 * MS, now_ns + 200 * MS, plan=Plan(model, 0))
    start = flight.due_ns - model.tail_bound_ns[0]
    return choosing.view(flight, ("small",), {"small": start}, start, Budgets(BudgetSettings()), now_ns)


def test_a_view_counts_with_what_is_suspected_now_and_not_with_what_was() -> None:
    """The weights change a sample; the latencies of that very view must be made of it."""
    choosing, link = chosen()
    table, rows = choosing.table, choosing.table.rows(("trips", "bytes", "tier"), "cloud")
    link.sent(Attempt(7, 1, 0, 11_000, 15.0 * MS, 21.0 * MS, 900 * MS, 1000 * MS))
    link.sent(Attempt(8, 1, 0, 11_000, 15.0 * MS, 21.0 * MS, 900 * MS, 1000 * MS))
    link.acked(7, 1, 1000, now_ns=10 * MS)
    for now in (100 * MS, 300 * MS, 700 * MS):
        view = view_at(choosing, now)
        assert view.weights[1] == pytest.approx(0.5)
        trip, rate, factor = 1.5 * now, 1000.0, 1.0  # the second, silent so far
        assert view.network_ns[1] == pytest.approx(trip * rows[0] + rate * rows[1] + factor * rows[2])
    assert (view.network_ns[1][table.is_remote] > view.network_ns[2][table.is_remote]).all()


def test_a_link_of_which_nothing_is_known_does_not_look_free_beside_one_that_is_known() -> None:
    """All links share the first one's weights: what another has not observed must say what its prior says."""
    table = small_table()
    far = Arm("edge", (CrossStep("edge", "jpeg", 9000, 2 * MS, 4 * MS), RunStep("edge", "big", 0, 3, 5 * MS)), 0.97)
    both, limits = ArmTable((*table.arms, far), table.locals), Limits()
    links = {name: Link(name, limits, [], [], place=place) for place, name in enumerate(("cloud", "edge"))}
    choosing = Choosing(both, limits, Prices(), links, {"cpu": Desk("cpu", both.locals, Margins(), [], [])})
    links["cloud"].belief.observe(now_ns=0, trip_ns=LOST_NS, ns_per_byte=1000.0, factor=1.0, queue_ns=0.0)
    view = view_at(choosing, 0)
    prior = 60 * MS + 2000.0 * 9000 + 5 * MS
    assert view.network_ns[:, -1].tolist() == pytest.approx([prior] * len(view.weights))
