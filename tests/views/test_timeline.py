"""The timeline: a picture with something on it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hedgerow.errors import HostError, UsageError
from hedgerow.views.kinds import LOOKS, Kind
from hedgerow.views.timeline import SHADES, WIDTH_PX, Band, Dot, draw_timeline

BANDS = [Band("good", 0.0, 5.0), Band("blackout", 5.0, 8.0), Band("good", 8.0, 10.0)]


def dots(kind: Kind, *, late: bool = False) -> list[Dot]:
    return [Dot(index / 10, 900.0 if late else 60.0 + index % 7, kind, late) for index in range(100)]


def draw(path: Path, drives: dict[str, list[Dot]]) -> np.ndarray:
    bands = dict.fromkeys(drives, BANDS)
    draw_timeline(path, drives, bands, deadline_ms=150.0, seconds=10.0, title="a test", captions={"one": "99 of 100"})
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def has(pixels: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return bool((pixels == wanted).all(axis=-1).any())


def test_every_drive_its_dots_and_the_link_are_drawn(tmp_path: Path) -> None:
    pixels = draw(tmp_path / "t.png", {"one": dots(Kind.DEVICE), "two": dots(Kind.CLOUD)})
    assert pixels.shape[1] == WIDTH_PX
    for colour in (LOOKS[Kind.DEVICE].picture, LOOKS[Kind.CLOUD].picture, SHADES["blackout"], "#B22222"):
        assert has(pixels, colour)
    assert not has(pixels, LOOKS[Kind.SPLIT].picture)


def test_more_drives_make_a_taller_picture(tmp_path: Path) -> None:
    one = draw(tmp_path / "1.png", {"one": dots(Kind.DEVICE)})
    three = draw(tmp_path / "3.png", {name: dots(Kind.DEVICE) for name in ("one", "two", "three")})
    assert three.shape[0] > one.shape[0]


def test_what_is_off_the_scale_is_drawn_at_the_edge(tmp_path: Path) -> None:
    assert has(draw(tmp_path / "t.png", {"one": dots(Kind.RESERVE, late=True)}), LOOKS[Kind.RESERVE].picture)


def test_no_drive_and_no_folder_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one drive"):
        draw(tmp_path / "t.png", {})
    with pytest.raises(HostError, match="cannot write the picture"):
        draw(tmp_path / "nowhere" / "t.png", {"one": dots(Kind.DEVICE)})
