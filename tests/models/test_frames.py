"""Pictures become upright RGB frames; what is not a picture is refused by name."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hedgerow.errors import UsageError
from hedgerow.models import frames
from hedgerow.models.frames import load_frame

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)


def test_a_lossless_picture_comes_back_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    frame = load_frame(tmp_path / "a.png")
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, PIXELS)
    np.testing.assert_array_equal(load_frame(str(tmp_path / "a.png")), PIXELS)
    assert frame.flags.c_contiguous
    assert frame.flags.writeable


@pytest.mark.parametrize(("orientation", "quarter_turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_the_cameras_orientation_is_respected(tmp_path: Path, orientation: int, quarter_turns: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_frame(tmp_path / "a.png"), np.rot90(PIXELS, quarter_turns))


@pytest.mark.parametrize(
    ("mode", "name"),
    [("L", "a.png"), ("LA", "a.png"), ("RGBA", "a.png"), ("P", "a.gif"), ("1", "a.png"), ("CMYK", "a.jpg")],
)
def test_every_mode_of_eight_bits_becomes_three_channels(tmp_path: Path, mode: str, name: str) -> None:
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / name)
    assert load_frame(tmp_path / name).shape == (5, 8, 3)


def test_sixteen_bits_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    Image.new("I;16", (8, 5)).save(tmp_path / "deep.png")
    with pytest.raises(UsageError, match=r"deep\.png has more than 8 bits"):
        load_frame(tmp_path / "deep.png")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name in ("text.jpg", "empty.jpg"):
        with pytest.raises(UsageError, match=f"{name} is not a picture"):
            load_frame(tmp_path / name)
    Image.fromarray(PIXELS).save(tmp_path / "a.tiff")
    with pytest.raises(UsageError, match=r"a\.tiff is not a picture that can be read; give one of JPEG, PNG"):
        load_frame(tmp_path / "a.tiff")
    with pytest.raises(UsageError, match=r"none\.jpg: No such file"):
        load_frame(tmp_path / "none.jpg")
    with pytest.raises(UsageError, match="cannot read the picture"):
        load_frame(tmp_path)


@pytest.mark.parametrize("format_name", ["jpeg", "png", "webp", "gif", "bmp", "ppm"])
def test_a_picture_cut_short_or_damaged_is_refused_or_read_never_worse(tmp_path: Path, format_name: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "good", format=format_name)
    data = (tmp_path / "good").read_bytes()
    damaged = tmp_path / "damaged"
    for place in range(0, len(data), max(1, len(data) // 60)):
        broken = bytearray(data)
        broken[place] ^= 0xFF
        for content in (data[:place], bytes(broken)):
            damaged.write_bytes(content)
            with contextlib.suppress(UsageError):
                load_frame(damaged)


def test_a_picture_above_the_limit_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr(frames, "FRAME_PIXELS_MAX", 39)
    with pytest.raises(UsageError, match=r"a\.png has 8 x 5 pixels, more than 39"):
        load_frame(tmp_path / "a.png")


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    for side in (10_000, 20_000):  # Pillow warns about the first and refuses the second
        Image.new("1", (side, side)).save(tmp_path / "bomb.png")
        with pytest.raises(UsageError, match="pixels"):
            load_frame(tmp_path / "bomb.png")
