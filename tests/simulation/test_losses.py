"""The belief about loss: its shares against plain counts, its calibration on a Gilbert chain, its report by hand."""

import random

import numpy as np
import pytest

from hedgerow.simulation.losses import LossBelief, judge


def gilbert(count: int, seed: int, *, begin: float, stay: float) -> list[bool]:
    chance, lost, found = random.Random(seed), False, []
    for _ in range(count):
        lost = chance.random() < (stay if lost else begin)
        found.append(lost)
    return found


def test_before_anything_the_prior_speaks() -> None:
    belief = LossBelief()
    assert belief.probability() == pytest.approx(0.01)
    belief.observe(True)
    assert belief.probability() == pytest.approx(0.5)


def test_it_learns_a_chain_of_losses_in_runs() -> None:
    belief = LossBelief()
    after: dict[bool, list[float]] = {False: [], True: []}
    for index, lost in enumerate(gilbert(60_000, 4, begin=0.02, stay=0.8)):
        belief.observe(lost)
        if index > 10_000:
            after[lost].append(belief.probability())
    assert np.mean(after[False]) == pytest.approx(0.02, abs=0.003)
    assert np.mean(after[True]) == pytest.approx(0.8, abs=0.03)


def test_its_score_on_a_chain_is_near_that_of_who_knows_the_chain() -> None:
    happened = gilbert(30_000, 8, begin=0.02, stay=0.8)
    belief, said, knowing = LossBelief(), [], []
    for index, lost in enumerate(happened):
        said.append(belief.probability())
        knowing.append(0.8 if index and happened[index - 1] else 0.02)
        belief.observe(lost)
    losses = np.array(happened)
    report = judge(np.array(said), losses, np.concatenate(([False], losses[:-1])))
    assert report.brier <= 1.03 * float(((np.array(knowing) - losses) ** 2).mean())
    assert report.brier < report.brier_last < report.brier_constant
    for each in report.reliability:
        assert each.moments < 500 or each.lost == pytest.approx(each.said, abs=0.05)


def test_a_report_by_hand() -> None:
    said = np.array([0.0, 0.1, 0.9, 1.0])
    lost = np.array([False, True, True, True])
    report = judge(said, lost, np.array([False, False, True, True]))
    assert (report.moments, report.lost, report.said) == (4, 0.75, 0.5)
    assert report.brier == pytest.approx((0.81 + 0.01) / 4)
    assert (report.brier_constant, report.brier_last) == (0.1875, 0.25)
    assert [(each.said_from, each.moments, each.lost) for each in report.reliability] == [
        (0.0, 1, 0.0),
        (0.05, 1, 1.0),
        (0.8, 2, 1.0),
    ]
