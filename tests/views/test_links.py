"""The picture of recorded links beside generated ones: something is on it, from both."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hedgerow.errors import HostError, UsageError
from hedgerow.views.links import COLOURS, HEIGHT_PX, WIDTH_PX, Side, draw_links

LAGS_S = (0.2, 1.0, 10.0)


def side(name: str) -> Side:
    random = np.random.default_rng(len(name))
    return Side(
        name, np.exp(3 + random.standard_normal(2000)), np.maximum(0, random.standard_normal(2000)), (0.9, 0.5, None), (0.8, 0.2, -0.1),
        (3.0, 2.0, 1.0, 0.5, 0.0, 1.0),
    )  # fmt: skip


def test_both_sides_are_drawn(tmp_path: Path) -> None:
    path = draw_links(tmp_path / "links.png", [side("source"), side("generated")], lags_s=LAGS_S, title="a test")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (HEIGHT_PX, WIDTH_PX, 3)
    for colour in COLOURS:
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert (pixels == wanted).all(axis=-1).sum() > 500


def test_it_takes_two_sides(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two sides"):
        draw_links(tmp_path / "links.png", [side("source")], lags_s=LAGS_S, title="a test")


def test_a_path_that_cannot_be_written_is_this_machines_fault(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot write the picture"):
        draw_links(tmp_path / "no" / "links.png", [side("a"), side("b")], lags_s=LAGS_S, title="a test")
