"""Characters that stand for latencies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.views.kinds import Kind
from hedgerow.views.state import Shot
from hedgerow.views.strips import deadline_bar, legend, recent_strip, timed_strip

DEADLINE_MS = 100.0


def shot(t_ms: float, age_ms: float) -> Shot:
    return Shot(t_ms, age_ms, Kind.CLOUD, age_ms > DEADLINE_MS)


@pytest.mark.parametrize(
    ("value_ms", "bar"), [(0.0, "······|··"), (50.0, "━━━···|··"), (100.0, "━━━━━━|··"), (1e6, "━━━━━━|━━")]
)
def test_a_bar_shows_the_deadline(value_ms: float, bar: str) -> None:
    assert deadline_bar(value_ms, DEADLINE_MS, width=8).plain == bar


@given(st.floats(0, 1e9), st.integers(4, 200))
def test_a_bar_keeps_its_width(value_ms: float, width: int) -> None:
    assert len(deadline_bar(value_ms, DEADLINE_MS, width=width).plain) == width + 1


def test_the_last_answers_are_shown_by_their_age() -> None:
    shots = [shot(0, 1.0), shot(1, 50.0), shot(2, 99.9), shot(3, 250.0)]
    strip = recent_strip(shots, DEADLINE_MS, width=3)
    assert strip.plain == "▅██"
    assert [str(span.style) for span in strip.spans] == ["bright_blue", "bright_blue", "bold red"]


def test_over_time_each_column_shows_its_worst_and_gaps_stay_blank() -> None:
    shots = [shot(0, 5.0), shot(10, 250.0), shot(20, 60.0), shot(900, 1.0), shot(5000, 55.0)]
    assert timed_strip(shots, DEADLINE_MS, span_ms=1000.0, width=10).plain == "█" + " " * 8 + "▅"


def test_the_legend_names_every_kind() -> None:
    for kind in Kind:
        assert kind is Kind.NONE or str(kind) in legend().plain
