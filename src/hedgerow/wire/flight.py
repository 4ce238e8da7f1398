"""Carries one payload over the bulk connection: opening, paced chunks, acknowledgements, and the one end.

A Line is a bulk connection with its pace; crossings share it. Cancelling the task that runs `carry` stops the crossing:
no further byte is handed to gRPC and the other side is told.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeVar, cast

import grpc
from grpc import aio

from hedgerow.wire.channels import BulkCall, bulk_starter
from hedgerow.wire.faults import Fault, FaultKind
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.pace import FIRST_CHUNK_BYTES, Pace, Sent
from hedgerow.wire.readers import AnswerReader

Known = TypeVar("Known")

OnBytes = Callable[[int, int], None]
"""Called with bytes received by the other side so far, and the time of arrival in ns (time.monotonic_ns)."""

_CLEAN_END_S = 1.0
_STATUS_S = 0.1

_KINDS = {
    grpc.StatusCode.UNIMPLEMENTED: FaultKind.WRONG_VERSION,
    grpc.StatusCode.FAILED_PRECONDITION: FaultKind.WRONG_VERSION,
    grpc.StatusCode.RESOURCE_EXHAUSTED: FaultKind.OVERLOADED,
    grpc.StatusCode.UNAVAILABLE: FaultKind.LINK,
    grpc.StatusCode.CANCELLED: FaultKind.LINK,  # by the other side's gRPC: it went away
    grpc.StatusCode.DEADLINE_EXCEEDED: FaultKind.TOO_LATE,
    grpc.StatusCode.INVALID_ARGUMENT: FaultKind.BAD_PAYLOAD,
    grpc.StatusCode.NOT_FOUND: FaultKind.WRONG_MODEL,
}


_STREAM_REFUSED = "RST_STREAM with error code 7"
"""How gRPC words HTTP/2's REFUSED_STREAM: more streams than the other side takes; it has not looked at this one."""
_CALL_BROKE = "Internal error from Core"
"""How grpc.aio words a write on a connection that has just died, before it knows the call's status."""


def fault_of(error: aio.AioRpcError) -> Fault:
    """The fault behind gRPC's own status."""
    kind = _KINDS.get(error.code(), FaultKind.PEER)
    if _STREAM_REFUSED in (error.details() or ""):
        kind = FaultKind.OVERLOADED
    if error.details() == _CALL_BROKE:
        kind = FaultKind.LINK
    return Fault(kind, f"{error.code().name.lower()}: {(error.details() or 'no details').splitlines()[0][:300]}")


class Line:
    """A bulk connection. It closes when it was retired and its last user has gone."""

    def __init__(self, channel: aio.Channel) -> None:
        self.channel = channel
        self.cross = bulk_starter(channel)
        self.pace = Pace()
        self.users = 0
        self.retired = False
        self._room = asyncio.Event()
        self._ending: set[asyncio.Task[None]] = set()

    def release(self) -> None:
        """One user has gone."""
        self.users -= 1
        self._close_if_idle()

    def retire(self) -> None:
        """Take no new users: close as soon as the last one has gone."""
        self.retired = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self.retired and self.users == 0:
            self._hold(self.channel.close(None))

    def _hold(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._ending.add(task)  # held so that the loop does not drop it
        task.add_done_callback(self._ending.discard)

    def see_end(self, call: BulkCall) -> None:
        """The last message has come: let the other side close the stream, or close it from here."""
        self._hold(_see_end(call))

    def wake(self) -> None:
        """Let writers look again whether there is room."""
        self._room.set()

    async def room(self) -> int:
        """Wait until a chunk may go, and return how long it may be."""
        while (size := self.pace.chunk_bytes()) == 0:
            self._room.clear()
            await self._room.wait()
        return size


async def _see_end(call: BulkCall) -> None:
    try:
        async with asyncio.timeout(_CLEAN_END_S):
            await call.code()
    except TimeoutError:
        call.cancel()


class _Upload:
    """The upward half of one stream."""

    def __init__(self, line: Line, call: BulkCall, payload: bytes, cuts: Sequence[int] = ()) -> None:
        """No chunk reaches beyond one of `cuts`: what is complete up to there is then of use by itself."""
        self._line = line
        self._call = call
        self._payload = payload
        self._cuts = deque(cuts)
        self._offset = 0
        self._under_way: deque[Sent] = deque()

    def _next(self, size: int) -> pb.Chunk:
        while self._cuts and self._cuts[0] <= self._offset:
            self._cuts.popleft()
        end = min([self._offset + size, *[*self._cuts][:1]])
        chunk = pb.Chunk(offset=self._offset, data=self._payload[self._offset : end])
        self._offset += len(chunk.data)
        sent = self._line.pace.sent(self._offset, len(chunk.data), now_ns=time.monotonic_ns())
        self._under_way.append(sent)
        return chunk

    async def start(self, opening: pb.Open) -> None:
        """Send the opening with the first chunk."""
        first = pb.Up(open=opening, chunk=self._next(FIRST_CHUNK_BYTES)) if self._payload else pb.Up(open=opening)
        await self._write(first)

    async def rest(self) -> None:
        """Send what is left as the pace allows."""
        while self._offset < len(self._payload):
            size = await self._line.room()
            if not await self._write(pb.Up(chunk=self._next(size))):
                return

    async def _write(self, message: pb.Up) -> bool:
        try:
            await self._call.write(message.SerializeToString())
        except (aio.AioRpcError, asyncio.InvalidStateError):
            return False  # the call has ended: reading tells why
        return True

    @property
    def finished(self) -> bool:
        """Whether all bytes were handed over."""
        return self._offset == len(self._payload)

    @property
    def sent_bytes(self) -> int:
        """How much was handed over."""
        return self._offset

    def acked(self, bytes_received: int, now_ns: int) -> None:
        """Note an acknowledgement."""
        while self._under_way and self._under_way[0].end <= bytes_received:
            self._line.pace.acked(self._under_way.popleft(), now_ns=now_ns)
        self._line.wake()

    def forget(self) -> None:
        """The stream has ended: what is still under way will not be acknowledged."""
        while self._under_way:
            self._line.pace.forget(self._under_way.popleft())
        self._line.wake()


class _Status:
    """The status that Core gave a call. When a write fails just then, grpc.aio puts a wordless one of its own in
    its place, and a refused stream would look like a broken connection; so it is noted the moment it is set."""

    def __init__(self, call: BulkCall) -> None:
        self._said: asyncio.Future[tuple[grpc.StatusCode, str]] = asyncio.get_running_loop().create_future()
        call.add_done_callback(self._note)

    def _note(self, call: BulkCall) -> None:
        code, details = _at_once(call.code()), _at_once(call.details())
        if details != _CALL_BROKE and not self._said.done():
            self._said.set_result((code, details))

    async def behind(self, error: aio.AioRpcError) -> aio.AioRpcError:
        """The error that tells what Core said, which may come moments after a failed write; else the one given."""
        if error.details() != _CALL_BROKE:
            return error
        try:
            async with asyncio.timeout(_STATUS_S):
                code, details = await self._said
        except TimeoutError:
            return error
        return aio.AioRpcError(code, aio.Metadata(), aio.Metadata(), details, error.debug_error_string())


def _at_once(known: Coroutine[object, object, Known]) -> Known:
    """What a coroutine returns that has nothing to wait for."""
    try:
        known.send(None)
    except StopIteration as end:
        return cast(Known, end.value)
    raise AssertionError("gRPC called back before the status was known")


async def carry(
    line: Line, opening: pb.Open, payload: bytes, on_bytes: OnBytes, *, due_ns: int | None = None
) -> tuple[pb.Answer, int]:
    """Carry `payload` and return the answer with its time of arrival in ns; an empty answer for a probe.

    The opening is sealed; nothing of what comes counts before it was checked, nor after `due_ns`. An answer to the first part
    of the payload ends the sending: no further byte is handed over. Raises FaultError for what the other side says or does wrong and AioRpcError for what gRPC says.
    """
    call = line.cross()
    status = _Status(call)
    upload = _Upload(line, call, payload, opening.prefix_ends)
    writer: asyncio.Task[None] | None = None
    try:
        await upload.start(opening)
        if not upload.finished:
            writer = asyncio.ensure_future(upload.rest())
        answer, now_ns = await _read_to_end(call, upload, opening, on_bytes, due_ns)
    except aio.AioRpcError as error:
        raise await status.behind(error) from None
    except BaseException:
        call.cancel()
        raise
    finally:
        upload.forget()
        if writer is not None and not writer.done():
            writer.cancel()
    if upload.finished:
        line.see_end(call)
    else:
        call.cancel()
    return answer, now_ns


async def _read_to_end(
    call: BulkCall, upload: _Upload, opening: pb.Open, on_bytes: OnBytes, due_ns: int | None
) -> tuple[pb.Answer, int]:
    reader = AnswerReader(opening, due_ns=due_ns)
    while True:
        data = await call.read()
        now_ns = time.monotonic_ns()
        match reader.take(data, sent_bytes=upload.sent_bytes, now_ns=now_ns):
            case pb.Answer() as answer:
                return answer, now_ns
            case ack:
                upload.acked(ack.bytes_received, now_ns)
                on_bytes(ack.bytes_received, now_ns)
                if opening.probe and ack.bytes_received == opening.payload_bytes:
                    return pb.Answer(), now_ns
