"""The fit against models whose figures are known: what was put in comes out again; and against what it cannot fit."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from hedgerow.emulation.traces import TraceRow
from hedgerow.errors import UsageError
from hedgerow.simulation.course import Course
from hedgerow.simulation.draws import Draws
from hedgerow.simulation.links import published
from hedgerow.simulation.links.fit import ROWS_MIN, STATES, fit
from hedgerow.simulation.links.generated import draw_course, stationary
from hedgerow.simulation.links.model import Blackouts, Gaps, LinkModel, Loss, Source
from hedgerow.simulation.links.statistics import LAGS_S, measure

SOURCE = Source("assumed", "a test")


def courses(model: LinkModel, count: int, seconds: float) -> list[Course]:
    return [draw_course(model, Draws(5).within(str(index)), seconds) for index in range(count)]


@pytest.fixture(scope="module")
def original() -> LinkModel:
    """The shipped one, with rarer things made frequent enough to be estimated."""
    return replace(
        published("cellular"),
        loss=Loss(begin=0.002, end=0.6),
        gaps=Gaps(per_hour=60.0, mean_s=0.4, raised=12.0, memory=0.75),
        blackouts=Blackouts(per_hour=20.0, mean_s=3.0),
    )


@pytest.fixture(scope="module")
def again(original: LinkModel) -> LinkModel:
    """Refitted from 15 hours of its own generated links."""
    return fit(courses(original, 30, 1800.0), SOURCE)


def test_losses_come_back(original: LinkModel, again: LinkModel) -> None:
    # One burst in about twenty is followed by twice the round trip by chance, and counts as a handover.
    assert again.loss.begin == pytest.approx(original.loss.begin, rel=0.15)
    assert again.loss.end == pytest.approx(original.loss.end, rel=0.1)
    assert again.gaps.per_hour == pytest.approx(original.gaps.per_hour, rel=0.15)
    assert again.gaps.mean_s == pytest.approx(original.gaps.mean_s, rel=0.15)
    assert np.log(again.gaps.raised) == pytest.approx(np.log(original.gaps.raised), rel=0.15)
    assert again.gaps.memory == pytest.approx(original.gaps.memory, abs=0.05)
    assert again.blackouts.per_hour == pytest.approx(original.blackouts.per_hour, rel=0.15)
    assert again.blackouts.mean_s == pytest.approx(original.blackouts.mean_s, rel=0.15)


def test_delays_come_back(original: LinkModel, again: LinkModel) -> None:
    for (probability, value_ms), (other, found_ms) in zip(original.delay.points, again.delay.points, strict=True):
        assert other == probability
        assert found_ms == pytest.approx(value_ms, rel=0.05 if probability <= 0.95 else 0.35)
    assert again.delay.slow_share == pytest.approx(original.delay.slow_share, abs=0.1)
    assert again.delay.slow_memory == pytest.approx(original.delay.slow_memory, abs=0.01)
    assert again.delay.fast_memory == pytest.approx(original.delay.fast_memory, abs=0.1)
    assert again.delay.tail_index == pytest.approx(original.delay.tail_index, rel=0.5)


def test_rates_come_back(original: LinkModel, again: LinkModel) -> None:
    before, after = np.array(original.rates.transitions), np.array(again.rates.transitions)
    assert after.shape == before.shape == (STATES, STATES)
    assert stationary(after) == pytest.approx(stationary(before), abs=0.01)
    assert np.diag(after) == pytest.approx(np.diag(before), abs=0.004)
    slowest = [np.sort(np.abs(np.linalg.eigvals(table)))[-2] for table in (before, after)]
    assert slowest[1] == pytest.approx(slowest[0], abs=0.002)
    # The slow part is not told apart: the moving mean takes most of it for the states' own. What comes of both is, below.
    for lag_s in (0.2, 1.0):
        one, other = (
            rates.slow_share * rates.slow_memory ** (lag_s / 0.2)
            + (1 - rates.slow_share) * rates.fast_memory ** (lag_s / 0.2)
            for rates in (original.rates, again.rates)
        )
        assert other == pytest.approx(one, abs=0.12)
    middle = original.rates.points.index(0.5)
    for one, other in zip(original.rates.up_mbps, again.rates.up_mbps, strict=True):
        assert other[middle] == pytest.approx(one[middle], rel=0.15)
    assert again.rates.down_over_up == pytest.approx(4.0, rel=0.001)


def test_what_is_drawn_is_like_what_was_fitted(original: LinkModel, again: LinkModel) -> None:
    one, other = (measure(courses(each, 30, 1800.0), each.step_s) for each in (original, again))
    assert other.round_trip_ms[:6] == pytest.approx(one.round_trip_ms[:6], rel=0.05)
    assert other.up_mbps[2:] == pytest.approx(one.up_mbps[2:], rel=0.2)
    assert other.lost_share == pytest.approx(one.lost_share, rel=0.15)
    for place in range(len(LAGS_S)):
        assert other.up_memory[place] == pytest.approx(one.up_memory[place], abs=0.06)
        assert other.round_trip_memory[place] == pytest.approx(one.round_trip_memory[place], abs=0.06)


def rows(count: int, *, step_s: float = 0.2, lost: tuple[int, ...] = (), radio: str = "x") -> list[TraceRow]:
    random = np.random.default_rng(0)
    return [
        TraceRow(
            index * step_s,
            None if index in lost else 20 + 10 * float(random.random()),
            5 + float(random.random()),
            None,
            radio,
        )
        for index in range(count)
    ]


def test_too_few_probes_are_refused_with_how_many_are_missing() -> None:
    course = Course.of_rows(rows(300, lost=(5, 6)), name="short")
    with pytest.raises(UsageError, match=rf"298 received .* {ROWS_MIN - 298} more"):
        fit([course], SOURCE)


def test_probes_that_are_too_rare_to_tell_a_stall_are_refused() -> None:
    with pytest.raises(UsageError, match="two probes a second"):
        fit([Course.of_rows(rows(2000, step_s=1.0), name="rare")], SOURCE)


def test_no_course_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        fit([], SOURCE)


def test_a_link_without_losses_gets_a_model_without_losses() -> None:
    model = fit([Course.of_rows(rows(1500), name="clean")], SOURCE)
    assert (model.loss.begin, model.gaps.per_hour, model.blackouts.per_hour) == (0.0, 0.0, 0.0)
    assert not draw_course(model, Draws(1), 600.0).frozen.any()


def test_a_link_that_stands_still_gets_a_model_that_stands_still() -> None:
    still = [TraceRow(index * 0.2, 30.0, 8.0, 16.0) for index in range(1500)]
    model = fit([Course.of_rows(still, name="still")], SOURCE)
    drawn = draw_course(model, Draws(1), 60.0)
    assert drawn.round_trip_ns / 1e6 == pytest.approx(30.0)
    assert drawn.up_bytes_per_s == pytest.approx(1e6)
    assert drawn.down_bytes_per_s == pytest.approx(2e6)


def test_a_run_of_a_second_is_a_blackout_and_a_shorter_one_a_burst() -> None:
    lost = (*range(100, 105), *range(300, 304), 700)
    model = fit([Course.of_rows(rows(1500, lost=lost), name="lossy")], SOURCE)
    assert model.blackouts.per_hour == pytest.approx(3600 / 300)
    assert model.blackouts.mean_s == pytest.approx(1.0)
    assert model.loss.end == pytest.approx(2 / 5, rel=1e-4)
    assert model.loss.begin == pytest.approx(2 / 1490, rel=1e-4)


def test_a_raised_round_trip_after_a_run_makes_it_a_handover() -> None:
    given = rows(1500, lost=(200, 201, 900))
    given[202] = replace(given[202], rtt_ms=200.0)
    model = fit([Course.of_rows(given, name="handover")], SOURCE)
    assert model.gaps.per_hour == pytest.approx(3600 / 300)
    assert model.gaps.mean_s == pytest.approx(0.4)
    assert model.gaps.raised == pytest.approx(200 / 25, rel=0.3)
    assert model.loss.begin == pytest.approx(1 / 1497, rel=1e-4)


def test_time_without_any_rate_comes_back() -> None:
    original = replace(
        published("cellular"), rates=replace(published("cellular").rates, none=(0.3, 0.0, 0.0, 0.0, 0.0, 0.1))
    )
    drawn = courses(original, 10, 1800.0)
    seen = np.mean(np.concatenate([course.up_bytes_per_s for course in drawn]) == 0)
    model = fit(drawn, SOURCE)
    again = np.mean(np.concatenate([course.up_bytes_per_s for course in courses(model, 10, 1800.0)]) == 0)
    assert model.rates.none
    assert again == pytest.approx(seen, rel=0.25)


def test_a_link_without_any_rate_gets_a_model_without_any() -> None:
    model = fit([Course.of_rows([replace(row, uplink_mbps=0.0) for row in rows(1200)], name="mute")], SOURCE)
    assert model.rates.none == (1.0,)
    assert not draw_course(model, Draws(1), 60.0).up_bytes_per_s.any()


def test_the_shipped_model_is_the_fit_of_the_drives_that_it_names(shared_data: Path) -> None:
    shipped = published("cellular")
    recorded = [Course.load(shared_data / "links" / name) for name in shipped.source.traces]
    assert len(recorded) == 49
    assert not any("wifi" in name for name in shipped.source.traces)
    digest = sha256()
    for name in shipped.source.traces:
        digest.update((shared_data / "links" / name).read_bytes())
    assert shipped.source.sha256 == digest.hexdigest()
    assert fit(recorded, shipped.source, name="cellular") == shipped
    told, drawn = measure(recorded, 0.2), measure(courses(shipped, 49 * 10, 107.4), 0.2)
    assert drawn.round_trip_ms[:6] == pytest.approx(told.round_trip_ms[:6], rel=0.05)
    assert drawn.up_mbps[2:] == pytest.approx(told.up_mbps[2:], rel=0.15)
