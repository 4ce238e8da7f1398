"""Every codec of the registry passes the one check; the check itself finds codecs that break its rules."""

from dataclasses import dataclass

import numpy as np
import pytest

from hedgerow.codecs import CodecLimits, calibrate, get, names
from hedgerow.codecs.conformance import check_codec, sample_for
from hedgerow.codecs.raw import RawCodec
from hedgerow.models.tensors import Tensors, TensorSpec

CALIBRATED = [spec for spec in names() if spec.startswith("q")]  # "ints:..." are held to it in test_ints.py


@pytest.mark.parametrize("spec", [*names(), "jpeg:1", "jpeg:100", "webp:1", "webp:100"])
def test_every_codec_conforms(spec: str) -> None:
    check_codec(get(spec))


@pytest.mark.parametrize("spec", CALIBRATED)
def test_every_calibrated_codec_conforms(spec: str) -> None:
    calibration = calibrate(spec, [sample_for(get(spec), seed=seed) for seed in range(3)])
    check_codec(get(spec, calibration=calibration), calibration=calibration)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float16", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5, 3)])
def test_raw_conforms_for_other_tensors(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    # A second tensor, so that there is always an axis and a byte for the limits to be below of.
    check_codec(get("raw"), sample={"first": np.ones((2, 2, 2), np.int8), "second": array})


@dataclass(frozen=True, slots=True)
class _Trusting(RawCodec):
    """Looks at nothing that the caller expected."""

    def decode(
        self, payload: bytes | memoryview, *, limits: CodecLimits, expected: tuple[TensorSpec, ...] | None = None
    ) -> Tensors:
        return RawCodec().decode(payload, limits=limits)


@dataclass(frozen=True, slots=True)
class _Mute(RawCodec):
    loss: str = ""


@pytest.mark.parametrize(("codec", "complaint"), [(_Trusting(), "gives another codec"), (_Mute(), "another codec")])
def test_check_finds_a_codec_that_is_not_the_registered_one(codec: RawCodec, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_codec(codec)


def test_check_finds_a_codec_that_ignores_what_was_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hedgerow.codecs.conformance.get", lambda _spec, **_: _Trusting())
    with pytest.raises(AssertionError, match="of another name"):
        check_codec(_Trusting())


def test_check_finds_a_codec_without_a_stated_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hedgerow.codecs.conformance.get", lambda _spec, **_: _Mute())
    with pytest.raises(AssertionError, match="loss must be a sentence"):
        check_codec(_Mute())
