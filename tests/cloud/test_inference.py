"""An unmodified tritonclient against the server, and the requests that no good client sends."""

import queue
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from hedgerow.models.tensors import Array
from hedgerow.wire.generated import open_inference_pb2 as pb
from tests.wire.serving import PATIENCE_S, Device, LocalServer, assert_close


@pytest.fixture
def client_of_others(server: LocalServer) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(server.address)
    yield client
    client.close()


def as_input(array: Array, name: str = "x", datatype: str = "FP32") -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def test_the_server_says_that_it_is_live_ready_and_what_it_has(client_of_others: triton.InferenceServerClient) -> None:
    assert client_of_others.is_server_live()
    assert client_of_others.is_server_ready()
    assert client_of_others.is_model_ready("tiny")
    assert not client_of_others.is_model_ready("unknown")
    assert not client_of_others.is_model_ready("tiny", "7")
    assert client_of_others.get_server_metadata().name == "hedgerow"
    metadata = client_of_others.get_model_metadata("tiny")
    assert [(each.name, each.datatype, list(each.shape)) for each in metadata.inputs] == [("x", "FP32", [-1, 64])]
    assert [each.name for each in metadata.outputs] == ["y"]


@pytest.mark.parametrize("rows", [1, 7])
def test_a_whole_model_runs(client_of_others: triton.InferenceServerClient, device: Device, rows: int) -> None:
    sample = device.sample(rows)
    result = client_of_others.infer("tiny", [as_input(sample["x"])], request_id="abc")
    assert_close(result.as_numpy("y"), device.chain.run(sample).tensors["y"])
    response = result.get_response()
    assert response.id == "abc"
    assert response.parameters["compute_ns"].int64_param > 0
    assert response.parameters["queue_ns"].int64_param >= 0
    assert response.parameters["decode_ns"].int64_param > 0


def test_a_named_output_compression_and_a_deadline_are_taken(
    client_of_others: triton.InferenceServerClient, device: Device
) -> None:
    sample = device.sample()
    result = client_of_others.infer(
        "tiny",
        [as_input(sample["x"])],
        outputs=[triton.InferRequestedOutput("y")],
        client_timeout=PATIENCE_S,
        compression_algorithm="gzip",
    )
    assert_close(result.as_numpy("y"), device.chain.run(sample).tensors["y"])


def test_requests_at_once_each_get_their_answer(client_of_others: triton.InferenceServerClient, device: Device) -> None:
    samples = [device.sample(seed=seed) for seed in range(16)]
    calls = [_infer_later(client_of_others, sample["x"]) for sample in samples]
    for sample, call in zip(samples, calls, strict=True):
        assert_close(call.get_result(timeout=PATIENCE_S).as_numpy("y"), device.chain.run(sample).tensors["y"])


class _Later:
    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[triton.InferResult | None, Exception | None]] = queue.Queue()

    def __call__(self, result: triton.InferResult | None, error: Exception | None) -> None:
        self._queue.put((result, error))

    def get_result(self, timeout: float) -> triton.InferResult:
        result, error = self._queue.get(timeout=timeout)
        assert error is None
        return result


def _infer_later(client: triton.InferenceServerClient, array: Array) -> _Later:
    later = _Later()
    client.async_infer("tiny", [as_input(array)], callback=later)
    return later


WRONG: dict[str, tuple[tuple[str, Array, str, str, str | None], str]] = {
    "unknown model": (("unknown", np.zeros((1, 64), np.float32), "x", "FP32", None), "NOT_FOUND"),
    "wrong width": (("tiny", np.zeros((1, 63), np.float32), "x", "FP32", None), "INVALID_ARGUMENT"),
    "wrong rank": (("tiny", np.zeros((64,), np.float32), "x", "FP32", None), "INVALID_ARGUMENT"),
    "wrong dtype": (("tiny", np.zeros((1, 64), np.float64), "x", "FP64", None), "INVALID_ARGUMENT"),
    "wrong name": (("tiny", np.zeros((1, 64), np.float32), "z", "FP32", None), "INVALID_ARGUMENT"),
    "strings": (("tiny", np.array([["a"]], np.object_), "x", "BYTES", None), "INVALID_ARGUMENT"),
    "unknown output": (("tiny", np.zeros((1, 64), np.float32), "x", "FP32", "z"), "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_with_a_status_and_one_line(
    client_of_others: triton.InferenceServerClient, case: str
) -> None:
    (model, array, name, datatype, output), status = WRONG[case]
    outputs = None if output is None else [triton.InferRequestedOutput(output)]
    with pytest.raises(InferenceServerException) as caught:
        client_of_others.infer(model, [as_input(array, name, datatype)], outputs=outputs)
    assert status in str(caught.value.status())
    assert caught.value.message()
    assert "\n" not in caught.value.message()


def raw_infer(server: LocalServer, request: bytes) -> grpc.StatusCode | pb.ModelInferResponse:
    """What the server answers to these bytes."""
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", None, None)
        try:
            return pb.ModelInferResponse.FromString(call(request, timeout=PATIENCE_S))
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code


def test_bytes_that_are_no_request_and_requests_that_lie(server: LocalServer) -> None:
    def request(**changes: object) -> bytes:
        message = pb.ModelInferRequest(model_name="tiny", raw_input_contents=[bytes(256)])
        message.inputs.add(name="x", datatype="FP32", shape=[1, 64])
        message.MergeFrom(pb.ModelInferRequest(**changes))  # type: ignore[arg-type]
        return message.SerializeToString()

    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(raw_infer(server, request()), pb.ModelInferResponse)
    assert raw_infer(server, b"\xff\xff\xff garbage") is invalid
    assert raw_infer(server, request(raw_input_contents=[b"one more"])) is invalid
    assert raw_infer(server, request(inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 64]}])) is invalid
    for shape in ([1, 65], [-1, 64], [2**40, 2**40], [1] * 30, []):
        message = pb.ModelInferRequest(model_name="tiny", raw_input_contents=[bytes(256)])
        message.inputs.add(name="x", datatype="FP32", shape=shape)
        assert raw_infer(server, message.SerializeToString()) is invalid
    shared = pb.ModelInferRequest(model_name="tiny")
    shared.inputs.add(name="x", datatype="FP32", shape=[1, 64]).parameters["shared_memory_region"].string_param = "a"
    assert raw_infer(server, shared.SerializeToString()) is invalid


def test_typed_contents_are_read_as_well(server: LocalServer, device: Device) -> None:
    sample = device.sample()
    message = pb.ModelInferRequest(model_name="tiny")
    message.inputs.add(name="x", datatype="FP32", shape=[1, 64]).contents.fp32_contents.extend(sample["x"].ravel())
    response = raw_infer(server, message.SerializeToString())
    assert isinstance(response, pb.ModelInferResponse)
    output = np.frombuffer(response.raw_output_contents[0], np.float32).reshape(1, 64)
    assert_close(output, device.chain.run(sample).tensors["y"])


def test_calls_that_are_not_offered_say_so(client_of_others: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client_of_others.get_model_config("tiny")
    assert "UNIMPLEMENTED" in str(caught.value.status())


def test_work_without_time_left_is_refused(server: LocalServer, slow_device: Device) -> None:
    """The warmed-up server knows that the slow model takes longer."""
    array = np.zeros((64, 1024), np.float32)
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", None, None)
        message = pb.ModelInferRequest(model_name="slow", raw_input_contents=[array.tobytes()])
        message.inputs.add(name="x", datatype="FP32", shape=array.shape)
        with pytest.raises(grpc.RpcError) as caught:
            call(message.SerializeToString(), timeout=0.0005)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
