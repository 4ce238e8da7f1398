"""The sealed envelope around every payload: what is inside, how long each piece is, and a checksum over all of it.

It describes itself, so that a payload found in a spool or a capture can be read without the session that made it, and
it is small, because its bytes are uplink bytes: about 21 beside the tensor's name for one four-axis tensor. Integers
are little-endian; `varint` is LEB128 (seven bits a byte, low bits first).

    magic "HG" | version u8 | crc32 u32 of all that follows
    codec spec: length u8, ASCII | calibration: length u8 (0 or 8), bytes | tensors u8
    for each tensor: name (length varint, UTF-8) | dtype u8 | axes u8 | each axis varint | body length varint
    the bodies, one after the other, up to the very end

Rules: a length is checked against what is left before it is used; the declared tensors are checked against the limits
and the expected specs before any body is looked at; whatever does not fit is a PeerError. The checksum finds accidents,
not forgers: those are the transport's business.
"""

import functools
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hedgerow.codecs.base import CodecLimits
from hedgerow.errors import PeerError, UsageError
from hedgerow.models.tensors import Array, TensorSpec

MAGIC = b"HG"
VERSION = 1
NAME_BYTES_MAX = 1024
AXIS_MAX = 2**31 - 1
VARINT_BYTES_MAX = 5
CALIBRATION_BYTES = 8
PREFIX_BYTES_MIN = 16
HEADER_BYTES_MAX = NAME_BYTES_MAX + 256  # of a payload of one tensor

# The place in this tuple is the code on the wire: append only.
DTYPES = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64"),
)
_DTYPE_CODE = {name: code for code, name in enumerate(DTYPES)}
_SEAL = struct.Struct("<2sBI")

Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Item:
    """One tensor of a payload: what the header says of it, and its bytes as the codec wrote them."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    body: Buffer

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def tensor_bytes(self) -> int:
        """Bytes of the decoded tensor."""
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Contents:
    """An opened envelope."""

    spec: str
    calibration_id: str
    items: tuple[Item, ...]


@functools.lru_cache(maxsize=64)
def dtype_name(dtype: np.dtype[np.generic]) -> str:
    """`dtype.name`, which NumPy puts together anew each time."""
    return dtype.name


def item_of(name: str, array: Array, body: Buffer) -> Item:
    """The item for one of our own tensors; UsageError where its dtype does not travel."""
    return Item(name, checked_dtype(name, array), array.shape, body)


def checked_dtype(name: str, array: Array) -> str:
    """The dtype's name; UsageError where the envelope has no code for it."""
    dtype = dtype_name(array.dtype)
    if dtype not in _DTYPE_CODE:
        raise UsageError(f"tensor '{name}' is {dtype}, which no codec carries; known are {', '.join(DTYPES)}")
    return dtype


def seal(spec: str, items: Sequence[Item], *, calibration_id: str = "") -> bytes:
    """One payload of all `items`, in their order."""
    if len(items) > 255:
        raise UsageError(f"{len(items)} tensors in one crossing, 255 at most")
    head = bytearray()
    for text in (spec.encode("ascii"), bytes.fromhex(calibration_id)):
        head.append(len(text))
        head += text
    head.append(len(items))
    for item in items:
        _put_item(head, item)
    parts: list[Buffer] = [bytes(head), *(item.body for item in items)]
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return b"".join([_SEAL.pack(MAGIC, VERSION, checksum), *parts])


def _put_item(head: bytearray, item: Item) -> None:
    name = item.name.encode("utf-8")
    if len(name) > NAME_BYTES_MAX:
        raise UsageError(f"tensor name of {len(name)} bytes, {NAME_BYTES_MAX} at most: '{item.name[:40]}...'")
    if max(item.shape, default=0) > AXIS_MAX or len(item.body) > AXIS_MAX:
        raise UsageError(f"tensor '{item.name}' of shape {item.shape} is too big for one crossing")
    _put_varint(head, len(name))
    head += name
    head.append(_DTYPE_CODE[item.dtype])
    head.append(len(item.shape))
    for axis in item.shape:
        _put_varint(head, axis)
    _put_varint(head, len(item.body))


def _put_varint(head: bytearray, value: int) -> None:
    while value > 0x7F:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    head.append(value)


class _Reader:
    """Reads forward through a buffer and never past its end."""

    __slots__ = ("_at", "_view")

    def __init__(self, view: memoryview, at: int) -> None:
        self._view = view
        self._at = at

    @property
    def left_bytes(self) -> int:
        return len(self._view) - self._at

    def take(self, length: int) -> memoryview:
        if length > self.left_bytes:
            raise PeerError(f"payload ends early: {length} bytes announced, {self.left_bytes} left; send it again")
        self._at += length
        return self._view[self._at - length : self._at]

    def u8(self) -> int:
        if self._at >= len(self._view):
            raise PeerError("payload ends inside its header; send it again")
        self._at += 1
        return self._view[self._at - 1]

    def varint(self) -> int:
        value = 0
        for place in range(VARINT_BYTES_MAX):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                break
        if byte >= 0x80 or value > AXIS_MAX:
            raise PeerError("payload header holds a number that is too big; both sides must run the same version")
        return value

    def text(self, length: int, encoding: str) -> str:
        try:
            return str(self.take(length), encoding)
        except UnicodeDecodeError:
            raise PeerError(f"payload header holds a name that is not {encoding}; the sender is broken") from None


def unseal(payload: Buffer, *, limits: CodecLimits, expected: tuple[TensorSpec, ...] | None = None) -> Contents:
    """Open `payload`; its bodies are views into it. PeerError unless whole, within `limits` and as `expected`.

    Nothing is allocated in proportion to a declared size: codecs may allocate `Item.tensor_bytes` afterwards.
    """
    view = memoryview(payload).cast("B")
    if len(view) > limits.payload_bytes_max:
        raise PeerError(f"payload of {len(view)} bytes, {limits.payload_bytes_max} at most are taken")
    _check_seal(view)
    reader = _Reader(view, _SEAL.size)
    spec = reader.text(reader.u8(), "ascii")
    calibration = reader.take(reader.u8()).hex()
    if len(calibration) not in (0, 2 * CALIBRATION_BYTES):
        raise PeerError(f"payload names a calibration by {len(calibration) // 2} bytes instead of {CALIBRATION_BYTES}")
    declared = _read_declared(reader, limits)
    _check_expected([item for item, _ in declared], expected)
    items = tuple(Item(item.name, item.dtype, item.shape, reader.take(length)) for item, length in declared)
    if reader.left_bytes:
        raise PeerError(f"{reader.left_bytes} bytes behind the last tensor of the payload; send it again")
    return Contents(spec, calibration, items)


def unseal_prefix(payload: Buffer, *, limits: CodecLimits, expected: tuple[TensorSpec, ...]) -> Contents | None:
    """What the first bytes of a payload of one tensor hold, its body cut where they end; None while its header is not whole.

    The envelope's checksum cannot be checked yet: the codec's own must. PeerError for what cannot be the start of a payload
    of such a tensor.
    """
    view = memoryview(payload).cast("B")
    if len(view) < PREFIX_BYTES_MIN:
        return None
    magic, version, _ = _SEAL.unpack_from(view)
    if (magic, version) != (MAGIC, VERSION):
        raise PeerError("payload does not begin like a Hedgerow envelope; the sender speaks something else")
    reader = _Reader(view, _SEAL.size)
    try:
        spec, calibration = reader.text(reader.u8(), "ascii"), reader.take(reader.u8()).hex()
        declared = _read_declared(reader, limits)
    except PeerError:
        if len(view) > HEADER_BYTES_MAX:
            raise
        return None
    if len(declared) != 1:
        return None
    _check_expected([item for item, _ in declared], expected)
    (item, length) = declared[0]
    body = reader.take(min(length, reader.left_bytes))
    return Contents(spec, calibration, (Item(item.name, item.dtype, item.shape, body),))


def _check_seal(view: memoryview) -> None:
    if len(view) < _SEAL.size:
        raise PeerError(f"payload of {len(view)} bytes is shorter than any envelope; send it again")
    magic, version, checksum = _SEAL.unpack_from(view)
    if magic != MAGIC:
        raise PeerError("payload does not begin like a Hedgerow envelope; the sender speaks something else")
    if version != VERSION:
        raise PeerError(f"payload is of envelope version {version}, this side reads {VERSION}; update the older side")
    if zlib.crc32(view[_SEAL.size :]) != checksum:
        raise PeerError("payload was damaged on its way (checksum differs); send it again")


def _read_declared(reader: _Reader, limits: CodecLimits) -> list[tuple[Item, int]]:
    """Each tensor's header with the length of its body, all of them within the limits together."""
    count = reader.u8()
    if count > limits.tensors_max:
        raise PeerError(f"payload of {count} tensors, {limits.tensors_max} at most are taken")
    declared: list[tuple[Item, int]] = []
    names: set[str] = set()
    left_bytes = limits.tensor_bytes_max
    for _ in range(count):
        item = _read_item(reader, limits)
        if item.name in names:
            raise PeerError(f"payload holds tensor '{item.name}' twice")
        names.add(item.name)
        # Empty axes count as one here: numpy's own arithmetic on such shapes must stay small too.
        held_bytes = math.prod(max(axis, 1) for axis in item.shape) * np.dtype(item.dtype).itemsize
        if held_bytes > left_bytes:
            raise PeerError(
                f"payload declares more than {limits.tensor_bytes_max} bytes of tensors"
                f" (at '{item.name}', {item.dtype} {item.shape}); raise the limit or send less"
            )
        left_bytes -= held_bytes
        declared.append((item, reader.varint()))
    return declared


def _read_item(reader: _Reader, limits: CodecLimits) -> Item:
    name_bytes = reader.varint()
    if name_bytes > NAME_BYTES_MAX:
        raise PeerError(f"payload holds a tensor name of {name_bytes} bytes, {NAME_BYTES_MAX} at most are taken")
    name = reader.text(name_bytes, "utf-8")
    code = reader.u8()
    if code >= len(DTYPES):
        raise PeerError(f"tensor '{name}' has the unknown dtype code {code}; update the older side")
    axes = reader.u8()
    if axes > limits.dimensions_max:
        raise PeerError(f"tensor '{name}' has {axes} axes, {limits.dimensions_max} at most are taken")
    return Item(name, DTYPES[code], tuple(reader.varint() for _ in range(axes)), b"")


def _check_expected(items: Sequence[Item], expected: tuple[TensorSpec, ...] | None) -> None:
    """The same names, dtypes and fixed axes as `expected`; one symbol means one size throughout."""
    if expected is None:
        return
    wanted = {spec.name: spec for spec in expected}
    found = {item.name: item for item in items}
    if wanted.keys() != found.keys():
        raise PeerError(f"payload holds tensors {sorted(found)}, expected {sorted(wanted)}; both sides must cut alike")
    symbols: dict[str, int] = {}
    for name, spec in wanted.items():
        item = found[name]
        fits = item.dtype == spec.dtype and len(item.shape) == len(spec.shape)
        for axis, size in zip(spec.shape, item.shape, strict=False):
            known = symbols.setdefault(axis, size) if isinstance(axis, str) else axis
            fits = fits and known in (None, size)
        if not fits:
            shape = ", ".join("?" if axis is None else str(axis) for axis in spec.shape)
            raise PeerError(f"tensor '{name}' came as {item.dtype} {item.shape}, expected {spec.dtype} ({shape})")


def check_maker(contents: Contents, spec: str, calibration_id: str) -> None:
    """PeerError unless the payload was made by this very codec with this very calibration."""
    if contents.spec != spec:
        raise PeerError(f"payload was made by codec '{contents.spec}', expected '{spec}'; both sides must agree on it")
    if contents.calibration_id != calibration_id:
        raise PeerError(
            f"payload was made with calibration '{contents.calibration_id or 'none'}', this side holds"
            f" '{calibration_id or 'none'}'; send the calibration first"
        )
