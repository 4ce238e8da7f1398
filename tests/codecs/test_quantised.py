"""Few-bit features: the stated loss is kept, ranges and calibrations go where they belong, bad bytes are refused."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hedgerow.codecs import Calibration, CodecLimits, calibrate, get, names, unseal
from hedgerow.codecs.envelope import Item, seal
from hedgerow.codecs.grids import Floats
from hedgerow.codecs.quantised import FAR_ZEROS, PER_CHANNEL, ZSTD
from hedgerow.errors import PeerError, UsageError
from hedgerow.models.tensors import Array, Tensors

LIMITS = CodecLimits()
SPECS = [spec for spec in names() if spec.startswith("q")]
BITS = {spec: int(spec[1]) for spec in SPECS}
ARRAYS = st.sampled_from(["float16", "float32", "float64"]).flatmap(
    lambda dtype: npst.arrays(
        dtype,
        npst.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5),
        elements=st.floats(-1000, 1000, width=16),
    )
)


def there_and_back(spec: str, array: Array, calibration: Calibration | None = None) -> Floats:
    codec = get(spec, calibration=calibration)
    back: Floats = codec.decode(codec.encode({"x": array}), limits=LIMITS)["x"]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    return back


def features(*shape: int, seed: int = 0) -> Floats:
    drawn: Floats = np.maximum(np.random.default_rng(seed).normal(size=shape), 0).astype(np.float32)
    return drawn


@given(st.sampled_from(SPECS), ARRAYS)
@settings(deadline=None, max_examples=300)
def test_an_element_moves_by_half_a_step_at_most(spec: str, array: Floats) -> None:
    back = there_and_back(spec, array)
    if array.size:
        exact = array.astype(np.float64)
        reach = max(exact.max(), 0) - min(exact.min(), 0)
        # With ranges that reach 0 by themselves or are stretched to it, no step is wider than this.
        half_step = reach / (2 ** BITS[spec] - 2) / 2 * 1.01
        rounding = np.abs(exact) * np.finfo(array.dtype).eps + 1e-7
        assert (np.abs(back.astype(np.float64) - exact) <= half_step + rounding).all()


@given(st.sampled_from(SPECS), ARRAYS)
@settings(deadline=None)
def test_what_came_back_comes_back_nearly_the_same(spec: str, array: Floats) -> None:
    once = there_and_back(spec, array)
    twice = there_and_back(spec, once)
    if array.size:
        span = float(np.abs(array.astype(np.float64)).max()) + 1e-6
        assert np.abs(twice.astype(np.float64) - once).max() <= span / 2 ** (BITS[spec] - 1)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_zeros_stay_zero(spec: str, dtype: str) -> None:
    array = features(2, 8, 6, 5).astype(dtype)
    back = there_and_back(spec, array)
    assert (back[array == 0] == 0).all()


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_a_range_for_each_channel_is_nearer_where_channels_differ(bits: int) -> None:
    array = features(2, 16, 14, 14) * np.geomspace(0.01, 10, 16, dtype=np.float32)[:, None, None]
    samples: list[Tensors] = [{"x": array}]

    def error(spec: str, calibration: Calibration | None = None) -> float:
        return float(np.square((there_and_back(spec, array, calibration) - array)[:, :8]).mean())

    assert error(f"q{bits}:channel") < error(f"q{bits}") / 4
    split, whole = (calibrate(spec, samples) for spec in (f"q{bits}:channel", f"q{bits}"))
    assert error(f"q{bits}:channel", split) < error(f"q{bits}", whole) / 4


def test_fewer_bits_are_fewer_bytes() -> None:
    tensors: Tensors = {"x": features(1, 64, 14, 14)}
    sizes = [len(get(f"q{bits}").encode(tensors)) for bits in (8, 4, 3, 2)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < len(get("raw").encode(tensors)) / 10


@pytest.mark.parametrize("spec", SPECS)
def test_a_calibrated_payload_is_smaller_than_its_ranges_and_clips(spec: str) -> None:
    array = features(1, 64, 14, 14)
    calibration = calibrate(spec, [{"x": array}], method="minmax")
    plain, calibrated = get(spec), get(spec, calibration=calibration)
    assert len(calibrated.encode({"x": array})) < len(plain.encode({"x": array})) + 8
    np.testing.assert_array_equal(there_and_back(spec, array, calibration), there_and_back(spec, array))
    far = there_and_back(spec, array * 100, calibration)
    assert far.max() <= array.max() * 1.02
    assert np.isfinite(there_and_back(spec, np.full_like(array, -3e38), calibration)).all()


def test_batches_of_any_size_share_a_calibration() -> None:
    calibration = calibrate("q4:channel", [{"x": features(1, 6, 5, 5)}])
    for batch in (1, 2, 7):
        array = features(batch, 6, 5, 5, seed=batch)
        whole = there_and_back("q4:channel", array, calibration)
        alone = [there_and_back("q4:channel", array[[place]], calibration) for place in range(batch)]
        np.testing.assert_array_equal(whole, np.concatenate(alone))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64"])
@pytest.mark.parametrize("spec", SPECS)
def test_other_dtypes_lose_nothing(spec: str, dtype: str) -> None:
    array = np.random.default_rng(0).integers(0, 2, (3, 50)).astype(dtype)
    np.testing.assert_array_equal(there_and_back(spec, array), array)


def test_channels_of_few_elements_share_a_range_unless_calibrated() -> None:
    logits = features(1, 1000)
    assert len(get("q4:channel").encode({"x": logits})) < 1000
    there_and_back("q4:channel", logits, calibrate("q4:channel", [{"x": logits}]))


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_our_own_mistake(bad: float, calibrated: bool) -> None:
    array = features(1, 4, 5, 5)
    codec = get("q4", calibration=calibrate("q4", [{"x": array}]) if calibrated else None)
    array[0, 1, 2, 3] = bad
    with pytest.raises(UsageError, match=r"tensor 'x'.*NaN"):
        codec.encode({"x": array})


def test_tensors_that_a_calibration_does_not_know_are_refused_on_both_sides() -> None:
    array = features(1, 4, 5, 5)
    known = get("q4:channel", calibration=calibrate("q4:channel", [{"x": array}]))
    with pytest.raises(UsageError, match="does not know tensor 'y'"):
        known.encode({"y": array})
    with pytest.raises(UsageError, match="4 channels"):
        known.encode({"x": features(1, 5, 5, 5)})
    with pytest.raises(PeerError, match="does not match its calibration"):
        known.decode(
            seal(known.name, [Item("y", "float32", (1, 4), b"\0\0")], calibration_id=known.calibration_id),
            limits=LIMITS,
        )
    with pytest.raises(PeerError, match="calibration 'none'"):
        known.decode(get("q4:channel").encode({"x": array}), limits=LIMITS)
    with pytest.raises(PeerError, match="this side holds 'none'"):
        get("q4:channel").decode(known.encode({"x": array}), limits=LIMITS)


def spoiled(change: Callable[[bytes], bytes], *, spec: str = "q4", array: Array | None = None) -> bytes:
    """A payload whose seal is good and whose body is not."""
    payload = get(spec).encode({"x": features(1, 2, 3, 3) if array is None else array})
    item = unseal(payload, limits=LIMITS).items[0]
    return seal(spec, [replace(item, body=change(bytes(item.body)))])


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (spoiled(lambda body: b""), "without its elements"),
        (spoiled(lambda body: b"\x08" + body[1:]), "unknown mode 8"),
        (spoiled(lambda body: body[:-1]), "belong to its shape"),
        (spoiled(lambda body: body + b"\0"), "belong to its shape"),
        (spoiled(lambda body: bytes((body[0] | ZSTD,)) + body[1:]), "does not unpack"),
        (spoiled(lambda body: bytes((body[0] | FAR_ZEROS,)) + body[1:]), "belong to its shape"),
        (spoiled(lambda body: bytes((body[0] | PER_CHANNEL,)) + body[1:]), "belong to its shape"),
        (spoiled(lambda body: bytes((PER_CHANNEL,)) + body[1:], array=np.ones(3, np.float32)), "has no channels"),
        (spoiled(lambda body: body[:1] + b"\0\0" + body[3:]), "range that is not finite"),
        (spoiled(lambda body: body[:1] + b"\x80\x7f" + body[3:]), "range that is not finite"),
        (spoiled(lambda body: body[:1] + b"\xc0\x7f" + body[3:]), "range that is not finite"),
        (spoiled(lambda body: body[:1] + b"\x80\xbf" + body[3:]), "range that is not finite"),
        (spoiled(lambda body: body[:1] + b"\x7f\x7f" + body[3:]), "range that is not finite"),
        (spoiled(lambda body: body[:-1] + b"\xff", spec="q3"), "above 63"),
        (spoiled(lambda body: b"\0", array=np.zeros((0, 3), np.float32)), "1 bytes, 0 belong"),
        (spoiled(lambda body: body[:-1], array=np.arange(5)), "does not unpack|belong"),
    ],
)
def test_a_body_that_cannot_be_right_is_refused(payload: bytes, complaint: str) -> None:
    with pytest.raises(PeerError, match=complaint):
        get(unseal(payload, limits=LIMITS).spec).decode(payload, limits=LIMITS)


@given(st.sampled_from(SPECS), st.sampled_from(["float32", "float16", "float64", "bool"]), st.binary(max_size=60))
@settings(deadline=None, max_examples=400)
def test_random_bodies_give_a_peer_error_or_finite_numbers(spec: str, dtype: str, body: bytes) -> None:
    payload = seal(spec, [Item("x", dtype, (1, 2, 3, 3), body)])
    try:
        decoded = get(spec).decode(payload, limits=LIMITS)
    except PeerError:
        return
    assert np.isfinite(decoded["x"]).all()


@pytest.mark.parametrize("spec", SPECS)
def test_every_cut_and_flip_of_a_body_under_a_good_seal_is_survived(spec: str) -> None:
    codec = get(spec)
    array = features(1, 4, 9, 9)
    item = unseal(codec.encode({"x": array}), limits=LIMITS).items[0]
    body = bytes(item.body)
    for place in range(len(body)):
        with pytest.raises(PeerError):
            codec.decode(seal(spec, [replace(item, body=body[:place])]), limits=LIMITS)
        flipped = body[:place] + bytes((body[place] ^ 0x41,)) + body[place + 1 :]
        try:
            decoded = codec.decode(seal(spec, [replace(item, body=flipped)]), limits=LIMITS)
        except PeerError:
            continue
        assert decoded["x"].shape == array.shape
