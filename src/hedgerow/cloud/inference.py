"""Serves the Open Inference Protocol v2: whole models on prepared tensors, for any client that speaks it.

Errors are gRPC statuses with one line each, as the protocol wants. Where the time went is in the response's parameters
(`queue_ns`, `decode_ns`, `compute_ns`). Calls that the protocol leaves optional answer UNIMPLEMENTED.
"""

import importlib.metadata
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc import aio

from hedgerow.cloud.admission import Admission
from hedgerow.cloud.catalogue import Catalogue, ServedModel
from hedgerow.cloud.computing import Outcome, job_for
from hedgerow.cloud.crossing import fault_of
from hedgerow.cloud.lanes import Lanes
from hedgerow.cloud.limits import ServerLimits
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.models.tensors import Tensors
from hedgerow.wire.channels import INFERENCE_SERVICE, Handlers
from hedgerow.wire.faults import FaultKind, refuse
from hedgerow.wire.generated import open_inference_pb2 as pb
from hedgerow.wire.limits import SECOND_NS
from hedgerow.wire.messages import parse
from hedgerow.wire.oip import infer_response, read_inputs, tensor_metadata

SERVER_NAME = "hedgerow"
SERVER_VERSION = importlib.metadata.version("hedgerow")
PLATFORM = "onnxruntime_onnx"
VERSIONS = ("", "1")

STATUS = {
    FaultKind.WRONG_VERSION: grpc.StatusCode.FAILED_PRECONDITION,  # not UNIMPLEMENTED: that is a server without our calls
    FaultKind.WRONG_TASK: grpc.StatusCode.NOT_FOUND,
    FaultKind.WRONG_MODEL: grpc.StatusCode.NOT_FOUND,
    FaultKind.WRONG_CUT: grpc.StatusCode.INVALID_ARGUMENT,
    FaultKind.WRONG_CODEC: grpc.StatusCode.INVALID_ARGUMENT,
    FaultKind.BAD_PAYLOAD: grpc.StatusCode.INVALID_ARGUMENT,
    FaultKind.TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    FaultKind.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    FaultKind.TOO_LATE: grpc.StatusCode.DEADLINE_EXCEEDED,
    FaultKind.CANCELLED: grpc.StatusCode.CANCELLED,
    FaultKind.CLOSING: grpc.StatusCode.UNAVAILABLE,
    FaultKind.ENGINE: grpc.StatusCode.INTERNAL,
    FaultKind.PEER: grpc.StatusCode.INVALID_ARGUMENT,
    FaultKind.LINK: grpc.StatusCode.UNAVAILABLE,
}

Context = Any
"""grpc.aio.ServicerContext: its published types do not know `time_remaining` as a coroutine server has it."""
Serve = Callable[[bytes, Context], Awaitable[bytes]]


def typed(serve: Serve) -> Serve:
    """Wrap a call so that Hedgerow's errors end it with the fitting status and one line."""

    async def call(request: bytes, context: Context) -> bytes:
        try:
            return await serve(request, context)
        except HedgerowError as error:
            fault = fault_of(error)
            await context.abort(STATUS[fault.kind], fault.message)
            raise

    return call


class InferenceService:
    """inference.GRPCInferenceService."""

    def __init__(self, catalogue: Catalogue, admission: Admission, lanes: Lanes, limits: ServerLimits) -> None:
        self._catalogue = catalogue
        self._admission = admission
        self._lanes = lanes
        self._limits = limits

    def handler(self) -> Handlers:
        """What to register with the server."""
        calls: dict[str, Serve] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._model_infer,
        }
        methods = {name: grpc.unary_unary_rpc_method_handler(typed(call)) for name, call in calls.items()}
        return grpc.method_handlers_generic_handler(INFERENCE_SERVICE, methods)

    async def _server_live(self, _: bytes, __: Context) -> bytes:
        return pb.ServerLiveResponse(live=True).SerializeToString()

    async def _server_ready(self, _: bytes, __: Context) -> bytes:
        return pb.ServerReadyResponse(ready=not self._admission.closing).SerializeToString()

    async def _server_metadata(self, _: bytes, __: Context) -> bytes:
        reply = pb.ServerMetadataResponse(name=SERVER_NAME, version=SERVER_VERSION, extensions=["hedgerow.v1"])
        return reply.SerializeToString()

    async def _model_ready(self, data: bytes, _: Context) -> bytes:
        request = parse(pb.ModelReadyRequest, data)
        try:
            self._find(request.name, request.version)
        except HedgerowError:
            return pb.ModelReadyResponse(ready=False).SerializeToString()
        return pb.ModelReadyResponse(ready=not self._admission.closing).SerializeToString()

    async def _model_metadata(self, data: bytes, _: Context) -> bytes:
        request = parse(pb.ModelMetadataRequest, data)
        chain = self._find(request.name, request.version).chain
        reply = pb.ModelMetadataResponse(
            name=request.name,
            versions=["1"],
            platform=PLATFORM,
            inputs=map(tensor_metadata, chain.joint(0)),
            outputs=map(tensor_metadata, chain.outputs),
        )
        return reply.SerializeToString()

    async def _model_infer(self, data: bytes, context: Context) -> bytes:
        request = parse(pb.ModelInferRequest, data)
        served = self._find(request.model_name, request.model_version)
        wanted = _wanted(request, served)
        self._admission.check_open()
        now_ns = time.monotonic_ns()
        deadline_ns = now_ns + self._remaining_ns(context)
        expected_ns = self._admission.check_time(served, 1, served.last, deadline_ns=deadline_ns, now_ns=now_ns)
        job = job_for(
            served, 1, served.last, lambda: _inputs(request, served), deadline_ns=deadline_ns, expected_ns=expected_ns
        )
        with self._admission.place(min(len(data), self._admission.payload_bytes_max)):
            outcome = await self._lanes.run(job)
        return _response(request, outcome, wanted, job.queue_ns)

    def _find(self, name: str, version: str) -> ServedModel:
        served = self._catalogue.named(name)
        if version not in VERSIONS:
            raise refuse(FaultKind.WRONG_MODEL, f"model '{name}' has version 1 only, not '{version[:40]}'")
        return served

    def _remaining_ns(self, context: aio.ServicerContext[bytes, bytes] | Context) -> int:
        remaining_s: float | None = context.time_remaining()
        limit_ns = self._limits.remaining_max_ns
        return limit_ns if remaining_s is None else min(int(remaining_s * SECOND_NS), limit_ns)


def _wanted(request: pb.ModelInferRequest, served: ServedModel) -> list[str]:
    """The outputs that the client asked for, all if it named none. FaultError(BAD_PAYLOAD) for an unknown one."""
    there = [spec.name for spec in served.chain.outputs]
    wanted = [output.name for output in request.outputs] or there
    for name in wanted:
        if name not in there:
            raise refuse(FaultKind.BAD_PAYLOAD, f"no output '{name[:80]}' in '{served.name}'; there are: {there}")
    return wanted


def _inputs(request: pb.ModelInferRequest, served: ServedModel) -> Tensors:
    """On the lane: the request's tensors, each of the right name, dtype and shape. FaultError(BAD_PAYLOAD)."""
    tensors = read_inputs(request)
    specs = served.chain.joint(0)
    names = {spec.name for spec in specs}
    if set(tensors) != names:
        raise refuse(FaultKind.BAD_PAYLOAD, f"'{served.name}' takes {sorted(names)}, not {sorted(tensors)[:16]}")
    try:
        for spec in specs:
            spec.check(tensors[spec.name])
    except UsageError as error:
        raise refuse(FaultKind.BAD_PAYLOAD, str(error)) from None
    return tensors


def _response(request: pb.ModelInferRequest, outcome: Outcome, wanted: list[str], queue_ns: int) -> bytes:
    outputs = {name: outcome.tensors[name] for name in wanted}
    response = infer_response(request.model_name, request.id, outputs)
    times = {"queue_ns": queue_ns, "decode_ns": outcome.decode_ns, "compute_ns": outcome.compute_ns}
    for name, duration_ns in times.items():
        response.parameters[name].int64_param = duration_ns
    return response.SerializeToString()
