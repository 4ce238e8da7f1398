"""Rows for tests: written as few facts, the rest as usual."""

from hedgerow.assurance import Timed
from hedgerow.core.records import MS, Source, Status

DEADLINE_MS = 100


def row(
    index: int,
    latency_ms: float,
    *,
    request: int | None = None,
    captured_ms: float | None = None,
    status: Status = Status.ANSWERED,
    label_index: int | None = None,
) -> Timed:
    """Request `index` (its number too, unless given), captured every 100 ms, told after `latency_ms`."""
    captured_ns = round((index * 100 if captured_ms is None else captured_ms) * MS)
    return Timed(
        index=index,
        request=index if request is None else request,
        captured_ns=captured_ns,
        told_ns=captured_ns + round(latency_ms * MS),
        deadline_ns=DEADLINE_MS * MS,
        status=status,
        source=Source.LOCAL,
        arm="local:small",
        model="small",
        reason="local_done",
        energy_mj=1.0,
        uplink_bytes=0,
        label_index=label_index,
    )
