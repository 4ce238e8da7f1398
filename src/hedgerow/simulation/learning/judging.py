"""Judge the shipped weights on links that they never saw: `python -m hedgerow.simulation.learning.judging --links DIR`.

The standard scenario over the held-out drives (`worlds.drives`), or with --wifi over the Wi-Fi links, which are never trained on:
the learned policy beside `hedgerow`, the Neurosurgeon remake and the device alone, each behind the same reserve, and what the
best arm in hindsight and the clairvoyant would have cost. Cells count as in `summing.py`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hedgerow.core.policies import Policy, by_name
from hedgerow.core.policies.learned import Learned
from hedgerow.core.records import Prices
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.simulation import scenario as scenarios
from hedgerow.simulation.cells import build, load_courses, units
from hedgerow.simulation.comparing import compare
from hedgerow.simulation.course import Course
from hedgerow.simulation.learning.weights import load
from hedgerow.simulation.learning.worlds import Worlds, drives, is_wifi, local_base_mj
from hedgerow.simulation.scenario import Scenario
from hedgerow.simulation.summing import summary
from hedgerow.simulation.world import Setup, run

POLICIES = ("learned", "hedgerow", "neurosurgeon", "device-only")


def judged_links(folder: Path, *, wifi: bool = False, every: int = 1) -> list[Course]:
    """What judging may use: the held-out drives, or each `every`-th Wi-Fi link."""
    found = [course for course in load_courses(folder) if is_wifi(course)] if wifi else drives(folder)[1]
    if not found[::every]:
        raise UsageError(f"{folder} has no {'Wi-Fi' if wifi else 'held-out'} links")
    return found[::every]


def shortened(scenario: Scenario, seconds: float) -> Scenario:
    """The same with worlds of this length."""
    groups = tuple(msgspec.structs.replace(group, seconds=seconds) for group in scenario.group)
    return msgspec.structs.replace(scenario, group=groups, seconds=seconds)


def lines(found: dict[str, Any]) -> list[str]:
    """The table that is printed."""
    head = f"{'policy':14} {'requests':>9} {'late':>5} {'cost mJ':>9} {'/clairvoyant':>13} {'/hindsight':>11} {'below it':>9}"
    said = [
        f"{found['links']} links, {found['worlds']} worlds, {found['cells_counted']} of {found['cells']} cells count",
        head,
    ]
    for row in (*found["policies"], *found["oracles"]):
        cost, over, best = (row.get(key) for key in ("cost", "cost_over_clairvoyant", "cost_over_hindsight"))
        figures = [f"{value:.4f}" if isinstance(value, float) else "-" for value in (cost, over, best)]
        late, below = row.get("late", "-"), row.get("cells_below_hindsight", "-")
        said.append(
            f"{row['name']:14} {row.get('requests', 0):9.0f} {late!s:>5} {figures[0]:>9} {figures[1]:>13} {figures[2]:>11} {below!s:>9}"
        )
    return [*said, *(f"error: {each}" for each in found["errors"])]


def against(folder: Path, weights: Path, *, count: int, every: int, seconds: float, seed: int = 7) -> list[str]:
    """Other weights beside the shipped ones and least expected cost, on the held-out drives alone: mean cost of a request over what
    the device alone would cost by the table, in drawn worlds with exits, copies and gates, and in those of `standard`."""
    policies: dict[str, Policy] = {
        "hedgerow": by_name("hedgerow"), "shipped": by_name("learned"), "these": Learned(network=load(weights))
    }  # fmt: skip
    drawn, held = Worlds(judged_links(folder, every=every), seed=seed), shortened(scenarios.load("standard"), seconds)
    profile, points = held.load_profile(), [each.prices() for each in held.price]
    kinds: dict[str, list[tuple[Setup, Sequence[Prices]]]] = {
        "drawn": [(world.setup, world.prices[:2]) for world in map(drawn.world, range(count))],
        "standard": [(build(held, profile, each), points) for each in units(held, judged_links(folder, every=every))],
    }
    said = [f"{'worlds':10} {'policy':10} {'count':>6} {'late':>5} {'cost / device':>14}"]
    for kind, worlds in kinds.items():
        for name, policy in policies.items():
            made = [(setup, each, run(setup, policy, each)) for setup, prices in worlds for each in prices]
            cost = np.mean([ran.cost_mj(each, s.table).mean() / local_base_mj(s, each) for s, each, ran in made])
            late = sum(int(ran.late.sum()) for _, _, ran in made)
            said.append(f"{kind:10} {name:10} {len(made):6} {late:5} {cost:14.4f}")
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or that of the error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--links", type=Path, required=True)
    parser.add_argument("--wifi", action="store_true", help="the Wi-Fi links instead of the held-out drives")
    parser.add_argument("--every", type=int, default=1, help="each N-th link only")
    parser.add_argument("--seconds", type=float, help="length of each world instead of the scenario's")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--against", type=Path, metavar="FILE", help="these weights beside the shipped ones instead")
    parser.add_argument("--worlds", type=int, default=24, help="of --against: how many are drawn")
    given = parser.parse_args(arguments)
    try:
        if given.against is not None:
            seconds, every = given.seconds or 20.0, max(1, given.every)
            print("\n".join(against(given.links, given.against, count=given.worlds, every=every, seconds=seconds)))
            return 0
        scenario = scenarios.load("standard")
        if given.seconds is not None:
            scenario = shortened(scenario, given.seconds)
        made = units(scenario, judged_links(given.links, wifi=given.wifi, every=max(1, given.every)))
        done = [0]

        def progress(count: int) -> None:
            done[0] += count
            print(f"\r{done[0]} of {2 * len(made)} steps", end="", file=sys.stderr, flush=True)

        found = summary(compare(scenario, made, POLICIES, workers=given.workers, progress=progress))
    except HedgerowError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print("\n".join(lines(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
