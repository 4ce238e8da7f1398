"""The same worlds with and without some models and arms: what having them changes, policy by policy.

Rules: a variant leaves models and arms out of one and the same profile, and differs in nothing else: links, samples, lane times,
prices and draws are those of the others; every world counts, also where there is little to choose; the ratio of costs is the
mean over cells (one radio, deadline, device speed and price) of the cost under the first variant over the cost under this one's,
its interval over links drawn again, each with all its worlds in both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hedgerow.core.arms import Floats
from hedgerow.simulation.cells import Unit, check_left
from hedgerow.simulation.comparing import DEVICE_ONLY, Play, Ran, play
from hedgerow.simulation.scenario import Scenario
from hedgerow.simulation.spread import spread
from hedgerow.simulation.summing import BOOTSTRAPS, means


@dataclass
class Beside:
    """What ran, by variant and unit."""

    scenario: Scenario
    units: list[Unit]
    policies: tuple[str, ...]
    ran: dict[str, list[list[Ran]]]


def run_variants(
    scenario: Scenario,
    units: Sequence[Unit],
    policies: Sequence[str],
    *,
    workers: int = 0,
    ray: str | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Beside:
    """Every policy (the device alone first) in every world of every variant; UsageError for a variant that leaves out what is not
    there."""
    check_left(scenario)
    names = tuple(dict.fromkeys((DEVICE_ONLY, *policies)))
    wanted = tuple((name, price) for price in range(len(scenario.price)) for name in names)
    variants = scenario.variants()
    plays = [Play(each, unit, wanted) for each in variants for unit in units]
    found = spread(play, plays, workers=workers, ray=ray, progress=progress)
    count = len(units)
    ran = {each.name: found[place * count : (place + 1) * count] for place, each in enumerate(variants)}
    return Beside(scenario, list(units), names, ran)


def summary(found: Beside) -> dict[str, Any]:
    """What `hedgerow simulate --json` prints of a scenario with variants."""
    first = next(iter(found.ran))
    return {
        "scenario": found.scenario.name,
        "links": len({unit.course.name for unit in found.units}),
        "worlds": len(found.units),
        "variants": [
            {
                "name": variant,
                "models": list(each.models),
                "without": list(each.without),
                "policies": [_row(found, variant, first, policy) for policy in found.policies],
            }
            for variant, each in zip(found.ran, found.scenario.variants(), strict=True)
        ],
        "errors": [
            {"variant": variant, "policy": each.policy, "error": each.error, "link": unit.course.name}
            for variant, rows in found.ran.items()
            for unit, ran in zip(found.units, rows, strict=True)
            for each in ran
            if each.error
        ],
    }


def _row(found: Beside, variant: str, first: str, policy: str) -> dict[str, Any]:
    """One policy's figures over all worlds; of failed ones nothing but how many they are."""
    every = [each for rows in found.ran[variant] for each in rows if each.policy == policy]
    ran = [each for each in every if not each.error]
    requests = sum(each.requests for each in ran)
    row: dict[str, Any] = {"name": policy, "requests": requests, "failed": len(every) - len(ran)}
    if not requests or len(every) != len(ran):
        return row
    cost = _costs(found, variant, policy)
    row |= means(ran, requests) | {"cost": round(float((cost.sum(axis=0)).mean()), 3)}
    if variant != first and not any(each.error for rows in found.ran[first] for each in rows if each.policy == policy):
        row |= _against(found, _costs(found, first, policy), cost)
    return row


def _links(found: Beside) -> list[str]:
    return sorted({unit.course.name for unit in found.units})


def _costs(found: Beside, variant: str, policy: str) -> Floats:
    """(links, cells): each link's part of the cell's cost of a request, so that a column's sum is the cell's cost."""
    links = _links(found)
    cells = sorted({unit.cell for unit in found.units})
    prices = len(found.scenario.price)
    cost, requests = np.zeros((len(links), len(cells) * prices)), np.zeros(len(cells) * prices)
    for unit, rows in zip(found.units, found.ran[variant], strict=True):
        for each in rows:
            if each.policy == policy:
                column = cells.index(unit.cell) * prices + each.price
                cost[links.index(unit.course.name), column] += each.cost_mj
                requests[column] += each.requests
    parts: Floats = cost / requests
    return parts


def _against(found: Beside, first: Floats, mine: Floats) -> dict[str, Any]:
    """Mean over cells of the first variant's cost over this one's, and its interval over links drawn again within their radio."""
    ratio = float((first.sum(axis=0) / mine.sum(axis=0)).mean())
    row: dict[str, Any] = {"first_over_this": round(ratio, 5), "first_over_this_95": None}
    groups: dict[str, list[int]] = {}
    for place, link in enumerate(_links(found)):
        radio = next(f"{each.cell.group}/{each.cell.radio}" for each in found.units if each.course.name == link)
        groups.setdefault(radio, []).append(place)
    if max(map(len, groups.values())) < 2:
        return row
    random, ratios = np.random.default_rng(0), []
    for _ in range(BOOTSTRAPS):
        drawn = np.concatenate([random.choice(places, len(places)) for places in groups.values()])
        above, below = first[drawn].sum(axis=0), mine[drawn].sum(axis=0)
        ratios.append(float((above[below > 0] / below[below > 0]).mean()))
    low, high = np.quantile(ratios, (0.025, 0.975))
    return {**row, "first_over_this_95": [round(float(low), 4), round(float(high), 4)]}
