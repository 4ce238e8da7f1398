"""Beliefs: logarithm and power against math, the bound's misses on heavy tails and real drives, samples and weights."""

import csv
import math
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.core.beliefs import LOST_NS, LaneBelief, LinkBelief, QuantileBound, Suspect, exp2, log2
from hedgerow.core.records import MS, SECOND, Limits


@given(st.floats(1e-300, 1e300))
def test_log2_is_the_logarithm(x: float) -> None:
    assert math.isclose(log2(x), math.log2(x), rel_tol=0, abs_tol=1e-7)


@given(st.floats(-59, 59))
def test_exp2_is_the_power(x: float) -> None:
    assert math.isclose(exp2(x), 2.0**x, rel_tol=1e-9)


def test_exp2_is_capped_at_both_ends() -> None:
    assert exp2(1e9) == 2.0**60
    assert exp2(-1e9) == 2.0**-60


def miss_rate(series: Iterable[Iterable[float]]) -> tuple[float, int]:
    missed = count = 0
    for values in series:
        bound = QuantileBound()
        for index, value in enumerate(values):
            if index >= 20:
                missed, count = missed + (value > bound.bound()), count + 1
            bound.observe(value)
    return missed / count, count


@pytest.mark.parametrize("kind", ["lognormal", "pareto", "wandering"])
def test_the_bound_is_missed_about_once_in_a_hundred(kind: str) -> None:
    chance = random.Random(7)

    def series() -> Iterable[float]:
        level = 50.0
        for _ in range(20_000):
            level *= math.exp(chance.gauss(0, 0.02)) if kind == "wandering" else 1.0
            level = min(max(level, 5.0), 500.0)
            yield level * (chance.paretovariate(2.5) if kind == "pareto" else chance.lognormvariate(0, 0.5))

    rate, _ = miss_rate([series()])
    assert 0.007 <= rate <= 0.013


def test_the_bound_is_missed_about_once_in_a_hundred_on_drives(shared_data: Path) -> None:
    drives = []
    for path in sorted((shared_data / "links").glob("*.csv")):
        if path.name.startswith(("atnt", "verizon")):
            with path.open() as file:
                drives.append([float(row["rtt_ms"]) for row in csv.DictReader(file) if row["rtt_ms"]])
    rate, count = miss_rate(drives)
    assert count > 10_000
    assert 0.007 <= rate <= 0.013


def test_the_bound_is_infinite_before_it_has_seen_two() -> None:
    bound = QuantileBound()
    assert bound.bound() == math.inf
    bound.observe(5.0)
    assert bound.bound() == math.inf
    bound.observe(5.0)
    assert 1.0 < bound.bound() < math.inf


def test_the_bound_forgets_beyond_its_window() -> None:
    bound = QuantileBound(window_max=10)
    for value in [1e6, 1.0] * 50 + [1.0] * 100:
        bound.observe(value)
    assert len(bound._order) == len(bound._recent) == 10


def belief(samples: int = 4) -> LinkBelief:
    return LinkBelief(Limits(belief_samples_max=samples))


def shares(*weights: float) -> list[float]:
    return [weight / sum(weights) for weight in weights]


def observe(link: LinkBelief, trip_ms: float, at_ns: int = 0) -> None:
    link.observe(now_ns=at_ns, trip_ns=trip_ms * MS, ns_per_byte=100.0, factor=2.0, queue_ns=0.0)


def test_samples_are_kept_together_and_the_oldest_goes() -> None:
    link = belief(4)
    for trip in range(1, 6):
        observe(link, trip)
    assert sorted(link.samples[2:, 0] / MS) == [4, 5]  # beside the prior and what a silent attempt would give to expect
    assert link.latest()[1:] == (100.0, 2.0)


def plain_weights(now_ns: int, *observed_at_ns: int | None) -> list[float]:
    """By row: the prior's, nobody suspected, then 1 / (1 + age in s)^2 and a fiftieth, in sum 1; None: nothing there."""
    ages = [None if at is None else (now_ns - at) / SECOND for at in observed_at_ns]
    return shares(0.05, 0.0, *(0.0 if age is None else 1 / (1 + age) ** 2 + 0.02 for age in ages))


def test_weight_falls_to_a_quarter_in_a_second_never_below_a_fiftieth_and_the_priors_stays() -> None:
    link = belief()
    assert link.weights(0) == pytest.approx(plain_weights(0, None, None))
    observe(link, 10)
    for now in (0, SECOND // 2, SECOND, 9 * SECOND, 3_600 * SECOND):
        assert link.weights(now) == pytest.approx(plain_weights(now, 0, None))
    assert link.weights(SECOND)[2] / link.weights(SECOND)[0] == pytest.approx((0.25 + 0.02) / 0.05)
    assert link.weights(10**6 * SECOND)[2] / link.weights(SECOND)[0] >= 0.02


def suspecting(trip_ns: float, rate: float, asked: list[float]) -> Suspect:
    """Says of every usual trip that it is told: this is what is to be expected now."""

    def suspect(now_ns: int, usual_ns: float) -> tuple[float, float]:
        asked.append(usual_ns)
        return trip_ns, rate

    return suspect


def test_what_an_attempt_gives_to_expect_has_half_of_the_weight_for_as_long_as_it_is_under_way() -> None:
    asked: list[float] = []
    link = belief(5)
    for trip, at in ((10, 0), (20, SECOND), (400, 2 * SECOND)):
        observe(link, trip, at_ns=at)
    now = 3 * SECOND
    plain = link.weights(now)
    assert plain == pytest.approx(plain_weights(now, 0, SECOND, 2 * SECOND))
    link.changed.clear()
    found = link.weights(now, suspecting(123e6, 7.0, asked))
    assert found[1] == pytest.approx(0.5)
    assert [found[row] for row in (0, 2, 3, 4)] == pytest.approx([plain[row] / 2 for row in (0, 2, 3, 4)])
    assert link.samples[1].tolist() == [123e6, 7.0, 2.0]  # the cloud runs as it last did
    assert link.changed == {1}
    assert link.weights(now, lambda now_ns, usual_ns: None) == pytest.approx(plain)
    assert link.weights(now) == pytest.approx(plain)
    link.weights(now, suspecting(1e12, 7.0, asked))
    assert link.samples[1, 0] == LOST_NS  # no more than what is lost


def test_what_is_suspected_is_never_what_is_usual() -> None:
    """The usual trip is the weighted median of what was observed, whatever was expected before."""
    asked: list[float] = []
    link = belief(6)
    suspect = suspecting(9e9, 7.0, asked)
    link.weights(0, suspect)
    for trip in (10, 30, 20):
        observe(link, trip)
        link.weights(0, suspect)
    assert [usual / MS for usual in asked] == [60, 10, 30, 20]  # of 10 and 30 the later: the prior is above both


def test_losses_are_forgiven_and_a_suspicion_has_nothing_to_forgive() -> None:
    link = belief()
    observe(link, 10)
    link.weights(0, suspecting(1e12, 7.0, []))
    link.forgive_losses()
    assert link.weights(0) == pytest.approx(plain_weights(0, 0, None))


def test_losses_weigh_until_they_are_forgiven() -> None:
    link = belief()
    observe(link, 10)
    link.lost(0)
    assert link.samples[3, 0] == LOST_NS
    assert link.latest()[1:] == (100.0, 2.0)
    link.forgive_losses()
    assert link.weights(0) == pytest.approx(plain_weights(0, 0, None))


def test_a_queue_that_was_told_holds_for_all_samples_and_replaces_the_last() -> None:
    link = belief()
    observe(link, 10)
    before = link.samples[:, 0].copy()
    link.set_queue(7 * MS)
    link.set_queue(3 * MS)
    np.testing.assert_array_equal(link.samples[:, 0], before + 3 * MS)


def test_a_lanes_factor_is_the_median_of_the_last() -> None:
    lane = LaneBelief(window=3)
    assert lane.factor() == 1.0
    for ratio in (9.0, 1.0, 2.0, 3.0):
        lane.observe(ratio)
    assert lane.factor() == 2.0


@given(st.floats(1e-6, 1e12))
def test_log2_and_exp2_undo_each_other_to_nine_figures(x: float) -> None:
    assert math.isclose(log2(x), math.log2(x), rel_tol=0, abs_tol=2e-9)
    assert math.isclose(exp2(log2(x)), x, rel_tol=4e-9)


def plain_bounds(values: list[float], window: int, target: float = 0.01, ceiling: float = 2.0**40) -> list[float]:
    """The recipe of docs/beliefs.md again, with the library's logarithm and shifts by name: the bound after each observation."""
    quantile = min(1 - 2 * target * (1 - target), 0.995) if target < 0.5 else 1 - target
    level, theta, alarm = math.log2(values[0]), min(2.0, 0.005 / target), 0.0
    shifts: dict[int, float] = {}
    exponent, plain = math.inf, 0.0
    scores: list[float] = []
    found = [math.inf]
    for value in values[1:]:
        x, alarm = math.log2(value), alarm * 0.8
        octave = math.floor(plain)
        if exponent < math.log2(ceiling):
            missed = x > exponent
            theta += 0.1 * (missed - target)
            alarm += min(2.0, 0.02 / target) * missed
            for place, share in ((octave, octave + 1 - plain), (octave + 1, plain - octave)):
                shifts[place] = shifts.get(place, 0.0) + 0.1 * (missed - target) * share
        scores = [*scores, x - level][-window:]
        level += 0.5 * (x - level)
        plain = level + sorted(scores)[min(int(quantile * len(scores)), len(scores) - 1)] + theta + alarm
        plain = min(max(plain, -60.0), 60.0)
        octave = math.floor(plain)
        exponent = (
            plain + shifts.get(octave, 0.0) * (octave + 1 - plain) + shifts.get(octave + 1, 0.0) * (plain - octave)
        )
        found.append(2.0 ** max(exponent, -60.0) if exponent < math.log2(ceiling) else ceiling)
    return found


@pytest.mark.parametrize("target", [0.5, 0.05, 0.01, 0.001])
@pytest.mark.parametrize("window", [1, 7, 300])
def test_the_bound_is_the_recipe(window: int, target: float) -> None:
    chance = random.Random(window)
    values = [chance.lognormvariate(3, 0.7) for _ in range(400)]
    bound = QuantileBound(target, window)
    for value, expected in zip(values, plain_bounds(values, window, target), strict=True):
        bound.observe(value)
        assert bound.bound() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("ceiling", [2.0**40, 10_000.0])
def test_a_bound_that_is_capped_does_not_wind_itself_up(ceiling: float) -> None:
    values = [1.0, 2.0**30, 1.0, 2.0**45, 1.0, 2.0**45, 1.0, 1.0, 3.0, 2.0**13.3, 1.0, 1e4, 1.0, 1.0, 1.0]
    bound = QuantileBound(ceiling=ceiling)
    for value, expected in zip(values, plain_bounds(values, 300, ceiling=ceiling), strict=True):
        bound.observe(value)
        assert bound.bound() == pytest.approx(expected, rel=1e-5)
    assert bound._theta < 1.0


def test_a_bound_is_at_its_ceiling_only_while_it_must_be() -> None:
    bound = QuantileBound(ceiling=10_000.0)
    for value in [50.0] * 300 + [10_000.0] * 20:
        bound.observe(value)
    assert bound.bound() == 10_000.0
    for _ in range(20):
        bound.observe(50.0)
    assert 50.0 < bound.bound() < 10_000.0


@pytest.mark.parametrize("extreme", [1e-300, 1e300])
def test_the_farthest_values_have_a_shift_of_their_own(extreme: float) -> None:
    bound = QuantileBound(ceiling=2.0**60)
    for value in [extreme, 1.0, extreme, extreme, 1.0, extreme] * 20:
        bound.observe(value)
        assert bound.bound() > 0.0
    assert bound.bound() <= 2.0**60


def test_after_a_miss_the_bound_is_alarmed_and_calms_down() -> None:
    bound = QuantileBound()
    for _ in range(300):
        bound.observe(1.0)
    before = bound.bound()
    bound.observe(2.0 * before)
    alarmed = bound.bound()
    for _ in range(30):
        bound.observe(1.0)
    assert alarmed > 4.0 * before
    assert before < bound.bound() < 1.5 * before


def test_bounds_of_each_size_are_missed_as_often_as_they_say() -> None:
    """A link with two tempers that its level does not tell apart well: calm ones would be missed too often without shifts."""
    chance = random.Random(3)
    bound, missed, calm = QuantileBound(0.05), 0, 0
    for index in range(40_000):
        wild = (index // 400) % 2
        value = 50.0 * chance.lognormvariate(0, 0.6 if wild else 0.1)
        if index > 8_000 and bound.bound() <= 80.0:
            calm, missed = calm + 1, missed + (value > bound.bound())
        bound.observe(value)
    assert calm > 3_000
    assert 0.04 <= missed / calm <= 0.06


def test_the_prior_is_weak_and_stands_alone_at_first() -> None:
    link = belief()
    assert link.latest() == (60e6, 2000.0, 1.0)
    assert (link.samples == link.samples[0]).all()  # a row that nobody has written says nothing else
    observe(link, 10, at_ns=SECOND)
    assert link.latest() == (10e6, 100.0, 2.0)
    assert link.weights(SECOND) == pytest.approx(plain_weights(SECOND, SECOND, None))
    assert link.weights(5 * SECOND) == pytest.approx(plain_weights(5 * SECOND, SECOND, None))


def test_when_all_was_lost_and_forgiven_the_prior_is_what_is_left() -> None:
    link = belief()
    link.lost(0)
    assert link.latest() == (LOST_NS, 2000.0, 1.0)
    link.forgive_losses()
    assert link.latest() == (60e6, 2000.0, 1.0)


def test_the_ring_goes_round_and_each_new_row_is_marked() -> None:
    link = belief(5)
    assert link.changed == {0, 1, 2, 3, 4}
    link.changed.clear()
    for count, row in enumerate((2, 3, 4, 2, 3)):
        link.observe(now_ns=count, trip_ns=count, ns_per_byte=1.0, factor=1.0, queue_ns=5.0)
        assert link.changed == {row}
        assert link.samples[row, 0] == count + 5.0
        link.changed.clear()
    link.set_queue(7.0)
    assert link.changed == {0, 1, 2, 3, 4}
    assert link.samples[:, 0].tolist() == [60e6 + 7.0, 60e6 + 7.0, 3 + 7.0, 4 + 7.0, 2 + 7.0]
    place = np.zeros((5, 3))
    link.changed.clear()
    link.attach(place)
    assert link.samples is place
    assert place[2, 0] == 10.0
    assert link.changed == {0, 1, 2, 3, 4}


def test_there_is_room_for_one_observation_whatever_the_limit() -> None:
    for limit in (1, 2, 3):
        link = belief(limit)
        observe(link, 10)
        assert link.latest()[0] == 10 * MS
        assert link.weights(0) == pytest.approx(plain_weights(0, 0))


def test_a_lane_keeps_thirty_one_ratios() -> None:
    lane = LaneBelief()
    for ratio in [5.0] * 31 + [1.0] * 15:
        lane.observe(ratio)
    assert lane.factor() == 5.0
    lane.observe(1.0)
    assert lane.factor() == 1.0
    assert len(lane._order) == len(lane._recent) == 31


def test_meeting_the_bound_is_not_missing_it() -> None:
    bound = QuantileBound()
    for _, expected in zip(range(40), plain_bounds([8.0] * 40, 300), strict=True):
        bound.observe(8.0)
        assert bound.bound() == pytest.approx(expected, rel=1e-9)
