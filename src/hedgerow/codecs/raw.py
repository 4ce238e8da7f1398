"""The tensors as they are: for answers, for tests, and as the yardstick of all the others."""

from dataclasses import dataclass

import numpy as np

from hedgerow.codecs.base import CodecLimits, Kind
from hedgerow.codecs.calibration import Calibration
from hedgerow.codecs.envelope import Item, check_maker, checked_dtype, item_of, seal, unseal
from hedgerow.codecs.registry import Family, register
from hedgerow.errors import PeerError
from hedgerow.models.tensors import Array, Tensors, TensorSpec


@dataclass(frozen=True, slots=True)
class RawCodec:
    """Little-endian bytes in C order, not compressed."""

    name: str = "raw"
    loss: str = "None: every bit comes back."
    kind: Kind = "any"
    calibration_id: str = ""

    def encode(self, tensors: Tensors) -> bytes:
        return seal(self.name, [item_of(name, array, plain_bytes(name, array)) for name, array in tensors.items()])

    def decode(
        self, payload: bytes | memoryview, *, limits: CodecLimits, expected: tuple[TensorSpec, ...] | None = None
    ) -> Tensors:
        contents = unseal(payload, limits=limits, expected=expected)
        check_maker(contents, self.name, self.calibration_id)
        return {item.name: from_plain(item, item.body) for item in contents.items}


def plain_bytes(name: str, array: Array) -> bytes | memoryview:
    """The elements in C order, little-endian, without a copy where they already lie so; UsageError for other dtypes."""
    checked_dtype(name, array)
    ordered = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data if ordered.size else b""


def from_plain(item: Item, body: bytes | memoryview) -> Array:
    """The tensor that `plain_bytes` gave, owned; PeerError for another length, or a bool that is neither 0 nor 1."""
    if len(body) != item.tensor_bytes:
        raise PeerError(f"tensor '{item.name}' came with {len(body)} bytes, {item.tensor_bytes} belong to its shape")
    flat = np.frombuffer(body, np.uint8)
    if item.dtype == "bool" and flat.size and flat.max() > 1:
        raise PeerError(f"tensor '{item.name}' is bool and holds bytes other than 0 and 1; the sender is broken")
    little_endian = np.dtype(item.dtype).newbyteorder("<")
    return np.frombuffer(body, little_endian).reshape(item.shape).astype(np.dtype(item.dtype))


def _build(arguments: tuple[str, ...], calibration: Calibration | None) -> RawCodec | None:
    return None if arguments else RawCodec()


register(Family("raw", "raw", ("raw",), _build))
