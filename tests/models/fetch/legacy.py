"""Writes the legacy checkpoint format opcode by opcode, without PyTorch: good files, and ones that lie."""

import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
STORAGE_TYPES = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<f2": "HalfStorage", "<i8": "LongStorage"}


@dataclass(frozen=True)
class Entry:
    """A tensor as written: `shape` and `strides` (elements) over the flat `data`, from `offset`."""

    data: np.ndarray
    shape: Sequence[int]
    strides: Sequence[int]
    offset: int = 0


def whole(array: np.ndarray) -> Entry:
    strides = [stride // array.itemsize for stride in array.strides]
    return Entry(array.reshape(-1), array.shape, strides)


def value(python: object) -> bytes:
    """Opcodes that put a plain value on the stack."""
    return pickle.dumps(python, 2)[2:-1]


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def tensor(key: str, entry: Entry, *, declared: int | None = None) -> bytes:
    length = entry.data.size if declared is None else declared
    storage = b"(" + value("storage") + name("torch", STORAGE_TYPES[entry.data.dtype.str]) + value(key)
    storage += value("cpu") + value(length) + b"NtQ"
    hooks = name("collections", "OrderedDict") + b")R"
    arguments = (
        storage + value(entry.offset) + value(tuple(entry.shape)) + value(tuple(entry.strides)) + b"\x89" + hooks
    )
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def state_pickle(items: Mapping[str, bytes]) -> bytes:
    body = b"".join(value(key) + opcodes for key, opcodes in items.items())
    return b"\x80\x02" + name("collections", "OrderedDict") + b")R(" + body + b"u."


def checkpoint(state: bytes, keys: Sequence[str], storages: Sequence[np.ndarray]) -> bytes:
    preamble = pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    data = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages)
    return preamble + state + pickle.dumps(list(keys), 2) + data


def legacy_checkpoint(entries: Mapping[str, Entry]) -> bytes:
    """A good file; each entry has its own storage, keyed by its place."""
    keys = {key: str(1000 + place) for place, key in enumerate(entries)}
    state = state_pickle({key: tensor(keys[key], entry) for key, entry in entries.items()})
    return checkpoint(state, list(keys.values()), [entry.data for entry in entries.values()])
