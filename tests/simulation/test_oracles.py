"""The clairvoyants' tables against runs of the real core, request by request; and no policy's cost is below them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from hedgerow.core import Arm, ArmTable, Criticality, GateStep, LocalModel, desk
from hedgerow.core import records as r
from hedgerow.core.flight import Flight
from hedgerow.core.policies import ONLY, Choice, View, by_name, names
from hedgerow.simulation import cells, scenario
from hedgerow.simulation.alone import Alone
from hedgerow.simulation.body import Ended, Work
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.course import Course
from hedgerow.simulation.oracles import Table, table_of, tables_of
from hedgerow.simulation.servers import QueueServer
from hedgerow.simulation.transfer import Direction
from hedgerow.simulation.world import NO_ARM, Run, Setup, run
from tests.core.world import MS
from tests.simulation.alone import drawn_setup, row_in, row_of, run_alone
from tests.simulation.small import small_setup

UNITS = [("drive-mixed", 0), ("drive-mixed", 3), ("wifi-site", 0), ("wifi-site", 1)]
PRICES = (r.Prices(disagreement_mj=500.0), r.Prices(disagreement_mj=2000.0, money_mj=2000.0))
WORLDS = 10
"""Drawn for each kind of request: enough that each rule which is changed on purpose (below) is seen."""
RESERVING = [name for name in names() if by_name(name).uses_reserve]


@cache
def standard(link: str, place: int) -> Setup:
    """One unit of the standard scenario over a shipped link."""
    whole = scenario.load("standard")
    return cells.build(whole, cells.profile_of(whole), cells.units(whole, cells.load_courses(link), seed=3)[place])


@cache
def tables(link: str, place: int) -> list[Table]:
    return tables_of(standard(link, place), PRICES)


class NoArm:
    """Leaves everything to the core."""

    name, uses_reserve = "no-arm", True

    def choose(self, view: View) -> Choice | None:
        return None


def equal(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return bool(np.allclose(np.array(one, float), np.array(other, float), rtol=1e-9, atol=1e-9))


def check(setup: Setup, table: Table, request: int, prices: r.Prices) -> None:
    """Every arm of this request, and what the core does without any, as the core really does it."""
    bare = run_alone(setup, request, NoArm(), prices)
    own = row_of(bare, request)
    assert equal(
        (table.own_energy_mj[request], table.own_quality[request], table.own_late[request]), (own[0], own[3], own[5])
    )
    costs = [float(bare.cost_mj(prices, setup.table)[request])]
    for column, arm in enumerate(setup.table.arms):
        made = run_alone(setup, request, by_name(ONLY + arm.name), prices)
        real, mine = row_of(made, request), row_in(table, request, column)
        costs.append(float(made.cost_mj(prices, setup.table)[request]))
        whole = not setup.table.is_remote[column]
        if made.chosen[request] == column or (whole and np.isfinite(mine[0])):
            assert equal(mine, real), (setup.name, request, arm.name, mine, real)
        else:  # not offered: the core's own plan in its place
            assert not np.isfinite(mine[0]), (setup.name, request, arm.name)
            assert equal(real, own)
    cost, taken = table.rule_bound(prices, setup)
    assert cost[request] == pytest.approx(min(costs))  # brute force: the least of all real runs
    assert taken[request] == NO_ARM or costs[1 + taken[request]] == pytest.approx(min(costs))


@pytest.mark.parametrize(("link", "place"), UNITS)
def test_every_arm_of_the_standard_scenario_costs_what_the_core_makes_of_it(link: str, place: int) -> None:
    check(standard(link, place), tables(link, place)[1], 17 + 131 * place, PRICES[1])


@pytest.mark.parametrize("criticality", [Criticality.MISSION, Criticality.SAFETY])
def test_every_arm_of_drawn_worlds_costs_what_the_core_makes_of_it(criticality: Criticality) -> None:
    for seed in range(WORLDS):
        setup = drawn_setup(seed, criticality)
        for table, prices in zip(tables_of(setup, PRICES), PRICES, strict=True):
            for request in range(len(setup.arrivals)):
                check(setup, table, request, prices)


@pytest.mark.parametrize("criticality", [Criticality.MISSION, Criticality.SAFETY])
def test_every_arm_among_branches_and_precisions_costs_what_the_core_makes_of_it(criticality: Criticality) -> None:
    for seed in range(WORLDS):
        setup = drawn_setup(seed, criticality, 2, with_kin=True)
        for table, prices in zip(tables_of(setup, PRICES), PRICES, strict=True):
            for request in range(len(setup.arrivals)):
                check(setup, table, request, prices)


def test_the_drawn_worlds_have_gates_that_stop_and_gates_that_are_passed_into_every_end() -> None:
    ends = set()
    for seed in range(25):
        setup = drawn_setup(seed)
        for column, arm in enumerate(setup.table.arms):
            if any(isinstance(step, GateStep) for step in arm.steps):
                made = run_alone(setup, 0, by_name(ONLY + arm.name), PRICES[1])
                if made.chosen[0] == column:
                    ends.add((made.source[0], bool(made.stopped[0]), bool(made.late[0]), arm.crossing is None))
    assert {("local", True, False, True), ("local", True, False, False), ("remote", False, False, False)} < ends
    assert ("local", False, False, True) in ends  # the chain's last model
    assert ("local", False, False, False) in ends  # nothing came of the crossing


def test_the_oracles_are_wrong_if_a_gate_is_taken_for_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Alone, "stops", lambda self, asked, step, model: False)
    setups = [drawn_setup(seed) for seed in range(25)]
    tables = [table_of(setup, PRICES[0]) for setup in setups]

    def every() -> None:
        for setup, table in zip(setups, tables, strict=True):
            check(setup, table, 0, PRICES[0])

    with pytest.raises(AssertionError):
        every()


def test_a_background_request_costs_no_less_than_its_first_try() -> None:
    prices = PRICES[0]
    for seed in range(15):
        setup = drawn_setup(seed, Criticality.BACKGROUND, count=1)
        table = table_of(setup, prices)
        for column, arm in enumerate(setup.table.arms):
            made = run_alone(setup, 0, by_name(ONLY + arm.name), prices)
            if made.chosen[0] == column:
                real, mine = row_of(made, 0), row_in(table, 0, column)
                assert equal(mine[:3], real[:3])
                assert table.cost_mj(prices, setup)[0, column] <= made.cost_mj(prices, setup.table)[0] + 1e-6


def test_equal_prices_share_a_table_and_each_price_has_what_it_would_have_alone() -> None:
    for seed in range(8):
        setup = drawn_setup(seed)
        both = tables_of(setup, [*PRICES, PRICES[0]])
        assert both[0] is both[2]
        for table, prices in zip(both, PRICES, strict=False):
            alone = table_of(setup, prices)
            for name in Table.__dataclass_fields__:
                assert np.array_equal(getattr(table, name), getattr(alone, name)), (seed, name)


@pytest.mark.parametrize("name", RESERVING)
def test_no_policy_goes_below_the_rule_bound_clairvoyant_while_requests_do_not_meet(name: str) -> None:
    for seed in range(8):
        setup, prices = drawn_setup(seed, count=6), PRICES[seed % 2]
        bound, _ = table_of(setup, prices).rule_bound(prices, setup)
        made = run(setup, by_name(name), prices)
        assert (made.cost_mj(prices, setup.table) >= bound - 1e-6).all()


@pytest.mark.parametrize(
    ("link", "place"), [("drive-mixed", 0), ("drive-mixed", 3), ("wifi-site", 0), ("wifi-site", 2)]
)
def test_nor_at_ten_and_twenty_requests_a_second_on_the_shipped_links(link: str, place: int) -> None:
    setup = standard(link, place)
    few = replace(setup, arrivals=setup.arrivals[:60])
    for table, prices in zip(tables(link, place), PRICES, strict=True):
        bound = table.rule_bound(prices, setup)[0][:60].sum()
        free = table.free(prices, setup)[0][:60].sum()
        assert free <= bound
        for name in RESERVING:
            assert run(few, by_name(name), prices).cost_mj(prices, setup.table).sum() >= bound, name


def test_without_a_reserve_no_answer_in_time_costs_less_than_the_free_clairvoyants() -> None:
    for place in (0, 2):
        setup, prices = standard("wifi-site", place), PRICES[0]
        free, _ = tables("wifi-site", place)[0].free(prices, setup)
        made: Run = run(setup, by_name("cloud-only"), prices)
        in_time = ~made.late
        assert in_time.any()
        assert (made.cost_mj(prices, setup.table)[in_time] >= free[in_time] - 1e-6).all()


def test_the_free_clairvoyant_takes_the_cheapest_arm_that_answers_in_time() -> None:
    setup, prices = small_setup(count=3), r.Prices()
    table = table_of(setup, prices)
    cost, arm = table.free(prices, setup)
    assert {setup.table.arms[each].name for each in arm} == {
        "cloud:big:jpeg:75"
    }  # 3 % of disagreement and 2 ms of work
    assert (cost <= table.rule_bound(prices, setup)[0]).all()
    dead = small_setup(Course.steady(round_trip_ms=30, up_mbps=0, down_mbps=0), count=3)
    table = table_of(dead, prices)
    assert not np.isfinite(table.free_energy_mj[:, dead.table.is_remote]).any()


def test_an_idle_links_closed_form_is_what_sending_on_it_gives() -> None:
    draw = np.random.default_rng(5)
    courses = [standard(link, 0).course for link in ("drive-mixed", "wifi-site")]
    courses.append(Course.steady(round_trip_ms=30, up_mbps=0, down_mbps=0))
    for course in courses:
        for up in (True, False):
            link = Direction(course, up=up)
            for size, now in zip(
                draw.integers(1, 300_000, 400).tolist(), draw.integers(0, 10**11, 400).tolist(), strict=True
            ):
                for first in (1024, 1424):
                    link.forget()
                    expected = link.sending_ns(size, now), link.send(size, now, first)[1]
                    assert link.alone(size, now, first) == expected


def submitted(setup: Setup, work: Work) -> tuple[int, Ended]:
    """(when, how) a fresh server ends it."""
    clock, ended = Clock(), list[tuple[int, Ended]]()
    clock.now_ns = work.arrival_ns

    def done(what: Ended) -> None:
        ended.append((clock.now_ns, what))

    setup.server().submit(work, clock, done)
    clock.run(work.arrival_ns + 1000 * MS)
    (found,) = ended
    return found


def test_an_idle_servers_closed_form_is_what_submitting_to_it_gives() -> None:
    setup = standard("wifi-site", 0)
    draw, server = np.random.default_rng(6), setup.server()
    assert isinstance(server, QueueServer)
    assert server.is_plain
    remote = [arm for arm in setup.table.arms if arm.crossing is not None]
    faults = set()
    for request in range(300):
        arm = remote[int(draw.integers(len(remote)))]
        assert arm.crossing is not None
        place = arm.steps.index(arm.crossing)
        model, joint = arm.sends(place)
        now = int(draw.integers(0, 10**10))
        due = now + int(draw.integers(-1, 12) * MS)
        work = Work(0, request, 1, model, joint, arm.beyond(place).last, arm.crossing.codec, now, due)
        (moment, what), (expected, wanted) = server.alone(work), submitted(setup, work)
        assert (moment, what.fault) == (expected, wanted.fault)
        assert what.fault or what == wanted
        faults.add(what.fault)
    assert faults == {"", "too_late"}


def test_more_time_never_costs_more_in_a_plain_world() -> None:
    found = []
    for deadline_ms in (60, 90, 150, 400):
        setup = small_setup(count=4, period_ms=5000, deadline_ms=deadline_ms)
        found.append(table_of(setup, r.Prices()).rule_bound(r.Prices(), setup)[0].sum())
    assert all(later <= sooner + 1e-9 for sooner, later in pairwise(found))


def own_quality(self: Flight, model: LocalModel) -> bool:
    return self.result is None or model.quality >= self.result.quality


def own_tensors(models: Mapping[str, LocalModel], model: str, joint: int, reached: Mapping[str, int]) -> str:
    return model if reached.get(model, -1) == joint else ""


@pytest.mark.parametrize(
    ("where", "what", "wrong"),
    [
        (Flight, "takes", own_quality),  # what a gate did not let stand is held on to
        (Flight, "improves", lambda self, final: False),  # nothing is waited for behind a gate
        (Arm, "refines", property(lambda self: False)),  # a safety request takes the first exit's answer
        (desk, "holder", own_tensors),  # another precision's tensors do not cross
        (LocalModel, "kept_by", lambda self, other, last: last if other.name == self.name else -1),  # no kin
    ],
)
def test_a_rule_of_the_core_that_is_changed_is_seen(
    where: object, what: str, wrong: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    setups = [
        drawn_setup(seed, kind, 1, with_kin=True)
        for seed in range(40)
        for kind in (Criticality.MISSION, Criticality.SAFETY)
    ]
    tables = [table_of(setup, PRICES[1]) for setup in setups]
    monkeypatch.setattr(where, what, wrong)

    def every() -> None:
        for setup, table in zip(setups, tables, strict=True):
            remade = ArmTable(setup.table.arms, setup.table.locals, setup.table.energy, 1.0, 0.1)
            check(replace(setup, table=remade), table, 0, PRICES[1])

    with pytest.raises(AssertionError):
        every()
