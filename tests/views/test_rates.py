"""The picture of agreement against bytes is drawn, whatever the curves hold."""

from pathlib import Path

import pytest

from hedgerow.views.rates import RateCurve, draw_rates


def test_it_is_written_even_where_a_curve_has_no_useful_point(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    curves = [
        RateCurve("one", [(500, 0.4), (900, 0.8), (2000, 0.97)]),
        RateCurve("two", [(100, 0.1)], dashed=True),
        RateCurve("none", []),
    ]
    path = tmp_path / "rates.png"
    draw_rates(curves, path, asked=0.95, title="a test")
    assert path.read_bytes().startswith(b"\x89PNG")
