"""Serves crossings: opening, acknowledged chunks, computation on a lane, one answer or fault.

The stream is read and written as bytes and decoded here, so that a message that is none is answered with a typed fault
and does not end in gRPC's own words. Its opening is checked before it is admitted, its content on the lane before it is
computed, and the answer is sealed to both (hedgerow.wire.seal). When the client cancels, gRPC cancels the coroutine, and with it the job.
"""

import asyncio
import time
from typing import Protocol

import grpc

from hedgerow import codecs
from hedgerow.cloud.admission import Admission, Admitted
from hedgerow.cloud.computing import Outcome, job_for
from hedgerow.cloud.lanes import Lanes
from hedgerow.cloud.limits import ServerLimits
from hedgerow.errors import EngineError, HedgerowError, UsageError
from hedgerow.models.tensors import Tensors
from hedgerow.wire.channels import CROSSING_SERVICE, Handlers
from hedgerow.wire.faults import Fault, FaultError, FaultKind, Measure, refuse
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.limits import SECOND_NS
from hedgerow.wire.messages import RAW_SAMPLE
from hedgerow.wire.readers import RequestReader, stream_ended
from hedgerow.wire.seal import Windows, sealed_answer

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
        self._windows = Windows(limits.sessions_max)

    def handler(self) -> Handlers:
        """What to register with the server."""
        method = grpc.stream_stream_rpc_method_handler(self._cross)
        return grpc.method_handlers_generic_handler(CROSSING_SERVICE, {"Cross": method})

    async def _cross(self, _: object, stream: Stream) -> None:
        try:
            end = await self._serve(stream)
        except HedgerowError as error:
            fault = fault_of(error)
            end = pb.Down(fault=_told(fault))
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
            text = "the stream was opened, but no opening came"
            raise refuse(FaultKind.TOO_LATE, text, Measure.TIME_OF_LIFE) from None
        self._admission.check_open()
        reader = RequestReader(first, self._windows, payload_bytes_max=self._limits.payload_bytes_max)
        with self._admission.place(reader.opening.payload_bytes):
            if reader.opening.probe:
                await self._receive(stream, reader, time.monotonic_ns() + self._limits.remaining_max_ns)
                return None
            admitted = self._admission.admit(reader.opening)
            await self._receive(stream, reader, admitted.deadline_ns)
            return await self._compute(reader, admitted)

    async def _receive(self, stream: Stream, reader: RequestReader, deadline_ns: int) -> None:
        """Take the chunks, acknowledging each. FaultError(TOO_LATE) when the last one has not come by the deadline."""
        try:
            async with asyncio.timeout((deadline_ns - time.monotonic_ns()) / SECOND_NS):
                ack = reader.first_chunk()
                while True:
                    if ack is not None:
                        await stream.write(pb.Down(ack=ack).SerializeToString())
                    if reader.complete:
                        return
                    ack = reader.take(await _read(stream))
        except TimeoutError:
            came = reader.assembly
            text = f"its time is up with {came.bytes_received} of {came.declared_bytes} bytes here"
            raise refuse(FaultKind.TOO_LATE, text, Measure.TIME_OF_LIFE) from None

    async def _compute(self, reader: RequestReader, admitted: Admitted) -> pb.Down:
        now_ns = time.monotonic_ns()
        self._admission.check_open()
        self._admission.check_time(
            admitted.served, admitted.first, admitted.last, deadline_ns=admitted.deadline_ns, now_ns=now_ns
        )

        def decode() -> Tensors:
            reader.check_content()
            return self._decode(admitted, reader)

        job = job_for(
            admitted.served,
            admitted.first,
            admitted.last,
            decode,
            deadline_ns=admitted.deadline_ns,
            expected_ns=admitted.expected_ns,
        )
        outcome = await self._lanes.run(job)
        return pb.Down(answer=self._answer(reader.opening, outcome, job.queue_ns))

    def _decode(self, admitted: Admitted, reader: RequestReader) -> Tensors:
        """On the lane: the tensors that the first segment starts from. FaultError(BAD_PAYLOAD)."""
        joint = admitted.first - 1
        with reader.assembly.view() as payload:
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
        answer = pb.Answer(
            last=opening.last,
            payload=self._raw.encode(outcome.tensors),
            queue_ns=queue_ns,
            decode_ns=outcome.decode_ns,
            compute_ns=outcome.compute_ns,
            segment_ns=outcome.segment_ns,
            batch=1,
        )
        return sealed_answer(opening, answer)


def _told(fault: Fault) -> pb.Fault:
    measure = "" if fault.measure is None else fault.measure.value
    return pb.Fault(kind=fault.kind.value, message=fault.message, measure=measure)


async def _read(stream: Stream) -> bytes:
    data = await stream.read()
    if not isinstance(data, bytes):
        raise stream_ended("in the middle of a payload")
    return data


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
