"""A plain Open Inference Protocol server, written with tritonclient's stubs alone: whole models run on it."""

from collections.abc import Iterator
from concurrent import futures

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as stubs

from hedgerow.errors import LinkError, PeerError
from hedgerow.wire import CloudClient, FaultKind, Measure
from tests.wire.serving import PATIENCE_S, Device, assert_close, probe, send


class PlainServer(stubs.GRPCInferenceServiceServicer):  # type: ignore[misc]  # tritonclient has no types
    """Twenty lines over one chain; knows nothing of Hedgerow."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.answer_id: str | None = None

    def ServerLive(self, request: pb.ServerLiveRequest, context: grpc.ServicerContext) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    def ServerMetadata(self, request: object, context: grpc.ServicerContext) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name="plain", version="9")

    def ModelReady(self, request: pb.ModelReadyRequest, context: grpc.ServicerContext) -> pb.ModelReadyResponse:
        return pb.ModelReadyResponse(ready=request.name == "tiny")

    def ModelMetadata(self, request: object, context: grpc.ServicerContext) -> pb.ModelMetadataResponse:
        reply = pb.ModelMetadataResponse(name="tiny")
        reply.inputs.add(name="x", datatype="FP32", shape=[-1, 64])
        return reply

    def ModelInfer(self, request: pb.ModelInferRequest, context: grpc.ServicerContext) -> pb.ModelInferResponse:
        if request.model_name != "tiny":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        x = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(request.inputs[0].shape)
        y = self._device.chain.run({"x": x}).tensors["y"]
        response = pb.ModelInferResponse(model_name="tiny", id=request.id if self.answer_id is None else self.answer_id)
        response.outputs.add(name="y", datatype="FP32", shape=y.shape)
        response.raw_output_contents.append(y.tobytes())
        return response


@pytest.fixture
def plain(device: Device) -> Iterator[tuple[PlainServer, CloudClient]]:
    servicer = PlainServer(device)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    stubs.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with CloudClient(f"127.0.0.1:{port}") as client:
        yield servicer, client
    server.stop(None).wait()


def test_whole_models_run_on_a_plain_server(plain: tuple[PlainServer, CloudClient], device: Device) -> None:
    _, client = plain
    description = client.describe(PATIENCE_S, models=["tiny"])
    assert description.plain
    assert description.server == "plain 9"
    sample = device.sample(rows=3)
    for joint in (-1, 0):
        answer = send(client, device.crossing(sample, joint=joint)).answer()
        assert_close(answer.tensors["y"], device.chain.run(sample).tensors["y"])
        assert answer.answer_bytes > answer.tensors["y"].nbytes


def test_what_a_plain_server_cannot_do_is_a_fault(plain: tuple[PlainServer, CloudClient], device: Device) -> None:
    _, client = plain
    with pytest.raises(PeerError, match="'other' is not ready"):
        client.describe(PATIENCE_S, models=["tiny", "other"])
    assert send(client, device.crossing(device.sample())).fault().kind is FaultKind.WRONG_VERSION  # not described yet
    client.describe(PATIENCE_S)
    sample = device.sample()
    assert send(client, device.crossing(sample, joint=1)).fault().kind is FaultKind.WRONG_CUT
    assert send(client, device.crossing(sample, codec="q8")).fault().kind is FaultKind.WRONG_CUT
    assert send(client, device.crossing(sample, model="other")).fault().kind is FaultKind.WRONG_MODEL
    assert send(client, device.crossing(sample, payload=b"garbage")).fault().kind is FaultKind.PEER


def test_a_plain_answer_for_another_sample_is_not_accepted(
    plain: tuple[PlainServer, CloudClient], device: Device
) -> None:
    servicer, client = plain
    client.describe(PATIENCE_S)
    servicer.answer_id = "another"
    assert send(client, device.crossing(device.sample())).fault().kind is FaultKind.CORRUPT
    assert client.rejected == {Measure.IDENTITY: 1}


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("payload_bytes", [0, 100_000])
def test_a_plain_server_can_be_probed(plain: tuple[PlainServer, CloudClient], payload_bytes: int, fresh: bool) -> None:
    _, client = plain
    client.describe(PATIENCE_S)
    result = probe(client, payload_bytes, fresh=fresh, timeout_s=PATIENCE_S)
    assert result is not None
    assert 0 < result[0] <= result[1]


def test_what_is_no_inference_server_at_all_is_the_peers_fault() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with CloudClient(f"127.0.0.1:{port}") as client, pytest.raises(PeerError, match="unimplemented"):
        client.describe(PATIENCE_S)
    server.stop(None).wait()
    with CloudClient(f"127.0.0.1:{port}") as client, pytest.raises(LinkError):
        client.describe(PATIENCE_S)
