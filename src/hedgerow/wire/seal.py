"""The safety layer over the black channel: pure functions that seal what is sent and reject what is not what was sent.

The channel (gRPC, HTTP/2, TCP, proxies, buffers, both sides' message handling) is trusted with nothing: it may do to a
message whatever IEC 61784-3 lists, and each of these errors is detected by a named measure before anything is computed from
a request or an answer reaches the device's shell.

    error                    measures that detect it
    corruption               CHECKSUM; FORM where the bytes are no message any more
    unintended repetition    SEQUENCE (a crossing's number, a chunk's offset, an acknowledgement that does not rise)
    incorrect sequence       SEQUENCE; CHECKSUM for what was swapped below the numbers
    loss                     SEQUENCE (a gap, an end too soon); TIME_OF_LIFE for silence
    unacceptable delay       TIME_OF_LIFE; SEQUENCE for an older answer in a newer one's place
    insertion                IDENTITY, SEQUENCE; CHECKSUM for what has the right names
    masquerade               CHECKSUM, IDENTITY
    wrong address            IDENTITY (session, stream, model); CHECKSUM for what was readdressed

How. A request is known by a session (8 random bytes of its client) and a number that rises. `content` is the digest of
its payload; `seal` is the digest of every field of the opening, `content` among them. An answer's seal is the digest of the
request's seal and every field of the answer: it fits one request with one content and no other. An acknowledgement's seal
binds its count of bytes to the request in the same way. The server checks the opening before it admits it and the content
before it computes; the client checks each message before it counts.

A payload of which the first part may be computed from cannot be checked by `content` before its last byte is here, and its own
checksums are of 32 bits. So its opening, under the seal, says where it may be cut, with a digest of all bytes up to each of
these ends: 16 bytes an end, PREFIX_ENDS_MAX at most. The server computes from such a part or from the whole and from nothing
else; its answer says from which, under its seal; the client takes only one that the opening offered.

Digests are BLAKE2b (RFC 7693), 128 bits (an acknowledgement's: 64), each kind of message with its own personalisation, over
fields in a fixed order, numbers of fixed width, texts with their length before them, so that no two messages are
encoded alike. A random error passes with probability 2^-128.

This protects against faults, not against malice: there is no key in it, so whoever can write to the connection can seal.
Against an attacker on the way use mutual TLS. A server that computes wrongly and seals what it computed is not found here.
"""

import struct
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise

from hedgerow.wire.faults import Measure, reject
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.limits import PREFIX_ENDS_MAX
from hedgerow.wire.messages import PREFIX_VERSION

SEAL_BYTES = 16
ACK_SEAL_BYTES = 8
SESSION_BYTES = 8
WINDOW = 4096
"""How far behind the highest number of its session a crossing may come: many times those under way at once."""

_OPEN = struct.Struct(">I?iIqQQI")
_ANSWER = struct.Struct(">IqqqIIQI")
_PREFIXES = struct.Struct(">qI")
_LENGTH = struct.Struct(">I")

Buffer = bytes | memoryview


def _joined(fixed: bytes, pieces: Sequence[bytes]) -> bytes:
    """`fixed`, then each piece with its length before it."""
    parts = [fixed]
    for piece in pieces:
        parts += (_LENGTH.pack(len(piece)), piece)
    return b"".join(parts)


def content_digest(payload: Buffer) -> bytes:
    """The digest of a payload; 16 bytes."""
    return blake2b(payload, digest_size=SEAL_BYTES, person=b"hedgerow content").digest()


def prefix_digests(payload: Buffer, ends: Sequence[int]) -> list[bytes]:
    """Of the payload up to each of these ends, which rise; 16 bytes each."""
    digest, found, begun = blake2b(digest_size=SEAL_BYTES, person=b"hedgerow prefix"), [], 0
    view = memoryview(payload)
    for end in ends:
        digest.update(view[begun:end])
        found.append(digest.copy().digest())
        begun = end
    return found


def opening_seal(opening: pb.Open) -> bytes:
    """The digest of every field of an opening but the seal itself; 16 bytes."""
    numbers = (opening.version, opening.probe, opening.joint, opening.last, opening.remaining_ns)
    fixed = _OPEN.pack(*numbers, opening.payload_bytes, opening.sequence, opening.attempt)
    texts = (opening.task_id, opening.model, opening.chain_id, opening.codec, opening.calibration_id, opening.stream)
    blobs = (opening.sample_id, opening.session, opening.content)
    encoded = _joined(fixed, [*(text.encode() for text in texts), *blobs])
    ends = opening.prefix_ends
    if ends or opening.prefix_contents or opening.prefix_after_ns:
        parts = _PREFIXES.pack(opening.prefix_after_ns, len(ends)) + struct.pack(f">{len(ends)}I", *ends)
        encoded += _joined(parts, opening.prefix_contents)
    return blake2b(encoded, digest_size=SEAL_BYTES, person=b"hedgerow opening").digest()


def answer_seal(request_seal: bytes, answer: pb.Answer) -> bytes:
    """The digest of the seal of the request and every field of its answer but the seal itself; 16 bytes."""
    times = (answer.queue_ns, answer.decode_ns, answer.compute_ns)
    numbers = (answer.last, *times, answer.batch, answer.attempt, answer.sequence, len(answer.segment_ns))
    segments = struct.pack(f">{len(answer.segment_ns)}q", *answer.segment_ns)
    names = (answer.sample_id, answer.session, answer.stream.encode(), answer.model.encode())
    head, person = _joined(_ANSWER.pack(*numbers) + segments, (request_seal, *names)), b"hedgerow answer"
    if answer.prefix_bytes:
        head, person = head + _LENGTH.pack(answer.prefix_bytes), b"hedgerow partial"
    digest = blake2b(head, digest_size=SEAL_BYTES, person=person)
    digest.update(answer.payload)  # the last, so its length needs no saying
    return digest.digest()


def ack_seal(request_seal: bytes, bytes_received: int) -> bytes:
    """The digest of an acknowledgement of a request; 8 bytes."""
    encoded = request_seal + bytes_received.to_bytes(8, "big")
    return blake2b(encoded, digest_size=ACK_SEAL_BYTES, person=b"hedgerow ack").digest()


# ------------------------------------------------------------------------------------------------------------- sealing


def sealed_opening(opening: pb.Open, payload: Buffer) -> pb.Open:
    """`opening` with its contents (of a probe: none, its bytes mean nothing) and seal filled in."""
    opening.content = b"" if opening.probe else content_digest(payload)
    opening.prefix_contents[:] = prefix_digests(payload, opening.prefix_ends)
    opening.seal = opening_seal(opening)
    return opening


def sealed_answer(opening: pb.Open, answer: pb.Answer) -> pb.Answer:
    """`answer` with the names of the request that it answers and its seal filled in."""
    answer.sample_id, answer.session, answer.stream = opening.sample_id, opening.session, opening.stream
    answer.attempt, answer.sequence, answer.model = opening.attempt, opening.sequence, opening.model
    answer.seal = answer_seal(opening.seal, answer)
    return answer


def sealed_ack(opening: pb.Open, bytes_received: int) -> pb.Ack:
    """The acknowledgement of that many bytes."""
    return pb.Ack(bytes_received=bytes_received, seal=ack_seal(opening.seal, bytes_received))


# ------------------------------------------------------------------------------------------------------------ checking


def check_opening(opening: pb.Open) -> None:
    """FaultError(CORRUPT) unless the opening is as it was sealed."""
    if opening.seal != opening_seal(opening):
        raise reject(Measure.CHECKSUM, "the opening is not as it was sent; send it again")
    if len(opening.session) != SESSION_BYTES:
        raise reject(Measure.FORM, f"a session has {SESSION_BYTES} bytes, not {len(opening.session)}")
    ends = list(opening.prefix_ends)
    rise = all(0 < before < after for before, after in pairwise([*ends, opening.payload_bytes])) if ends else True
    few = len(ends) == len(opening.prefix_contents) <= PREFIX_ENDS_MAX and opening.prefix_after_ns >= 0
    if not (rise and few) or (opening.version == PREFIX_VERSION) != bool(ends) or (opening.probe and ends):
        raise reject(Measure.FORM, "the opening names places to cut its payload at that cannot be")


def check_content(opening: pb.Open, payload: Buffer) -> None:
    """FaultError(CORRUPT) unless `payload` is what the opening was sealed with."""
    if opening.content != content_digest(payload):
        raise reject(Measure.CHECKSUM, "the payload is not as it was sent; send it again")


def check_part(opening: pb.Open, part: Buffer) -> None:
    """FaultError(CORRUPT) unless `part` is the payload's beginning up to one of the ends that the opening was sealed with."""
    known = dict(zip(opening.prefix_ends, opening.prefix_contents, strict=False))
    if known.get(len(part)) != prefix_digests(part, (len(part),))[0]:
        raise reject(Measure.CHECKSUM, "the first part of the payload is not as it was sent; send it again")


def check_ack(opening: pb.Open, ack: pb.Ack, *, acked_bytes: int, sent_bytes: int) -> None:
    """FaultError(CORRUPT) unless it acknowledges more of this request than `acked_bytes`, and no more than was sent."""
    if ack.seal != ack_seal(opening.seal, ack.bytes_received):
        raise reject(Measure.CHECKSUM, "an acknowledgement came that is not of this request; it was dropped")
    if not acked_bytes < ack.bytes_received <= sent_bytes:
        raise reject(
            Measure.SEQUENCE,
            f"{ack.bytes_received} bytes were acknowledged after {acked_bytes}, with {sent_bytes} sent; it was dropped",
        )


def check_answer(opening: pb.Open, answer: pb.Answer) -> None:
    """FaultError(CORRUPT) unless the answer is whole and to this very request."""
    if (answer.session, answer.stream, answer.model) != (opening.session, opening.stream, opening.model):
        raise reject(Measure.IDENTITY, "an answer for another session, stream or model came; it was dropped")
    if (answer.sequence, answer.attempt) != (opening.sequence, opening.attempt):
        text = f"an answer to crossing {answer.sequence} came in the place of {opening.sequence}; it was dropped"
        raise reject(Measure.SEQUENCE, text)
    if (answer.sample_id, answer.last) != (opening.sample_id, opening.last):
        raise reject(Measure.IDENTITY, "an answer for another sample or segment came; it was dropped")
    if answer.seal != answer_seal(opening.seal, answer):
        raise reject(Measure.CHECKSUM, "an answer came that does not fit this request's content; it was dropped")
    if answer.prefix_bytes and answer.prefix_bytes not in opening.prefix_ends:
        raise reject(
            Measure.FORM, f"an answer from {answer.prefix_bytes} bytes came, which was not asked for; it was dropped"
        )


class Windows:
    """Which numbers of which sessions have come: each is taken once (the sliding window of RFC 4303, 3.4.3).

    At most `sessions_max` sessions are remembered, the longest silent is forgotten first. WINDOW bits each.
    """

    def __init__(self, sessions_max: int) -> None:
        self._sessions_max = sessions_max
        self._seen: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # highest number, bits of it and those before

    def __len__(self) -> int:
        return len(self._seen)

    def take(self, session: bytes, sequence: int) -> None:
        """FaultError(CORRUPT) for a number that came before, or that is too old to know. Call with checked openings."""
        highest, seen = self._seen.get(session, (0, 0))
        if sequence > highest:
            ahead = sequence - highest
            seen = (seen << ahead if ahead < WINDOW else 0) & ((1 << WINDOW) - 1) | 1
            highest = sequence
        else:
            behind = highest - sequence
            if behind >= WINDOW or seen >> behind & 1:
                raise reject(Measure.SEQUENCE, f"crossing {sequence} came before or far too late; it was dropped")
            seen |= 1 << behind
        self._seen[session] = highest, seen
        self._seen.move_to_end(session)
        if len(self._seen) > self._sessions_max:
            self._seen.popitem(last=False)
