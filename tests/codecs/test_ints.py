"""Small whole numbers come back exactly, cost little, and the first part of a progressive payload is usable and checked."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hedgerow.codecs import Calibration, CodecLimits, calibrate, get
from hedgerow.codecs._stages import told, told_plain
from hedgerow.codecs.conformance import check_codec
from hedgerow.codecs.ints import ELEMENTS_MAX, IntsCodec, channels_of
from hedgerow.errors import PeerError, UsageError
from hedgerow.models.tensors import Array, Tensors, TensorSpec

LIMITS = CodecLimits()
SPREADS = np.geomspace(6, 0.1, 24)


def latent(seed: int, *, side: int = 7) -> Tensors:
    chance = np.random.default_rng(seed)
    drawn = chance.laplace(size=(1, len(SPREADS), side, side)) * SPREADS[:, None, None]
    return {"latent": np.clip(np.round(drawn), -128, 127).astype(np.int8)}


def spec_of(tensors: Tensors) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, array.dtype.name, ("batch", *array.shape[1:])) for name, array in tensors.items())


@pytest.fixture(scope="module", params=["ints:channel", "ints:progressive"])
def calibrated(request: pytest.FixtureRequest) -> IntsCodec:
    calibration = calibrate(request.param, (latent(seed) for seed in range(100, 160)))
    codec = get(request.param, calibration=calibration)
    assert isinstance(codec, IntsCodec)
    return codec


@given(
    st.sampled_from(["uint8", "int8", "int16", "float32", "bool"]).flatmap(
        lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6))
    )
)
@settings(deadline=None, max_examples=200)
def test_any_tensor_comes_back_as_it_was(array: Array) -> None:
    back = get("ints").decode(get("ints").encode({"x": array}), limits=LIMITS)["x"]
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize("seed", range(5))
def test_calibrated_tables_lose_nothing_either(calibrated: IntsCodec, seed: int) -> None:
    tensors = latent(seed)
    tensors["latent"][0, 3, 0, 0], tensors["latent"][0, 20, 6, 6] = -128, 127  # far outside what was counted
    back = calibrated.decode(calibrated.encode(tensors), limits=LIMITS, expected=spec_of(tensors))
    assert (back["latent"] == tensors["latent"]).all()


def test_unsigned_and_flat_latents_are_told_too() -> None:
    chance = np.random.default_rng(1)
    samples: list[Tensors] = [{"z": chance.geometric(0.3, (1, 9)).clip(0, 255).astype(np.uint8)} for _ in range(40)]
    for spec in ("ints:channel", "ints:progressive"):
        codec = get(spec, calibration=calibrate(spec, samples))
        odd: Tensors = {"z": np.array([[0, 255, 200, 1, 2, 3, 128, 127, 9]], np.uint8)}
        for tensors in (*samples[:5], odd):
            assert (codec.decode(codec.encode(tensors), limits=LIMITS)["z"] == tensors["z"]).all()


def test_several_samples_in_one_tensor_come_back_in_their_order(calibrated: IntsCodec) -> None:
    both: Tensors = {"latent": np.concatenate([latent(1)["latent"], latent(2)["latent"]])}
    assert (calibrated.decode(calibrated.encode(both), limits=LIMITS)["latent"] == both["latent"]).all()


def test_a_table_a_channel_comes_near_the_entropy_and_below_zstd() -> None:
    codec = get("ints:channel", calibration=calibrate("ints:channel", (latent(seed) for seed in range(100, 300))))
    sizes = [len(codec.encode(latent(seed))) for seed in range(20)]
    packed = [len(get("q8").encode(latent(seed))) for seed in range(20)]
    edges = np.arange(-128, 129) - 0.5
    tails = [0.5 * np.exp(-np.abs(edges) / spread) for spread in SPREADS.flat]
    shares = [np.diff(np.where(edges < 0, tail, 1 - tail)) for tail in tails]
    entropy_bytes = sum(float(-(share * np.log2(np.maximum(share, 1e-12))).sum()) for share in shares) * 49 / 8
    assert np.mean(sizes) < 1.03 * entropy_bytes + 50  # 50: the envelope
    assert np.mean(sizes) < 0.85 * np.mean(packed)


def test_layers_cost_little_and_what_has_come_is_better_the_more_it_is() -> None:
    samples = [latent(seed, side=14) for seed in range(100, 140)]
    plain, layered = (get(s, calibration=calibrate(s, samples)) for s in ("ints:channel", "ints:progressive"))
    tensors = latent(1, side=14)
    payload = layered.encode(tensors)
    assert isinstance(layered, IntsCodec)
    assert len(payload) < 1.08 * len(plain.encode(tensors)) + 50
    errors = []
    for length in range(0, len(payload) + 1, 7):
        partial = layered.decode_prefix(payload[:length], limits=LIMITS, expected=spec_of(tensors))
        if partial is not None:
            error = np.square(partial.tensors["latent"].astype(int) - tensors["latent"]).sum()
            errors.append((partial.layers, int(error)))
    assert len(set(errors)) > 1
    assert errors == sorted(errors, key=lambda each: (each[0], -each[1]))
    whole = layered.decode_prefix(payload, limits=LIMITS, expected=spec_of(tensors))
    assert whole is not None
    assert whole.layers == whole.layers_all
    assert (whole.tensors["latent"] == tensors["latent"]).all()


def test_a_damaged_layer_is_refused_even_before_the_last_byte_is_there() -> None:
    codec = get(
        "ints:progressive", calibration=calibrate("ints:progressive", (latent(s, side=14) for s in range(100, 130)))
    )
    assert isinstance(codec, IntsCodec)
    tensors = latent(3, side=14)
    payload = codec.encode(tensors)
    begin = 7 + 1 + len(codec.name)  # what stands before is the envelope's own
    cut = payload[: 2 * len(payload) // 3]
    sound = {0: b""}
    for length in range(len(cut) + 1):
        part = codec.decode_prefix(payload[:length], limits=LIMITS, expected=spec_of(tensors))
        if part is not None:
            sound[part.layers] = part.tensors["latent"].tobytes()
    assert len(sound) > 2
    for place in range(begin, len(cut)):
        bad = cut[:place] + bytes((cut[place] ^ 4,)) + cut[place + 1 :]
        try:
            got = codec.decode_prefix(bad, limits=LIMITS, expected=spec_of(tensors))
        except PeerError:
            continue
        assert got is None or got.tensors["latent"].tobytes() == sound[got.layers], place


def test_a_prefix_of_another_codec_or_of_two_tensors_tells_nothing() -> None:
    plain = IntsCodec()
    payload = plain.encode(latent(1))
    assert plain.decode_prefix(payload, limits=LIMITS, expected=spec_of(latent(1))) is None


def test_every_member_passes_the_conformance_check(calibrated: IntsCodec) -> None:
    chance = np.random.default_rng(0)
    samples: list[Tensors] = [{"z": np.round(chance.laplace(size=(1, 5, 2, 2)) * 3).astype(np.int8)} for _ in range(30)]
    calibration = calibrate(calibrated.name, samples)
    check_codec(get(calibrated.name, calibration=calibration), sample=samples[0], calibration=calibration)


DAMAGES: tuple[Callable[[list[list[Any]]], object], ...] = (
    lambda units: units.pop(),
    lambda units: units[0].pop(),
    lambda units: units[0][5][0].append(1),
    lambda units: units[0].__setitem__(0, 99),
    lambda units: units.append(units[0]),
    lambda units: units[0].__setitem__(5, [[4096]]),
    lambda units: units[0].__setitem__(1, 1),
    lambda units: units[0].__setitem__(4, 4096),
)


def test_a_calibration_survives_json_and_nothing_else_passes_for_one(calibrated: IntsCodec) -> None:
    assert calibrated.calibration is not None
    data = json.loads(json.dumps(calibrated.calibration.to_dict()))
    assert Calibration.from_dict(data) == calibrated.calibration
    for damage in DAMAGES:
        wrong = json.loads(json.dumps(data))
        damage(wrong["tensors"]["latent"]["units"])
        with pytest.raises(UsageError, match="measure"):
            Calibration.from_dict(wrong)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(UsageError, match="needs a calibration"):
        get("ints:channel")
    calibration = calibrate("ints:channel", [latent(1)])
    with pytest.raises(UsageError, match="was made for"):
        get("ints:progressive", calibration=calibration)
    with pytest.raises(UsageError, match="none at this cut"):
        calibrate("ints:channel", [{"x": np.zeros((1, 3, 2, 2), np.float32)}])
    with pytest.raises(UsageError, match="does not know"):
        get("ints:channel", calibration=calibration).encode({"other": latent(1)["latent"]})
    with pytest.raises(UsageError, match="channels"):
        get("ints:channel", calibration=calibration).encode({"latent": latent(1)["latent"][:, :5]})
    with pytest.raises(UsageError, match="one sample"):
        calibrate("ints:channel", [])


def test_a_large_tensor_is_packed_and_not_told_one_by_one() -> None:
    large: Tensors = {"x": np.zeros((1, 1, ELEMENTS_MAX + 1), np.uint8)}
    payload = get("ints").encode(large)
    assert len(payload) < 200
    assert (get("ints").decode(payload, limits=LIMITS)["x"] == 0).all()


def test_a_payload_with_another_calibration_is_refused(calibrated: IntsCodec) -> None:
    other = get(calibrated.name, calibration=calibrate(calibrated.name, [latent(7)]))
    with pytest.raises(PeerError, match="calibration"):
        other.decode(calibrated.encode(latent(1)), limits=LIMITS)
    with pytest.raises(PeerError):
        calibrated.decode(calibrated.encode(latent(1)), limits=replace(LIMITS, tensor_bytes_max=10))


def test_all_channels_at_once_give_the_sequence_of_one_after_the_other() -> None:
    calibration = calibrate("ints:channel", (latent(seed) for seed in range(100, 160)))
    counts = calibration.tables["latent"]
    assert counts.plain is not None
    for seed in range(5):
        values = channels_of(latent(seed)["latent"])
        values[3, 5], values[22, 0], values[7] = 127, -128, 0
        assert told_plain(values, counts.plain) == told(values, counts.units)
