"""Chunks put together: any division gives the payload, any break of the rules a fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.wire.assembly import Assembly
from hedgerow.wire.faults import FaultError, FaultKind
from hedgerow.wire.limits import CHUNK_BYTES_MAX


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20))
def test_any_division_into_chunks_gives_the_payload(chunks: list[bytes]) -> None:
    payload = b"".join(chunks)
    assembly = Assembly(len(payload), payload_bytes_max=1000)
    so_far = b""
    for chunk in chunks:
        assert not assembly.complete
        so_far += chunk
        assert assembly.add(assembly.bytes_received, chunk) == len(so_far)
        with assembly.view() as view:
            assert bytes(view) == so_far  # usable before the last byte has come
    assert assembly.complete


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=20))
def test_bytes_that_are_let_go_are_still_counted(chunks: list[bytes]) -> None:
    assembly = Assembly(sum(map(len, chunks)), payload_bytes_max=1000)
    for chunk in chunks:
        assembly.add(assembly.bytes_received, chunk)
        assembly.let_go()
        with assembly.view() as view:
            assert len(view) == 0
    assert assembly.complete


@pytest.mark.parametrize(
    ("offset", "data", "kind"),
    [
        (4, b"x", FaultKind.BAD_PAYLOAD),
        (6, b"x", FaultKind.BAD_PAYLOAD),
        (0, b"x", FaultKind.BAD_PAYLOAD),
        (5, b"", FaultKind.BAD_PAYLOAD),
        (5, b"123456", FaultKind.TOO_LARGE),
        (5, bytes(CHUNK_BYTES_MAX + 1), FaultKind.TOO_LARGE),
    ],
)
def test_what_breaks_the_rules_is_a_fault_and_changes_nothing(offset: int, data: bytes, kind: FaultKind) -> None:
    assembly = Assembly(10, payload_bytes_max=10)
    assembly.add(0, b"12345")
    with pytest.raises(FaultError) as caught:
        assembly.add(offset, data)
    assert caught.value.fault.kind is kind
    assert assembly.bytes_received == 5
    assert assembly.add(5, b"67890") == 10


def test_more_than_the_limit_is_refused_before_a_byte_comes() -> None:
    with pytest.raises(FaultError) as caught:
        Assembly(11, payload_bytes_max=10)
    assert caught.value.fault.kind is FaultKind.TOO_LARGE
