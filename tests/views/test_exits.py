"""The picture is drawn, of the size it says."""

from pathlib import Path

import pytest

from hedgerow.views.exits import HEIGHT_PX, WIDTH_PX, ExitPoint, draw_exits


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra plots")
    from PIL import Image

    points = [ExitPoint(0.01, 0.006, 2.1, (0.7, 0.1)), ExitPoint(0.02, 0.015, 2.4, (0.8, 0.1))]
    draw_exits(points, ["early", "late"], "title", tmp_path / "exits.png")
    with Image.open(tmp_path / "exits.png") as picture:
        assert picture.size == (WIDTH_PX, HEIGHT_PX)
