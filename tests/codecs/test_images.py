"""JPEG and WebP of the input: the frame's shape comes back, its looks nearly, and only files that we write are read."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hedgerow.codecs import CodecLimits, get, jpeg, unseal, webp
from hedgerow.codecs.envelope import Item, seal
from hedgerow.errors import PeerError, UsageError
from hedgerow.models.tensors import Array, Tensors

LIMITS = CodecLimits()
SPECS = ["jpeg:75", "webp:80"]


def picture(height: int, width: int) -> Array:
    """A smooth scene with some grain."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(rows / 9 + shift) + np.cos(columns / 13 - shift) for shift in range(3)], axis=-1)
    grain = np.random.default_rng(0).normal(scale=3, size=waves.shape)
    return np.clip(waves * 50 + 128 + grain, 0, 255).astype(np.uint8)


def noise_ratio_db(spec: str, frame: Array) -> float:
    codec = get(spec)
    back = codec.decode(codec.encode({"frame": frame}), limits=LIMITS)["frame"]
    assert (back.dtype, back.shape) == (frame.dtype, frame.shape)
    error = np.square(back.astype(np.float64) - frame.astype(np.float64)).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize(("spec", "least_db"), [("jpeg:75", 33), ("jpeg:95", 36), ("webp:80", 33), ("webp:95", 36)])
def test_the_looks_come_back(spec: str, least_db: float) -> None:
    assert noise_ratio_db(spec, picture(120, 161)) > least_db


@pytest.mark.parametrize("family", ["jpeg", "webp"])
def test_quality_buys_looks_for_bytes(family: str) -> None:
    frame = picture(96, 96)
    specs = [f"{family}:{quality}" for quality in (10, 50, 90)]
    sizes = [len(get(spec).encode({"frame": frame})) for spec in specs]
    assert sizes == sorted(sizes)
    looks = [noise_ratio_db(spec, frame) for spec in specs]
    assert looks == sorted(looks)


@given(st.sampled_from(SPECS), st.integers(1, 40), st.integers(1, 40))
@settings(deadline=None)
def test_any_size_comes_back(spec: str, height: int, width: int) -> None:
    assert noise_ratio_db(spec, picture(height, width)) > 25


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ({}, "one frame, not 0"),
        ({"a": picture(4, 4), "b": picture(4, 4)}, "one frame, not 2"),
        ({"a": picture(4, 4).astype(np.float32)}, "not 'a' of float32"),
        ({"a": picture(4, 4)[..., 0]}, r"not 'a' of uint8 \(4, 4\)"),
        ({"a": picture(4, 4)[..., :2]}, r"\(4, 4, 2\)"),
        ({"a": picture(4, 4)[:0]}, "sides of 1 to"),
        ({"a": np.zeros((1, 65_501, 3), np.uint8)}, "sides of 1 to"),
    ],
)
def test_what_is_no_frame_is_the_callers_mistake(spec: str, tensors: Tensors, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        get(spec).encode(tensors)


def saved(frame: Array, format_name: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).convert(mode).save(buffer, format_name, **options)
    return buffer.getvalue()


def payload_of(spec: str, body: bytes, shape: tuple[int, ...] = (16, 24, 3), dtype: str = "uint8") -> bytes:
    return seal(spec, [Item("frame", dtype, shape, body)])


FRAME = picture(16, 24)
JPEG = saved(FRAME, "JPEG")
WEBP = saved(FRAME, "WEBP", quality=80)


@pytest.mark.parametrize(
    ("spec", "body"),
    [
        ("jpeg:75", b""),
        ("jpeg:75", WEBP),
        ("jpeg:75", saved(FRAME, "PNG")),
        ("jpeg:75", JPEG + b"\0"),
        ("jpeg:75", JPEG + JPEG),
        ("jpeg:75", JPEG + b"\xff\xd9"),
        ("jpeg:75", saved(FRAME, "JPEG", progressive=True)),
        ("jpeg:75", saved(FRAME, "JPEG", mode="L")),
        ("jpeg:75", saved(FRAME, "JPEG", mode="CMYK")),
        ("jpeg:75", saved(FRAME, "JPEG", exif=b"Exif\0\0" + b"x" * 20)),
        ("jpeg:75", saved(FRAME, "JPEG", comment=b"hello")),
        ("jpeg:75", saved(picture(17, 24), "JPEG")),
        ("webp:80", b""),
        ("webp:80", JPEG),
        ("webp:80", WEBP + b"\0"),
        ("webp:80", WEBP + b"\0\0"),
        ("webp:80", saved(FRAME, "WEBP", lossless=True)),
        ("webp:80", saved(FRAME, "WEBP", mode="RGBA", exif=b"Exif\0\0" + b"x" * 20)),
        ("webp:80", saved(picture(16, 25), "WEBP")),
        ("webp:80", WEBP[:23] + b"\0\0\0" + WEBP[26:]),
        ("webp:80", WEBP[:20] + bytes((WEBP[20] | 1,)) + WEBP[21:]),
    ],
)
def test_files_that_we_do_not_write_are_refused(spec: str, body: bytes) -> None:
    with pytest.raises(PeerError):
        get(spec).decode(payload_of(spec, body), limits=LIMITS)


@pytest.mark.parametrize(("spec", "body"), [("jpeg:75", JPEG), ("webp:80", WEBP)])
def test_a_frame_declared_otherwise_is_refused(spec: str, body: bytes) -> None:
    get(spec).decode(payload_of(spec, body), limits=LIMITS)
    for shape in ((24, 16, 3), (16, 24), (16, 24, 4), (0, 24, 3), (16, 25, 3)):
        with pytest.raises(PeerError):
            get(spec).decode(payload_of(spec, body, shape), limits=LIMITS)
    with pytest.raises(PeerError, match="int8"):
        get(spec).decode(payload_of(spec, body, dtype="int8"), limits=LIMITS)
    with pytest.raises(PeerError, match="383 at most"):
        get(spec).decode(payload_of(spec, body), limits=CodecLimits(pixels_max=16 * 24 - 1))
    with pytest.raises(PeerError, match="0 tensors instead of one"):
        get(spec).decode(seal(spec, []), limits=LIMITS)


@pytest.mark.parametrize(("spec", "needed"), [("jpeg:75", 11), ("webp:80", 20)])
def test_working_memory_is_within_its_limit(spec: str, needed: int) -> None:
    payload = get(spec).encode({"frame": FRAME})
    least_bytes = 16 * 24 * max(needed, 4 * 3) // 4
    get(spec).decode(payload, limits=CodecLimits(tensor_bytes_max=least_bytes))
    with pytest.raises(PeerError, match=r"to decode; send a smaller one|declares more than"):
        get(spec).decode(payload, limits=CodecLimits(tensor_bytes_max=least_bytes - 1))


@pytest.mark.parametrize(
    ("spec", "body", "read_size"), [("jpeg:75", JPEG, jpeg.read_size), ("webp:80", WEBP, webp.read_size)]
)
def test_every_cut_is_refused_and_every_flip_survived(
    spec: str, body: bytes, read_size: Callable[[bytes], tuple[int, int]]
) -> None:
    assert read_size(body) == (24, 16)
    codec = get(spec)
    for place in range(len(body)):
        with pytest.raises(PeerError):
            codec.decode(payload_of(spec, body[:place]), limits=LIMITS)
        for mask in (0x01, 0x80, 0xFF):
            flipped = body[:place] + bytes((body[place] ^ mask,)) + body[place + 1 :]
            try:
                decoded = codec.decode(payload_of(spec, flipped), limits=LIMITS)
            except PeerError:
                continue
            assert decoded["frame"].shape == FRAME.shape


@given(st.sampled_from(SPECS), st.binary(max_size=200), st.integers(0, 700))
@settings(deadline=None, max_examples=300)
def test_random_bytes_within_a_file_are_survived(spec: str, noise: bytes, at: int) -> None:
    body = JPEG if spec.startswith("jpeg") else WEBP
    mixed = body[:at] + noise + body[at + len(noise) :]
    try:
        decoded = get(spec).decode(payload_of(spec, mixed), limits=LIMITS)
    except PeerError:
        return
    assert decoded["frame"].shape == FRAME.shape


def test_the_envelope_of_a_frame_is_small() -> None:
    payload = get("jpeg:75").encode({"frame": FRAME})
    assert len(payload) - len(unseal(payload, limits=LIMITS).items[0].body) < 40
