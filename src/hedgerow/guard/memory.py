"""The memory that guard, session, camera and consumers share: slots that are whole or not there at all.

Rules: each ring has one writer. A slot is read only if it carries the number asked for and its checksum, over head and payload,
holds in the reader's own copy: neither a torn write nor a stray one is taken for an answer. Nothing waits or locks, so whoever
is stopped in mid-write stops nobody else. Moments are ns of CLOCK_MONOTONIC, which the processes of a machine share.
"""

import mmap
import struct
import zlib
from typing import Any, NamedTuple

VERSION = 1
HEAD = struct.Struct("<QQqqIHHI")  # the fields of Slot, of its payload the length
CHECKSUM = struct.Struct("<I")  # over head and payload
HEAD_BYTES = HEAD.size + CHECKSUM.size
_NUMBER = struct.Struct("<Q")
_NEVER = b"\xff" * 8
_LINE = 64  # bytes of a cache line
ANSWER, SAFE_VALUE, EXPECTED, ALIVE, END = range(1, 6)  # kinds; EXPECTED: the safe value of a frame never announced
REASONS = ("answered", "no answer by the deadline", "the session is not running", "no frame was announced")


class Slot(NamedTuple):
    """An announcement (moment: its deadline), an answer, a state, or a message (moment: when it was emitted)."""

    number: int
    frame: int
    captured_ns: int
    moment_ns: int
    epoch: int = 0
    stream: int = 0
    kind: int = 0
    payload: bytes = b""


def pack(slot: Slot) -> bytes:
    """A slot's bytes, in memory and on a socket alike."""
    head = HEAD.pack(*slot[:7], len(slot.payload))
    return head + CHECKSUM.pack(zlib.crc32(slot.payload, zlib.crc32(head))) + slot.payload


def unpack(data: bytes) -> Slot | None:
    """The slot in these bytes; None unless they are one whole slot."""
    if len(data) < HEAD_BYTES:
        return None
    *fields, size = HEAD.unpack_from(data)
    payload = data[HEAD_BYTES:]
    checksum = zlib.crc32(payload, zlib.crc32(data[: HEAD.size]))
    whole = size == len(payload) and checksum == CHECKSUM.unpack_from(data, HEAD.size)[0]
    return Slot._make((*fields, payload)) if whole else None


class Ring:
    """`count` slots from byte `start` of the shared memory; slot `number` lies at number modulo count."""

    def __init__(self, memory: mmap.mmap, start: int, count: int, payload_bytes_max: int) -> None:
        self._memory, self._start, self.count, self.payload_bytes_max = memory, start, count, payload_bytes_max
        self._stride = stride(payload_bytes_max)

    def put(self, slot: Slot) -> bytes:
        """Write a slot, its number last; returns its bytes."""
        data, at = pack(slot), self._start + slot.number % self.count * self._stride
        self._memory[at : at + 8] = _NEVER
        self._memory[at + 8 : at + len(data)] = data[8:]
        self._memory[at : at + 8] = data[:8]
        return data

    def get(self, number: int) -> Slot | None:
        """Slot `number`, if it is there and whole."""
        at = self._start + number % self.count * self._stride
        if _NUMBER.unpack_from(self._memory, at)[0] != number:
            return None
        size = HEAD.unpack_from(self._memory, at)[7]
        slot = unpack(self._memory[at : at + HEAD_BYTES + size]) if size <= self.payload_bytes_max else None
        return slot if slot is not None and slot.number == number else None


def stride(payload_bytes_max: int) -> int:
    """Bytes from one slot to the next."""
    return -(-(HEAD_BYTES + payload_bytes_max) // _LINE) * _LINE


def places(description: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Start, count and payload of each ring: state, messages, then announcements and answers of each stream.

    State 0 is the guard's (frame: the next message's number, moment: its heartbeat), state 1 + i that of stream i (frame: the
    next frame's number, captured: the oldest frame without a message). Last comes (bytes in all, 0, 0).
    """
    streams, found, at = description["streams"], [], 0
    plan = [(1 + len(streams), 0), (description["slots_out"], max(each["payload_bytes_max"] for each in streams))]
    plan += [ring for each in streams for ring in ((each["slots"], 0), (each["slots"], each["payload_bytes_max"]))]
    for count, size in [*plan, (0, 0)]:
        found.append((at, count, size))
        at += count * stride(size)
    return found
