"""The preparation against resizing the whole frame with Pillow and normalising in float64; and its refusals."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hedgerow.errors import UsageError
from hedgerow.models import preparation
from hedgerow.models.preparation import Preparation

TABLE: dict[str, Any] = {
    "version": 1,
    "resize_shorter": 256,
    "crop": 224,
    "interpolation": "bilinear",
    "scale": 255,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "layout": "NCHW",
}


def made(**changes: Any) -> Preparation:
    return Preparation.from_table(TABLE | changes, where="task.toml: preparation")


def frame_of(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_close(prepared: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(prepared, expected, atol=2e-6)


def normalised(square: np.ndarray, using: Preparation) -> np.ndarray:
    pixels = square.astype(np.float64) / using.scale
    return ((pixels - using.mean) / using.std).transpose(2, 0, 1)[None]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("height", "width"), [(512, 584), (584, 512), (128, 192), (512, 512)])
def test_it_equals_resizing_the_whole_frame_and_cutting_its_centre(interpolation: str, height: int, width: int) -> None:
    using = made(interpolation=interpolation)
    frame = frame_of(height, width)
    shrink = min(height, width) / 256  # a power of two, so that both ways round alike
    whole = Image.fromarray(frame).resize(
        (int(width / shrink), int(height / shrink)), Image.Resampling[interpolation.upper()]
    )
    left, top = (whole.width - 224) // 2, (whole.height - 224) // 2
    square = np.asarray(whole.crop((left, top, left + 224, top + 224)))
    assert_close(using.prepare({"frame": frame})["input"], normalised(square, using))


@pytest.mark.parametrize(("height", "width"), [(256, 256), (256, 341), (341, 256), (256, 257)])
def test_a_frame_of_the_right_size_is_only_cut(height: int, width: int) -> None:
    frame = frame_of(height, width)
    top, left = (height - 224) // 2, (width - 224) // 2
    assert_close(
        made().prepare({"frame": frame})["input"], normalised(frame[top : top + 224, left : left + 224], made())
    )


def test_the_output_is_named_shaped_and_laid_out_as_declared() -> None:
    frame = frame_of(300, 200)
    first = made(input="picture").prepare({"frame": frame})
    last = made(layout="NHWC").prepare({"frame": frame})
    assert list(first) == ["picture"]
    assert (first["picture"].dtype.name, first["picture"].shape) == ("float32", (1, 3, 224, 224))
    np.testing.assert_array_equal(last["input"], first["picture"].transpose(0, 2, 3, 1))
    for using in (made(input="picture"), made(layout="NHWC")):
        (spec,) = using.output_spec
        spec.check(using.prepare({"frame": frame})[spec.name])
        assert using.prepare({"frame": frame})[spec.name].flags.c_contiguous
        using.input_spec[0].check(frame)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 700), width=st.integers(1, 700), crop=st.integers(1, 40), margin=st.integers(0, 9))
def test_frames_of_any_size_give_finite_values_within_the_range_of_pixels(
    height: int, width: int, crop: int, margin: int
) -> None:
    using = made(crop=crop, resize_shorter=crop + margin, interpolation="bicubic")
    frame = frame_of(height, width)
    before = frame.copy()
    (prepared,) = using.prepare({"frame": frame}).values()
    assert prepared.shape == (1, 3, crop, crop)
    for channel in range(3):
        low, high = ((value - using.mean[channel]) / using.std[channel] for value in (0, 1))
        assert low - 1e-5 <= prepared[0, channel].min()
        assert prepared[0, channel].max() <= high + 1e-5
    np.testing.assert_array_equal(frame, before)
    np.testing.assert_array_equal(using.prepare({"frame": frame})["input"], prepared)


def test_a_view_that_is_not_contiguous_gives_the_same_as_its_copy() -> None:
    wide = frame_of(300, 800)
    view = wide[::-1, ::2]
    for using in (made(), made(resize_shorter=300)):
        np.testing.assert_array_equal(
            using.prepare({"frame": view})["input"], using.prepare({"frame": view.copy()})["input"]
        )


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "expected the one tensor 'frame', not none"),
        ({"image": frame_of(3, 3)}, "not 'image'"),
        ({"frame": frame_of(3, 3), "more": frame_of(3, 3)}, "not 'frame', 'more'"),
        ({"frame": frame_of(3, 3).astype(np.float32)}, r"not float32 \(3, 3, 3\)"),
        ({"frame": frame_of(3, 3)[..., :1]}, r"not uint8 \(3, 3, 1\)"),
        ({"frame": frame_of(3, 3).transpose(2, 0, 1)[:, :, :2]}, r"not uint8 \(3, 3, 2\)"),
        ({"frame": frame_of(3, 3)[None]}, r"not uint8 \(1, 3, 3, 3\)"),
        ({"frame": np.zeros((0, 4, 3), np.uint8)}, "has 0 pixels"),
        ({"frame": [[1, 2, 3]]}, "must be a NumPy array, not list"),
    ],
)
def test_what_is_not_one_rgb_frame_is_refused(tensors: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made().prepare(tensors)


def test_a_frame_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "FRAME_PIXELS_MAX", 11)
    with pytest.raises(UsageError, match="has 12 pixels; allowed are 1 to 11"):
        made().prepare({"frame": frame_of(3, 4)})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "version 2 is not known"),
        ({"version": True}, "version True is not known"),
        ({"crop": 0}, "'crop' must be a whole number"),
        ({"crop": 224.0}, "'crop' must be a whole number"),
        ({"resize_shorter": 99999}, "'resize_shorter' must be a whole number of pixels from 1 to 4096"),
        ({"crop": 257}, r"'crop' \(257\) must not exceed 'resize_shorter' \(256\)"),
        ({"interpolation": "cubic"}, "'interpolation' must be one of nearest, bilinear, bicubic, lanczos, not 'cubic'"),
        ({"interpolation": ["bilinear"]}, "'interpolation' must be one of"),
        ({"layout": "CHW"}, "'layout' must be one of NCHW, NHWC"),
        ({"scale": 0}, "'scale' must be a number above 0"),
        ({"scale": float("nan")}, "'scale' must be a number above 0"),
        ({"scale": "255"}, "'scale' must be a number above 0"),
        ({"mean": [0.5, 0.5]}, "'mean' must be three finite numbers"),
        ({"mean": 0.5}, "'mean' must be three finite numbers"),
        ({"mean": [0.5, 0.5, float("inf")]}, "'mean' must be three finite numbers"),
        ({"std": [0.5, 0.0, 0.5]}, "'std' must be above 0"),
        ({"input": ""}, "'input' must be the name"),
        ({"colour": "RGB"}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=rf"^task\.toml: preparation: .*{said}"):
        made(**changes)


@pytest.mark.parametrize("key", TABLE)
def test_a_missing_field_is_named(key: str) -> None:
    table = {name: value for name, value in TABLE.items() if name != key}
    with pytest.raises(UsageError, match=f"'{key}' is missing"):
        Preparation.from_table(table, where="here")


def test_the_version_changes_with_every_field_and_with_nothing_else() -> None:
    assert made().version_id == made(scale=255.0, input="input").version_id
    others = [
        made(resize_shorter=257),
        made(crop=223),
        made(interpolation="bicubic"),
        made(scale=254),
        made(mean=[0.485, 0.456, 0.407]),
        made(std=[0.229, 0.224, 0.226]),
        made(layout="NHWC"),
        made(input="x"),
    ]
    assert len({using.version_id for using in [made(), *others]}) == 9
    assert made().version_id.startswith("v1-")
    assert Preparation.from_table(made().to_table(), where="here") == made()
