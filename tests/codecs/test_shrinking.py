"""Frames larger than the models look at: shrunk before they are compressed, never enlarged, in proportion."""

import numpy as np
import pytest

from hedgerow.codecs import CodecLimits, get
from hedgerow.errors import UsageError

LIMITS = CodecLimits()


def photograph(height: int, width: int) -> np.ndarray:
    """Gradients with some texture."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [128 + 100 * np.sin(rows / 17 + shift) * np.cos(columns / 23) for shift in (0.0, 1.0, 2.0)]
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("family", ["jpeg", "webp"])
@pytest.mark.parametrize(
    ("size", "back"), [((720, 1280), (256, 455)), ((1280, 720), (455, 256)), ((200, 300), (200, 300))]
)
def test_the_shorter_side_comes_down_to_what_was_asked(
    family: str, size: tuple[int, int], back: tuple[int, int]
) -> None:
    codec = get(f"{family}:75,256")
    assert codec.name == f"{family}:75,256"
    frame = codec.decode(codec.encode({"frame": photograph(*size)}), limits=LIMITS)["frame"]
    assert frame.shape == (*back, 3)


def test_a_shrunk_frame_is_still_the_same_picture_in_fewer_bytes() -> None:
    frame = photograph(720, 1280)
    small, large = get("jpeg:75,256"), get("jpeg:75")
    payload = small.encode({"frame": frame})
    assert 4 * len(payload) < len(large.encode({"frame": frame}))
    back = small.decode(payload, limits=LIMITS)["frame"].astype(float)
    coarse = frame[1::3, 1::3].astype(float)
    assert np.abs(back[: coarse.shape[0] // 2].mean() - coarse[: coarse.shape[0] // 2].mean()) < 3


@pytest.mark.parametrize(
    "spec", ["jpeg:75,0", "jpeg:75,1", "jpeg:75,x", "jpeg:0,256", "jpeg:75,256,1", "jpeg:75,", "webp:101,256"]
)
def test_wrong_settings_are_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        get(spec)
