"""The client against servers that lie: no answer for another sample is ever accepted, and each lie is a typed fault."""

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest

from hedgerow import codecs
from hedgerow.wire import CloudClient, FaultKind
from hedgerow.wire.generated import crossing_pb2 as pb
from tests.wire.serving import Device, probe, send

Answering = Callable[[pb.Open], list[bytes]]


@contextmanager
def liar(answering: Answering) -> Iterator[str]:
    """A server that answers each crossing with the given bytes, one message each, and then ends the stream."""

    def cross(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        opening = pb.Up.FromString(next(requests)).open
        yield from answering(opening)

    handler = grpc.stream_stream_rpc_method_handler(cross, None, None)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("hedgerow.v1.Crossing", {"Cross": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def answer(sample_id: bytes) -> bytes:
    payload = codecs.get("raw").encode({})
    return pb.Down(answer=pb.Answer(sample_id=sample_id, payload=payload, batch=1)).SerializeToString()


def ack(size: int) -> bytes:
    return pb.Down(ack=pb.Ack(bytes_received=size)).SerializeToString()


LIES: dict[str, tuple[Answering, FaultKind]] = {
    "another sample": (lambda _: [answer(bytes(16))], FaultKind.PEER),
    "no sample": (lambda _: [answer(b"")], FaultKind.PEER),
    "half a sample id": (lambda opening: [answer(opening.sample_id[:8])], FaultKind.PEER),
    "more acknowledged than sent": (lambda _: [ack(10**9)], FaultKind.PEER),
    "an end without an answer": (lambda _: [], FaultKind.PEER),
    "acknowledged, then an end": (lambda _: [ack(10)], FaultKind.PEER),
    "garbage": (lambda _: [b"\xff\xff\xff"], FaultKind.PEER),
    "an empty message": (lambda _: [b""], FaultKind.PEER),
    "an answer that does not decode": (
        lambda opening: [pb.Down(answer=pb.Answer(sample_id=opening.sample_id, payload=b"x")).SerializeToString()],
        FaultKind.PEER,
    ),
    "an unknown fault": (lambda _: [pb.Down(fault=pb.Fault(kind="new")).SerializeToString()], FaultKind.PEER),
    "a known fault": (lambda _: [pb.Down(fault=pb.Fault(kind="engine")).SerializeToString()], FaultKind.ENGINE),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_a_fault_and_never_an_answer(device: Device, lie: str) -> None:
    answering, kind = LIES[lie]
    with liar(answering) as address, CloudClient(address) as client:
        sent = send(client, device.crossing(device.sample()))
        assert sent.fault().kind is kind
        assert len(sent.ends) == 1


def test_the_truth_is_accepted(device: Device) -> None:
    with liar(lambda opening: [ack(10), answer(opening.sample_id)]) as address, CloudClient(address) as client:
        sent = send(client, device.crossing(device.sample()))
        assert sent.answer().tensors == {}
        assert [size for size, _ in sent.acks] == [10]


def test_an_answer_larger_than_allowed_is_a_fault(device: Device) -> None:
    with liar(lambda opening: [bytes(17 << 20)]) as address, CloudClient(address) as client:
        assert send(client, device.crossing(device.sample())).fault().kind is FaultKind.OVERLOADED


def test_a_probe_that_is_answered_with_lies_is_lost() -> None:
    with liar(lambda _: [ack(10**9)]) as address, CloudClient(address) as client:
        assert probe(client, 100, fresh=False, timeout_s=5) is None
        assert probe(client, 100, fresh=True, timeout_s=5) is None
