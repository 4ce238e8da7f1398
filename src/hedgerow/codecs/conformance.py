"""One check that every codec passes: call it in the test of a codec you add.

It asks what the shells rely on, not how good a codec is: the name leads back to the codec, the loss is stated, a payload
comes back with its names, dtypes and shapes, equal input gives equal bytes (in many threads as in one), and whatever is
cut short, damaged, too big or not as expected is a PeerError.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from hedgerow.codecs.base import Codec, CodecLimits
from hedgerow.codecs.calibration import Calibration
from hedgerow.codecs.registry import get
from hedgerow.errors import PeerError
from hedgerow.models.tensors import Tensors, TensorSpec

THREADS = 4


def sample_for(codec: Codec, *, seed: int = 0) -> Tensors:
    """Tensors of the codec's kind: a frame for "input", else features with many zeros and an index beside them."""
    chance = np.random.default_rng(seed)
    if codec.kind == "input":
        slope = np.add.outer(np.arange(24), np.arange(33))[..., None] * np.array([1, 2, 3])
        return {"frame": (slope + chance.integers(0, 9, slope.shape)).astype(np.uint8)}
    features = np.maximum(chance.normal(size=(2, 6, 5, 7)), 0).astype(np.float32)
    return {"features": features, "index": chance.integers(-9, 9, (2, 3))}


def check_codec(codec: Codec, *, sample: Tensors | None = None, calibration: Calibration | None = None) -> None:
    """AssertionError naming the first rule that `codec` breaks on `sample` (default: one for its kind)."""
    tensors = sample_for(codec) if sample is None else sample
    assert get(codec.name, calibration=calibration) == codec, f"get('{codec.name}') gives another codec"
    assert codec.kind in ("input", "features", "any"), f"{codec.name}: kind '{codec.kind}' is unknown"
    assert codec.loss.endswith("."), f"{codec.name}: loss must be a sentence"
    assert (calibration.id if calibration else "") == codec.calibration_id, f"{codec.name}: another calibration"
    payload = codec.encode(tensors)
    specs = tuple(TensorSpec(name, array.dtype.name, array.shape) for name, array in tensors.items())
    decoded = codec.decode(memoryview(payload), limits=CodecLimits(), expected=specs)
    assert list(decoded) == list(tensors), f"{codec.name}: names or their order changed"
    for spec in specs:
        spec.check(decoded[spec.name])
        assert decoded[spec.name].flags.writeable, f"{codec.name}: '{spec.name}' came back read-only"
    with ThreadPoolExecutor(THREADS) as pool:
        again = list(pool.map(codec.encode, [tensors] * (4 * THREADS)))
    assert set(again) == {payload}, f"{codec.name}: equal tensors gave different payloads"
    for what, attempt in _bad_attempts(codec, payload, specs):
        assert _is_refused(attempt), f"{codec.name}: took a payload that is {what}"


def _is_refused(attempt: Callable[[], Tensors]) -> bool:
    try:
        attempt()
    except PeerError:
        return True
    return False


def _bad_attempts(
    codec: Codec, payload: bytes, specs: tuple[TensorSpec, ...]
) -> Iterator[tuple[str, Callable[[], Tensors]]]:
    limits = CodecLimits()

    def attempt(
        bad: bytes, *, under: CodecLimits = limits, expected: tuple[TensorSpec, ...] = specs
    ) -> Callable[[], Tensors]:
        return lambda: codec.decode(bad, limits=under, expected=expected)

    for length in range(len(payload)):
        yield f"cut at {length} bytes", attempt(payload[:length])
    for place in range(len(payload)):
        yield f"damaged at byte {place}", attempt(_flipped(payload, place))
    yield "followed by another byte", attempt(payload + b"\0")
    sent_bytes = sum(spec.static_bytes() for spec in specs)
    yield "longer than the limit", attempt(payload, under=replace(limits, payload_bytes_max=len(payload) - 1))
    yield "over the limit of tensor bytes", attempt(payload, under=replace(limits, tensor_bytes_max=sent_bytes - 1))
    yield "over the limit of axes", attempt(payload, under=replace(limits, dimensions_max=1))
    first, *others = specs
    for what, wrong in (
        ("of another name", replace(first, name=first.name + "'")),
        ("of another dtype", replace(first, dtype="uint8" if first.dtype == "int8" else "int8")),
        ("of another rank", replace(first, shape=(*first.shape, 1))),
        ("of another shape", replace(first, shape=(*first.shape[:-1], 1000))),
    ):
        yield what, attempt(payload, expected=(wrong, *others))
    yield "short of a tensor", attempt(payload, expected=(*specs, TensorSpec("another", "int8", (1,))))
    yield "longer by a tensor", attempt(payload, expected=tuple(others))


def _flipped(payload: bytes, place: int) -> bytes:
    return payload[:place] + bytes((payload[place] ^ 0x10,)) + payload[place + 1 :]
