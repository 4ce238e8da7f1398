"""Every maximum of the wire in one value each: what a client may hold, send and wait for."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
SECOND_NS = 1_000_000_000

CHUNK_BYTES_MAX = 64 * KIB
"""Longest chunk either side may send; a longer one is a fault."""

PREFIX_ENDS_MAX = 4
"""Places at which one payload may be cut and computed from: each costs the opening a digest."""

MESSAGE_SLACK_BYTES = 64 * KIB
"""What a message may weigh beyond the payload it carries: names, shapes, framing."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one CloudClient may hold at once and how long it waits."""

    payload_bytes_max: int = 16 * MIB
    answer_bytes_max: int = 16 * MIB
    flights_max: int = 256
    """Crossings and probes under way at once; one more is refused with Fault(OVERLOADED) on this side."""
    remaining_max_ns: int = 60 * SECOND_NS
    """A crossing lives at most this long, whatever time it claims to have left."""
    overtime_ns: int = 50_000_000
    """How long after its time is up a crossing may still be answered before this side ends it with Fault(TOO_LATE)."""
    connect_timeout_s: float = 5.0
    close_timeout_s: float = 5.0
