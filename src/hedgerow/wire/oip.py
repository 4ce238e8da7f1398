"""Open Inference Protocol v2 over gRPC: tensors to and from its messages, and calls to any server that speaks it.

Used on both sides: `hedgerow serve` reads requests and writes responses with it, and the client uses it towards a plain
server, which runs whole models only. Tensors travel raw (little-endian); the typed `contents` fields are read as well,
since other clients use them. The protocol has no place for a seal (`seal`): an answer is checked for the request id and model
name that it echoes, and for the tensors that it holds; damage to values goes unseen.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from grpc import aio

from hedgerow.errors import PeerError
from hedgerow.models.tensors import Array, Tensors, TensorSpec
from hedgerow.wire.channels import INFERENCE_SERVICE, unary
from hedgerow.wire.faults import FaultKind, Measure, refuse, reject
from hedgerow.wire.generated import open_inference_pb2 as pb
from hedgerow.wire.messages import parse

_DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
_DATATYPES = {dtype: datatype for datatype, dtype in _DTYPES.items()}
_CONTENTS = {
    "bool": "bool_contents",
    "int8": "int_contents",
    "int16": "int_contents",
    "int32": "int_contents",
    "int64": "int64_contents",
    "uint8": "uint_contents",
    "uint16": "uint_contents",
    "uint32": "uint_contents",
    "uint64": "uint64_contents",
    "float32": "fp32_contents",
    "float64": "fp64_contents",
}
_DIMENSIONS_MAX = 8
_TENSORS_MAX = 64


def datatype_of(dtype: str) -> str:
    """The protocol's name of a NumPy dtype. FaultError(BAD_PAYLOAD) where it has none."""
    if dtype not in _DATATYPES:
        raise refuse(FaultKind.BAD_PAYLOAD, f"the Open Inference Protocol has no datatype for {dtype}")
    return _DATATYPES[dtype]


def tensor_metadata(spec: TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    """A tensor as ModelMetadata lists it: symbolic and unknown axes are -1."""
    shape = [axis if isinstance(axis, int) else -1 for axis in spec.shape]
    datatype = "BYTES" if spec.dtype == "object" else datatype_of(spec.dtype)
    return pb.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=datatype, shape=shape)


def spec_of(metadata: pb.ModelMetadataResponse.TensorMetadata) -> TensorSpec:
    """The other way round. FaultError for a datatype that we do not know."""
    shape = tuple(None if axis < 0 else int(axis) for axis in metadata.shape)
    return TensorSpec(metadata.name, _dtype_of(metadata.datatype, metadata.name), shape)


def infer_request(model: str, request_id: str, tensors: Mapping[str, Array]) -> pb.ModelInferRequest:
    """A request with raw contents that asks for all outputs."""
    request = pb.ModelInferRequest(model_name=model, id=request_id)
    for name, array in tensors.items():
        request.inputs.add(name=name, datatype=datatype_of(array.dtype.name), shape=array.shape)
        request.raw_input_contents.append(_raw(array))
    return request


def infer_response(model: str, request_id: str, tensors: Mapping[str, Array]) -> pb.ModelInferResponse:
    """A response with raw contents."""
    response = pb.ModelInferResponse(model_name=model, model_version="1", id=request_id)
    for name, array in tensors.items():
        response.outputs.add(name=name, datatype=datatype_of(array.dtype.name), shape=array.shape)
        response.raw_output_contents.append(_raw(array))
    return response


def read_inputs(request: pb.ModelInferRequest) -> Tensors:
    """The tensors of a request. FaultError(BAD_PAYLOAD) naming the tensor and what is wrong with it."""
    if any("shared_memory_region" in tensor.parameters for tensor in request.inputs):
        raise refuse(FaultKind.BAD_PAYLOAD, "this server does not share memory; send the tensor's bytes")
    return _read(request.inputs, request.raw_input_contents)


def read_outputs(response: pb.ModelInferResponse, *, request_id: str, model: str) -> Tensors:
    """The tensors of a response. FaultError(CORRUPT) for the answer to another request or of another model, BAD_PAYLOAD
    for wrong tensors. A server may leave either name out: then only gRPC ties the answer to its request."""
    if response.id not in ("", request_id):
        raise reject(Measure.IDENTITY, "an answer for another sample came; it was dropped")
    if response.model_name not in ("", model):
        raise reject(Measure.IDENTITY, f"an answer of model '{response.model_name[:40]}' came; it was dropped")
    return _read(response.outputs, response.raw_output_contents)


def _raw(array: Array) -> bytes:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def _dtype_of(datatype: str, name: str) -> str:
    if datatype not in _DTYPES:
        raise refuse(FaultKind.BAD_PAYLOAD, f"tensor '{name}' has datatype '{datatype[:40]}', which is not supported")
    return _DTYPES[datatype]


_Described = pb.ModelInferRequest.InferInputTensor | pb.ModelInferResponse.InferOutputTensor


def _read(described: Iterable[_Described], raw: Iterable[bytes]) -> Tensors:
    entries, contents = list(described), list(raw)
    if len(entries) > _TENSORS_MAX:
        raise refuse(FaultKind.TOO_LARGE, f"{len(entries)} tensors are beyond the limit of {_TENSORS_MAX}")
    if contents and len(contents) != len(entries):
        raise refuse(FaultKind.BAD_PAYLOAD, f"{len(entries)} tensors, but {len(contents)} raw contents")
    tensors: Tensors = {}
    for index, entry in enumerate(entries):
        if entry.name in tensors:
            raise refuse(FaultKind.BAD_PAYLOAD, f"tensor '{entry.name}' is given twice")
        tensors[entry.name] = _read_one(entry, contents[index] if contents else None)
    return tensors


def _read_one(entry: _Described, raw: bytes | None) -> Array:
    dtype = np.dtype(_dtype_of(entry.datatype, entry.name))
    shape = tuple(int(axis) for axis in entry.shape)
    if len(shape) > _DIMENSIONS_MAX or any(axis < 0 for axis in shape):
        raise refuse(FaultKind.BAD_PAYLOAD, f"tensor '{entry.name}' has shape {list(shape)[:9]}")
    size = 1
    for axis in shape:
        size *= axis
    if raw is None:
        return _read_contents(entry, dtype, shape, size)
    if size * dtype.itemsize != len(raw):
        raise refuse(
            FaultKind.BAD_PAYLOAD,
            f"tensor '{entry.name}' of shape {list(shape)} needs {size * dtype.itemsize} bytes, but {len(raw)} came",
        )
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def _read_contents(entry: _Described, dtype: "np.dtype[np.generic]", shape: tuple[int, ...], size: int) -> Array:
    field = _CONTENTS.get(dtype.name)
    values = [] if field is None else getattr(entry.contents, field)
    if len(values) != size:
        raise refuse(
            FaultKind.BAD_PAYLOAD,
            f"tensor '{entry.name}' of shape {list(shape)} needs {size} values, not {len(values)}",
        )
    try:
        wide = np.array(values, dtype=np.int64 if dtype.name in ("int8", "int16", "uint8", "uint16") else dtype)
    except OverflowError:
        raise refuse(FaultKind.BAD_PAYLOAD, f"tensor '{entry.name}' has values beyond {dtype.name}") from None
    narrow = wide.astype(dtype)
    if not np.array_equal(narrow, wide, equal_nan=dtype.kind == "f"):
        raise refuse(FaultKind.BAD_PAYLOAD, f"tensor '{entry.name}' has values beyond {dtype.name}")
    return narrow.reshape(shape)


class PlainServer:
    """Calls to one server over a channel that the caller owns. Every call may raise grpc.aio.AioRpcError."""

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel

    async def _call(self, method: str, request: bytes, timeout_s: float) -> bytes:
        return await unary(self._channel, INFERENCE_SERVICE, method, request, timeout_s=timeout_s)

    async def name_and_version(self, *, timeout_s: float) -> tuple[str, str]:
        """What ServerMetadata says."""
        request = pb.ServerMetadataRequest().SerializeToString()
        reply = parse(pb.ServerMetadataResponse, await self._call("ServerMetadata", request, timeout_s))
        return reply.name, reply.version

    async def model(self, name: str, *, timeout_s: float) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """Inputs and outputs of a model that is ready. FaultError(WRONG_MODEL) when it is not."""
        ready_request = pb.ModelReadyRequest(name=name).SerializeToString()
        if not parse(pb.ModelReadyResponse, await self._call("ModelReady", ready_request, timeout_s)).ready:
            raise refuse(FaultKind.WRONG_MODEL, f"model '{name}' is not ready on the server")
        request = pb.ModelMetadataRequest(name=name).SerializeToString()
        reply = parse(pb.ModelMetadataResponse, await self._call("ModelMetadata", request, timeout_s))
        return tuple(map(spec_of, reply.inputs)), tuple(map(spec_of, reply.outputs))

    async def infer(self, model: str, request_id: str, tensors: Tensors, *, timeout_s: float) -> tuple[Tensors, int]:
        """Run the whole model; the outputs and the bytes of the response. PeerError for an answer that is wrong."""
        request = infer_request(model, request_id, tensors)
        data = await self._call("ModelInfer", request.SerializeToString(), timeout_s)
        outputs = read_outputs(parse(pb.ModelInferResponse, data), request_id=request_id, model=model)
        if not outputs:
            raise PeerError(f"the server answered without outputs of '{model}'; ask its keeper")
        return outputs, len(data)

    async def live(self, padding_bytes: int, *, timeout_s: float) -> None:
        """ServerLive with `padding_bytes` of a field that the server does not know and must skip: a rate probe."""
        await self._call("ServerLive", padding(padding_bytes), timeout_s)


def padding(size: int) -> bytes:
    """About `size` bytes that parse as any message: field 1000, length-delimited, unknown to every request."""
    if size <= 0:
        return b""
    head = _varint(1000 << 3 | 2)
    return head + _varint(size) + bytes(size)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
