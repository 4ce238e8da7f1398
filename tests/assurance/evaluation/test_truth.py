"""Estimates against the truth: log with a policy that draws, estimate another one, then really run that in the same world.

Requests are seconds apart, so that they do not meet on lane and link; what stays is that beliefs are the log's. Counted, not
averaged: of so many intervals of 95 %, how many have the truth.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from hedgerow.assurance.evaluation import Unsupported, judge, read
from hedgerow.core.policies import by_name
from tests.assurance.evaluation.worlds import LINKS, SOME, logged, setup_of

POLICIES = ("ours", "device-only", "neurosurgeon")
ESTIMATORS = ("ips", "snips", "dr")
CARRIED = {("drive-tunnel", "ours"), ("drive-tunnel", "neurosurgeon")}
"""Where explored attempts are lost in tunnels, the log's beliefs are gloomier than the policy's own would be: these estimates are
biased, and no interval knows. They must only be near."""
NEAR = 0.1


@dataclass
class Tried:
    """Of one policy on one link: how many intervals covered the truth, and all errors."""

    seeds: int = 0
    refused: int = 0
    covered: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ESTIMATORS, 0))
    truths: list[float] = field(default_factory=list)
    errors: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def rms(self, name: str) -> float:
        return sqrt(float(np.mean(np.square(self.errors[name]))))


def tried(folder: Path, link: str, seeds: range, policies: tuple[str, ...]) -> dict[str, Tried]:
    found = {name: Tried() for name in policies}
    journal, own = folder / "journal", folder / "own"
    for seed in seeds:
        setup = setup_of(link, seed, count=700)
        logged(journal, setup, SOME)
        for name in policies:
            each = found[name]
            try:
                estimated = judge(read(journal, by_name(name), logged_by=SOME)).figures["cost_mj"]
            except Unsupported:
                each.refused += 1
                continue
            logged(own, setup, by_name(name))
            truth = float(read(own, by_name(name)).outcomes["cost_mj"].mean())
            each.seeds += 1
            each.truths.append(truth)
            for kind in ESTIMATORS:
                estimate = getattr(estimated, kind)
                each.covered[kind] += estimate.covers(truth)
                each.errors[kind].append(estimate.mean - truth)
    return found


def test_estimates_come_close_to_what_really_happens(tmp_path: Path) -> None:
    found = tried(tmp_path, "drive-mixed", range(2), ("ours", "device-only"))
    assert sum(each.seeds for each in found.values()) == 4
    assert sum(each.covered["dr"] for each in found.values()) >= 3
    for name, each in found.items():
        assert each.rms("dr") < each.rms("ips"), name


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("link", LINKS)
def test_intervals_have_the_truth_as_often_as_they_say(tmp_path: Path, link: str) -> None:
    found = tried(tmp_path, link, range(100, 140), POLICIES)
    for name, each in found.items():
        print(
            link, name, each.seeds, each.refused, each.covered, {kind: round(each.rms(kind), 1) for kind in ESTIMATORS}
        )
    for name, each in found.items():
        assert each.seeds >= 20, f"{name}: {each.refused} refused"
        if (link, name) in CARRIED:
            assert abs(np.mean(each.errors["dr"])) <= NEAR * np.mean(each.truths), name
            continue
        for kind in ESTIMATORS:
            assert each.covered[kind] >= 0.85 * each.seeds, (name, kind)
        assert each.rms("dr") <= each.rms("ips"), name
