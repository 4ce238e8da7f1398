"""What a policy is shown, against a second computation in plain loops from the arms' own steps."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.core.arms import Arm, ArmTable, CrossStep, Energy, GateStep, RunStep
from hedgerow.core.beliefs import LOST_NS
from hedgerow.core.breaker import Signal
from hedgerow.core.budgets import Budgets, BudgetSettings
from hedgerow.core.choosing import Choosing
from hedgerow.core.desk import Desk
from hedgerow.core.flight import Flight, Job, Plan
from hedgerow.core.link import Link
from hedgerow.core.policies import Choice, View, by_name
from hedgerow.core.records import Criticality, Limits, Margins, Prices, Reason, Stream
from tests.core.world import MS, local_model

SMALL, BIG = local_model("small", (2.0, 10.0), 0.8), local_model("big", (3.0, 30.0, 20.0), 0.95, lane="npu")
TIERS = {"cloud": 6 * MS, "edge": 4 * MS}


def crossing(link: str, codec: str, size: int) -> tuple[CrossStep, RunStep]:
    cross = CrossStep(link, codec, size, MS, 2 * MS, decode_ns=MS // 2)
    return cross, RunStep(link, "big", 0, 2, TIERS[link])


ARMS = (
    Arm("local:small", (RunStep("device", "small", 0, 1, 12 * MS),), 0.8),
    Arm("local:big", (RunStep("device", "big", 0, 2, 53 * MS, "npu"),), 0.95),
    Arm("cloud", crossing("cloud", "jpeg", 9000), 0.97),
    Arm("edge", crossing("edge", "raw", 50_000), 1.0),
    Arm("head", (RunStep("device", "small", 0, 0, 2 * MS), *crossing("cloud", "q4", 3000)), 0.9),
    Arm("ask", (RunStep("device", "small", 0, 1, 12 * MS), GateStep(0.9, 0.75), *crossing("edge", "q8", 4000)), 0.96),
)
TABLE = ArmTable(ARMS, (SMALL, BIG), Energy(3000.0, 900.0, 1.5), money_per_mb=2.0, money_per_cloud_s=7.0)
PRICES = Prices(money_mj=3.0, disagreement_mj=1500.0, reserve_mj=25.0)
LIMITS = Limits(belief_samples_max=5)
ROWS, FIRST = (
    5,
    2,
)  # samples of a link; of them the prior, what a silent attempt gives to expect, and then what was observed
STREAM = Stream("camera", 100 * MS, expiry_ns=700 * MS)


class Made:
    """Choosing with two links and two lanes."""

    def __init__(self) -> None:
        self.links = {name: Link(name, LIMITS, [], []) for name in ("cloud", "edge")}
        self.desks = {lane: Desk(lane, TABLE.locals, Margins(), [], []) for lane in ("cpu", "npu")}
        self.choosing = Choosing(TABLE, LIMITS, PRICES, self.links, self.desks)
        self.budgets = Budgets(BudgetSettings())

    def open(self, *names: str) -> "Made":
        for name in names:
            self.links[name].up(0)
            self.links[name].probe_if_due(0)
            self.links[name].signal(Signal.PROBE_ANSWERED, 0)
        return self

    def view(self, flight: Flight, fits: dict[str, int], start: int | None, now: int, **more: Any) -> View:
        return self.choosing.view(flight, more.get("allowed", ("small", "big")), fits, start, self.budgets, now)


def flight(criticality: Criticality = Criticality.MISSION) -> Flight:
    stream = Stream("camera", 100 * MS, criticality, expiry_ns=700 * MS)
    return Flight(0, stream, 10 * MS, 110 * MS, 108 * MS, plan=Plan(SMALL, 0))


def plain_spent(arm: Arm) -> dict[str, float]:
    """Device time, bytes and time beyond, what lies behind a gate weighted by who passes it."""
    spent, share = {"busy": 0.0, "bytes": 0.0, "beyond": 0.0, "crosses": 0.0}, 1.0
    for step in arm.steps:
        if isinstance(step, GateStep):
            share *= 1 - step.stop_share
        elif isinstance(step, CrossStep):
            spent["crosses"] = share
            spent["busy"] += share * step.encode_median_ns
            spent["bytes"] += share * step.up_bytes
            spent["beyond"] += share * step.decode_ns
        else:
            spent["busy" if step.tier == "device" else "beyond"] += share * step.median_ns
    return spent


def plain_network(arm: Arm, sample: dict[str, tuple[float, float, float]]) -> float:
    """Time beyond the device when each link is as in this sample: (trip, ns per byte, cloud factor)."""
    total = 0.0
    for step in arm.steps:
        if isinstance(step, CrossStep):
            trip, rate, factor = sample[step.link]
            total += trip + rate * step.up_bytes + factor * step.decode_ns
        elif isinstance(step, RunStep) and step.tier != "device":
            total += sample[step.tier][2] * step.median_ns
    return total


def plain_device(arm: Arm, factors: dict[str, float], wait: float) -> float:
    total = wait
    for step in arm.steps:
        if isinstance(step, CrossStep):
            total += step.encode_median_ns * factors[step.lane]
        elif isinstance(step, RunStep) and step.tier == "device":
            total += step.median_ns * factors[step.lane]
    return total


OBSERVED = st.tuples(
    st.sampled_from(["cloud", "edge"]), st.floats(1e6, 9e7), st.floats(10, 5000), st.floats(0.5, 3), st.floats(0, 3e7)
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(OBSERVED, max_size=9), st.lists(st.floats(0.5, 2), max_size=3), st.booleans(), st.booleans())
def test_a_view_is_what_plain_loops_give(
    observed: list[tuple[str, float, float, float, float]], ratios: list[float], busy: bool, read_between: bool
) -> None:
    made, flown = Made().open("cloud", "edge"), flight()
    kept: dict[str, list[tuple[float, float, float]]] = {name: [] for name in made.links}
    for name, trip, rate, factor, queue in observed:
        made.links[name].belief.observe(now_ns=MS, trip_ns=trip, ns_per_byte=rate, factor=factor, queue_ns=queue)
        kept[name].append((trip + queue, rate, factor))
        if read_between:
            made.view(flown, {}, None, 20 * MS)
    for ratio in ratios:
        made.desks["cpu"].belief.observe(ratio)
    wait = 0
    if busy:
        made.desks["npu"].running = Job(1, flown, "npu", None, "big", 0, 2, 15 * MS, 40 * MS, 30 * MS, True)
        wait = 35 * MS
    view = made.view(flown, {"small": 70 * MS}, 70 * MS, 20 * MS)
    factors = {"cpu": sorted(ratios)[len(ratios) // 2] if ratios else 1.0, "npu": 1.0}
    rings: dict[str, list[tuple[float, float, float]]] = {}
    for name, seen in kept.items():
        rings[name] = [(60e6, 2000.0, 1.0)] * ROWS
        for count, each in enumerate(seen):
            rings[name][FIRST + count % (ROWS - FIRST)] = each
    for column, arm in enumerate(ARMS):
        for row in range(ROWS):
            sample = {name: rings[name][row] for name in rings}
            assert view.network_ns[row, column] == pytest.approx(plain_network(arm, sample)), (arm.name, row)
        assert view.device_ns[column] == pytest.approx(plain_device(arm, factors, wait)), arm.name
        latency = view.latency_ns(column)
        assert latency.tolist() == pytest.approx(
            [view.network_ns[row, column] + view.device_ns[column] for row in range(ROWS)]
        )
    rate = kept["cloud"][-1][1] if kept["cloud"] else 2000.0
    for column, arm in enumerate(ARMS):
        spent = plain_spent(arm)
        energy = spent["busy"] * 3000.0 * 1e-9 + spent["crosses"] * 1.5 + spent["bytes"] * rate * 900.0 * 1e-9
        money = spent["bytes"] * 2.0 * 1e-6 + spent["beyond"] * 7.0 * 1e-9
        assert view.energy_mj[column] == pytest.approx(energy)
        assert view.cost_mj[column] == pytest.approx(energy + money * 3.0 + (1 - arm.quality) * 1500.0)
    assert view.weights.tolist() == pytest.approx(made.links["cloud"].belief.weights(20 * MS))
    assert (view.available_ns, view.time_left_ns) == (50 * MS, 88 * MS)
    assert view.reserve_energy_mj == pytest.approx(12 * MS * 3000.0 * 1e-9)
    assert (view.reserve_quality, view.prices, view.table) == (0.8, PRICES, TABLE)


def test_energy_gets_dearer_in_the_cost_and_not_in_the_energy() -> None:
    made = Made()
    first = made.view(flight(), {}, None, 20 * MS)
    energy, cost = first.energy_mj.copy(), first.cost_mj.copy()
    made.budgets.celsius = 99.0
    second = made.view(flight(), {}, None, 20 * MS)
    assert second.energy_mj.tolist() == energy.tolist()
    assert second.cost_mj.tolist() == pytest.approx((cost + energy).tolist())


def admissible(view: View) -> set[str]:
    return {arm.name for arm, each in zip(ARMS, view.admissible, strict=True) if each}


def test_arms_of_a_closed_link_are_not_offered() -> None:
    fits = {"small": 90 * MS, "big": 60 * MS}
    everything = {arm.name for arm in ARMS}
    assert admissible(Made().open("cloud", "edge").view(flight(), fits, None, 20 * MS)) == everything
    assert admissible(Made().open("cloud").view(flight(), fits, None, 20 * MS)) == everything - {"edge", "ask"}
    assert admissible(Made().open("edge").view(flight(), fits, None, 20 * MS)) == everything - {"cloud", "head"}


def test_arms_that_need_the_lane_longer_than_there_is_time_or_more_bytes_than_are_left_are_not_offered() -> None:
    made = Made().open("cloud", "edge")
    fits = {"small": 90 * MS}
    assert admissible(made.view(flight(), fits, 23 * MS, 20 * MS)) == {"local:small", "cloud", "edge", "head"}
    assert "head" not in admissible(made.view(flight(), fits, 23 * MS - 1, 20 * MS))
    made.budgets = Budgets(BudgetSettings(uplink_bytes_per_s=900.0))  # 9000 bytes may cross now
    assert admissible(made.view(flight(), fits, None, 20 * MS)) == {arm.name for arm in ARMS} - {"edge"}
    made.budgets.spend(uplink_bytes=1)
    assert "cloud" not in admissible(made.view(flight(), fits, None, 20 * MS))


def test_a_whole_local_run_is_offered_if_it_fits_or_may_be_tried_before_the_reserve() -> None:
    made, promised = Made(), flight()
    assert admissible(made.view(promised, {"small": 90 * MS}, 90 * MS, 20 * MS)) == {"local:small", "local:big"}
    assert admissible(made.view(promised, {"small": 90 * MS}, 60 * MS, 20 * MS)) == {"local:small"}
    assert admissible(made.view(promised, {"small": 1}, 90 * MS, 20 * MS, allowed=("small",))) == {"local:small"}
    hopeless = flight()
    hopeless.guaranteed = False
    assert admissible(made.view(hopeless, {}, 90 * MS, 20 * MS)) == set()
    behind = flight(Criticality.BACKGROUND)
    view = made.view(behind, {}, None, 20 * MS)
    assert admissible(view) == {"local:small", "local:big"}  # no reserve is held: anything until it expires
    assert view.time_left_ns == view.available_ns == 690 * MS


def test_without_a_reserve_there_is_none_to_price() -> None:
    flown = flight()
    flown.plan = None
    view = Made().view(flown, {}, None, 20 * MS)
    assert (view.reserve_energy_mj, view.reserve_quality) == (0.0, 0.0)


def plain_quantile(pairs: list[tuple[float, float]], share: float) -> float:
    reached = 0.0
    for value, weight in sorted(pairs):
        reached += weight
        if reached >= share:
            return value
    return max(pairs)[0]


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(OBSERVED, min_size=1, max_size=9), st.sampled_from([2, 3, 4]))
def test_a_decision_tells_the_quantiles_the_bound_and_the_slack(
    observed: list[tuple[str, float, float, float, float]], arm: int
) -> None:
    made, flown = Made().open("cloud", "edge"), flight()
    for count, (name, trip, rate, factor, queue) in enumerate(observed):
        at = count * 300 * MS
        made.links[name].belief.observe(now_ns=at, trip_ns=trip, ns_per_byte=rate, factor=factor, queue_ns=queue)
    now = len(observed) * 300 * MS
    flown.captured_ns, flown.due_ns, flown.arm_name = now - 5 * MS, now + 90 * MS, ARMS[arm].name
    link = ARMS[arm].crossing
    assert link is not None
    bound = made.links[link.link].belief.bound
    for ratio in (1.0, 1.2, 0.9):
        bound.observe(ratio)
    view = made.view(flown, {"small": now + 70 * MS}, now + 70 * MS, now)
    choice = Choice(arm, Reason.POLICY_FIXED, 12.345678, 0.25)
    decision = made.choosing.decision(flown, choice, view, now + 70 * MS, now)
    pairs = list(zip(view.latency_ns(arm).tolist(), view.weights.tolist(), strict=True))
    spent = plain_spent(ARMS[arm])
    fixed = spent["busy"] + spent["beyond"]
    median, p90 = plain_quantile(pairs, 0.5), plain_quantile(pairs, 0.9)
    assert decision.predicted_ms == pytest.approx(5 + median / MS, abs=1e-4)
    assert decision.predicted_p90_ms == pytest.approx(5 + p90 / MS, abs=1e-4)
    assert flown.predicted_network_ns == max(1.0, median - fixed)
    assert decision.bound_ms == pytest.approx(5 + (fixed + max(1.0, median - fixed) * bound.bound()) / MS, abs=1e-4)
    assert decision.slack_ms == 70.0
    assert (decision.cost_mj, decision.reserve_probability) == (12.3457, 0.25)
    assert (decision.request, decision.arm, decision.reserve) == (0, ARMS[arm].name, "small")


def test_a_decision_for_a_local_arm_or_none_tells_the_lane_or_the_plan() -> None:
    made, flown = Made(), flight()
    view = made.view(flown, {"small": 90 * MS}, None, 20 * MS)
    local = made.choosing.decision(flown, Choice(1, Reason.POLICY_FIXED, 1.0), view, None, 20 * MS)
    assert local.predicted_ms == local.predicted_p90_ms == local.bound_ms == 10 + 53
    assert local.slack_ms == 88.0
    none = made.choosing.decision(flown, None, view, 50 * MS, 20 * MS)
    assert (none.predicted_ms, none.bound_ms, none.slack_ms) == (22.0, 22.0, 30.0)
    assert (none.cost_mj, none.reserve_probability) == (0.0, 0.0)
    flown.plan = None
    assert made.choosing.decision(flown, None, view, None, 20 * MS).reserve == ""


def test_no_bound_is_told_beyond_what_a_loss_stands_for() -> None:
    made, flown = Made().open("cloud"), flight()
    view = made.view(flown, {"small": 90 * MS}, None, 20 * MS)
    decision = made.choosing.decision(flown, Choice(2, Reason.POLICY_FIXED), view, None, 20 * MS)
    assert decision.bound_ms == 10 + LOST_NS / MS  # nothing was observed yet: the ratio is infinite


def plain_expected(view: View, column: int, available_ns: float) -> tuple[float, float]:
    """(cost, probability that the reserve is needed) of an arm sample by sample: what would really be run and delivered.

    The reserve is `SMALL`, of which "head" runs the first 2 ms: from there on 10 ms of it are left, and 12 ms of bounds; "ask" runs all of it.
    """
    arm, headed = ARMS[column], ARMS[column].name == "head" and available_ns >= 3 * MS * 1.3
    starts, runs_ns = available_ns + (2.4 * MS if headed else 0.0), (10 if headed else 12) * MS
    if ARMS[column].name == "ask" and available_ns >= view.table.busy_ns[column] * 1.3:
        starts, runs_ns = float("inf"), 0  # its own answer is there before it asks, and stands
    done_in_time = view.table.busy_ns[column] <= available_ns
    cost, needed = float(view.cost_mj[column]), 0.0
    lost_mj, remote = (arm.quality - SMALL.quality) * 1500.0, arm.crossing is not None
    late = not_useful = 0.0
    for latency, weight in zip(view.latency_ns(column).tolist(), view.weights.tolist(), strict=True):
        late += weight * (latency > starts)
        not_useful += weight * (latency > view.time_left_ns)
        if remote:
            cost += weight * min(max(latency - starts, 0.0), runs_ns) * 3000.0 * 1e-9
    if remote:
        needed, not_useful = (late, not_useful) if done_in_time else (1.0, 1.0)
    return cost + not_useful * lost_mj + needed * 25.0, needed


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(st.lists(OBSERVED, max_size=9), st.integers(25, 105), st.sampled_from(["ours", "device-only", "cloud-only"]))
def test_each_policy_is_its_formula_in_plain_loops(
    observed: list[tuple[str, float, float, float, float]], start_ms: int, name: str
) -> None:
    made, flown = Made().open("cloud", "edge"), flight()
    for each, trip, rate, factor, queue in observed:
        made.links[each].belief.observe(now_ns=MS, trip_ns=trip, ns_per_byte=rate, factor=factor, queue_ns=queue)
    view = made.view(flown, {"small": start_ms * MS}, start_ms * MS, 20 * MS)
    choice = by_name(name).choose(view)
    remote = [arm.crossing is not None for arm in ARMS]
    allowed = [column for column in range(len(ARMS)) if view.admissible[column]]

    def share(column: int, limit: float) -> float:
        """Weight of the samples in which this arm's answer comes after `limit`."""
        late = zip(view.latency_ns(column).tolist(), view.weights.tolist(), strict=True)
        return float(sum(weight for latency, weight in late if latency > limit))

    if name == "ours":
        told = {column: plain_expected(view, column, (start_ms - 20) * MS) for column in allowed}
        best = min(told, key=lambda column: (round(told[column][0] * 1e6), column))
        assert choice is not None
        assert choice.arm == best
        assert (choice.cost_mj, choice.reserve_probability) == pytest.approx(told[best])
    elif name == "device-only":
        own = [column for column in allowed if not remote[column]]
        assert choice is not None
        assert choice.arm == min(own, key=lambda column: view.cost_mj[column])
        assert choice.cost_mj == pytest.approx(plain_expected(view, choice.arm, (start_ms - 20) * MS)[0])
    else:
        far = [column for column in allowed if remote[column]]
        worth = {c: round(ARMS[c].quality * (1 - share(c, view.time_left_ns)) * 100) for c in far}
        mean = {
            c: sum(x * w for x, w in zip(view.latency_ns(c).tolist(), view.weights.tolist(), strict=True)) for c in far
        }
        assert (choice is None) == (not far)
        if choice is not None:
            assert worth[choice.arm] == max(worth.values())
            assert mean[choice.arm] == pytest.approx(min(mean[c] for c in far if worth[c] == max(worth.values())))


def test_without_any_link_there_is_one_sample_in_which_nothing_lies_beyond() -> None:
    table = ArmTable(ARMS[:2], (SMALL, BIG))
    choosing = Choosing(table, LIMITS, PRICES, {}, {"cpu": Desk("cpu", table.locals, Margins(), [], [])})
    view = choosing.view(flight(), ("small", "big"), {"small": 90 * MS}, None, Budgets(BudgetSettings()), 20 * MS)
    assert view.network_ns.tolist() == [[0.0, 0.0]]
    assert view.weights.tolist() == [1.0]
    assert view.energy_mj.tolist() == pytest.approx([12 * 4.0, 53 * 4.0])
