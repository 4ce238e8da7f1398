"""The safetensors reader: what was written comes back, and a file whose places do not fit its bytes is refused."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from hedgerow.errors import PeerError
from hedgerow.models.fetch.safetensors import read_safetensors


def file_of(head: Any, body: bytes) -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(start: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_arrays_come_back_bit_for_bit() -> None:
    a, b = np.arange(6, dtype="<f4").reshape(2, 3), np.array([7, -8], "<i8")
    data = file_of(
        {"__metadata__": {"format": "pt"}, "a": entry(0, 24, [2, 3]), "b": entry(24, 40, [2], "I64")},
        a.tobytes() + b.tobytes(),
    )
    read = read_safetensors(data)
    assert set(read) == {"a", "b"}
    np.testing.assert_array_equal(read["a"], a)
    np.testing.assert_array_equal(read["b"], b)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ({"a": entry(0, 24, [2, 3])}, bytes(23)),  # cut short
        ({"a": entry(0, 24, [2, 3])}, bytes(25)),  # something behind it
        ({"a": entry(0, 24, [6]), "b": entry(20, 44, [6])}, bytes(44)),  # overlapping
        ({"a": entry(4, 28, [6])}, bytes(28)),  # a gap
        ({"a": entry(0, 24, [7])}, bytes(24)),  # another shape
        ({"a": entry(0, 24, [-6])}, bytes(24)),
        ({"a": entry(0, 24, ["6"])}, bytes(24)),
        ({"a": entry(0, 24, [6], "F7")}, bytes(24)),  # no such type
        ({"a": entry(0, 24, [1] * 9 + [6])}, bytes(24)),
        ({"a": {"shape": [6]}}, bytes(24)),
        (["a"], b""),
        ("a", b""),
    ],
)
def test_what_does_not_fit_is_refused(head: Any, body: bytes) -> None:
    with pytest.raises(PeerError, match="no whole safetensors file"):
        read_safetensors(file_of(head, body))


@pytest.mark.parametrize(
    "data", [b"", b"\x01", struct.pack("<Q", 1 << 60) + b"{}", struct.pack("<Q", 4) + b"\xff\xfe{}"]
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PeerError, match="no whole safetensors file"):
        read_safetensors(data)
