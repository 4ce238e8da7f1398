"""Features in 8, 4, 3 or 2 bits, then zstd: the codec for a cut deep inside a network.

Spec "q4" has one grid a tensor, "q4:channel" one for each channel (axis 1 of tensors with two or more axes). Ranges
come from a calibration, of which the payload carries the id alone, or else from the tensor at hand, and then they
travel with it: three bytes a grid. Without a calibration, channels of fewer than 16 elements share one grid, because
their ranges would outweigh them. Tensors that are not floating (indices, masks) are carried whole, only zstd-packed.

Body of a tensor: mode u8, then plain or zstd: [steps u16 each, zeros u8 or i32 each, unless calibrated] packed levels.
"""

import math
from dataclasses import dataclass

import numpy as np

from hedgerow.codecs._entropy import compress, decompress
from hedgerow.codecs.base import CodecLimits, Kind
from hedgerow.codecs.calibration import Calibration
from hedgerow.codecs.envelope import Item, check_maker, dtype_name, item_of, seal, unseal
from hedgerow.codecs.grids import Grid, dequantise, grid_of, quantise, ranges_of, values_of
from hedgerow.codecs.packing import check_packed, pack, packed_bytes, unpack, unpack_values
from hedgerow.codecs.raw import from_plain, plain_bytes
from hedgerow.codecs.registry import Family, register
from hedgerow.errors import PeerError, UsageError
from hedgerow.models.tensors import Array, Tensors, TensorSpec

BITS = (8, 4, 3, 2)
ELEMENTS_PER_RANGE_MIN = 16

# Bits of a body's mode byte.
ZSTD, PER_CHANNEL, FAR_ZEROS = 1, 2, 4

_FLOATING = ("float16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class QuantisedCodec:
    """One member of the family. Holds the grids of its calibration; changes nothing afterwards."""

    bits: int
    per_channel: bool = False
    calibration: Calibration | None = None

    kind: Kind = "features"

    @property
    def name(self) -> str:
        return f"q{self.bits}:channel" if self.per_channel else f"q{self.bits}"

    @property
    def calibration_id(self) -> str:
        return self.calibration.id if self.calibration else ""

    @property
    def loss(self) -> str:
        whose = "channel's" if self.per_channel else "tensor's"
        return (
            f"A floating element moves by half a step at most, about 1/{2 ** (self.bits + 1)} of its {whose} range;"
            f" what lies outside a calibrated range is clipped to it; other dtypes lose nothing."
        )

    def encode(self, tensors: Tensors) -> bytes:
        items = [item_of(name, array, self._body(name, array)) for name, array in tensors.items()]
        return seal(self.name, items, calibration_id=self.calibration_id)

    def _body(self, name: str, array: Array) -> bytes:
        if not array.size:
            return b""
        if dtype_name(array.dtype) not in _FLOATING:
            return _close(0, [plain_bytes(name, array)])
        array = np.ascontiguousarray(array)
        if self.calibration:
            if not np.isfinite(array).all():
                raise UsageError(f"tensor '{name}' holds NaN or infinity; the model's outputs are broken")
            grid = self._calibrated(name, array.shape)
            return _close(0, [pack(quantise(array, grid), self.bits).data])
        low, high = ranges_of(array, per_channel=self._splits(array.shape))
        try:
            grid = grid_of(low, high, self.bits)
        except UsageError as error:
            raise UsageError(f"tensor '{name}': {error}") from None
        mode = 0 if grid.groups == 1 else PER_CHANNEL
        if not grid.reaches_zero:
            mode |= FAR_ZEROS
        steps = (grid.steps.view(np.uint32) >> 16).astype("<u2").tobytes()
        zeros = grid.zeros.astype("<i4" if mode & FAR_ZEROS else "u1").tobytes()
        return _close(mode, [steps, zeros, pack(quantise(array, grid), self.bits).data])

    def _splits(self, shape: tuple[int, ...]) -> bool:
        """Whether each channel of a tensor of `shape` gets a range of its own when ranges travel."""
        if not self.per_channel or len(shape) < 2:
            return False
        return math.prod(shape) >= ELEMENTS_PER_RANGE_MIN * shape[1]

    def _calibrated(self, name: str, shape: tuple[int, ...]) -> Grid:
        grid = self.calibration.grids.get(name) if self.calibration else None
        if grid is None:
            raise UsageError(f"calibration {self.calibration_id} does not know tensor '{name}'; calibrate this cut")
        if grid.groups > 1 and (len(shape) < 2 or shape[1] != grid.groups):
            raise UsageError(
                f"tensor '{name}' of shape {shape} does not have the {grid.groups} channels of its calibration"
            )
        return grid

    def decode(
        self, payload: bytes | memoryview, *, limits: CodecLimits, expected: tuple[TensorSpec, ...] | None = None
    ) -> Tensors:
        contents = unseal(payload, limits=limits, expected=expected)
        check_maker(contents, self.name, self.calibration_id)
        return {item.name: self._tensor(item) for item in contents.items}

    def _tensor(self, item: Item) -> Array:
        if not item.elements:
            return from_plain(item, item.body)
        if not len(item.body):
            raise PeerError(f"tensor '{item.name}' came without its elements; the sender is broken")
        mode, body = item.body[0], item.body[1:]
        if item.dtype not in _FLOATING:
            return from_plain(item, _open(mode, body, item.tensor_bytes))
        if mode & ~(ZSTD | PER_CHANNEL | FAR_ZEROS):
            raise PeerError(f"tensor '{item.name}' has the unknown mode {mode}; update the older side")
        content, grid = self._content(item, mode, body)
        packed = np.frombuffer(content, np.uint8)[-packed_bytes(item.elements, self.bits) :]
        check_packed(packed, self.bits)
        dtype = np.dtype(item.dtype)
        if grid.groups == 1:
            return unpack_values(packed, self.bits, item.elements, values_of(grid, dtype)).reshape(item.shape)
        return dequantise(unpack(packed, self.bits, item.elements), grid, item.shape, dtype)

    def _content(self, item: Item, mode: int, body: bytes | memoryview) -> tuple[bytes | memoryview, Grid]:
        """What zstd held, and the grid that belongs to it."""
        level_bytes = packed_bytes(item.elements, self.bits)
        if self.calibration:
            try:
                grid = self._calibrated(item.name, item.shape)
            except UsageError as error:
                raise PeerError(f"payload does not match its calibration: {error}") from None
            return _open(mode, body, level_bytes), grid
        if mode & PER_CHANNEL and len(item.shape) < 2:
            raise PeerError(f"tensor '{item.name}' of shape {item.shape} has no channels; the sender is broken")
        groups = item.shape[1] if mode & PER_CHANNEL else 1
        zero_type = np.dtype("<i4" if mode & FAR_ZEROS else "u1")
        content = _open(mode, body, groups * (2 + zero_type.itemsize) + level_bytes)
        steps = (np.frombuffer(content, "<u2", groups).astype(np.uint32) << 16).view(np.float32)
        zeros = np.frombuffer(content, zero_type, groups, 2 * groups).astype(np.int32)
        grid = Grid(self.bits, steps, zeros)
        check_grid(grid, item.name)
        return content, grid


def check_grid(grid: Grid, name: str) -> None:
    """PeerError unless every value of a grid that came over the link is a finite number."""
    steps = grid.steps.astype(np.float64)
    sound = np.isfinite(steps) & (steps > 0)
    reach = (np.abs(grid.zeros.astype(np.float64)) + grid.top) * np.where(sound, steps, 0.0)
    if not (sound & (reach < float(np.finfo(np.float32).max))).all():
        raise PeerError(f"tensor '{name}' came with a range that is not finite; the sender is broken")


def _close(mode: int, parts: list[bytes | memoryview]) -> bytes:
    plain = b"".join(parts)
    frame = compress(plain)
    if len(frame) < len(plain):
        return bytes((mode | ZSTD,)) + frame
    return bytes((mode,)) + plain


def _open(mode: int, body: bytes | memoryview, size_bytes: int) -> bytes | memoryview:
    if mode & ZSTD:
        return decompress(body, size_bytes=size_bytes)
    if len(body) != size_bytes:
        raise PeerError(f"quantised tensor came with {len(body)} bytes, {size_bytes} belong to its shape")
    return body


def _family(bits: int) -> Family:
    def build(arguments: tuple[str, ...], calibration: Calibration | None) -> QuantisedCodec | None:
        if arguments not in ((), ("tensor",), ("channel",)):
            return None
        codec = QuantisedCodec(bits, per_channel=arguments == ("channel",))
        if calibration is None:
            return codec
        if calibration.spec != codec.name:
            raise UsageError(f"calibration {calibration.id} was made for '{calibration.spec}', not '{codec.name}'")
        return QuantisedCodec(bits, codec.per_channel, calibration)

    return Family(f"q{bits}", f"q{bits}[:channel]", (f"q{bits}", f"q{bits}:channel"), build)


for _bits in BITS:
    register(_family(_bits))
