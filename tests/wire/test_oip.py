"""Tensors in Open Inference Protocol messages, compared with tritonclient's own reading and writing of them."""

import numpy as np
import pytest
import tritonclient.grpc as triton
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from tritonclient.grpc import service_pb2 as theirs

from hedgerow.models.tensors import Array, TensorSpec
from hedgerow.wire.faults import FaultError, FaultKind
from hedgerow.wire.generated import open_inference_pb2 as ours
from hedgerow.wire.oip import (
    datatype_of,
    infer_request,
    infer_response,
    padding,
    read_inputs,
    read_outputs,
    spec_of,
    tensor_metadata,
)

DTYPES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
]
ARRAYS = st.sampled_from(DTYPES).flatmap(lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0)))


@given(st.dictionaries(st.text(min_size=1, max_size=9), ARRAYS, min_size=1, max_size=3))
@settings(deadline=None)
def test_every_bit_comes_back_in_requests_and_responses(tensors: dict[str, Array]) -> None:
    read = (
        read_inputs(infer_request("m", "id", tensors)),
        read_outputs(infer_response("m", "i", tensors), request_id="i", model="m"),
    )
    for each in read:
        assert list(each) == list(tensors)
        for name, array in tensors.items():
            assert each[name].dtype == array.dtype
            assert each[name].shape == array.shape
            assert each[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_tritonclient_reads_what_we_write(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    data = infer_response("m", "id", {"y": array}).SerializeToString()
    result = triton.InferResult(theirs.ModelInferResponse.FromString(data))
    np.testing.assert_array_equal(result.as_numpy("y"), array)


def test_a_request_has_the_same_fields_on_both_sides() -> None:
    data = infer_request("m", "id", {"x": np.ones((2, 3), np.float32)}).SerializeToString()
    request = theirs.ModelInferRequest.FromString(data)
    assert (request.model_name, request.id, request.inputs[0].datatype) == ("m", "id", "FP32")
    assert list(request.inputs[0].shape) == [2, 3]
    assert request.SerializeToString() == data


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT16", "int_contents", [-5, 5]),
        ("INT32", "int_contents", [-5, 5]),
        ("INT64", "int64_contents", [-(2**60), 5]),
        ("UINT8", "uint_contents", [0, 255]),
        ("UINT32", "uint_contents", [0, 2**32 - 1]),
        ("UINT64", "uint64_contents", [0, 2**64 - 1]),
        ("FP32", "fp32_contents", [0.5, float("nan")]),
        ("FP64", "fp64_contents", [0.5, 1e300]),
    ],
)
def test_typed_contents_are_read(datatype: str, field: str, values: list[float]) -> None:
    request = ours.ModelInferRequest()
    entry = request.inputs.add(name="x", datatype=datatype, shape=[2])
    getattr(entry.contents, field).extend(values)
    read = read_inputs(request)["x"]
    assert datatype_of(read.dtype.name) == datatype
    np.testing.assert_array_equal(read.tolist(), values)


@pytest.mark.parametrize(
    ("datatype", "shape", "field", "values"),
    [
        ("INT8", [1], "int_contents", [128]),
        ("UINT8", [1], "uint_contents", [256]),
        ("FP32", [2], "fp32_contents", [1.0]),
        ("FP16", [1], "fp32_contents", [1.0]),
        ("FP32", [1], "fp64_contents", [1.0]),
        ("BYTES", [1], "bytes_contents", [b"a"]),
        ("FP32", [-1], "fp32_contents", [1.0]),
        ("FP32", [1] * 9, "fp32_contents", [1.0]),
        ("nonsense", [1], "fp32_contents", [1.0]),
    ],
)
def test_contents_that_do_not_fit_are_a_fault(
    datatype: str, shape: list[int], field: str, values: list[object]
) -> None:
    request = ours.ModelInferRequest()
    entry = request.inputs.add(name="x", datatype=datatype, shape=shape)
    getattr(entry.contents, field).extend(values)
    with pytest.raises(FaultError) as caught:
        read_inputs(request)
    assert caught.value.fault.kind is FaultKind.BAD_PAYLOAD


def test_a_name_given_twice_and_too_many_tensors_are_faults() -> None:
    for count, kind in ((2, FaultKind.BAD_PAYLOAD), (65, FaultKind.TOO_LARGE)):
        request = ours.ModelInferRequest(raw_input_contents=[b"\0"] * count)
        for _ in range(count):
            request.inputs.add(name="x", datatype="UINT8", shape=[1])
        with pytest.raises(FaultError) as caught:
            read_inputs(request)
        assert caught.value.fault.kind is kind


def test_the_answer_to_another_request_is_not_accepted() -> None:
    response = infer_response("m", "other", {"y": np.zeros(1)})
    with pytest.raises(FaultError, match="another sample"):
        read_outputs(response, request_id="mine", model="m")
    with pytest.raises(FaultError, match="of model 'm'"):
        read_outputs(response, request_id="other", model="n")
    response.id = response.model_name = ""  # some servers give none back
    assert set(read_outputs(response, request_id="mine", model="m")) == {"y"}


def test_metadata_names_open_axes_minus_one() -> None:
    spec = TensorSpec("x", "float32", ("batch", None, 3))
    metadata = tensor_metadata(spec)
    assert list(metadata.shape) == [-1, -1, 3]
    assert spec_of(metadata) == TensorSpec("x", "float32", (None, None, 3))
    assert tensor_metadata(TensorSpec("x", "object", (1,))).datatype == "BYTES"
    with pytest.raises(FaultError):
        datatype_of("complex64")


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_padding_parses_as_any_message_on_both_sides(size: int) -> None:
    assert len(padding(size)) >= size
    assert not ours.ServerLiveResponse.FromString(padding(size)).live
    theirs.ServerLiveRequest.FromString(padding(size))
