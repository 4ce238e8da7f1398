"""The bulk service: chunks out of order, half streams, stopping at the next joint. Streams are scripted or real."""

import asyncio
import itertools
import threading
import time

import grpc
import pytest

from hedgerow.cloud.admission import Admission
from hedgerow.cloud.calibrations import CalibrationStore
from hedgerow.cloud.catalogue import Catalogue
from hedgerow.cloud.crossing import CrossingService, fault_of
from hedgerow.cloud.lanes import Lanes
from hedgerow.cloud.limits import ServerLimits
from hedgerow.errors import EngineError, PeerError
from hedgerow.wire import CloudClient, Crossing, FaultKind
from hedgerow.wire.faults import Fault, FaultError
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.limits import CHUNK_BYTES_MAX
from hedgerow.wire.messages import opening, probe_opening
from hedgerow.wire.seal import sealed_opening
from tests.wire.serving import PATIENCE_S, Device, LocalServer, send, until


def ask(server: LocalServer, *messages: bytes) -> list[pb.Down]:
    """Send these messages on one stream, end it, and return all that comes."""
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream("/hedgerow.v1.Crossing/Cross", None, None)
        return [pb.Down.FromString(data) for data in call(iter(messages), timeout=PATIENCE_S)]


def up(*, open: pb.Open | None = None, offset: int = 0, data: bytes | None = None) -> bytes:
    chunk = None if data is None else pb.Chunk(offset=offset, data=data)
    return pb.Up(open=open, chunk=chunk).SerializeToString()


NUMBERS = itertools.count(1)


def opened(crossing: Crossing, **changes: object) -> pb.Open:
    """A sealed opening with a number of its own; `changes` replace fields before it is sealed."""
    message = opening(crossing, remaining_ns=crossing.remaining_ns, session=b"sessions", sequence=next(NUMBERS))
    message.MergeFrom(pb.Open(**changes))  # type: ignore[arg-type]
    return sealed_opening(message, crossing.payload)


def opened_probe(payload_bytes: int) -> pb.Open:
    return sealed_opening(probe_opening(payload_bytes, session=b"sessions", sequence=next(NUMBERS)), b"")


def fault_kind(downs: list[pb.Down]) -> str:
    """The kind of the fault that a stream ended with, after acknowledgements only."""
    assert all(down.HasField("ack") for down in downs[:-1])
    assert downs[-1].HasField("fault"), downs
    return downs[-1].fault.kind


def test_chunks_are_acknowledged_one_by_one_and_answered(server: LocalServer, device: Device) -> None:
    crossing = device.crossing(device.sample())
    half = len(crossing.payload) // 2
    downs = ask(
        server,
        up(open=opened(crossing), data=crossing.payload[:10]),
        up(offset=10, data=crossing.payload[10:half]),
        up(offset=half, data=crossing.payload[half:]),
    )
    assert [down.ack.bytes_received for down in downs[:-1]] == [10, half, len(crossing.payload)]
    assert downs[-1].answer.sample_id == crossing.sample_id
    assert downs[-1].answer.last == device.last
    assert downs[-1].answer.batch == 1


def test_what_breaks_the_protocol_is_a_fault(server: LocalServer, device: Device) -> None:
    crossing = device.crossing(device.sample())
    data = crossing.payload

    def start() -> pb.Open:
        return opened(crossing)

    assert fault_kind(ask(server, b"\xff\xff\xff garbage")) == "peer"
    assert fault_kind(ask(server, up(open=start()), b"\xff\xff garbage")) == "peer"
    assert fault_kind(ask(server)) == "bad_payload"
    assert fault_kind(ask(server, up(data=b"no opening"))) == "wrong_version"
    assert fault_kind(ask(server, up(open=start()), up())) == "peer"
    assert fault_kind(ask(server, up(open=start(), data=data[:10]))) == "bad_payload"
    assert fault_kind(ask(server, up(open=start(), data=data[:10]), up(offset=11, data=data[11:]))) == "bad_payload"
    assert fault_kind(ask(server, up(open=start(), data=data[:10]), up(offset=0, data=data))) == "bad_payload"
    assert fault_kind(ask(server, up(open=start(), data=b""))) == "bad_payload"
    assert fault_kind(ask(server, up(open=start(), data=data + b"x"))) == "too_large"
    assert fault_kind(ask(server, up(open=start(), data=bytes(CHUNK_BYTES_MAX + 1)))) == "too_large"
    assert fault_kind(ask(server, up(open=opened(crossing, version=1)))) == "wrong_version"
    assert fault_kind(ask(server, up(open=opened(crossing, sample_id=b"short")))) == "bad_payload"
    assert fault_kind(ask(server, up(open=opened(crossing, payload_bytes=2**40)))) == "too_large"
    assert (
        fault_kind(ask(server, up(open=start(), data=data[:10]), up(open=start(), offset=10, data=data[10:]))) == "peer"
    )
    unsealed = opened(crossing)
    unsealed.model = "another"
    assert fault_kind(ask(server, up(open=unsealed, data=data))) == "corrupt"
    assert fault_kind(ask(server, up(open=opened(crossing, session=b"tooshort!"), data=data))) == "corrupt"


def test_a_request_that_comes_twice_is_computed_once(server: LocalServer, device: Device) -> None:
    crossing = device.crossing(device.sample())
    message = up(open=opened(crossing), data=crossing.payload)
    assert ask(server, message)[-1].HasField("answer")
    runs = list(server.catalogue.named("tiny").times.runs)
    downs = ask(server, message)
    assert (fault_kind(downs), downs[-1].fault.measure) == ("corrupt", "sequence")
    assert list(server.catalogue.named("tiny").times.runs) == runs


def test_a_fault_reaches_a_sender_in_the_middle_of_its_upload(client: CloudClient, device: Device) -> None:
    for _ in range(20):
        crossing = device.crossing({}, payload=bytes(4 << 20), model="unknown")
        assert send(client, crossing).fault().kind is FaultKind.WRONG_MODEL


def test_a_damaged_payload_is_refused(server: LocalServer, device: Device) -> None:
    crossing = device.crossing(device.sample())
    for place in range(0, len(crossing.payload), 37):
        damaged = bytearray(crossing.payload)
        damaged[place] ^= 0x40
        downs = ask(server, up(open=opened(crossing), data=bytes(damaged)))
        assert fault_kind(downs) == "corrupt"
        assert downs[-1].fault.measure == "checksum"


def test_a_raw_sample_with_nan_is_refused(server: LocalServer, device: Device) -> None:
    sample = device.sample()
    sample["x"][0, 0] = float("nan")
    crossing = device.crossing(sample, joint=-1)
    assert fault_kind(ask(server, up(open=opened(crossing), data=crossing.payload))) == "bad_payload"


def test_a_probe_is_acknowledged_without_computing(server: LocalServer) -> None:
    runs = server.catalogue.named("tiny").times.runs
    downs = ask(server, up(open=opened_probe(30), data=bytes(10)), up(offset=10, data=bytes(20)))
    assert [down.ack.bytes_received for down in downs] == [10, 30]
    assert server.catalogue.named("tiny").times.runs == runs
    assert fault_kind(ask(server, up(open=opened_probe(2**40)))) == "too_large"
    assert fault_kind(ask(server, up(open=opened_probe(10)), up(offset=5, data=b"x"))) == "bad_payload"
    assert fault_kind(ask(server, up(open=pb.Open(version=9, probe=True, payload_bytes=1), data=b"x"))) == (
        "wrong_version"
    )


def test_a_sender_that_stops_sending_is_given_up_when_its_time_is_up(server: LocalServer, device: Device) -> None:
    crossing = device.crossing(device.sample(), remaining_s=0.2)
    ended = threading.Event()

    def stall() -> "grpc.Iterator":  # type: ignore[name-defined]
        yield up(open=opened(crossing), data=crossing.payload[:10])
        ended.wait(PATIENCE_S)

    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream("/hedgerow.v1.Crossing/Cross", None, None)
        downs = [pb.Down.FromString(data) for data in call(stall(), timeout=PATIENCE_S)]
        ended.set()
    assert fault_kind(downs) == "too_late"


def segments_run(server: LocalServer) -> list[int]:
    return list(server.catalogue.named("slow").times.runs)


def test_cancelling_stops_the_work_at_the_next_joint(
    server: LocalServer, client: CloudClient, slow_device: Device
) -> None:
    before = segments_run(server)
    crossing = slow_device.crossing(slow_device.sample(rows=1000))
    sent = send(client, crossing)
    until(lambda: segments_run(server)[1] > before[1], "the first segment has run")
    client.stop(crossing.key)
    assert sent.fault().kind is FaultKind.CANCELLED
    short = send(client, slow_device.crossing(slow_device.sample()))  # waits for the lane: the cancelled work is over
    short.answer()
    ran = [after - earlier - 1 for after, earlier in zip(segments_run(server), before, strict=True)][1:]
    assert ran[0] == 1
    assert ran[-1] == 0
    assert ran == sorted(ran, reverse=True)


def test_work_stops_at_the_next_joint_when_its_time_is_up(
    server: LocalServer, client: CloudClient, slow_device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    remaining_s = 0.5
    times = server.catalogue.named("slow").times
    note = times.note

    def note_late(segment: int, duration_ns: int) -> None:
        """The lane finds every segment over when the time is up, however quick the machine."""
        note(segment, duration_ns)
        time.sleep(remaining_s)

    before = segments_run(server)
    with monkeypatch.context() as slowed:
        slowed.setattr(times, "note", note_late)
        crossing = slow_device.crossing(slow_device.sample(), remaining_s=remaining_s)
        assert send(client, crossing).fault().kind is FaultKind.TOO_LATE
        last_alone = slow_device.crossing(slow_device.sample(), joint=slow_device.last - 1)
        send(client, last_alone).answer()  # waits for the lane: the late work is over
    ran = [after - earlier for after, earlier in zip(segments_run(server), before, strict=True)]
    assert ran[1] <= 1  # none, where the machine stood still before the lane began
    assert ran[2:] == [0] * (slow_device.last - 2) + [1]


def test_errors_of_this_side_become_the_fitting_faults() -> None:
    fault = Fault(FaultKind.WRONG_CUT, "a")
    assert fault_of(FaultError(fault)) is fault
    assert fault_of(EngineError("b")) == Fault(FaultKind.ENGINE, "b")
    assert fault_of(PeerError("c")) == Fault(FaultKind.BAD_PAYLOAD, "c")


class Scripted:
    """A stream that gives these messages, then waits for ever."""

    def __init__(self, *messages: bytes) -> None:
        self._messages = list(messages)
        self.written: list[pb.Down] = []

    async def read(self) -> object:
        if self._messages:
            return self._messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def write(self, message: bytes) -> None:
        self.written.append(pb.Down.FromString(message))


@pytest.mark.parametrize(
    ("limits", "kinds"),
    [
        (ServerLimits(crossings_max=1), ["", "overloaded"]),
        (ServerLimits(received_bytes_max=2000), ["", "overloaded"]),
        (ServerLimits(payload_bytes_max=100), ["too_large", "too_large"]),
        (ServerLimits(remaining_max_ns=1_000_000), ["too_late", "too_late"]),
    ],
)
def test_limits_hold_and_every_place_is_given_back(
    tiny_task: object, device: Device, limits: ServerLimits, kinds: list[str]
) -> None:
    catalogue = Catalogue([device.task])
    lanes = Lanes(1, queue_length_max=4)
    admission = Admission(catalogue, lanes, CalibrationStore(count_max=1, bytes_max=100), limits)
    service = CrossingService(admission, lanes, limits)
    crossing = device.crossing({}, payload=bytes(1500))

    async def two_that_stall() -> list[Scripted]:
        streams = [Scripted(up(open=opened(crossing), data=bytes(10))) for _ in range(2)]
        tasks = [asyncio.ensure_future(service._cross(None, stream)) for stream in streams]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return streams

    ends = [stream.written[-1].fault.kind for stream in asyncio.run(two_that_stall())]
    assert ends == kinds
    assert admission.crossings_open == 0
    with admission.place(min(1500, limits.payload_bytes_max)):
        assert admission.crossings_open == 1
    lanes.close(PATIENCE_S)
    catalogue.close()
