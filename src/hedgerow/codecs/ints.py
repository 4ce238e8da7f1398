"""Small whole numbers (uint8, int8) without loss, near their entropy: the codec for the latent of a trained bottleneck.

Spec "ints" learns one table from the tensor at hand, which travels with it; "ints:channel" has a table a channel from a
calibration, of which the payload carries the id alone; "ints:progressive" tells the important bits first, in layers that
each carry a checksum over all before them, so that `decode_prefix` turns the first part of a payload into a usable tensor.
What is no small whole number is carried whole, zstd-packed. Tables and their reasons: `_counts.py`, `_rans.py`.

Body of a tensor: mode u8, then plain or zstd: the bytes; table: low i16, symbols u8, frequencies u16 each, code;
calibrated: code; layers: for each layer its length u16, CRC-32 of the tensor's header and all bytes up to the layer's end, code.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from hedgerow.codecs._counts import SYMBOLS_MAX, WHOLE, Counts, Ints, Unit, first_table
from hedgerow.codecs._entropy import compress, decompress
from hedgerow.codecs._rans import Decoder, encode
from hedgerow.codecs._stages import read, read_plain, rest, told, told_plain
from hedgerow.codecs.base import CodecLimits, Kind, Partial
from hedgerow.codecs.calibration import Calibration
from hedgerow.codecs.envelope import Item, check_maker, dtype_name, item_of, seal, unseal, unseal_prefix
from hedgerow.codecs.raw import from_plain, plain_bytes
from hedgerow.codecs.registry import Family, register
from hedgerow.errors import PeerError, UsageError
from hedgerow.models.tensors import Array, Tensors, TensorSpec

PLAIN, ZSTD, TABLE, CALIBRATED, LAYERS = range(5)  # modes
ELEMENTS_MAX = 2**18  # of a coded tensor: it is coded one element at a time; larger ones are only packed
_SMALL = ("uint8", "int8")
_TABLE_HEAD = struct.Struct("<hB")
_LAYER_HEAD = struct.Struct("<HI")


@dataclass(frozen=True, slots=True)
class IntsCodec:
    """One member of the family. Holds the tables of its calibration; changes nothing afterwards."""

    variant: str = ""
    calibration: Calibration | None = None

    kind: Kind = "features"

    @property
    def name(self) -> str:
        return f"ints:{self.variant}" if self.variant else "ints"

    @property
    def progressive(self) -> bool:
        """Whether payloads are told in layers."""
        return self.variant == "progressive"

    @property
    def calibration_id(self) -> str:
        return self.calibration.id if self.calibration else ""

    @property
    def loss(self) -> str:
        return "Nothing is lost; small whole numbers cost little, other tensors what zstd leaves of them."

    def encode(self, tensors: Tensors) -> bytes:
        items = [item_of(name, array, self._body(name, array)) for name, array in tensors.items()]
        return seal(self.name, items, calibration_id=self.calibration_id)

    def _body(self, name: str, array: Array) -> bytes:
        if not array.size:
            return b""
        if dtype_name(array.dtype) not in _SMALL or array.size > ELEMENTS_MAX:
            return _packed(plain_bytes(name, array))
        counts = self.calibration.tables.get(name) if self.calibration else None
        if self.calibration is None:
            return _with_table(array, _packed(plain_bytes(name, array)))
        if counts is None:
            raise UsageError(f"calibration {self.calibration_id} does not know tensor '{name}'; calibrate this cut")
        if array.ndim < 2 or array.shape[1] != counts.channels:
            raise UsageError(
                f"tensor '{name}' of shape {array.shape} does not have the {counts.channels} channels of its calibration"
            )
        values = channels_of(array)
        if self.progressive:
            return _layers(values, counts, zlib.crc32(_identity(name, array)))
        sequence = told(values, counts.units) if counts.plain is None else told_plain(values, counts.plain)
        return bytes((CALIBRATED,)) + encode(*sequence)

    def decode(
        self, payload: bytes | memoryview, *, limits: CodecLimits, expected: tuple[TensorSpec, ...] | None = None
    ) -> Tensors:
        contents = unseal(payload, limits=limits, expected=expected)
        check_maker(contents, self.name, self.calibration_id)
        return {item.name: self._tensor(item)[0] for item in contents.items}

    def decode_prefix(
        self, payload: bytes | memoryview, *, limits: CodecLimits, expected: tuple[TensorSpec, ...]
    ) -> Partial | None:
        """The tensor as far as the first bytes of a payload tell it, None where they tell nothing yet.

        Elements that are not known have their most likely value or the middle of what is possible. Every layer taken is
        checked by its own checksum, for the envelope's needs the last byte. PeerError for what cannot be a prefix.
        """
        if not self.progressive:
            return None
        contents = unseal_prefix(payload, limits=limits, expected=expected)
        if contents is None:
            return None
        check_maker(contents, self.name, self.calibration_id)
        (item,) = contents.items
        if not item.elements or not len(item.body) or item.body[0] != LAYERS:
            return None
        array, layers = self._tensor(item, whole=False)
        return Partial({item.name: array}, layers, len(self._counts(item).ends)) if layers else None

    def prefix_ends(self, payload: bytes | memoryview) -> tuple[int, ...]:
        """The ends of all layers but the last of a payload of this codec's own; none where it is not told in layers."""
        if not self.progressive:
            return ()
        contents = unseal(payload, limits=CodecLimits(payload_bytes_max=max(1, len(payload))))
        body = contents.items[0].body if len(contents.items) == 1 else b""
        if not len(body) or body[0] != LAYERS:
            return ()
        ends, at, begun = [], 1, len(payload) - len(body)
        while at < len(body):
            at += _LAYER_HEAD.size + _LAYER_HEAD.unpack_from(body, at)[0]
            ends.append(begun + at)
        return tuple(ends[:-1])

    def _counts(self, item: Item) -> Counts:
        counts = self.calibration.tables.get(item.name) if self.calibration else None
        if counts is None or len(item.shape) < 2 or item.shape[1] != counts.channels:
            raise PeerError(
                f"tensor '{item.name}' {item.shape} does not fit the calibration; send the calibration first"
            )
        return counts

    def _tensor(self, item: Item, *, whole: bool = True) -> tuple[Array, int]:
        """The tensor, and how many of its layers were there."""
        if not item.elements:
            return from_plain(item, item.body), 0
        if not len(item.body):
            raise PeerError(f"tensor '{item.name}' came without its elements; the sender is broken")
        mode, body = item.body[0], item.body[1:]
        if mode in (PLAIN, ZSTD):
            return from_plain(item, decompress(body, size_bytes=item.tensor_bytes) if mode == ZSTD else body), 0
        if item.dtype not in _SMALL or item.elements > ELEMENTS_MAX or mode > LAYERS:
            raise PeerError(f"tensor '{item.name}' ({item.dtype}, {item.elements} elements) has the wrong mode {mode}")
        if mode == TABLE:
            unit, code = _read_table(body)
            values = _empty(item, 1)
            read((unit,), Decoder(code), values, signed=item.dtype == "int8")
            return _array(item, values.reshape(-1)), 0
        counts = self._counts(item)
        values = _empty(item, counts.channels)
        if mode == CALIBRATED:
            signed = item.dtype == "int8"
            if counts.plain is None:
                read(counts.units, Decoder(body), values, signed=signed)
            else:
                read_plain(counts.units, counts.plain, Decoder(body), values, signed=signed)
            return _array(item, _unfold(item, values)), 0
        return self._read_layers(item, counts, values, whole=whole)

    def _read_layers(self, item: Item, counts: Counts, values: Ints, *, whole: bool) -> tuple[Array, int]:
        """Layer by layer; without `whole` as many as are there."""
        body = item.body
        checksum = zlib.crc32(_identity(item.name, None, item))
        at, begun = 1, 0
        for layer, end in enumerate(counts.ends):
            start = at + _LAYER_HEAD.size
            length, expected = _LAYER_HEAD.unpack_from(body, at) if start <= len(body) else (0, 0)
            if start > len(body) or start + length > len(body):
                if whole:
                    raise PeerError(f"tensor '{item.name}' ends inside layer {layer + 1}; send it again")
                rest(values, counts, begun)
                return _array(item, _unfold(item, values)), layer
            checksum = zlib.crc32(body[start : start + length], zlib.crc32(body[at : at + 2], checksum))
            if checksum != expected:
                raise PeerError(f"layer {layer + 1} of tensor '{item.name}' was damaged on its way; send it again")
            read(counts.units[begun:end], Decoder(body[start : start + length]), values, signed=item.dtype == "int8")
            at, begun = start + length, end
        if at != len(body):
            raise PeerError(f"tensor '{item.name}' goes on behind its last layer; the sender is broken")
        return _array(item, _unfold(item, values)), len(counts.ends)


def channels_of(array: Array) -> Ints:
    """A tensor of two or more axes as (channels, elements)."""
    values: Ints = np.moveaxis(array, 1, 0).reshape(array.shape[1], -1).astype(np.int64)
    return values


def _empty(item: Item, channels: int) -> Ints:
    return np.zeros((channels, item.elements // channels), np.int64)


def _unfold(item: Item, values: Ints) -> Ints:
    """(channels, elements) in the order of the tensor's own axes, flat."""
    batch, channels, *others = item.shape
    order: Ints = np.moveaxis(values.reshape(channels, batch, *others), 0, 1).reshape(-1)
    return order


def _array(item: Item, values: Ints) -> Array:
    """The values in the tensor's dtype and shape; PeerError where they do not fit it."""
    bounds = np.iinfo(np.dtype(item.dtype))
    if values.min() < bounds.min or values.max() > bounds.max:
        raise PeerError(f"tensor '{item.name}' holds values beyond {item.dtype}; the sender is broken")
    return values.astype(item.dtype).reshape(item.shape)


def _identity(name: str, array: Array | None, item: Item | None = None) -> bytes:
    """What a layer's checksum covers of the header."""
    dtype, shape = (
        (dtype_name(array.dtype), array.shape) if array is not None else (item.dtype, item.shape) if item else ("", ())
    )
    return f"{name}|{dtype}|{'x'.join(map(str, shape))}".encode()


def _packed(plain: bytes | memoryview) -> bytes:
    frame = compress(plain)
    return bytes((ZSTD,)) + frame if len(frame) < len(plain) else bytes((PLAIN,)) + bytes(plain)


def _with_table(array: Array, packed: bytes) -> bytes:
    """One table of this very tensor and its code, unless `packed` is shorter."""
    values = array.reshape(-1).astype(np.int64)
    low, table = first_table(values)
    if len(table) * 2 > len(packed):
        return packed
    unit = Unit(WHOLE, 0, True, low, 0, (table,))
    head = _TABLE_HEAD.pack(low, len(table)) + np.array(table, "<u2").tobytes()
    body = bytes((TABLE,)) + head + encode(*told(values[None], (unit,)))
    return min(body, packed, key=len)


def _read_table(body: bytes | memoryview) -> tuple[Unit, bytes | memoryview]:
    if len(body) < _TABLE_HEAD.size:
        raise PeerError("entropy-coded tensor came without its table; send it again")
    low, symbols = _TABLE_HEAD.unpack_from(body)
    end = _TABLE_HEAD.size + 2 * symbols
    if not 2 <= symbols <= SYMBOLS_MAX or len(body) < end:
        raise PeerError("entropy-coded tensor came with a table cut short; send it again")
    table = tuple(np.frombuffer(body, "<u2", symbols, _TABLE_HEAD.size).tolist())
    try:
        return Unit(WHOLE, 0, True, low, 0, (table,)), body[end:]
    except UsageError:
        raise PeerError("entropy-coded tensor came with a table that is none; the sender is broken") from None


def _layers(values: Ints, counts: Counts, checksum: int) -> bytes:
    parts = [bytes((LAYERS,))]
    begun = 0
    for end in counts.ends:
        code = encode(*told(values, counts.units[begun:end]))
        length = len(code).to_bytes(2, "little") if len(code) < 2**16 else b""
        if not length:
            raise UsageError(f"a layer of {len(code)} bytes is too long; this latent is far from its calibration")
        checksum = zlib.crc32(code, zlib.crc32(length, checksum))
        parts += (_LAYER_HEAD.pack(len(code), checksum), code)
        begun = end
    return b"".join(parts)


def _build(arguments: tuple[str, ...], calibration: Calibration | None) -> IntsCodec | None:
    if arguments not in ((), ("channel",), ("progressive",)):
        return None
    if arguments and calibration is None:
        raise UsageError(f"codec 'ints:{arguments[0]}' needs a calibration; make one with `calibrate`")
    codec = IntsCodec(arguments[0] if arguments else "", calibration if arguments else None)
    if calibration is not None and arguments and calibration.spec != codec.name:
        raise UsageError(f"calibration {calibration.id} was made for '{calibration.spec}', not for '{codec.name}'")
    return codec


register(Family("ints", "ints[:channel|progressive]", ("ints",), _build))
