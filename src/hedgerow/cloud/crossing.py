"""Serves crossings: opening, acknowledged chunks, computation on a lane, one answer or fault.

The stream is read and written as bytes and decoded here, so that a message that is none is answered with a typed fault
and does not end in gRPC's own words. When the client cancels, gRPC cancels the coroutine, and with it the job.
"""

import asyncio
import time
from typing import Protocol

import grpc

from hedgerow import codecs
from hedgerow.cloud.admission import Admission, Admitted, check_version
from hedgerow.cloud.computing import Outcome, job_for
from hedgerow.cloud.lanes import Lanes
from hedgerow.cloud.limits import ServerLimits
from hedgerow.errors import EngineError, HedgerowError, UsageError
from hedgerow.models.tensors import Tensors
from hedgerow.wire.assembly import Assembly
from hedgerow.wire.channels import CROSSING_SERVICE, Handlers
from hedgerow.wire.faults import Fault, FaultError, FaultKind, refuse
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.limits import SECOND_NS
from hedgerow.wire.messages import RAW_SAMPLE, parse

FAULT_READ_S = 2.0
"""How long a client may take to read its fault."""


class Stream(Protocol):
    """The part of gRPC's servicer context that a crossing needs."""

    async def read(self) -> object: ...
    async def write(self, message: bytes) -> None: ...


def fault_of(error: HedgerowError) -> Fault:
    """What the other side is told about an error of this side."""
    match error:
        case FaultError():
            return error.fault
        case EngineError():
            return Fault(FaultKind.ENGINE, str(error))
        case _:
            return Fault(FaultKind.BAD_PAYLOAD, str(error))


class CrossingService:
    """hedgerow.v1.Crossing."""

    def __init__(self, admission: Admission, lanes: Lanes, limits: ServerLimits) -> None:
        self._admission = admission
        self._lanes = lanes
        self._limits = limits
        self._codec_limits = codecs.CodecLimits(
            payload_bytes_max=limits.payload_bytes_max, tensor_bytes_max=limits.tensor_bytes_max
        )
        self._raw = codecs.get("raw")

    def handler(self) -> Handlers:
        """What to register with the server."""
        method = grpc.stream_stream_rpc_method_handler(self._cross)
        return grpc.method_handlers_generic_handler(CROSSING_SERVICE, {"Cross": method})

    async def _cross(self, _: object, stream: Stream) -> None:
        try:
            end = await self._serve(stream)
        except HedgerowError as error:
            fault = fault_of(error)
            end = pb.Down(fault=pb.Fault(kind=fault.kind.value, message=fault.message))
        if end is None:
            return
        await stream.write(end.SerializeToString())
        if end.HasField("fault"):
            await _let_it_be_read(stream)

    async def _serve(self, stream: Stream) -> pb.Down | None:
        try:
            async with asyncio.timeout(self._limits.remaining_max_ns / SECOND_NS):
                first = await _read(stream)
        except TimeoutError:
            raise refuse(FaultKind.TOO_LATE, "the stream was opened, but no opening came") from None
        opening = first.open
        with self._admission.place(opening.payload_bytes):
            if opening.probe:
                check_version(opening.version)
                await self._receive(stream, first, time.monotonic_ns() + self._limits.remaining_max_ns)
                return None
            admitted = self._admission.admit(opening)
            assembly = await self._receive(stream, first, admitted.deadline_ns)
            return await self._compute(opening, admitted, assembly)

    async def _receive(self, stream: Stream, first: pb.Up, deadline_ns: int) -> Assembly:
        """Take the chunks, acknowledging each. FaultError(TOO_LATE) when the last one has not come by the deadline."""
        assembly = Assembly(first.open.payload_bytes, payload_bytes_max=self._limits.payload_bytes_max)
        up = first
        try:
            async with asyncio.timeout((deadline_ns - time.monotonic_ns()) / SECOND_NS):
                while True:
                    if up.HasField("chunk"):
                        received = assembly.add(up.chunk.offset, up.chunk.data)
                        if first.open.probe:
                            assembly.let_go()
                        await stream.write(pb.Down(ack=pb.Ack(bytes_received=received)).SerializeToString())
                    elif up is not first:
                        raise refuse(FaultKind.PEER, "a message without a chunk came")
                    if assembly.complete:
                        return assembly
                    up = await _read(stream)
        except TimeoutError:
            raise refuse(
                FaultKind.TOO_LATE,
                f"its time is up with {assembly.bytes_received} of {assembly.declared_bytes} bytes here",
            ) from None

    async def _compute(self, opening: pb.Open, admitted: Admitted, assembly: Assembly) -> pb.Down:
        now_ns = time.monotonic_ns()
        self._admission.check_open()
        self._admission.check_time(
            admitted.served, admitted.first, admitted.last, deadline_ns=admitted.deadline_ns, now_ns=now_ns
        )

        def decode() -> Tensors:
            return self._decode(admitted, assembly)

        job = job_for(
            admitted.served,
            admitted.first,
            admitted.last,
            decode,
            deadline_ns=admitted.deadline_ns,
            expected_ns=admitted.expected_ns,
        )
        outcome = await self._lanes.run(job)
        return pb.Down(answer=self._answer(opening, outcome, job.queue_ns))

    def _decode(self, admitted: Admitted, assembly: Assembly) -> Tensors:
        """On the lane: the tensors that the first segment starts from. FaultError(BAD_PAYLOAD)."""
        joint = admitted.first - 1
        with assembly.view() as payload:
            tensors = admitted.codec.decode(
                payload, limits=self._codec_limits, expected=admitted.served.specs_after(joint)
            )
        if joint != RAW_SAMPLE:
            return tensors
        try:
            return admitted.served.task.sample(tensors)
        except UsageError as error:
            raise refuse(FaultKind.BAD_PAYLOAD, str(error)) from None

    def _answer(self, opening: pb.Open, outcome: Outcome, queue_ns: int) -> pb.Answer:
        return pb.Answer(
            sample_id=opening.sample_id,
            last=opening.last,
            payload=self._raw.encode(outcome.tensors),
            queue_ns=queue_ns,
            decode_ns=outcome.decode_ns,
            compute_ns=outcome.compute_ns,
            segment_ns=outcome.segment_ns,
            batch=1,
        )


async def _read(stream: Stream) -> pb.Up:
    data = await stream.read()
    if not isinstance(data, bytes):
        raise refuse(FaultKind.BAD_PAYLOAD, "the stream ended in the middle of a payload")
    return parse(pb.Up, data)


async def _let_it_be_read(stream: Stream) -> None:
    """Take what the client still sends until it has read its fault and cancels, or ends the stream.

    Were the stream ended while the client writes, its gRPC would report the failed write and lose the fault.
    """
    try:
        async with asyncio.timeout(FAULT_READ_S):
            while isinstance(await stream.read(), bytes):
                pass
    except TimeoutError:
        return
