"""Reads the weights out of a legacy PyTorch checkpoint without PyTorch, and without trusting it.

The format (what `torch.save` wrote before version 1.6) is four pickles (magic number, protocol, machine facts, the state
dict), a fifth with the ordered storage keys, then for each key a little-endian int64 element count and the raw elements.
Rules: each pickle is scanned before it is run, and only opcodes that a state dict of numbers needs are let through; the
unpickler resolves the six names that it needs and refuses any other, so a file can describe arrays and nothing else; every
size and offset is checked against the bytes that are there.
Source: PyTorch's documentation of `torch.save` and the byte stream itself.
"""

import io
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from hedgerow.errors import PeerError
from hedgerow.models.tensors import Array

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
TENSORS_MAX = 10_000
DIMENSIONS_MAX = 8
MEMO_ENTRIES_MAX = 1_000_000

_OPCODES = frozenset(
    [
        "PROTO",
        "STOP",
        "MARK",
        "GLOBAL",
        "REDUCE",
        "BINPERSID",
        "BINPUT",
        "LONG_BINPUT",
        "BINGET",
        "LONG_BINGET",
        "NONE",
        "NEWFALSE",
        "NEWTRUE",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINUNICODE",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "EMPTY_LIST",
        "APPEND",
        "APPENDS",
        "EMPTY_DICT",
        "SETITEM",
        "SETITEMS",
        "BUILD",
    ]
)

_STORAGE_DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8"}
# What the C unpickler may raise on bytes that are not a well-formed pickle of the expected kind.
_MALFORMED = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
    RecursionError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str
    length: int


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor as the pickle describes it, before its storage has been read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _StateUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilder()
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        raise PeerError(
            f"the checkpoint asks for {module}.{name}, which no weights need; refused, do not use this file"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, length, view = pid
        known = kind == "storage" and dtype in _STORAGE_DTYPES.values() and view is None
        if not known or not isinstance(key, str) or not isinstance(length, int):
            raise pickle.UnpicklingError("unknown storage record")
        return _Storage(key, dtype, length)


def _rebuilder() -> Callable[..., _View]:
    """A fresh callable for each lookup: a pickle that sets attributes on it changes nothing that outlives the load."""

    def rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_rest: Any) -> _View:
        numbers = (offset, *shape, *strides)
        wrong = not isinstance(storage, _Storage) or any(type(n) is not int or n < 0 for n in numbers)
        if wrong or len(shape) != len(strides) or len(shape) > DIMENSIONS_MAX:
            raise pickle.UnpicklingError("malformed tensor record")
        return _View(storage, offset, tuple(shape), tuple(strides))

    return rebuild


def read_checkpoint(data: bytes) -> dict[str, Array]:
    """Weights by name, as contiguous arrays in their stored dtype; PeerError when `data` is not a legacy state dict."""
    stream = io.BytesIO(data)
    try:
        if _load(stream) != MAGIC_NUMBER or _load(stream) != PROTOCOL_VERSION:
            raise PeerError("not a legacy PyTorch checkpoint; fetch it again")
        _load(stream)  # facts about the machine that wrote it
        state = _load(stream)
        keys = _load(stream)
        views = _checked_views(state, keys)
        storages = _read_storages(stream, keys, {view.storage.key: view.storage for view in views.values()})
        return {name: _materialise(name, view, storages[view.storage.key]) for name, view in views.items()}
    except _MALFORMED as error:
        raise PeerError(f"the checkpoint is damaged or not a state dict ({error}); fetch it again") from error


def _load(stream: BinaryIO) -> Any:
    start = stream.tell()
    for opcode, argument, _place in pickletools.genops(stream):
        if opcode.name not in _OPCODES:
            raise PeerError(f"the checkpoint uses the pickle opcode {opcode.name}, which no weights need; refused")
        if opcode.name == "LONG_BINPUT" and int(argument or 0) >= MEMO_ENTRIES_MAX:
            raise ValueError("its memo is too large")
    stream.seek(start)
    return _StateUnpickler(stream, encoding="utf-8").load()


def _checked_views(state: Any, keys: Any) -> dict[str, _View]:
    whole = isinstance(state, dict) and isinstance(keys, list) and len(state) <= TENSORS_MAX
    if not whole or not all(isinstance(n, str) and isinstance(v, _View) for n, v in state.items()):
        raise pickle.UnpicklingError("its content is not tensors by name")
    return dict(state)


def _read_storages(stream: BinaryIO, keys: list[Any], wanted: dict[str, _Storage]) -> dict[str, Array]:
    storages: dict[str, Array] = {}
    for key in keys:
        (length,) = struct.unpack("<q", stream.read(8))
        storage = wanted[key]
        if length != storage.length:
            raise ValueError(f"storage {key} has {length} elements instead of {storage.length}")
        dtype = np.dtype(storage.dtype)
        elements = stream.read(length * dtype.itemsize)
        storages[key] = np.frombuffer(elements, dtype=dtype, count=length)
    return storages


def _materialise(name: str, view: _View, storage: Array) -> Array:
    reach = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    if 0 not in view.shape and reach >= storage.size:
        raise ValueError(f"tensor {name} reaches past its storage")
    if int(np.prod(view.shape, dtype=object)) > storage.size:
        raise ValueError(f"tensor {name} is larger than its storage")
    start = storage[view.offset :]
    strides = tuple(stride * storage.itemsize for stride in view.strides)
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(start, view.shape, strides)).reshape(view.shape)
