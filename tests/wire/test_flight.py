"""The client against servers that lie: no answer for another sample is ever accepted, and each lie is a typed fault."""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from hedgerow import codecs
from hedgerow.wire import CloudClient, FaultKind, Measure
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.seal import sealed_ack, sealed_answer, sealed_opening
from tests.wire.serving import Device, probe, send

Answering = Callable[[pb.Open], list[bytes]]


@contextmanager
def liar(answering: Answering) -> Iterator[str]:
    """A server that answers each crossing with the given bytes, one message each, and then ends the stream."""

    def cross(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        opening = pb.Up.FromString(next(requests)).open
        yield from answering(opening)

    with serving(grpc.stream_stream_rpc_method_handler(cross, None, None)) as address:
        yield address


@contextmanager
def serving(handler: Any) -> Iterator[str]:
    """A server of crossings that this handles."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("hedgerow.v1.Crossing", {"Cross": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def answer(opening: pb.Open, **changes: object) -> bytes:
    """The sealed answer; `changes` replace fields afterwards."""
    payload = codecs.get("raw").encode({})
    made = sealed_answer(opening, pb.Answer(last=opening.last, payload=payload, batch=1))
    for name, value in changes.items():
        setattr(made, name, value)
    return pb.Down(answer=made).SerializeToString()


def ack(opening: pb.Open, size: int) -> bytes:
    return pb.Down(ack=sealed_ack(opening, size)).SerializeToString()


def fault(kind: str, measure: str = "") -> bytes:
    return pb.Down(fault=pb.Fault(kind=kind, measure=measure)).SerializeToString()


def other(opening: pb.Open) -> pb.Open:
    """An opening of the same client's for another frame."""
    changed = pb.Open()
    changed.CopyFrom(opening)
    changed.sequence, changed.sample_id = opening.sequence - 1, bytes(16)
    return sealed_opening(changed, b"another frame")


PEER, CORRUPT = FaultKind.PEER, FaultKind.CORRUPT
LIES: dict[str, tuple[Answering, FaultKind, Measure | None]] = {
    "another frame's answer": (lambda o: [answer(other(o))], CORRUPT, Measure.SEQUENCE),
    "the same, with mended numbers": (lambda o: [answer(other(o), sequence=o.sequence)], CORRUPT, Measure.IDENTITY),
    "the same, with all names mended": (
        lambda o: [answer(other(o), sequence=o.sequence, sample_id=o.sample_id)],
        CORRUPT,
        Measure.CHECKSUM,
    ),
    "another attempt": (lambda o: [answer(o, attempt=9)], CORRUPT, Measure.SEQUENCE),
    "another session": (lambda o: [answer(o, session=bytes(8))], CORRUPT, Measure.IDENTITY),
    "another stream": (lambda o: [answer(o, stream="rear")], CORRUPT, Measure.IDENTITY),
    "another model": (lambda o: [answer(o, model="big")], CORRUPT, Measure.IDENTITY),
    "another segment": (lambda o: [answer(o, last=1)], CORRUPT, Measure.IDENTITY),
    "no sample": (lambda o: [answer(o, sample_id=b"")], CORRUPT, Measure.IDENTITY),
    "half a sample id": (lambda o: [answer(o, sample_id=o.sample_id[:8])], CORRUPT, Measure.IDENTITY),
    "other times": (lambda o: [answer(o, compute_ns=1)], CORRUPT, Measure.CHECKSUM),
    "another payload": (lambda o: [answer(o, payload=b"x")], CORRUPT, Measure.CHECKSUM),
    "no seal": (lambda o: [answer(o, seal=b"")], CORRUPT, Measure.CHECKSUM),
    "more acknowledged than sent": (lambda o: [ack(o, 10**9)], CORRUPT, Measure.SEQUENCE),
    "acknowledged twice": (lambda o: [ack(o, 10), ack(o, 10)], CORRUPT, Measure.SEQUENCE),
    "another's acknowledgement": (lambda o: [ack(other(o), 10)], CORRUPT, Measure.CHECKSUM),
    "an end without an answer": (lambda _: [], PEER, Measure.SEQUENCE),
    "acknowledged, then an end": (lambda o: [ack(o, 10)], PEER, Measure.SEQUENCE),
    "garbage": (lambda _: [b"\xff\xff\xff"], PEER, Measure.FORM),
    "an empty message": (lambda _: [b""], PEER, Measure.FORM),
    "an answer that does not decode": (
        lambda o: [pb.Down(answer=sealed_answer(o, pb.Answer(last=o.last, payload=b"x"))).SerializeToString()],
        PEER,
        None,
    ),
    "an unknown fault": (lambda _: [fault("new")], PEER, Measure.FORM),
    "a known fault": (lambda _: [fault("engine")], FaultKind.ENGINE, None),
    "what the server detected": (lambda _: [fault("corrupt", "checksum")], CORRUPT, Measure.CHECKSUM),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_a_fault_and_never_an_answer(device: Device, lie: str) -> None:
    answering, kind, measure = LIES[lie]
    with liar(answering) as address, CloudClient(address) as client:
        sent = send(client, device.crossing(device.sample(), stream="front"))
        assert (sent.fault().kind, sent.fault().measure) == (kind, measure)
        assert len(sent.ends) == 1
        assert client.rejected == ({} if measure is None else {measure: 1})


def test_the_truth_is_accepted(device: Device) -> None:
    with liar(lambda opening: [ack(opening, 10), answer(opening)]) as address, CloudClient(address) as client:
        sent = send(client, device.crossing(device.sample()))
        assert sent.answer().tensors == {}
        assert [size for size, _ in sent.acks] == [10]
        assert not client.rejected


def test_silence_counts_against_the_time_of_life(device: Device) -> None:
    ended = threading.Event()

    def wait(_: pb.Open) -> list[bytes]:
        ended.wait(20)
        return []

    with liar(wait) as address, CloudClient(address) as client:
        sent = send(client, device.crossing(device.sample(), remaining_s=0.1))
        assert (sent.fault().kind, sent.fault().measure) == (FaultKind.TOO_LATE, Measure.TIME_OF_LIFE)
        assert client.rejected == {Measure.TIME_OF_LIFE: 1}
        ended.set()


def test_an_answer_larger_than_allowed_is_a_fault(device: Device) -> None:
    with liar(lambda opening: [bytes(17 << 20)]) as address, CloudClient(address) as client:
        assert send(client, device.crossing(device.sample())).fault().kind is FaultKind.OVERLOADED


def test_a_probe_that_is_answered_with_lies_is_lost() -> None:
    with liar(lambda opening: [ack(opening, 10**9)]) as address, CloudClient(address) as client:
        assert probe(client, 100, fresh=False, timeout_s=5) is None
        assert probe(client, 100, fresh=True, timeout_s=5) is None
        assert client.rejected == {Measure.SEQUENCE: 2}


def test_after_an_answer_to_a_part_no_further_byte_is_sent(device: Device) -> None:
    came, over = [0], threading.Event()
    cuts = (700, 5000, 9000)

    def cross(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        try:  # around the answers too: the client may be gone before the next message is asked for
            first = pb.Up.FromString(next(requests))
            came[0] = len(first.chunk.data)
            yield ack(first.open, came[0])
            nothing = codecs.get("raw").encode({})
            answer = pb.Answer(last=first.open.last, payload=nothing, batch=1, prefix_bytes=cuts[0])
            yield pb.Down(answer=sealed_answer(first.open, answer)).SerializeToString()
            for data in requests:
                came[0] += len(pb.Up.FromString(data).chunk.data)
        finally:
            over.set()

    handler = grpc.stream_stream_rpc_method_handler(cross, None, None)
    with serving(handler) as address, CloudClient(address) as client:
        payload = bytes(4 << 20)
        sent = send(client, device.crossing({}, payload=payload, prefix_ends=cuts, prefix_after_ns=0))
        assert sent.answer().prefix_bytes == cuts[0]
        assert over.wait(20)
        assert [size for size, _ in sent.acks] == [cuts[0]]  # the first chunk ends where the payload may be cut
        assert came[0] < len(payload) // 8  # what was under way by then: a window or two
        assert client._bulk.pace.under_way_bytes == 0
