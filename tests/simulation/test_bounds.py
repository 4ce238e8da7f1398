"""Bounds: what each promises on values that can be exchanged, what follows a change, and each against a plain second form."""

import math
import random

import pytest

from hedgerow.core.beliefs import QuantileBound
from hedgerow.simulation.bounds import (
    CAP_MS,
    DEFAULT,
    METHODS,
    AdaptiveConformal,
    SortedWindow,
    TcpRule,
    WindowQuantile,
)

ADAPTIVE = ("adaptive_conformal", "conformal_pi", "log_scores", "hedgerow")


def lognormal(count: int, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [chance.lognormvariate(4, 0.6) for _ in range(count)]


def misses(name: str, target: float, values: list[float], skip: int = 20) -> list[bool]:
    bound = METHODS[name](target)
    found = []
    for value in values:
        found.append(value > min(bound.bound(), CAP_MS))
        bound.observe(value)
    return found[skip:]


def test_the_default_is_the_cores_own_class() -> None:
    assert type(METHODS[DEFAULT](0.01)) is QuantileBound


@pytest.mark.parametrize("target", [0.5, 0.05, 0.01])
@pytest.mark.parametrize("name", [*ADAPTIVE, "window_300", "window_1000"])
def test_independent_values_are_missed_as_often_as_is_said(name: str, target: float) -> None:
    """Within four standard deviations of a binomial count, and one step of the window's rank; rarer than 1 % takes longer."""
    count = 40_000
    share = sum(misses(name, target, lognormal(count, 11), skip=1000)) / (count - 1000)
    spread = 4 * math.sqrt(target * (1 - target) / count)
    slack = {"window_300": 1 / 301, "window_1000": 1 / 1001, "conformal_pi": 0.0015}.get(name, 0.0)
    assert abs(share - target) <= spread + slack


def test_one_in_a_thousand_is_missed_no_more_often_than_is_said() -> None:
    count = 100_000
    share = sum(misses("hedgerow", 0.001, lognormal(count, 5))) / count
    assert share <= 0.001 + 4 * math.sqrt(0.001 / count)


@pytest.mark.parametrize(("name", "most"), [("hedgerow", 6), ("log_scores", 8), ("conformal_pi", 8)])
def test_a_link_that_becomes_five_times_slower_is_missed_a_few_times_and_no_more(name: str, most: int) -> None:
    """A window misses nearly all until the new level fills its upper hundredth."""
    values = lognormal(2000, 2)
    slower = [5 * value for value in lognormal(100, 3)]
    assert sum(misses(name, 0.01, values + slower)[-100:]) <= most


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_link_that_becomes_five_times_faster_has_a_bound_near_it_again(name: str) -> None:
    bound = METHODS[name](0.05)
    values = lognormal(1000, 2)
    for value in [5 * value for value in values] + lognormal(400, 3):
        bound.observe(value)
    assert bound.bound() < 5 * math.exp(4 + 1.645 * 0.6)


@pytest.mark.parametrize("target", [0.5, 0.05, 0.01, 0.001])
def test_the_cores_bound_is_never_without_end_and_at_its_cap_only_when_the_link_is_dead(target: float) -> None:
    """At 0.1 % a death within its window of 300 may come again: it may stay there so long, and no longer."""
    bound, at_cap = METHODS["hedgerow"](target), 0
    values = [40.0] * 50 + [CAP_MS] * 30 + [40.0] * 500
    for index, value in enumerate(values):
        assert index < 2 or bound.bound() <= CAP_MS
        at_cap += index > 120 and bound.bound() >= CAP_MS
        bound.observe(value)
    assert at_cap <= (300 if target < 0.005 else 0)
    assert bound.bound() < CAP_MS


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("target", [0.5, 0.1, 0.01])
def test_the_windows_quantile_is_that_of_the_window_sorted_anew(size: int, target: float) -> None:
    chance = random.Random(size)
    values = [float(chance.randint(1, 30)) for _ in range(400)]
    bound = WindowQuantile(target, size)
    assert bound.bound() == math.inf
    for index, value in enumerate(values):
        bound.observe(value)
        kept = sorted(values[max(0, index + 1 - size) : index + 1])
        enough = [
            each for each in kept if sum(other <= each for other in kept) >= (1 - target) * (len(kept) + 1) - 1e-9
        ]
        assert bound.bound() == (enough[0] if enough else kept[-1])


def test_a_window_is_in_order_and_knows_its_spread() -> None:
    window = SortedWindow(3)
    for value in (5.0, 1.0, 4.0, 4.0):
        window.add(value)
    assert [window.at_rank(rank) for rank in (0, 1, 2, 3, 9)] == [1.0, 1.0, 4.0, 4.0, 4.0]
    assert (len(window), window.spread()) == (3, 3.0)


def test_tcps_rule_is_that_of_rfc_6298() -> None:
    rule = TcpRule(0.01)
    assert rule.bound() == math.inf
    rule.observe(100.0)
    assert rule.bound() == pytest.approx(100 + 4 * 50)
    rule.observe(60.0)
    assert rule.bound() == pytest.approx((7 * 100 + 60) / 8 + 4 * (3 * 50 + 40) / 4)
    median = TcpRule(0.5)
    median.observe(100.0)
    assert median.bound() == 100.0


def test_adaptive_conformal_has_no_bound_below_level_nought() -> None:
    bound = AdaptiveConformal(0.01, gamma=0.5)
    for value in (1.0, 2.0):
        bound.observe(value)
    assert bound.bound() == math.inf
    bound.observe(9.0)
    assert bound.bound() == math.inf
    never = AdaptiveConformal(0.9, gamma=0.5)
    for _ in range(3):
        never.observe(1.0)
    assert never.bound() == 0.0
