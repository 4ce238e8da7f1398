"""The learned policy's network against its definition, its figures against a plain computation, and damaged weights."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from hedgerow.core.arms import ArmTable
from hedgerow.core.policies import View, by_name
from hedgerow.core.policies.checking import check_policy
from hedgerow.core.policies.checking_views import made_views
from hedgerow.core.policies.examples import cascade, chain, steady
from hedgerow.core.policies.expecting import expected
from hedgerow.core.policies.learned import CORRECTION_MAX, FORMAT, Learned, Network, shipped
from hedgerow.core.policies.learned_features import OWN, SHARED, SLOTS, candidates, local_cost, passing, quantiles, seen
from hedgerow.errors import UsageError
from tests.core.world import small_table

LONG = chain([5] * 30, [1] * 30, [100 - 3 * place for place in range(30)])  # 32 arms: more than there are slots
TABLES = [small_table(), cascade(), LONG, chain((20,), (1,), (30,))]


def drawn(seed: int, width: int = 7, scale: float = 0.3) -> Network:
    """A network of random weights, as float32 can hold them."""
    random = np.random.default_rng(seed)
    shapes = ((len(OWN), width), (len(SHARED), width), (width,), (width, width), (width,), (width,))
    return Network(*(random.normal(0, scale, shape).astype(np.float32).astype(np.float64) for shape in shapes))


def views(table: ArmTable, count: int = 40) -> list[View]:
    return [view for view in made_views(table, count) if view.admissible.any()]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{len(table.arms)} arms")
@pytest.mark.parametrize("network", [None, drawn(1), drawn(2, scale=3.0)], ids=["shipped", "drawn", "drawn wildly"])
def test_it_passes_the_check_on_tables_of_any_size_and_with_gates(table: ArmTable, network: Network | None) -> None:
    check_policy(Learned(network=network), tables=[table])


def test_the_network_is_two_layers_of_rectified_sums() -> None:
    network = drawn(3)
    for view in views(LONG):
        what = seen(view)
        assert what is not None
        for slot, found in enumerate(network.correction(what)):
            first = [
                max(
                    0.0,
                    sum(network.own[i, j] * what.own[i, slot] for i in range(len(OWN)))
                    + sum(network.shared[i, j] * what.shared[i] for i in range(len(SHARED)))
                    + network.first_bias[j],
                )
                for j in range(7)
            ]
            second = [
                max(0.0, sum(network.hidden[i, j] * first[i] for i in range(7)) + network.hidden_bias[j])
                for j in range(7)
            ]
            score = sum(weight * value for weight, value in zip(network.last, second, strict=True))
            assert found == pytest.approx(min(max(score, -CORRECTION_MAX), CORRECTION_MAX), abs=1e-9)


def test_with_no_correction_it_chooses_what_costs_least() -> None:
    none = Learned(network=replace(drawn(4), last=np.zeros(7)))
    for table in TABLES:
        for view in views(table):
            choice = none.choose(view)
            cost, _ = expected(view)
            assert choice is not None
            own = np.minimum(cost / local_cost(view), 8.0)
            assert own[choice.arm] == pytest.approx(own[view.admissible].min(), abs=1e-6)


def test_the_slots_hold_the_cheapest_arms_and_the_local_ones_and_never_one_that_is_not_admissible() -> None:
    for table in TABLES:
        for view in views(table):
            cost, _ = expected(view)
            columns = candidates(view, cost)
            assert len(columns) == min(SLOTS, int(view.admissible.sum()))
            assert view.admissible[columns].all()
            assert list(columns) == sorted(set(columns.tolist()))
            best = int(np.where(view.admissible, cost, np.inf).argmin())
            assert best in columns
            local = np.flatnonzero(view.admissible & ~table.is_remote)
            assert len(set(local.tolist()) & set(columns.tolist())) >= min(len(local), 4)


def test_no_figure_leaves_its_range_whatever_the_view() -> None:
    for table in TABLES:
        for view in views(table):
            for each in (
                view,
                replace(view, time_left_ns=0.0),
                replace(view, cost_mj=view.cost_mj * 1e9),
                replace(view, celsius=1e6),
            ):
                what = seen(each)
                assert what is not None
                assert np.isfinite(what.own).all()
                assert np.isfinite(what.shared).all()
                assert np.abs(what.own).max() <= 8.0
                assert np.abs(what.shared).max() <= 2.0


def test_figures_do_not_depend_on_the_unit_of_energy_or_on_how_a_sample_is_split() -> None:
    view = steady(LONG)
    dear = replace(
        view,
        cost_mj=view.cost_mj * 3,
        energy_mj=view.energy_mj * 3,
        reserve_energy_mj=view.reserve_energy_mj * 3,
        prices=replace(view.prices, disagreement_mj=6000.0, reserve_mj=60.0),
    )
    split = replace(
        view,
        network_ns=np.repeat(view.network_ns, 3, axis=0),
        samples=np.repeat(view.samples, 3, axis=0),
        weights=np.array((0.5, 0.25, 0.25)),
    )
    one, other, third = seen(view), seen(dear), seen(split)
    assert one is not None
    assert other is not None
    assert third is not None
    np.testing.assert_allclose(one.own, other.own, atol=1e-9)
    np.testing.assert_allclose(one.own, third.own, atol=1e-9)


def test_quantiles_are_those_of_the_repeated_values() -> None:
    random = np.random.default_rng(5)
    for _ in range(50):
        counts = random.integers(1, 5, 6)
        values = random.normal(size=(6, 3))
        shares = (0.25, 0.5, 0.9)
        found = quantiles(values, counts / counts.sum(), shares)
        for share, row in zip(shares, found, strict=True):
            for column in range(3):
                repeated = np.sort(np.repeat(values[:, column], counts))
                place = int(np.ceil(share * len(repeated) - 1e-6)) - 1
                assert row[column] == repeated[place]


def test_a_gate_lets_pass_what_it_does_not_stop() -> None:
    table = cascade()
    for arm, share in zip(table.arms, passing(table), strict=True):
        expected_share = {"gate 0.6": 0.3, "gate 0.9": 0.6}.get(arm.name, 1.0)
        assert share == pytest.approx(expected_share), arm.name


def test_weights_come_back_from_their_text_and_the_shipped_ones_are_small() -> None:
    network = drawn(6)
    again = Network.of_text(network.text())
    for name in ("own", "shared", "first_bias", "hidden", "hidden_bias", "last"):
        np.testing.assert_array_equal(getattr(again, name), getattr(network, name))
    assert len(shipped().text()) < 50_000
    assert np.abs(shipped().last).max() > 0, "a network that was never trained"
    assert len(pickle.dumps(by_name("learned"))) < 500


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: "", "begin with ''"),
        (lambda text: text.replace(FORMAT, "hedgerow learned 9"), "begin with"),
        (lambda text: text.replace(f"{FORMAT} 7", f"{FORMAT} x"), "begin with"),
        (lambda text: text.replace(f"{FORMAT} 7", f"{FORMAT} 8"), "bytes, not"),
        (lambda text: text[:-8], "bytes, not"),
        (lambda text: text[:-1] + "g", "not hexadecimal"),
        (lambda text: text[:-8] + "0000c07f", "not all are numbers"),
    ],
)
def test_damaged_weights_are_refused_with_what_is_wrong(damage, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=said):
        Network.of_text(damage(drawn(7).text()))
