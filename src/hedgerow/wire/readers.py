"""What each side does with the bytes of a crossing before anything counts: parse, put in order, and check the seals.

Pure: bytes and the time go in, checked messages come out, and whatever the channel did to them is a FaultError that names
its measure. The server reads with RequestReader, the client with AnswerReader, and so does the attack on both.
"""

from hedgerow.wire.assembly import Assembly
from hedgerow.wire.faults import Fault, FaultError, FaultKind, Measure, refuse
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.messages import PREFIX_VERSION, PROTOCOL_VERSION, check_version, parse
from hedgerow.wire.seal import Windows, check_ack, check_answer, check_content, check_opening, check_part, sealed_ack


class RequestReader:
    """The server's half: one opening, then its chunks, each answered by an acknowledgement."""

    def __init__(self, first: bytes, windows: Windows, *, payload_bytes_max: int) -> None:
        """Read the opening. FaultError (WRONG_VERSION, CORRUPT, PEER, TOO_LARGE) for what is none or not as it was sent."""
        up = parse(pb.Up, first)
        self.opening: pb.Open = up.open
        check_version(self.opening.version, (PROTOCOL_VERSION, PREFIX_VERSION))
        check_opening(self.opening)
        self.assembly = Assembly(self.opening.payload_bytes, payload_bytes_max=payload_bytes_max)
        windows.take(self.opening.session, self.opening.sequence)
        self._first: pb.Up | None = up
        self._first_bytes, self._first_chunk_bytes = len(first), len(up.chunk.data)

    @property
    def complete(self) -> bool:
        """Whether the last byte has come."""
        return self.assembly.complete

    def first_chunk(self) -> pb.Ack | None:
        """Take the chunk that came with the opening, if one did."""
        up, self._first = self._first, None
        return self._chunk(up) if up is not None and up.HasField("chunk") else None

    def take(self, data: bytes) -> pb.Ack:
        """Take a later message: the next chunk, and nothing else. FaultError (BAD_PAYLOAD, TOO_LARGE, PEER)."""
        up = parse(pb.Up, data)
        if up.HasField("open"):
            raise refuse(FaultKind.PEER, "a second opening came on one stream", Measure.SEQUENCE)
        if not up.HasField("chunk"):
            raise refuse(FaultKind.PEER, "a message without a chunk came", Measure.FORM)
        return self._chunk(up)

    def _chunk(self, up: pb.Up) -> pb.Ack:
        received = self.assembly.add(up.chunk.offset, up.chunk.data)
        if self.opening.probe:
            self.assembly.let_go()
        return sealed_ack(self.opening, received)

    def check_content(self) -> None:
        """FaultError(CORRUPT) unless the payload is what the opening was sealed with. Takes time: not on the loop."""
        with self.assembly.view() as payload:
            check_content(self.opening, payload)

    @property
    def part_bytes(self) -> int:
        """The last place that the payload may be cut at of those that have come; 0 before the first."""
        came = self.assembly.bytes_received
        return max((end for end in self.opening.prefix_ends if end <= came), default=0)

    def wait_ns(self, last_ns: int) -> int:
        """How long after the opening came what is still missing may be waited for; the last chunk came `last_ns` after it.

        The opening's time counts from its sending, and how long it was under way nobody here knows. As slowly as the payload crossed
        behind it, it is taken to have crossed itself, and at most for as long as would leave what came behind it just in time.
        (While nothing has come behind it: for as long as would leave what comes up to the next place to cut at just in time.)
        """
        after_ns, first = self.opening.prefix_after_ns, self._first_bytes
        behind = self.assembly.bytes_received - self._first_chunk_bytes
        if behind <= 0:
            came = self.assembly.bytes_received
            end = next((end for end in self.opening.prefix_ends if end > came), self.opening.payload_bytes)
            return after_ns * (end - came) // (end - came + first)
        return after_ns - min(first * last_ns // behind, after_ns * first // (behind + first))

    def checked_part(self, part_bytes: int) -> bytes:
        """The payload's beginning up to one of those places; FaultError(CORRUPT) unless it is as it was sealed."""
        with self.assembly.view() as payload:
            part = bytes(payload[:part_bytes])
        check_part(self.opening, part)
        return part


def stream_ended(where: str) -> FaultError:
    """The error for a stream that its sender ended too soon."""
    return refuse(FaultKind.BAD_PAYLOAD, f"the stream ended {where}", Measure.SEQUENCE)


class AnswerReader:
    """The client's half: acknowledgements that rise, then one answer to this very opening, in time.

    `due_ns`: after it nothing is believed any more (time.monotonic_ns); None: whoever reads keeps the time.
    """

    def __init__(self, opening: pb.Open, *, due_ns: int | None = None) -> None:
        self._opening = opening
        self._due_ns = due_ns
        self._acked_bytes = 0

    def take(self, data: object, *, sent_bytes: int, now_ns: int) -> pb.Ack | pb.Answer:
        """One message, checked; `sent_bytes`: how much was handed over so far. FaultError for a fault that the other side
        tells, and for whatever is not what it should be: CORRUPT, PEER, TOO_LATE."""
        if self._due_ns is not None and now_ns > self._due_ns:
            raise refuse(FaultKind.TOO_LATE, "what came was too late; it was dropped", Measure.TIME_OF_LIFE)
        if not isinstance(data, bytes):
            raise refuse(FaultKind.PEER, "the stream ended without an answer", Measure.SEQUENCE)
        down = parse(pb.Down, data)
        match down.WhichOneof("part"):
            case "ack":
                check_ack(self._opening, down.ack, acked_bytes=self._acked_bytes, sent_bytes=sent_bytes)
                self._acked_bytes = down.ack.bytes_received
                return down.ack
            case "answer":
                check_answer(self._opening, down.answer)
                if sent_bytes < (down.answer.prefix_bytes or self._opening.payload_bytes):
                    raise refuse(FaultKind.PEER, "an answer came before the question had gone", Measure.SEQUENCE)
                return down.answer
            case "fault":
                raise FaultError(Fault.of_wire(down.fault.kind, down.fault.message, down.fault.measure))
            case _:
                raise refuse(FaultKind.PEER, "a message without content came", Measure.FORM)
