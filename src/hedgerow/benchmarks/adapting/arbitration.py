"""What rules of arbitration cost: the declared rule set beside simple ones, on real disagreements, under 100 seeded cost matrices.

Each data set has a device's views (the int8 copy where one is made, else the model in full precision; its deepest exit where one is made) and a
cloud's (the reference). Temperatures and weights are read from what `make adapt` kept and never fitted here. The views are cut
and rounded as a session cuts them, and decided by the core's own code. Costs are scaled so that a mistake costs 1 in the mean.

Photographs whose names are class indices were probably used to train these models: the rules are compared on them, nothing is
claimed of accuracy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.disagreements import cost_of
from hedgerow.adaptation.parts import part_of
from hedgerow.adaptation.sources import cifar10, judged
from hedgerow.adaptation.witnesses import calibrated, labels_of, scores, seen, side_by_side
from hedgerow.benchmarks.adapting.setting import Setting
from hedgerow.core.arbitration import Arbiter, Arbitration, Cost
from hedgerow.core.views import ModelView
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.models.task import Task, TaskModel
from hedgerow.planning.arbitrating import read_arbitration

MATRICES = 100
CIFAR_SAMPLES = 1000
GROUPS = 20  # of the photographs' labels: neighbours in the list are alike (dogs, ships, instruments)
SIMPLE = ("device_only", "cloud_only", "cloud_wins", "most_confident", "majority")
RULES = "arbitration.toml"

Rows = list[tuple[ModelView, ...]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """One data set: views of each sample, right labels, the rules as they were made, and how costs are drawn for it."""

    name: str
    rows: Rows
    labels: Sequence[int]
    rules: Arbitration
    draw: Callable[[np.random.Generator, Arbitration], Arbitration]


def measure(setting: Setting) -> dict[str, Any]:
    """{"cost_ours", "cost_best_other"}: mean costs over data sets and matrices; further keys by data set."""
    figures: dict[str, Any] = {}
    means: list[dict[str, float]] = []
    problems = []
    for name, make in (("photographs", _photographs), ("cifar10", _cifar)):
        try:
            case = make(setting)
        except HedgerowError as error:
            setting.say(f"arbitration: no {name}: {error}")
            problems.append(f"{name}: {error}")
            continue
        costs = play(case)
        means.append({rule: float(each.mean()) for rule, each in costs.items()})
        figures |= _figures(case, costs)
    if not means:
        raise UsageError("; ".join(problems))
    overall = {rule: float(np.mean([each[rule] for each in means])) for rule in means[0]}
    simple = {rule: overall[rule] for rule in SIMPLE}
    best = min(simple, key=lambda rule: simple[rule])
    head = {"cost_ours": round(overall["ours"], 5), "cost_best_other": round(simple[best], 5), "best_other": best}
    return head | figures | {"matrices": MATRICES, "left_out": "; ".join(problems)}


def play(case: Case) -> dict[str, Floats]:
    """Mean cost a sample of each rule under each matrix, (matrices,)."""
    found: dict[str, list[float]] = {}
    for seed in range(MATRICES):
        declared = case.draw(np.random.default_rng(seed), case.rules)
        arbiter, agreed = Arbiter(declared), Arbiter(replace(declared, agreed_stand=True))
        said: dict[str, list[float]] = {}
        for views, true in zip(case.rows, case.labels, strict=True):
            verdict = arbiter.decide(views)
            costs = {rule: arbiter.cost(label, true) for rule, label in _simple(views).items()}
            costs["ours"] = cost_of(arbiter, verdict, true)
            costs["ours_agreed_stand"] = cost_of(agreed, agreed.decide(views), true) if not _agree(views) else (
                arbiter.cost(views[0].seen.labels[0], true)
            )  # fmt: skip
            cloud = arbiter.decide(views[-1:])
            costs["cloud_with_costs"] = cost_of(arbiter, cloud, true)
            for rule, cost in costs.items():
                said.setdefault(rule, []).append(cost)
        for rule, each in said.items():
            found.setdefault(rule, []).append(float(np.mean(each)))
    return {rule: np.array(each) for rule, each in found.items()}


def _agree(views: Sequence[ModelView]) -> bool:
    return len({view.seen.labels[0] for view in views}) == 1


def _simple(views: Sequence[ModelView]) -> dict[str, int]:
    """What rules without costs say; the device's best view is the last but one, the cloud's the last. Both always answer here, so
    "cloud wins" is the cloud's label; with three views there is a majority rule as well (none: the cloud's)."""
    device, cloud = views[-2], views[-1]
    sure = max(views, key=lambda view: view.seen.probabilities[0])
    labels = {
        "device_only": device.seen.labels[0],
        "cloud_only": cloud.seen.labels[0],
        "cloud_wins": cloud.seen.labels[0],
    }
    labels["most_confident"] = sure.seen.labels[0]
    votes = [view.seen.labels[0] for view in views]
    most = max(set(votes), key=lambda label: (votes.count(label), label == votes[-1]))
    labels["majority"] = most if 2 * votes.count(most) > len(votes) else votes[-1]
    return labels


def _figures(case: Case, costs: dict[str, Floats]) -> dict[str, Any]:
    others = [rule for rule in SIMPLE if len(case.rows[0]) > 2 or rule != "majority"]
    least = np.min([costs[rule] for rule in others], axis=0)
    differing = sum(not _agree(views) for views in case.rows)
    figures: dict[str, Any] = {f"cost_{rule}": round(float(costs[rule].mean()), 5) for rule in others}
    figures |= {
        f"cost_{rule}": round(float(costs[rule].mean()), 5)
        for rule in ("ours", "ours_agreed_stand", "cloud_with_costs")
    }
    figures |= {
        "samples": len(case.rows),
        "differing": differing,
        "views": [view.model for view in case.rows[0]],
        "matrices_below_all": int((costs["ours"] < least).sum()),
        "matrices_below_cloud_with_costs": int((costs["ours"] < costs["cloud_with_costs"]).sum()),
    }
    return {f"{case.name}_{key}": value for key, value in figures.items()}


# ------------------------------------------------------------------------------------------------------------- matrices


def grouped_costs(random: np.random.Generator, rules: Arbitration) -> Arbitration:
    """Log-normal costs between groups of neighbouring labels, asymmetric; cheap confusions inside a group."""
    edges = np.linspace(0, rules.labels, min(GROUPS, rules.labels) + 1).astype(int)
    groups = [tuple(range(first, last)) for first, last in pairwise(edges)]
    between = np.exp(random.normal(0.0, 1.0, (len(groups), len(groups))))
    np.fill_diagonal(between, 0.1 * np.exp(random.normal(0.0, 0.5, len(groups))))
    sizes = np.array([len(group) for group in groups], dtype=np.float64)
    pairs = sizes[:, None] * sizes[None, :]
    pairs[np.diag_indices(len(groups))] -= sizes
    scale = float((between * pairs).sum() / pairs.sum())
    costs = tuple(
        Cost(said, true, float(between[a, b]) / scale) for a, said in enumerate(groups) for b, true in enumerate(groups)
    )
    return replace(rules, costs=costs)


def full_costs(random: np.random.Generator, rules: Arbitration) -> Arbitration:
    """Log-normal costs of each pair of labels, asymmetric; labels drawn into groups, inside which confusions are cheap."""
    group = random.integers(0, 3, rules.labels)
    matrix = np.exp(random.normal(0.0, 1.0, (rules.labels, rules.labels)))
    matrix[group[:, None] == group[None, :]] *= 0.1
    np.fill_diagonal(matrix, 0.0)
    matrix /= matrix.sum() / (rules.labels * (rules.labels - 1))
    return replace(rules, matrix=tuple(tuple(float(cost) for cost in row) for row in matrix))


# ------------------------------------------------------------------------------------------------------------ data sets


def _photographs(setting: Setting) -> Case:
    path = setting.made("imagenet")
    task = Task.load(path)
    paths = judged(setting.data if (setting.data / "images").is_dir() else None, setting.holdout, setting.say)
    labels = labels_of(paths, task)
    if labels is None:
        raise UsageError(f"the names in {paths[0].parent} say no class index, so no cost can be counted")
    rows, rules = _views(path, task, witnesses(task), paths, setting)
    return Case("photographs", rows, labels.tolist(), rules, grouped_costs)


def _cifar(setting: Setting) -> Case:
    path = setting.made("cifar10")
    task = Task.load(path)
    every = cifar10(setting.data, "test")
    picked = [place for place, name in enumerate(every.names) if part_of(name) == "judge"][:CIFAR_SAMPLES]
    test = every.take(picked)
    rows, rules = _views(path, task, witnesses(task), list(test.pictures), setting)
    return Case("cifar10", rows, test.labels.tolist(), rules, full_costs)


def witnesses(task: Task) -> list[TaskModel]:
    """Who sees: on the device the deepest exit and the small model (its int8 copy, where there is one), the reference elsewhere.
    UsageError for a task in which there is nobody to differ."""
    reference = task.model(task.reference)
    wholes = [each for each in task.models if not each.trunk and not each.precision_of and each.name != reference.name]
    small = wholes[0] if wholes else reference
    exits = [each for each in task.models if each.trunk == small.name and each.gate is not None]
    copies = [each for each in task.models if each.precision_of == small.name]
    device = copies[:1] or ([small] if small.name != reference.name else [])
    found = [*exits[-1:], *device, reference]
    if len(found) < 2:
        raise UsageError(f"task '{task.name}' has one model that is asked; `make adapt` makes others")
    return found


def _views(
    path: Path, task: Task, models: Sequence[TaskModel], samples: Sequence[Any], setting: Setting
) -> tuple[Rows, Arbitration]:
    scored = {model.name: scores(task, model.name, samples, say=setting.say) for model in models}
    shares = calibrated(scored, {model.name: model.temperature or 1.0 for model in models})
    tiers = ["cloud" if model.name == task.reference else "device" for model in models]
    rows = side_by_side(
        seen(task, model.name, tier, shares[model.name]) for model, tier in zip(models, tiers, strict=True)
    )
    kept = path.parent / RULES
    if not kept.is_file():
        raise UsageError(f"there is no {kept}: run `make adapt` first")
    return rows, read_arbitration(kept, task)
