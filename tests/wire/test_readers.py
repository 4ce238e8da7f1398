"""What each side reads: any division into chunks gives the payload, any message out of its place a fault with its measure."""

import pytest

from hedgerow.wire.faults import FaultError, FaultKind, Measure
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.readers import AnswerReader, RequestReader
from hedgerow.wire.seal import Windows, sealed_ack, sealed_answer
from tests.wire.test_seal import PAYLOAD, answer, cut_request, request

REST = pb.Up(chunk=pb.Chunk(offset=4, data=PAYLOAD[4:])).SerializeToString()


def first(opening: pb.Open) -> bytes:
    return pb.Up(open=opening, chunk=pb.Chunk(offset=0, data=PAYLOAD[:4])).SerializeToString()


def reader(opening: pb.Open | None = None, *, windows: Windows | None = None) -> RequestReader:
    seen = Windows(4) if windows is None else windows
    return RequestReader(first(opening or request()), seen, payload_bytes_max=100)


def down(part: pb.Ack | pb.Answer | pb.Fault) -> bytes:
    match part:
        case pb.Ack():
            return pb.Down(ack=part).SerializeToString()
        case pb.Answer():
            return pb.Down(answer=part).SerializeToString()
        case _:
            return pb.Down(fault=part).SerializeToString()


def rejected(error: FaultError) -> tuple[FaultKind, Measure | None]:
    return error.fault.kind, error.fault.measure


def test_a_request_is_read_acknowledged_and_whole() -> None:
    read = reader()
    assert read.opening == request()
    assert read.first_chunk() == sealed_ack(request(), 4)
    before = read.complete
    assert read.take(REST) == sealed_ack(request(), len(PAYLOAD))
    assert (before, read.complete) == (False, True)
    read.check_content()


def test_an_opening_alone_is_read_too() -> None:
    read = RequestReader(pb.Up(open=request()).SerializeToString(), Windows(1), payload_bytes_max=100)
    assert read.first_chunk() is None
    read.take(pb.Up(chunk=pb.Chunk(data=PAYLOAD)).SerializeToString())
    read.check_content()


@pytest.mark.parametrize(
    ("message", "kind", "measure"),
    [
        (first(request()), FaultKind.PEER, Measure.SEQUENCE),
        (b"", FaultKind.PEER, Measure.FORM),
        (b"\xff\xff", FaultKind.PEER, Measure.FORM),
        (pb.Up(chunk=pb.Chunk(offset=5, data=b"x")).SerializeToString(), FaultKind.BAD_PAYLOAD, Measure.SEQUENCE),
        (pb.Up(chunk=pb.Chunk(offset=4, data=bytes(99))).SerializeToString(), FaultKind.TOO_LARGE, Measure.SEQUENCE),
    ],
)
def test_what_is_out_of_its_place_is_rejected(message: bytes, kind: FaultKind, measure: Measure) -> None:
    read = reader()
    read.first_chunk()
    with pytest.raises(FaultError) as caught:
        read.take(message)
    assert rejected(caught.value) == (kind, measure)


def test_damage_is_found_in_the_opening_and_in_the_content() -> None:
    damaged = request()
    damaged.remaining_ns += 1
    windows = Windows(4)
    with pytest.raises(FaultError) as caught:
        reader(damaged, windows=windows)
    assert rejected(caught.value) == (FaultKind.CORRUPT, Measure.CHECKSUM)
    assert len(windows) == 0  # a damaged number makes no true one look old
    read = reader(windows=windows)
    read.first_chunk()
    read.take(REST.replace(b"camera", b"camora"))
    with pytest.raises(FaultError) as caught:
        read.check_content()
    assert rejected(caught.value) == (FaultKind.CORRUPT, Measure.CHECKSUM)
    with pytest.raises(FaultError) as caught:
        reader(windows=windows)
    assert rejected(caught.value) == (FaultKind.CORRUPT, Measure.SEQUENCE)


def test_an_old_version_is_told_before_its_missing_seal() -> None:
    with pytest.raises(FaultError) as caught:
        reader(pb.Open(version=1, payload_bytes=9))
    assert caught.value.fault.kind is FaultKind.WRONG_VERSION


def test_acknowledgements_and_the_answer_are_read() -> None:
    sent = request()
    read = AnswerReader(sent, due_ns=100)
    assert read.take(down(sealed_ack(sent, 4)), sent_bytes=9, now_ns=1) == sealed_ack(sent, 4)
    assert read.take(down(answer(sent)), sent_bytes=len(PAYLOAD), now_ns=100) == answer(sent)


@pytest.mark.parametrize(
    ("data", "kind", "measure"),
    [
        (object(), FaultKind.PEER, Measure.SEQUENCE),
        (b"\xff", FaultKind.PEER, Measure.FORM),
        (b"", FaultKind.PEER, Measure.FORM),
        (down(sealed_ack(request(), 4)), FaultKind.CORRUPT, Measure.SEQUENCE),
        (down(sealed_ack(request(sequence=4), 5)), FaultKind.CORRUPT, Measure.CHECKSUM),
        (down(answer(request(sequence=4))), FaultKind.CORRUPT, Measure.SEQUENCE),
        (down(pb.Fault(kind="engine")), FaultKind.ENGINE, None),
        (down(pb.Fault(kind="corrupt", measure="sequence")), FaultKind.CORRUPT, Measure.SEQUENCE),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_measure(data: object, kind: FaultKind, measure: Measure | None) -> None:
    read = AnswerReader(request())
    read.take(down(sealed_ack(request(), 4)), sent_bytes=9, now_ns=1)
    with pytest.raises(FaultError) as caught:
        read.take(data, sent_bytes=len(PAYLOAD), now_ns=2)
    assert rejected(caught.value) == (kind, measure)


def test_an_answer_before_the_question_has_gone_is_rejected() -> None:
    with pytest.raises(FaultError) as caught:
        AnswerReader(request()).take(down(answer(request())), sent_bytes=len(PAYLOAD) - 1, now_ns=1)
    assert rejected(caught.value) == (FaultKind.PEER, Measure.SEQUENCE)


def test_a_right_answer_after_its_time_is_rejected() -> None:
    sent = request()
    with pytest.raises(FaultError) as caught:
        AnswerReader(sent, due_ns=100).take(down(sealed_answer(sent, answer(sent))), sent_bytes=99, now_ns=101)
    assert rejected(caught.value) == (FaultKind.TOO_LATE, Measure.TIME_OF_LIFE)


def test_a_part_is_what_has_come_up_to_the_last_place_to_cut_at() -> None:
    read = reader(cut_request(5, 9))
    found = [read.part_bytes]
    read.first_chunk()
    for begin, end in ((4, 5), (5, 8), (8, 12)):
        found.append(read.part_bytes)
        read.take(pb.Up(chunk=pb.Chunk(offset=begin, data=PAYLOAD[begin:end])).SerializeToString())
    assert [*found, read.part_bytes] == [0, 0, 5, 5, 9]
    assert read.checked_part(9) == PAYLOAD[:9]
    with pytest.raises(FaultError) as caught:
        read.checked_part(8)
    assert rejected(caught.value) == (FaultKind.CORRUPT, Measure.CHECKSUM)


def test_an_answer_to_a_part_is_taken_once_that_part_has_gone() -> None:
    sent = cut_request(5, 9)
    assert AnswerReader(sent).take(down(answer(sent, 9)), sent_bytes=9, now_ns=0).prefix_bytes == 9  # type: ignore[union-attr]
    for part, gone in ((9, 8), (0, 12)):
        with pytest.raises(FaultError) as caught:
            AnswerReader(sent).take(down(answer(sent, part)), sent_bytes=gone, now_ns=0)
        assert rejected(caught.value) == (FaultKind.PEER, Measure.SEQUENCE)
    with pytest.raises(FaultError) as caught:
        AnswerReader(request()).take(down(answer(request(), 5)), sent_bytes=len(PAYLOAD), now_ns=0)
    assert rejected(caught.value) == (FaultKind.CORRUPT, Measure.FORM)
    with pytest.raises(FaultError) as caught:
        AnswerReader(sent, due_ns=7).take(down(answer(sent, 9)), sent_bytes=9, now_ns=8)
    assert rejected(caught.value) == (FaultKind.TOO_LATE, Measure.TIME_OF_LIFE)
