"""Reads weights out of a safetensors file, with NumPy alone and without trusting it.

The format: a little-endian uint64, the length of a JSON text; that text, name -> dtype, shape and the place of the bytes after
it; the bytes. Rules: every length and place is checked against the bytes that are there, tensors may not overlap or leave gaps,
and a dtype that NumPy does not have is refused.
Source: the format's own description, https://github.com/huggingface/safetensors (README, section "Format").
"""

import json
import math
import struct
from itertools import pairwise
from typing import Any

import numpy as np

from hedgerow.errors import PeerError
from hedgerow.models.tensors import Array

HEADER_BYTES_MAX = 1 << 24
TENSORS_MAX = 10_000
DIMENSIONS_MAX = 8
_DTYPES = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}


def read_safetensors(data: bytes) -> dict[str, Array]:
    """Weights by name, in their stored dtype, read-only; PeerError when `data` is not a whole safetensors file."""
    try:
        (length,) = struct.unpack_from("<Q", data)
        if not 2 <= length <= min(HEADER_BYTES_MAX, len(data) - 8):
            raise ValueError(f"its head says {length} bytes")
        head = json.loads(data[8 : 8 + length].decode("utf-8"))
        entries = {name: entry for name, entry in head.items() if name != "__metadata__"}
        if len(entries) > TENSORS_MAX:
            raise ValueError(f"it holds {len(entries)} tensors")
        body = memoryview(data)[8 + length :]
        _check_places(sorted(_place(entry) for entry in entries.values()), len(body))
        return {name: _tensor(entry, body) for name, entry in entries.items()}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PeerError(f"the weights are no whole safetensors file ({error}); fetch them again") from error


def _place(entry: Any) -> tuple[int, int]:
    start, end = entry["data_offsets"]
    if type(start) is not int or type(end) is not int:
        raise ValueError("a place is no whole number")
    return start, end


def _check_places(places: list[tuple[int, int]], size: int) -> None:
    """One after the other, from the first byte to the last."""
    edges = [(0, 0), *places, (size, size)]
    if any(end < start for start, end in places) or any(one[1] != next_[0] for one, next_ in pairwise(edges)):
        raise ValueError("the places of its tensors do not fit its length")


def _tensor(entry: Any, body: memoryview) -> Array:
    start, end = _place(entry)
    dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), entry["shape"]
    if len(shape) > DIMENSIONS_MAX or any(type(axis) is not int or axis < 0 for axis in shape):
        raise ValueError(f"a shape is {str(shape)[:100]}")
    if math.prod(shape) * dtype.itemsize != end - start:
        raise ValueError(f"a tensor of {dtype} {tuple(shape)} has {end - start} bytes")
    return np.frombuffer(body[start:end], dtype).reshape(shape)
