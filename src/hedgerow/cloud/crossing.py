"""Serves crossings: opening, acknowledged chunks, computation on a lane, one answer or fault.

The stream is read and written as bytes and decoded here, so that a message that is none is answered with a typed fault
and does not end in gRPC's own words. Its opening is checked before it is admitted, its content on the lane before it is
computed, and the answer is sealed to both (hedgerow.wire.seal). Of a payload that its sender allows to be cut, what is here when
its time to wait is over is computed from. When the client cancels, gRPC cancels the coroutine, and with it the job.
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

GRACE_NS = 1_000_000
"""For gRPC to hand over a message that has come."""

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
            part_bytes = await self._receive(stream, reader, admitted.deadline_ns)
            return await self._compute(reader, admitted, part_bytes)

    async def _receive(self, stream: Stream, reader: RequestReader, deadline_ns: int) -> int:
        """Take the chunks, acknowledging each, until the last (returns 0), or until the time to wait is over and enough of them have
        come to compute from (returns how many bytes those are). FaultError(TOO_LATE) when neither is so by the deadline."""
        opened_ns = came_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout((deadline_ns - time.monotonic_ns()) / SECOND_NS):
                ack = reader.first_chunk()
                while True:
                    if ack is not None:
                        await stream.write(pb.Down(ack=ack).SerializeToString())
                    if reader.complete:
                        return 0
                    part_bytes = reader.part_bytes
                    cut_ns = opened_ns + reader.wait_ns(came_ns - opened_ns) if part_bytes else None
                    message = await (_read(stream) if cut_ns is None else _read_until(stream, cut_ns))
                    if message is None:
                        return part_bytes
                    came_ns = time.monotonic_ns()
                    ack = reader.take(message)
        except TimeoutError:
            came = reader.assembly
            text = f"its time is up with {came.bytes_received} of {came.declared_bytes} bytes here"
            raise refuse(FaultKind.TOO_LATE, text, Measure.TIME_OF_LIFE) from None

    async def _compute(self, reader: RequestReader, admitted: Admitted, part_bytes: int) -> pb.Down:
        """From the whole payload, or from the first part of it that has come."""
        now_ns = time.monotonic_ns()
        self._admission.check_open()
        self._admission.check_time(
            admitted.served, admitted.first, admitted.last, deadline_ns=admitted.deadline_ns, now_ns=now_ns
        )

        def decode() -> Tensors:
            if part_bytes:
                return self._decode(admitted, reader.checked_part(part_bytes), is_part=True)
            reader.check_content()
            with reader.assembly.view() as payload:
                return self._decode(admitted, payload)

        job = job_for(
            admitted.served,
            admitted.first,
            admitted.last,
            decode,
            deadline_ns=admitted.deadline_ns,
            expected_ns=admitted.expected_ns,
        )
        outcome = await self._lanes.run(job)
        return pb.Down(answer=self._answer(reader.opening, outcome, job.queue_ns, part_bytes))

    def _decode(self, admitted: Admitted, payload: bytes | memoryview, *, is_part: bool = False) -> Tensors:
        """On the lane: the tensors that the first segment starts from. FaultError(BAD_PAYLOAD)."""
        joint, codec = admitted.first - 1, admitted.codec
        limits, expected = self._codec_limits, admitted.served.specs_after(joint)
        if is_part:
            layered = codecs.progressive(codec)
            found = layered.decode_prefix(payload, limits=limits, expected=expected) if layered else None
            if found is None:
                raise refuse(FaultKind.BAD_PAYLOAD, f"{len(payload)} bytes of this payload tell nothing by themselves")
            tensors = found.tensors
        else:
            tensors = codec.decode(payload, limits=limits, expected=expected)
        if joint != RAW_SAMPLE:
            return tensors
        try:
            return admitted.served.task.sample(tensors)
        except UsageError as error:
            raise refuse(FaultKind.BAD_PAYLOAD, str(error)) from None

    def _answer(self, opening: pb.Open, outcome: Outcome, queue_ns: int, part_bytes: int) -> pb.Answer:
        answer = pb.Answer(
            last=opening.last,
            payload=self._raw.encode(outcome.tensors),
            queue_ns=queue_ns,
            decode_ns=outcome.decode_ns,
            compute_ns=outcome.compute_ns,
            segment_ns=outcome.segment_ns,
            batch=1,
            prefix_bytes=part_bytes,
        )
        return sealed_answer(opening, answer)


def _told(fault: Fault) -> pb.Fault:
    measure = "" if fault.measure is None else fault.measure.value
    return pb.Fault(kind=fault.kind.value, message=fault.message, measure=measure)


async def _read(stream: Stream) -> bytes:
    return _message(await stream.read())


def _message(data: object) -> bytes:
    if not isinstance(data, bytes):
        raise stream_ended("in the middle of a payload")
    return data


async def _read_until(stream: Stream, cut_ns: int) -> bytes | None:
    """The next message; None where it is not here at `cut_ns`. What is here already is taken even later than that."""
    reading = asyncio.ensure_future(stream.read())
    try:
        left_ns = max(cut_ns - time.monotonic_ns(), GRACE_NS)
        await asyncio.wait({reading}, timeout=left_ns / SECOND_NS)
        if not reading.done():
            return None
        data = await reading
    finally:
        reading.cancel()  # nothing more is read of a payload that is cut
    is_over = time.monotonic_ns() >= cut_ns
    return None if is_over and not isinstance(data, bytes) else _message(data)


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
