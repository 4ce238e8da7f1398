"""Generated links against what their parameters say, worked out independently of the generator."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hedgerow.emulation.traces import Trace, read_rows
from hedgerow.errors import UsageError
from hedgerow.simulation.course import Course
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.links import names, published
from hedgerow.simulation.links.catalogue import STATES_OF_FIVE, chain
from hedgerow.simulation.links.generated import (
    draw_blackouts,
    draw_course,
    draw_delay,
    draw_gaps,
    draw_loss,
    draw_rates,
    draw_states,
    stationary,
    to_csv,
)
from hedgerow.simulation.links.model import Blackouts, Delay, Gaps, LinkModel, Loss, Rates, Source
from hedgerow.simulation.links.statistics import measure, runs

HOUR_S = 3600.0
STEP_S = 0.2
DRAWS = Draws(7)


def lengths(lost: np.ndarray) -> list[int]:
    return [end - begin for begin, end in runs(lost)]


def model(**parts: object) -> LinkModel:
    rates = Rates(fast_memory=0.5, points=(0.0, 1.0), transitions=((1.0,),), up_mbps=((1.0, 10.0),))
    plain = LinkModel(
        "test",
        "test",
        STEP_S,
        rates,
        Delay(points=((0.01, 10.0), (0.99, 100.0)), longest_ms=100.0),
        Source("assumed", "a test"),
    )
    return replace(plain, **parts)  # type: ignore[arg-type]


def test_the_long_run_distribution_is_the_chains_left_eigenvector() -> None:
    random = np.random.default_rng(1)
    for size in (1, 2, 5, 9):
        table = random.random((size, size)) ** 4 + 1e-3
        table /= table.sum(axis=1, keepdims=True)
        values, vectors = np.linalg.eig(table.T)
        left = np.real(vectors[:, int(np.argmax(np.real(values)))])
        assert stationary(table) == pytest.approx(left / left.sum(), abs=1e-12)


def test_states_are_visited_and_followed_as_the_table_says() -> None:
    table = ((0.9, 0.1, 0.0), (0.05, 0.8, 0.15), (0.1, 0.1, 0.8))
    rates = Rates(points=(0.0, 1.0), transitions=table, up_mbps=((1.0, 1.0),) * 3)
    states = draw_states(rates, DRAWS, 400_000)
    assert np.bincount(states) / len(states) == pytest.approx(stationary(np.array(table)), abs=0.01)
    followed = np.zeros((3, 3))
    np.add.at(followed, (states[:-1], states[1:]), 1.0)
    assert followed / followed.sum(axis=1, keepdims=True) == pytest.approx(np.array(table), abs=0.01)


def test_the_first_state_is_of_the_long_run_too() -> None:
    rates = Rates(points=(0.0, 1.0), transitions=((0.99, 0.01), (0.03, 0.97)), up_mbps=((1.0, 1.0),) * 2)
    first = [int(draw_states(rates, Draws(seed), 1)[0]) for seed in range(2000)]
    assert np.mean(first) == pytest.approx(0.25, abs=0.03)


def test_a_chain_between_neighbours_has_the_shares_it_was_made_for() -> None:
    assert stationary(np.array(chain(STATES_OF_FIVE, 10.0, STEP_S))) == pytest.approx(STATES_OF_FIVE, abs=1e-9)


def test_rates_follow_the_quantiles_of_their_state_straight_in_the_logarithm() -> None:
    rates = Rates(points=(0.0, 0.5, 1.0), transitions=((1.0,),), up_mbps=((1.0, 4.0, 64.0),), down_over_up=3.0)
    up, down = draw_rates(rates, DRAWS, 100_000)
    assert np.quantile(up, [0.25, 0.5, 0.75]) == pytest.approx([2.0, 4.0, 16.0], rel=0.03)
    assert down == pytest.approx(3 * up)


def test_a_state_may_be_without_any_rate_for_a_share_of_the_time() -> None:
    rates = Rates(points=(0.0, 0.5, 1.0), transitions=((1.0,),), up_mbps=((2.0, 4.0, 8.0),), none=(0.4,))
    up, down = draw_rates(rates, DRAWS, 50_000)
    assert np.mean(up == 0) == pytest.approx(0.4, abs=0.02)
    assert np.array_equal(up == 0, down == 0)
    assert np.quantile(up[up > 0], [0.0, 0.5, 1.0]) == pytest.approx([2, 4, 8], rel=0.02)


def test_losses_are_geometric_bursts_in_the_share_that_gilbert_and_elliott_give() -> None:
    loss = Loss(begin=0.01, end=0.25)
    lost = draw_loss(loss, DRAWS, 1_000_000)
    assert np.mean(lost) == pytest.approx(0.01 / 0.26, rel=0.05)
    found = lengths(lost)
    assert np.mean(found) == pytest.approx(4.0, rel=0.03)
    counts = Counter(found)
    for length in range(1, 8):
        assert counts[length] / len(found) == pytest.approx(0.25 * 0.75 ** (length - 1), abs=0.01)


def test_delays_keep_their_quantiles_and_their_tail() -> None:
    delay = Delay(points=((0.05, 20.0), (0.5, 40.0), (0.9, 80.0)), longest_ms=1e5, tail_index=2.0)
    drawn = draw_delay(delay, DRAWS, 400_000)
    assert np.quantile(drawn, [0.05, 0.5, 0.9]) == pytest.approx([20, 40, 80], rel=0.02)
    # Pareto of index 2 above 80 ms: a hundredth of those above it is ten times as long.
    assert np.quantile(drawn, [0.9 + 0.1 * (1 - 1 / 4), 0.999]) == pytest.approx([160, 800], rel=0.1)
    assert draw_delay(replace(delay, longest_ms=100.0), DRAWS, 10_000).max() == 100.0


def test_scores_have_the_memory_of_a_slow_and_a_fast_ar1() -> None:
    # Straight between two points far out: the logarithm of the delay is the score itself, up to a factor.
    delay = Delay(
        points=((1e-6, 1.0), (1 - 1e-6, 100.0)), longest_ms=100.0, slow_share=0.6, slow_memory=0.98, fast_memory=0.5
    )
    logs = np.log(draw_delay(delay, DRAWS, 400_000))
    logs -= logs.mean()
    for lag in (1, 2, 5, 20):
        seen = float((logs[lag:] * logs[:-lag]).mean() / logs.var())
        assert seen == pytest.approx(0.6 * 0.98**lag + 0.4 * 0.5**lag, abs=0.03)


def test_gaps_come_as_often_and_last_as_long_as_stated_and_the_round_trip_falls_back() -> None:
    gaps = Gaps(per_hour=30.0, mean_s=0.4, raised=8.0, memory=0.5)
    lost, raised = draw_gaps(gaps, DRAWS, round(500 * HOUR_S / STEP_S), STEP_S)
    found = lengths(lost)
    assert len(found) / 500 == pytest.approx(30, rel=0.05)
    assert np.mean(found) * STEP_S == pytest.approx(0.4, rel=0.05)
    assert max(found) == 4  # five lost probes at 5 Hz would be a blackout
    begin, end = runs(lost)[0]
    assert raised[begin - 1] == 1
    assert raised[end : end + 3] == pytest.approx([8.0, 8**0.5, 8**0.25])


def test_blackouts_last_a_second_or_more() -> None:
    lost = draw_blackouts(Blackouts(per_hour=10.0, mean_s=4.0), DRAWS, round(500 * HOUR_S / STEP_S), STEP_S)
    found = lengths(lost)
    assert min(found) >= 5
    assert len(found) / 500 == pytest.approx(10, rel=0.1)
    assert np.mean(found) * STEP_S == pytest.approx(4.0 + STEP_S / 2, rel=0.05)  # whole steps, rounded up


def same(one: Course, other: Course, rows: int) -> bool:
    columns = ("starts_ns", "round_trip_ns", "up_bytes_per_s", "down_bytes_per_s", "frozen")
    return all(np.array_equal(getattr(one, name)[:rows], getattr(other, name)[:rows]) for name in columns)


@pytest.mark.parametrize("name", names())
def test_the_same_seed_gives_the_same_course_and_a_longer_one_begins_with_it(name: str) -> None:
    made = published(name)
    short = draw_course(made, Draws(3), 120.0)
    again, longer = draw_course(made, Draws(3), 120.0), draw_course(made, Draws(3), 600.0)
    assert same(short, again, short.rows)
    assert same(short, longer, short.rows)
    assert not same(short, draw_course(made, Draws(4), 120.0), short.rows)
    assert short.end_ns == 120 * 10**9


def test_one_parts_figures_change_no_other_parts_draws() -> None:
    plain = draw_course(model(), DRAWS, 60.0)
    lossy = draw_course(model(loss=Loss(0.1, 0.5)), DRAWS, 60.0)
    assert np.array_equal(plain.up_bytes_per_s, lossy.up_bytes_per_s)
    assert lossy.frozen.any()
    kept = ~lossy.frozen
    assert np.array_equal(plain.round_trip_ns[kept], lossy.round_trip_ns[kept])


def test_a_lost_probe_keeps_the_last_known_round_trip() -> None:
    course = draw_course(model(loss=Loss(0.2, 0.5)), DRAWS, 60.0)
    for row in range(1, course.rows):
        if course.frozen[row]:
            assert course.round_trip_ns[row] == course.round_trip_ns[row - 1] or course.frozen[:row].all()


def test_a_drawn_trace_is_read_back_as_the_same_course(tmp_path: Path) -> None:
    course = draw_course(published("cellular"), Draws(2), 90.0)
    path = tmp_path / "drawn.csv"
    path.write_text(to_csv(course))
    assert len(read_rows(path)) == course.rows
    back = Course.of_trace(Trace.load(path))
    assert back.frozen.tolist() == course.frozen.tolist()
    assert back.round_trip_ns == pytest.approx(course.round_trip_ns, rel=1e-5)
    assert back.up_bytes_per_s == pytest.approx(course.up_bytes_per_s, rel=1e-5)
    assert back.down_bytes_per_s == pytest.approx(course.down_bytes_per_s, rel=1e-5)
    assert back.end_ns == course.end_ns


@pytest.mark.parametrize("duration_s", [0.0, -1.0, math.nan, math.inf, 1e12, 2e6])
def test_a_duration_that_no_course_can_have_is_refused(duration_s: float) -> None:
    with pytest.raises(UsageError, match=r"give more than 0|at most"):
        draw_course(model(), DRAWS, duration_s)


STATED = {
    # name: round trip (probability, ms), uplink (probability, Mbit/s), downlink, share lost; by hand from the sources
    "cellular-verizon": (
        ((0.05, 31), (0.5, 51), (0.95, 100), (0.99, 591)),
        ((0.05, 0.3), (0.25, 4.1), (0.5, 13), (0.75, 28), (0.95, 57)),
        ((0.05, 0.2), (0.25, 16), (0.5, 50), (0.75, 125), (0.95, 353)),
        0.0064,
    ),
    "cellular-atnt": (
        ((0.05, 36), (0.5, 60), (0.95, 116), (0.99, 245)),
        ((0.05, 0.4), (0.25, 4.2), (0.5, 11), (0.75, 24), (0.95, 56)),
        ((0.05, 0.6), (0.25, 13), (0.5, 41), (0.75, 99), (0.95, 245)),
        0.0023,
    ),
    "cellular-tmobile": (((0.05, 37), (0.5, 55), (0.95, 151), (0.99, 273)), (), (), 0.0072),
    "private-5g": (((0.025, 8), (0.975, 20)), (), (), None),
}


@pytest.mark.parametrize("name", STATED)
@pytest.mark.parametrize("looks", [500, pytest.param(2000, marks=pytest.mark.slow)])
def test_long_draws_have_the_published_quantiles(name: str, looks: int) -> None:
    trip_ms, up, down, lost = STATED[name]
    # Many short courses, each begun in the long run: independent looks, a standard error of 1.1 % at most for 2,000 of them.
    courses = [draw_course(published(name), Draws(seed), 0.2) for seed in range(looks)]
    known_ms = np.concatenate([course.round_trip_ns[~course.frozen] for course in courses]) / 1e6
    columns = [
        np.concatenate([getattr(course, column) for course in courses]) / 125_000
        for column in ("up_bytes_per_s", "down_bytes_per_s")
    ]
    for values, stated in ((known_ms, trip_ms), (columns[0], up), (columns[1], down)):
        for probability, value in stated:
            # The share below the stated value rather than the value: it does not depend on how steep the quantiles are.
            assert np.mean(values <= value) == pytest.approx(probability, abs=3 * 0.5 / math.sqrt(looks))
    if lost is not None:
        assert measure([draw_course(published(name), Draws(1), 100_000.0)], STEP_S).lost_share == pytest.approx(
            lost, rel=0.1
        )


def test_wired_links_have_the_jitter_that_was_measured() -> None:
    def excess_us(name: str) -> np.ndarray:
        course = draw_course(published(name), Draws(1), 40_000.0)
        return np.asarray(course.round_trip_ns / 1e3 - 200)

    best_effort = excess_us("wired-ethernet") / 2  # two directions
    assert np.mean(best_effort) == pytest.approx(15.666, rel=0.1)
    assert best_effort.max() == pytest.approx(119.753, rel=0.01)
    scheduled = excess_us("wired-tsn")
    assert np.quantile(scheduled, 0.999) <= 0.13
    assert scheduled.max() == pytest.approx(1000.003, rel=0.01)
    fibre = draw_course(published("wired-fibre"), Draws(1), 1000.0)
    assert fibre.round_trip_ns.min() / 1e6 == pytest.approx(2 * 62.137 / 124 + 2, rel=0.001)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="wired-tsn"):
        published("wifi")


def test_every_model_says_where_its_figures_are_from() -> None:
    for name in names():
        source = published(name).source
        assert source.label in ("fitted", "published")
        assert source.label == "fitted" or "assumed" in source.text
