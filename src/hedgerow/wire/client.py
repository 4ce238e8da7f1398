"""The device's side of the wire: crossings, probes and control calls to one server, for callers on any thread.

Rules: `send`, `stop` and `probe` never block. Callbacks run on the thread "hedgerow-link" and must be quick. Each
crossing ends with exactly one on_answer or on_fault, within its remaining time (plus ClientLimits.overtime_ns) whatever
the network does; each probe with exactly one on_done or on_lost. What comes is checked (`seal`) before it counts. Nothing is retried here: what to do about a fault is
decided in core.
"""

import asyncio
import itertools
import time
import traceback
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, TypeVar

from grpc import aio

from hedgerow import codecs
from hedgerow.errors import LinkError, PeerError, UsageError
from hedgerow.models.tensors import Tensors
from hedgerow.wire import control
from hedgerow.wire.channels import CONTROL_SERVICE, TlsFiles, client_credentials, open_channel, unary
from hedgerow.wire.faults import Fault, FaultError, FaultKind, Measure, refuse
from hedgerow.wire.flight import Line, carry, fault_of
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.limits import SECOND_NS, ClientLimits
from hedgerow.wire.loop import LoopThread
from hedgerow.wire.messages import SAMPLE_ID_BYTES, Crossing, Description, Key, RemoteAnswer, opening, probe_opening
from hedgerow.wire.oip import PlainServer
from hedgerow.wire.seal import SESSION_BYTES, sealed_opening

if TYPE_CHECKING:
    from hedgerow.codecs import Calibration

OnAck = Callable[[Key, int, int], None]
OnAnswer = Callable[[Key, RemoteAnswer, int], None]
OnFault = Callable[[Key, Fault, int], None]
OnDone = Callable[[int, int, int, int], None]
OnLost = Callable[[int], None]
T = TypeVar("T")
THREAD_NAME = "hedgerow-link"


@dataclass(frozen=True, slots=True)
class _Ends:
    on_ack: OnAck
    on_answer: OnAnswer
    on_fault: OnFault


class CloudClient:
    """Talks to one server at `address` (host:port); `tls` None means in the clear. Close it when done."""

    def __init__(self, address: str, *, tls: TlsFiles | None = None, limits: ClientLimits | None = None) -> None:
        self.address = address
        self.rejected: Counter[Measure] = Counter()
        """Errors of the channel that were detected, on either side, by the measure that did; silence until the time was
        up counts as TIME_OF_LIFE. Written on the link's thread."""
        self._session = token_bytes(SESSION_BYTES)
        self._sequence = itertools.count(1)
        self._limits = limits or ClientLimits()
        self._server_name = tls.server_name if tls else None
        self._credentials = client_credentials(tls) if tls else None
        self._plain = False
        self._flights: dict[Key, asyncio.Task[tuple[RemoteAnswer, int]]] = {}
        self._probes: set[asyncio.Task[tuple[int, int, int]]] = set()
        self._raw = codecs.get("raw")
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()
        self._thread = LoopThread(THREAD_NAME)
        self._thread.wait_for(self._open_both, self._limits.connect_timeout_s)

    # --- start and end ---

    def describe(self, timeout_s: float = 5.0, *, models: Sequence[str] = ()) -> Description:
        """Ask the server what it offers; blocks. A server without Hedgerow's services is described as `plain`, after
        each of `models` was found ready on it. Raises LinkError, or PeerError (FaultError) for what it answers."""
        ask = partial(control.describe, timeout_s=timeout_s, models=models)
        description = self._thread.wait_for(lambda: _translated(ask(self._control.channel)), timeout_s + 1.0)
        self._plain = description.plain
        return description

    def put_calibration(self, calibration: "Calibration", timeout_s: float = 5.0) -> str:
        """Give the server a calibration; blocks; returns its id. Raises LinkError or PeerError."""
        put = partial(control.put_calibration, calibration=calibration, timeout_s=timeout_s)
        return self._thread.wait_for(lambda: _translated(put(self._control.channel)), timeout_s + 1.0)

    def reconnect(self) -> None:
        """Use new connections from now on; the old ones close when the crossings on them have ended."""
        self._thread.post(self._swap)

    def close(self) -> None:
        """End every crossing with Fault(CANCELLED); leaves no thread and no socket behind."""
        self._thread.close(self._close, self._limits.close_timeout_s)

    def __enter__(self) -> "CloudClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- crossings and probes ---

    def send(self, crossing: Crossing, *, on_ack: OnAck, on_answer: OnAnswer, on_fault: OnFault) -> Key:
        """Start a crossing. on_ack(key, bytes_received, now_ns) may come many times, bytes_received never falling.
        UsageError for a sample id of the wrong length."""
        if len(crossing.sample_id) != SAMPLE_ID_BYTES:
            raise UsageError(f"a sample id has {SAMPLE_ID_BYTES} bytes, not {len(crossing.sample_id)}")
        ends = _Ends(on_ack, on_answer, on_fault)
        if not self._thread.post(self._start, crossing, ends, time.monotonic_ns()):
            on_fault(crossing.key, Fault(FaultKind.CANCELLED, "the client is closed"), time.monotonic_ns())
        return crossing.key

    def stop(self, key: Key) -> None:
        """Stop a crossing: no further byte is handed over, on_fault(CANCELLED) follows unless it has ended already."""
        self._thread.post(self._stop, key)

    def probe(self, payload_bytes: int, *, fresh: bool, timeout_s: float, on_done: OnDone, on_lost: OnLost) -> None:
        """Measure the link: on_done(rtt_ns, transfer_ns, payload_bytes, now_ns) or on_lost(now_ns).

        0 bytes: a round trip on the control connection. More: on the bulk connection, `rtt_ns` of the first kilobyte
        and `transfer_ns` until all were acknowledged. `fresh`: on new connections, which replace both if it succeeds.
        """
        if not 0 <= payload_bytes <= self._limits.payload_bytes_max:
            raise UsageError(f"a probe carries 0 to {self._limits.payload_bytes_max} bytes, not {payload_bytes}")
        if not self._thread.post(self._start_probe, payload_bytes, fresh, timeout_s, on_done, on_lost):
            on_lost(time.monotonic_ns())

    # --- on the loop's thread ---

    def _open(self) -> aio.Channel:
        return open_channel(
            self.address,
            self._credentials,
            server_name=self._server_name,
            receive_bytes_max=self._limits.answer_bytes_max,
        )

    def _line(self) -> Line:
        line = Line(self._open())
        self._lines.add(line)
        return line

    async def _open_both(self) -> None:
        self._control = self._line()
        self._bulk = self._line()

    def _swap(self, bulk: Line | None = None) -> None:
        old = (self._control, self._bulk)
        self._control, self._bulk = self._line(), bulk or self._line()
        for line in (self._control, self._bulk):
            line.channel.get_state(try_to_connect=True)
        for line in old:
            line.retire()

    async def _close(self) -> None:
        """Within half of the time that the caller waits, whatever does not end: the connections are closed all the same."""
        patience_s = self._limits.close_timeout_s / 4
        tasks = [*self._flights.values(), *self._probes]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=patience_s)
        await asyncio.sleep(0)  # let their callbacks run
        for line in list(self._lines):  # those too on which something still is that does not end
            await line.channel.close(None)
        del line, self._control, self._bulk  # gRPC's own thread ends with the last channel that anyone holds
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=patience_s)

    def _stop(self, key: Key) -> None:
        flight = self._flights.get(key)
        if flight is not None:
            flight.cancel()

    def _start(self, crossing: Crossing, ends: _Ends, called_ns: int) -> None:
        refusal = self._refusal(crossing)
        if refusal is not None:
            ends.on_fault(crossing.key, refusal, time.monotonic_ns())
            return
        task = asyncio.ensure_future(self._fly(crossing, ends, called_ns))
        self._flights[crossing.key] = task
        task.add_done_callback(partial(self._landed, crossing.key, ends))

    def _refusal(self, crossing: Crossing) -> Fault | None:
        if crossing.key in self._flights:
            return Fault(FaultKind.CANCELLED, "this attempt at this sample is under way already")
        if len(self._flights) >= self._limits.flights_max:
            return Fault(FaultKind.OVERLOADED, f"{self._limits.flights_max} crossings are under way from here")
        if len(crossing.payload) > self._limits.payload_bytes_max:
            limit = self._limits.payload_bytes_max
            return Fault(FaultKind.TOO_LARGE, f"{len(crossing.payload)} bytes are beyond the limit of {limit}")
        return None

    async def _fly(self, crossing: Crossing, ends: _Ends, called_ns: int) -> tuple[RemoteAnswer, int]:
        spent_ns = time.monotonic_ns() - called_ns
        remaining_ns = min(crossing.remaining_ns, self._limits.remaining_max_ns) - spent_ns
        if remaining_ns <= 0:
            raise refuse(FaultKind.TOO_LATE, "its time was up before it was sent")
        life_ns = remaining_ns + self._limits.overtime_ns
        due_ns = time.monotonic_ns() + life_ns
        line = self._bulk
        line.users += 1
        try:
            async with asyncio.timeout(life_ns / SECOND_NS):
                if self._plain:
                    return await self._fly_plain(line, crossing, remaining_ns)
                sequence = next(self._sequence)
                waits_ns = max(0, crossing.prefix_after_ns - spent_ns)
                crossing = replace(crossing, prefix_after_ns=waits_ns) if crossing.prefix_ends else crossing
                unsealed = opening(crossing, remaining_ns=remaining_ns, session=self._session, sequence=sequence)
                sealed, on_bytes = sealed_opening(unsealed, crossing.payload), partial(ends.on_ack, crossing.key)
                answer, now_ns = await carry(line, sealed, crossing.payload, on_bytes, due_ns=due_ns)
        finally:
            line.release()
        return self._read_answer(answer), now_ns

    def _read_answer(self, answer: pb.Answer) -> RemoteAnswer:
        limits = codecs.CodecLimits(payload_bytes_max=self._limits.answer_bytes_max)
        return RemoteAnswer(
            tensors=self._raw.decode(answer.payload, limits=limits),
            queue_ns=answer.queue_ns,
            decode_ns=answer.decode_ns,
            compute_ns=answer.compute_ns,
            answer_bytes=answer.ByteSize(),
            segment_ns=tuple(answer.segment_ns),
            batch=answer.batch,
            prefix_bytes=answer.prefix_bytes,
        )

    async def _fly_plain(self, line: Line, crossing: Crossing, remaining_ns: int) -> tuple[RemoteAnswer, int]:
        if crossing.joint > 0 or crossing.codec != "raw":
            raise refuse(FaultKind.WRONG_CUT, "a plain server runs whole models only, on raw tensors")
        limits = codecs.CodecLimits(payload_bytes_max=self._limits.payload_bytes_max)
        tensors: Tensors = self._raw.decode(crossing.payload, limits=limits)
        outputs, answer_bytes = await PlainServer(line.channel).infer(
            crossing.model, crossing.sample_id.hex(), tensors, timeout_s=remaining_ns / SECOND_NS
        )
        return RemoteAnswer(outputs, 0, 0, 0, answer_bytes), time.monotonic_ns()

    def _landed(self, key: Key, ends: _Ends, flight: "asyncio.Task[tuple[RemoteAnswer, int]]") -> None:
        del self._flights[key]
        if flight.cancelled():
            ends.on_fault(key, Fault(FaultKind.CANCELLED, "stopped by the sender"), time.monotonic_ns())
            return
        error = flight.exception()
        if error is None:
            answer, now_ns = flight.result()
            ends.on_answer(key, answer, now_ns)
            return
        fault = _fault(error)
        _let_go(error)
        self._note(fault)
        ends.on_fault(key, fault, time.monotonic_ns())

    def _note(self, fault: Fault) -> None:
        if fault.measure is not None:
            self.rejected[fault.measure] += 1

    def _start_probe(self, payload_bytes: int, fresh: bool, timeout_s: float, on_done: OnDone, on_lost: OnLost) -> None:
        if len(self._probes) >= self._limits.flights_max:
            on_lost(time.monotonic_ns())
            return
        work = self._probe_fresh(payload_bytes) if fresh else self._probe_current(payload_bytes)
        task = asyncio.ensure_future(_within(work, timeout_s))
        self._probes.add(task)

        def ended(probe: "asyncio.Task[tuple[int, int, int]]") -> None:
            self._probes.discard(probe)
            error = None if probe.cancelled() else probe.exception()
            _let_go(error)
            if probe.cancelled() or error is not None:
                if isinstance(error, FaultError):
                    self._note(error.fault)
                on_lost(time.monotonic_ns())
            else:
                rtt_ns, transfer_ns, now_ns = probe.result()
                on_done(rtt_ns, transfer_ns, payload_bytes, now_ns)

        task.add_done_callback(ended)

    async def _probe_current(self, payload_bytes: int) -> tuple[int, int, int]:
        line = self._bulk if payload_bytes else self._control
        line.users += 1
        try:
            return await self._probe_on(line, payload_bytes)
        finally:
            line.release()

    async def _probe_fresh(self, payload_bytes: int) -> tuple[int, int, int]:
        line = self._line()
        line.users += 1
        try:
            await line.channel.channel_ready()
            result = await self._probe_on(line, payload_bytes)
            self._swap(line)
        except BaseException:
            line.retire()
            raise
        finally:
            line.release()
        return result

    async def _probe_on(self, line: Line, payload_bytes: int) -> tuple[int, int, int]:
        start_ns = time.monotonic_ns()
        acked_ns: list[int] = []
        if self._plain:
            server = PlainServer(line.channel)
            for size in (0, payload_bytes)[: 2 if payload_bytes else 1]:
                await server.live(size, timeout_s=self._limits.remaining_max_ns / SECOND_NS)
                acked_ns.append(time.monotonic_ns())
            trip_ns = acked_ns[0] - start_ns  # two calls, one after the other: each is timed by itself
            return trip_ns, max(trip_ns, acked_ns[-1] - acked_ns[0]), acked_ns[-1]
        if payload_bytes == 0:
            await unary(line.channel, CONTROL_SERVICE, "Probe", b"", timeout_s=None)
            acked_ns.append(time.monotonic_ns())
        else:
            payload, sequence = bytes(payload_bytes), next(self._sequence)
            sealed = sealed_opening(probe_opening(payload_bytes, session=self._session, sequence=sequence), payload)
            await carry(line, sealed, payload, lambda _, now_ns: acked_ns.append(now_ns))
        return acked_ns[0] - start_ns, acked_ns[-1] - start_ns, acked_ns[-1]


async def _within(work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    async with asyncio.timeout(timeout_s):
        return await work


async def _translated(work: Coroutine[Any, Any, T]) -> T:
    """For blocking calls: gRPC's status as one of our errors."""
    try:
        return await work
    except aio.AioRpcError as error:
        fault = fault_of(error)
        if fault.kind is FaultKind.TOO_LATE:
            raise LinkError(f"the server did not answer in time ({fault.message})") from None
        raise fault.error() from None


def _let_go(error: BaseException | None) -> None:
    """Empty the frames that a failure remembers: they hold its call, the call its connection, in a cycle that would keep a
    retired connection open until the next garbage collection, which a session puts off."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _fault(error: BaseException) -> Fault:
    """The fault that a crossing's task ended with; an error that is none of ours is a bug and goes on."""
    match error:
        case FaultError():
            return error.fault
        case aio.AioRpcError():
            return fault_of(error)
        case TimeoutError():
            return Fault(FaultKind.TOO_LATE, "no answer came before its time was up", Measure.TIME_OF_LIFE)
        case PeerError():
            return Fault(FaultKind.PEER, str(error))
        case _:
            raise error
