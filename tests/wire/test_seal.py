"""Seals: every field counts, no two messages are encoded alike, and numbers are taken once."""

from collections.abc import Iterator
from hashlib import blake2b

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.wire.faults import FaultError, FaultKind, Measure
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.messages import PREFIX_VERSION, PROTOCOL_VERSION, Crossing, opening, probe_opening
from hedgerow.wire.seal import (
    WINDOW,
    Windows,
    ack_seal,
    answer_seal,
    check_ack,
    check_answer,
    check_content,
    check_opening,
    check_part,
    opening_seal,
    sealed_ack,
    sealed_answer,
    sealed_opening,
)

PAYLOAD = b"what the camera saw"


def request(payload: bytes = PAYLOAD, sequence: int = 5) -> pb.Open:
    crossing = Crossing(bytes(range(16)), 1, "task", "m", "chain", 0, 3, "q4", "ca", payload, 10**9, "front")
    return sealed_opening(opening(crossing, remaining_ns=10**9, session=b"12345678", sequence=sequence), payload)


def cut_request(*ends: int) -> pb.Open:
    """One whose payload may be cut there."""
    crossing = Crossing(bytes(16), 1, "task", "m", "chain", 0, 3, "ints", "ca", PAYLOAD, 10**9, "front", ends, 10**6)
    return sealed_opening(opening(crossing, remaining_ns=10**9, session=b"12345678", sequence=6), PAYLOAD)


def answer(to: pb.Open, part_bytes: int = 0) -> pb.Answer:
    times = pb.Answer(last=3, payload=b"a hedge", queue_ns=1, decode_ns=2, compute_ns=3, segment_ns=[4, 5], batch=1)
    times.prefix_bytes = part_bytes
    return sealed_answer(to, times)


def changed(message: Message) -> Iterator[tuple[str, Message]]:
    """The message with one field changed, for each field that it can have."""
    for field in message.DESCRIPTOR.fields:
        other = type(message)()
        other.CopyFrom(message)
        value = getattr(other, field.name)
        if field.is_repeated:
            value.append(b"1" if field.type == FieldDescriptor.TYPE_BYTES else 1)
        elif field.type == FieldDescriptor.TYPE_STRING:
            setattr(other, field.name, value + "x")
        elif field.type == FieldDescriptor.TYPE_BYTES:
            setattr(other, field.name, value[:-1] + bytes([value[-1] ^ 1]))
        elif field.type == FieldDescriptor.TYPE_BOOL:
            setattr(other, field.name, not value)
        else:
            setattr(other, field.name, value + 1)
        yield field.name, other


def measure_of(error: FaultError) -> Measure | None:
    assert error.fault.kind is FaultKind.CORRUPT
    return error.fault.measure


def test_what_is_as_it_was_sealed_is_taken() -> None:
    sent = request()
    check_opening(sent)
    check_content(sent, PAYLOAD)
    check_content(sent, memoryview(bytearray(PAYLOAD)))
    check_answer(sent, answer(sent))
    check_ack(sent, sealed_ack(sent, 3), acked_bytes=2, sent_bytes=3)
    check_opening(sealed_opening(probe_opening(7, session=b"12345678", sequence=1), b""))


@pytest.mark.parametrize("sent", [request(), cut_request(4, 9)], ids=["whole", "cut"])
def test_every_field_of_an_opening_is_sealed(sent: pb.Open) -> None:
    for name, other in changed(sent):
        assert isinstance(other, pb.Open)
        with pytest.raises(FaultError) as caught:
            check_opening(other)
        assert measure_of(caught.value) is Measure.CHECKSUM, name


def test_every_field_of_an_answer_is_checked() -> None:
    sent, seen = request(), set()
    for name, other in changed(answer(sent)):
        assert isinstance(other, pb.Answer)
        with pytest.raises(FaultError) as caught:
            check_answer(sent, other)
        seen.add((name, measure_of(caught.value)))
        if name != "seal":  # and is sealed, whether or not its name is compared
            assert answer_seal(sent.seal, other) != answer(sent).seal, name
    assert {name for name, measure in seen if measure is Measure.SEQUENCE} == {"sequence", "attempt"}
    assert {name for name, measure in seen if measure is Measure.IDENTITY} == {
        *("session", "stream", "model", "sample_id", "last")
    }
    assert len(seen) == len(pb.Answer.DESCRIPTOR.fields)


def test_every_field_of_an_acknowledgement_is_checked() -> None:
    sent = request()
    for name, other in changed(sealed_ack(sent, 3)):
        assert isinstance(other, pb.Ack)
        with pytest.raises(FaultError) as caught:
            check_ack(sent, other, acked_bytes=0, sent_bytes=100)
        assert measure_of(caught.value) is Measure.CHECKSUM, name


def test_an_answer_fits_the_content_it_was_computed_from() -> None:
    one, other = request(), request(b"what the camera saw next")
    forged = answer(other)  # all names are the same: only the frame differs
    with pytest.raises(FaultError) as caught:
        check_answer(one, forged)
    assert measure_of(caught.value) is Measure.CHECKSUM
    with pytest.raises(FaultError):
        check_content(one, b"what the camera saw next")


@pytest.mark.parametrize(("received", "acked", "sent"), [(3, 3, 9), (2, 3, 9), (10, 3, 9), (0, 0, 9)])
def test_acknowledgements_rise_and_never_pass_what_was_sent(received: int, acked: int, sent: int) -> None:
    with pytest.raises(FaultError) as caught:
        check_ack(request(), sealed_ack(request(), received), acked_bytes=acked, sent_bytes=sent)
    assert measure_of(caught.value) is Measure.SEQUENCE


texts = st.text(max_size=6)
blobs = st.binary(max_size=6)
openings = st.builds(
    pb.Open,
    **dict.fromkeys(("task_id", "model", "chain_id", "codec", "calibration_id", "stream"), texts),
    **dict.fromkeys(("sample_id", "session", "content"), blobs),
    joint=st.integers(-1, 3),
    remaining_ns=st.integers(-(2**63), 2**63 - 1),
    sequence=st.integers(0, 2**64 - 1),
    prefix_ends=st.lists(st.integers(0, 2**32 - 1), max_size=3),
    prefix_contents=st.lists(blobs, max_size=3),
    prefix_after_ns=st.integers(0, 3),
)


@given(openings, openings)
def test_two_openings_are_never_encoded_alike(one: pb.Open, other: pb.Open) -> None:
    assert (opening_seal(one) == opening_seal(other)) == (one == other)


def test_a_boundary_between_texts_cannot_move() -> None:
    assert opening_seal(pb.Open(task_id="ab", model="c")) != opening_seal(pb.Open(task_id="a", model="bc"))
    one, other = pb.Answer(segment_ns=[1], queue_ns=2), pb.Answer(segment_ns=[1, 2])
    assert answer_seal(bytes(16), one) != answer_seal(bytes(16), other)
    assert answer_seal(bytes(16), pb.Answer(model="a", payload=b"b")) != answer_seal(
        bytes(16), pb.Answer(payload=b"ab")
    )


def test_digests_are_blake2b_as_the_docs_say() -> None:
    sent = request()
    content = blake2b(PAYLOAD, digest_size=16, person=b"hedgerow content").digest()
    assert (sent.content, sent.version) == (content, PROTOCOL_VERSION)
    ack = blake2b(sent.seal + (3).to_bytes(8, "big"), digest_size=8, person=b"hedgerow ack").digest()
    assert ack_seal(sent.seal, 3) == ack


def test_parts_are_sealed_up_to_where_the_payload_may_be_cut() -> None:
    sent = cut_request(4, 9)
    check_opening(sent)
    assert (sent.version, list(sent.prefix_ends)) == (PREFIX_VERSION, [4, 9])
    digest = blake2b(PAYLOAD[:9], digest_size=16, person=b"hedgerow prefix").digest()
    assert sent.prefix_contents[1] == digest
    for end in (4, 9):
        check_part(sent, PAYLOAD[:end])
    for part in (b"", PAYLOAD[:5], b"WHAT", PAYLOAD[:8] + b"!", PAYLOAD):
        with pytest.raises(FaultError) as caught:
            check_part(sent, part)
        assert measure_of(caught.value) is Measure.CHECKSUM


@pytest.mark.parametrize("ends", [(0,), (9, 9), (9, 4), (len(PAYLOAD),), (1, 2, 3, 4, 5)])
def test_places_to_cut_at_that_cannot_be_have_no_form(ends: tuple[int, ...]) -> None:
    with pytest.raises(FaultError) as caught:
        check_opening(cut_request(*ends))
    assert measure_of(caught.value) is Measure.FORM


def test_an_answer_to_a_part_fits_that_part_and_only_where_it_was_offered() -> None:
    sent = cut_request(4, 9)
    check_answer(sent, answer(sent, 9))
    assert answer_seal(sent.seal, answer(sent, 9)) != answer_seal(sent.seal, answer(sent))
    for renamed in (0, 4):
        other = answer(sent, 9)
        other.prefix_bytes = renamed
        with pytest.raises(FaultError) as caught:
            check_answer(sent, other)
        assert measure_of(caught.value) is Measure.CHECKSUM
    for asked, part in ((sent, 5), (request(), 4)):
        with pytest.raises(FaultError) as caught:
            check_answer(asked, answer(asked, part))
        assert measure_of(caught.value) is Measure.FORM


def test_a_session_of_the_wrong_length_has_no_form() -> None:
    with pytest.raises(FaultError) as caught:
        check_opening(sealed_opening(probe_opening(1, session=b"short", sequence=1), b""))
    assert measure_of(caught.value) is Measure.FORM


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=60))
def test_a_number_is_taken_once_and_never_from_beyond_the_window(numbers: list[int]) -> None:
    windows, taken = Windows(1), set[int]()
    for number in numbers:
        fresh = number not in taken and (not taken or max(taken) - number < WINDOW)
        if fresh:
            windows.take(b"session!", number)
            taken.add(number)
        else:
            with pytest.raises(FaultError) as caught:
                windows.take(b"session!", number)
            assert measure_of(caught.value) is Measure.SEQUENCE


def test_sessions_have_numbers_of_their_own_and_the_longest_silent_is_forgotten() -> None:
    windows = Windows(2)
    for session in (b"a", b"b", b"a"):
        windows.take(session, len(windows) + 10 if session == b"a" else 1)
    windows.take(b"c", 1)
    assert len(windows) == 2
    with pytest.raises(FaultError):
        windows.take(b"a", 10)
    windows.take(b"b", 1)  # forgotten, so taken again
