"""The envelope tells what is inside, costs few bytes, and refuses everything that does not add up."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.codecs import CodecLimits, unseal
from hedgerow.codecs.envelope import Item, check_maker, item_of, seal
from hedgerow.errors import PeerError, UsageError
from hedgerow.models.tensors import TensorSpec

LIMITS = CodecLimits()
ITEM = Item("features", "float32", (1, 64, 14, 14), b"body")


def sealed(header: bytes) -> bytes:
    """`header` and what follows, with a good beginning and checksum."""
    return struct.pack("<2sBI", b"HG", 1, zlib.crc32(header)) + header


def header(*, name: bytes = b"x", dtype: int = 10, axes: tuple[bytes, ...] = (b"\1",), length: bytes = b"\0") -> bytes:
    tensor = bytes((len(name),)) + name + bytes((dtype, len(axes))) + b"".join(axes) + length
    return b"\3raw" + b"\0" + b"\1" + tensor


@given(
    st.text("abcq:,48", min_size=1, max_size=12),
    st.sampled_from(["", "0123456789abcdef"]),
    st.lists(st.tuples(st.text(max_size=40), st.lists(st.integers(0, 40), max_size=4), st.binary(max_size=300))),
)
@settings(deadline=None)
def test_what_goes_in_comes_out(spec: str, calibration_id: str, drawn: list[tuple[str, list[int], bytes]]) -> None:
    items = {name: Item(name, "int8", tuple(shape), body) for name, shape, body in drawn[:16]}
    contents = unseal(seal(spec, list(items.values()), calibration_id=calibration_id), limits=LIMITS)
    assert (contents.spec, contents.calibration_id) == (spec, calibration_id)
    assert [replace(item, body=bytes(item.body)) for item in contents.items] == list(items.values())


def test_one_tensor_costs_tens_of_bytes() -> None:
    overhead = len(seal("q4", [ITEM])) - len(ITEM.body) - len(ITEM.name)
    assert overhead <= 24
    assert len(seal("q4", [ITEM], calibration_id="00" * 8)) == len(seal("q4", [ITEM])) + 8


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (b"", "shorter than any envelope"),
        (b"XX" + seal("raw", [])[2:], "does not begin like"),
        (b"HG\2" + seal("raw", [])[3:], "version 2"),
        (seal("raw", [ITEM])[:-1], "checksum"),
        (sealed(b""), "ends inside its header"),
        (sealed(b"\x09raw"), "9 bytes announced, 3 left"),
        (sealed(b"\1\xff\0\0"), "not ascii"),
        (sealed(b"\3raw\3abc\0"), "calibration by 3 bytes"),
        (sealed(b"\3raw\0\x11" + b"\0" * 99), "17 tensors"),
        (sealed(header(name=b"\xff")), "not utf-8"),
        (sealed(b"\3raw\0\1\xff\x7f" + b"x" * 99), "name of 16383 bytes"),
        (sealed(header(dtype=12)), "unknown dtype code 12"),
        (sealed(header(axes=(b"\1",) * 9)), "9 axes"),
        (sealed(header(axes=(b"\xff\xff\xff\xff\x0f",))), "too big"),
        (sealed(header(axes=(b"\x80\x80\x80\x80\x80\1",))), "too big"),
        (sealed(header(axes=(b"\xff\xff\xff\xff\x07",) * 8)), "more than 67108864 bytes"),
        (sealed(header(axes=(b"\xff\xff\xff\xff\x07", b"\0"))), "more than 67108864 bytes"),
        (sealed(header(length=b"\4") + b"abc"), "4 bytes announced, 3 left"),
        (sealed(header(length=b"\2") + b"abc"), "1 bytes behind"),
        (seal("raw", [ITEM, ITEM]), "'features' twice"),
    ],
)
def test_what_does_not_add_up_is_refused(bad: bytes, complaint: str) -> None:
    with pytest.raises(PeerError, match=complaint):
        unseal(bad, limits=LIMITS)


@pytest.mark.parametrize("length", [0, 1, 6])
def test_every_cut_of_a_good_header_is_refused_even_with_a_good_checksum(length: int) -> None:
    good = seal("raw", [ITEM, replace(ITEM, name="more")])
    for end in range(7, len(good)):
        with pytest.raises(PeerError):
            unseal(sealed(good[7:end]), limits=LIMITS)
    with pytest.raises(PeerError):
        unseal(good[:length], limits=LIMITS)


@given(st.binary(max_size=200), st.booleans())
@settings(deadline=None, max_examples=300)
def test_random_bytes_give_a_peer_error_or_an_envelope(noise: bytes, with_good_seal: bool) -> None:
    payload = sealed(noise) if with_good_seal else noise
    try:
        contents = unseal(payload, limits=LIMITS)
    except PeerError:
        return
    assert sum(len(item.body) for item in contents.items) <= len(payload)


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        (CodecLimits(payload_bytes_max=10), "10 at most"),
        (CodecLimits(tensor_bytes_max=4 * 64 * 14 * 14 - 1), "more than 50175 bytes"),
        (CodecLimits(dimensions_max=3), "3 at most"),
        (CodecLimits(tensors_max=1), "1 at most"),
    ],
)
def test_each_limit_is_reached(limits: CodecLimits, complaint: str) -> None:
    payload = seal("raw", [ITEM, replace(ITEM, name="more", shape=(1,))])
    unseal(payload, limits=LIMITS)
    with pytest.raises(PeerError, match=complaint):
        unseal(payload, limits=limits)


def test_a_limit_of_nothing_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError, match="tensors_max must be at least 1"):
        CodecLimits(tensors_max=0)


def spec(*shape: int | str | None) -> TensorSpec:
    return TensorSpec("features", "float32", shape)


@pytest.mark.parametrize("expected", [spec(1, 64, 14, 14), spec("batch", 64, None, 14), spec("n", None, "s", "s")])
def test_free_axes_take_any_size(expected: TensorSpec) -> None:
    assert len(unseal(seal("raw", [ITEM]), limits=LIMITS, expected=(expected,)).items) == 1


@pytest.mark.parametrize(
    "expected",
    [
        (spec(2, 64, 14, 14),),
        (spec(1, 64, 14),),
        (spec("n", "n", 14, 14),),
        (replace(spec(1, 64, 14, 14), dtype="float16"),),
        (replace(spec(1, 64, 14, 14), name="other"),),
        (),
        (spec(1, 64, 14, 14), replace(spec(1), name="other")),
    ],
)
def test_what_was_not_expected_is_refused(expected: tuple[TensorSpec, ...]) -> None:
    with pytest.raises(PeerError, match="expected"):
        unseal(seal("raw", [ITEM]), limits=LIMITS, expected=expected)


def test_one_symbol_is_one_size_in_all_tensors() -> None:
    items = [Item("a", "int8", (2,), b""), Item("b", "int8", (3,), b"")]
    free = (TensorSpec("a", "int8", ("n",)), TensorSpec("b", "int8", ("m",)))
    bound = (TensorSpec("a", "int8", ("n",)), TensorSpec("b", "int8", ("n",)))
    unseal(seal("raw", items), limits=LIMITS, expected=free)
    with pytest.raises(PeerError, match="'b' came as int8"):
        unseal(seal("raw", items), limits=LIMITS, expected=bound)


def test_another_maker_is_refused() -> None:
    contents = unseal(seal("q4", [], calibration_id="00" * 8), limits=LIMITS)
    check_maker(contents, "q4", "00" * 8)
    for wrong in (("q8", "00" * 8), ("q4", ""), ("q4", "11" * 8)):
        with pytest.raises(PeerError, match=r"codec 'q4'|calibration '0000"):
            check_maker(contents, *wrong)


def test_what_cannot_be_written_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError, match="256 tensors"):
        seal("raw", [ITEM] * 256)
    with pytest.raises(UsageError, match="name of 1025 bytes"):
        seal("raw", [replace(ITEM, name="x" * 1025)])
    with pytest.raises(UsageError, match="too big"):
        seal("raw", [replace(ITEM, shape=(2**31,))])
    with pytest.raises(UsageError, match="complex128"):
        item_of("x", np.array(1j), b"")
