"""The benchmark of arbitration on samples made by hand: what its costs are, who is asked, and that better knowledge wins."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hedgerow.adaptation.witnesses import side_by_side
from hedgerow.benchmarks.adapting import arbitration as bench
from hedgerow.benchmarks.adapting.setting import Setting
from hedgerow.core.arbitration import Arbiter, Arbitration
from hedgerow.core.views import ModelView, Seen
from hedgerow.errors import UsageError
from hedgerow.models.calibrated import likeliest, probabilities
from hedgerow.models.task import Task
from tests.device.small import pair_task


def case(samples: int = 120, labels: int = 8) -> bench.Case:
    """Two noisy witnesses of the same scores, calibrated by what they are."""
    random = np.random.default_rng(0)
    scores = random.normal(0, 2, (samples, labels))
    true = [int(random.choice(labels, p=row)) for row in probabilities(scores)]
    kinds = []
    for model, tier, noise in (("small", "device", 1.5), ("big", "cloud", 0.7)):
        shares = probabilities(scores + random.normal(0, noise, scores.shape), 1.0 + noise / 2)
        kinds.append([ModelView(model, tier, Seen("1", *likeliest(row, 5))) for row in shares])
    return bench.Case("made", side_by_side(kinds), true, Arbitration(labels), bench.full_costs)


@pytest.mark.parametrize("draw", [bench.grouped_costs, bench.full_costs])
def test_costs_are_one_in_the_mean_asymmetric_and_the_same_for_a_seed(draw: object) -> None:
    assert callable(draw)
    rules = Arbitration(40)
    arbiter, again = (Arbiter(draw(np.random.default_rng(7), rules)) for _ in range(2))
    table = np.array([[arbiter.cost(said, true) for true in range(40)] for said in range(40)])
    assert table.sum() / (40 * 39) == pytest.approx(1.0)
    assert not table.diagonal().any()
    assert not np.allclose(table, table.T)
    assert again.cost(3, 30) == arbiter.cost(3, 30)


def test_the_rules_cost_least_where_views_are_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "MATRICES", 12)
    made = case()
    costs = bench.play(made)
    assert all(len(each) == 12 for each in costs.values())
    assert costs["cloud_wins"].tolist() == costs["cloud_only"].tolist()
    assert all(costs["ours"].mean() < costs[rule].mean() for rule in bench.SIMPLE)
    assert costs["majority"].tolist() == costs["cloud_only"].tolist()  # of two views
    figures = bench._figures(made, costs)
    assert figures["made_cost_ours"] == pytest.approx(costs["ours"].mean(), abs=1e-5)
    assert 0 <= figures["made_matrices_below_all"] <= 12
    assert "made_cost_majority" not in figures  # two views have none


def test_simple_rules_say_what_their_names_say() -> None:
    views = tuple(
        ModelView(model, tier, Seen("1", (label,), (share,)))
        for model, tier, label, share in (
            ("exit", "device", 2, 0.9), ("small", "device", 1, 0.5), ("big", "cloud", 0, 0.6),
        )
    )  # fmt: skip
    said = {"device_only": 1, "cloud_only": 0, "cloud_wins": 0, "most_confident": 2, "majority": 0}
    assert bench._simple(views) == said
    agreeing = (views[1], replace(views[1], model="exit"), views[2])
    assert bench._simple(agreeing)["majority"] == 1


def test_who_is_asked(tmp_path: Path) -> None:
    task = pair_task(tmp_path)
    assert [model.name for model in bench.witnesses(task)] == ["small", "big"]
    alone = Task("one", "classification", task.models[1:], "big", task.labels)
    with pytest.raises(UsageError, match="one model"):
        bench.witnesses(alone)


def test_nothing_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"photographs: .*make adapt.*cifar10: .*make adapt"):
        bench.measure(Setting(tmp_path, None, lambda text: None))
