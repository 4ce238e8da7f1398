"""From what ran to what is said of it: per policy and per cell, with intervals over links.

Rules: ratios are means over the cells that count; `gap_closed` is of the mean costs, (hindsight - policy) / (hindsight -
clairvoyant), because in single cells the gap can be next to nothing; an interval resamples links, each with all its worlds in all cells (2.5 %
and 97.5 % of 400 bootstraps with a fixed seed), so it says how much another choice of links would move the figure, and no more.
A policy that failed somewhere in a cell has no figures of that cell, and says in how many worlds it failed.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.arms import Floats
from hedgerow.core.policies import ONLY
from hedgerow.simulation.cells import Cell
from hedgerow.simulation.comparing import SHARE_MAX, Compared, Ran, arm_costs, candidates

BOOTSTRAPS: Final = 400
NOTHING: Final = (
    "late", "late_above_device_only", "p99_ms", "agreement", "cost", "cost_over_hindsight", "cost_over_clairvoyant",
    "gap_closed",
)  # fmt: skip
Key = tuple[Cell, int]


@dataclass(frozen=True)
class CellSums:
    """One cell at one price: by link, (links,), in units of one request's mJ; `share`: of the clairvoyant's favourite arm."""

    cell: Cell
    price: int
    links: tuple[str, ...]
    requests: Floats
    clairvoyant: Floats
    free: Floats
    hindsight: Floats
    hindsight_arm: str
    share: float
    favourite: str
    policies: dict[str, Floats]

    @property
    def counts(self) -> bool:
        """Whether it proves anything."""
        return self.share <= SHARE_MAX

    def cost(self, values: Floats, links: NDArray[np.intp] | None = None) -> float:
        """Cost of a request over these links (None: all)."""
        if links is None:
            return float(values.sum() / self.requests.sum())
        return float(values[links].sum() / self.requests[links].sum())


def sums(found: Compared) -> list[CellSums]:
    """Every cell at every price, in order."""
    return [_cell(found, cell, price) for cell in found.cells for price in range(len(found.scenario.price))]


def _cell(found: Compared, cell: Cell, price: int) -> CellSums:
    places = [place for place, unit in enumerate(found.units) if unit.cell == cell]
    judged = [found.judged[place] for place in places]
    ran = [{each.policy: each for each in found.ran[place] if each.price == price} for place in places]
    total, arms = arm_costs(found, cell, price)
    best = int(total.argmin())
    choices = {
        arm: np.array([row[ONLY + arm].cost_mj for row in ran])
        for arm in candidates(found, cell, price)
        if not any(row[ONLY + arm].error for row in ran)
    } or {arms[best]: np.array([each.arm_cost_mj[price][best] for each in judged])}
    name = min(choices, key=lambda each: float(choices[each].sum()))
    taken = np.sum([each.taken[price] for each in judged], axis=0)
    policies = {
        policy: np.array([row[policy].cost_mj for row in ran])
        for policy in found.policies
        if not any(row[policy].error for row in ran)
    }
    return CellSums(
        cell,
        price,
        tuple(found.units[place].course.name for place in places),
        np.array([float(each.requests) for each in judged]),
        np.array([each.clairvoyant_mj[price] for each in judged]),
        np.array([each.free_mj[price] for each in judged]),
        choices[name],
        name,
        float(taken.max() / taken.sum()),
        (*arms, "")[int(taken.argmax())],
        policies,
    )


def summary(found: Compared) -> dict[str, Any]:
    """What `hedgerow simulate --json` prints: see docs/comparison.md."""
    cells = sums(found)
    counting = [each for each in cells if each.counts]
    return {
        "scenario": found.scenario.name,
        "links": len({unit.course.name for unit in found.units}),
        "worlds": len(found.units),
        "cells": len(cells),
        "cells_counted": len(counting),
        "policies": [_policy_row(found, counting, policy) for policy in found.policies],
        "oracles": [_oracle_row(counting, name) for name in ("hindsight", "clairvoyant", "clairvoyant_free")],
        "by_cell": [_cell_row(found, each) for each in cells],
        "errors": _errors(found),
    }


def _policy_row(found: Compared, cells: Sequence[CellSums], policy: str) -> dict[str, Any]:
    whole = [each for each in cells if policy in each.policies]
    keys = {(each.cell, each.price) for each in whole}
    ran = [
        each
        for unit, rows in zip(found.units, found.ran, strict=True)
        for each in rows
        if each.policy == policy and (unit.cell, each.price) in keys and not each.error
    ]
    requests = sum(each.requests for each in ran)
    failed = sum(any(each.policy == policy and each.error for each in rows) for rows in found.ran)
    every = [each for rows in found.ran for each in rows if each.policy == policy and not each.error]
    row: dict[str, Any] = {"name": policy, "requests": requests, "cells": len(whole), "worlds_failed": failed}
    row |= {"requests_of_all": sum(each.requests for each in every), "late_of_all": sum(each.late for each in every)}
    if not requests:
        return {**row, **dict.fromkeys(NOTHING)}
    row |= means(ran, requests)
    if found.scenario.radio is not None:
        row["radio_mj"] = round(sum(each.radio_mj for each in ran) / requests, 3)
    if found.scenario.battery is not None:
        left = [each.battery or 0.0 for each in ran]
        row |= {"battery_left": round(sum(left) / len(left), 4), "batteries_dead": sum(each == 0.0 for each in left)}
    row |= _ratios(whole, lambda cell: cell.policies[policy])
    row["cost_over_clairvoyant_95"] = _interval(whole, lambda cell: cell.policies[policy])
    row["cells_below_hindsight"] = sum(cell.cost(cell.policies[policy]) < cell.cost(cell.hindsight) for cell in whole)
    return row


def means(ran: Sequence[Ran], requests: int) -> dict[str, Any]:
    """Figures a request over what ran; `agreement_stood_in` is of the answers that the device gave for a remote arm, None of none."""
    told = np.concatenate([each.told_us for each in ran])
    told = np.sort(np.where(told < 0, np.iinfo(np.int32).max, told))

    def quantile_ms(share: float) -> float | None:
        value = int(told[min(int(share * len(told)), len(told) - 1)])
        return None if value == np.iinfo(np.int32).max else round(value / 1000, 2)

    late, stood_in = sum(each.late for each in ran), sum(each.stood_in for each in ran)
    agreeing = sum(each.stood_in_agreeing for each in ran)
    return {
        "late": late,
        "late_above_device_only": None
        if any(each.late_above is None for each in ran)
        else sum(each.late_above or 0 for each in ran),
        "in_time": round(1 - late / requests, 6),
        "p50_ms": quantile_ms(0.5),
        "p99_ms": quantile_ms(0.99),
        "p999_ms": quantile_ms(0.999),
        "energy_mj": round(sum(each.energy_mj for each in ran) / requests, 3),
        "uplink_bytes": round(sum(each.up_bytes for each in ran) / requests, 1),
        "money": round(sum(each.money for each in ran) / requests, 9),
        "agreement": round(sum(each.agreeing for each in ran) / requests, 5),
        "remote": round(sum(each.remote for each in ran) / requests, 5),
        "reserves": round(sum(each.reserves for each in ran) / requests, 5),
        "reused": round(sum(each.reused for each in ran) / requests, 5),
        "stopped": round(sum(each.stopped for each in ran) / requests, 5),
        "stood_in": round(stood_in / requests, 5),
        "agreement_stood_in": round(agreeing / stood_in, 5) if stood_in else None,
    }


Values = Callable[[CellSums], Floats]


def _ratios(cells: Sequence[CellSums], of: Values) -> dict[str, float]:
    own = np.array([cell.cost(of(cell)) for cell in cells])
    hindsight = np.array([cell.cost(cell.hindsight) for cell in cells])
    bound = np.array([cell.cost(cell.clairvoyant) for cell in cells])
    gap = float((hindsight - bound).mean())
    return {
        "cost": round(float(own.mean()), 3),
        "cost_over_hindsight": round(float((own / hindsight).mean()), 5),
        "cost_over_clairvoyant": round(float((own / bound).mean()), 5),
        "gap_closed": round(float((hindsight - own).mean()) / gap, 5) if gap > 0 else 0.0,
    }


def _interval(cells: Sequence[CellSums], of: Values) -> list[float] | None:
    """[2.5 %, 97.5 %] of the mean ratio to the clairvoyant over links drawn again; None where every radio has one link alone.

    A link is drawn with all its worlds in all cells: the same road under another deadline is no second road.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        known = names.setdefault((cell.cell.group, cell.cell.radio), [])
        known += sorted(set(cell.links) - set(known))
    if max(map(len, names.values())) < 2:
        return None
    random, found, times = np.random.default_rng(0), np.zeros(BOOTSTRAPS), {}
    for key, links in sorted(names.items()):
        drawn = random.integers(0, len(links), (BOOTSTRAPS, len(links)))
        counts = np.array([np.bincount(row, minlength=len(links)) for row in drawn])
        times[key] = {link: counts[:, place] for place, link in enumerate(links)}
    for cell in cells:
        mine = times[cell.cell.group, cell.cell.radio]
        weights = np.array([mine[link] for link in cell.links]).T
        below = (weights * cell.clairvoyant).sum(axis=1)
        ratio = (weights * of(cell)).sum(axis=1) / np.where(below > 0, below, 1.0)
        found += np.where(below > 0, ratio, cell.cost(of(cell)) / cell.cost(cell.clairvoyant))
    low, high = np.quantile(found / len(cells), (0.025, 0.975))
    return [round(float(low), 4), round(float(high), 4)]


def _oracle_row(cells: Sequence[CellSums], name: str) -> dict[str, Any]:
    if not cells:
        return {"name": name, "cost": None}
    values: dict[str, Values] = {
        "hindsight": lambda cell: cell.hindsight,
        "clairvoyant": lambda cell: cell.clairvoyant,
        "clairvoyant_free": lambda cell: cell.free,
    }
    return {"name": name, **_ratios(cells, values[name])}


def _cell_row(found: Compared, cell: CellSums) -> dict[str, Any]:
    price = found.scenario.price[cell.price]
    return {
        "group": cell.cell.group,
        "radio": cell.cell.radio,
        "deadline_ms": cell.cell.deadline_ms,
        "device_factor": cell.cell.device_factor,
        "disagreement_mj": price.disagreement_mj,
        "reserve_mj": price.reserve_mj,
        "money_mj": price.money_mj,
        "links": len(set(cell.links)),
        "counts": cell.counts,
        "favourite": cell.favourite,
        "favourite_share": round(cell.share, 4),
        "hindsight_arm": cell.hindsight_arm,
        "hindsight": round(cell.cost(cell.hindsight), 3),
        "clairvoyant": round(cell.cost(cell.clairvoyant), 3),
        "clairvoyant_free": round(cell.cost(cell.free), 3),
        "cost": {name: round(cell.cost(values), 3) for name, values in cell.policies.items()},
    }


def _errors(found: Compared) -> list[dict[str, Any]]:
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for unit, rows in zip(found.units, found.ran, strict=True):
        for each in rows:
            if each.error:
                told[each.policy, each.error].append(unit.course.name)
    return [{"policy": policy, "error": error, "links": links} for (policy, error), links in told.items()]
