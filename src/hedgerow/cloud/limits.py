"""Every maximum of the server in one value."""

from dataclasses import dataclass

from hedgerow.wire.limits import MIB, SECOND_NS


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What strangers may make this server hold, and how long it waits for them."""

    payload_bytes_max: int = 16 * MIB
    received_bytes_max: int = 256 * MIB
    """Declared payload bytes of all crossings that are open at once."""
    tensor_bytes_max: int = 64 * MIB
    queue_length_max: int = 64
    """Requests that wait for a lane."""
    crossings_max: int = 256
    """Crossings and probes that are open at once."""
    calls_max: int = 512
    sessions_max: int = 4096
    """Clients whose crossings' numbers are remembered, half a kilobyte each."""
    streams_per_connection_max: int = 64
    connections_max: int = 128
    calibrations_max: int = 64
    calibration_bytes_max: int = MIB
    remaining_max_ns: int = 60 * SECOND_NS
    """A request lives at most this long, whatever it asks for; it is also what a request without a deadline gets."""
    shutdown_s: float = 5.0
    """How long running work may take to finish after SIGTERM."""
