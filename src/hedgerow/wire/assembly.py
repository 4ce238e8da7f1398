"""Puts the chunks of one crossing together and keeps the rules about them.

Chunks come in order, without gaps, each at most CHUNK_BYTES_MAX, in all exactly the declared bytes. The memory grows
with the bytes that came, not with those that were promised. What has come so far can be read before the last byte is
there.
"""

from hedgerow.wire.faults import FaultKind, Measure, refuse
from hedgerow.wire.limits import CHUNK_BYTES_MAX


class Assembly:
    """Bytes received of a payload of `declared_bytes`."""

    def __init__(self, declared_bytes: int, *, payload_bytes_max: int) -> None:
        if declared_bytes > payload_bytes_max:
            raise refuse(
                FaultKind.TOO_LARGE,
                f"a payload of {declared_bytes} bytes is beyond the limit of {payload_bytes_max}",
                Measure.FORM,
            )
        self.declared_bytes = declared_bytes
        self._received = bytearray()
        self._dropped = 0

    @property
    def bytes_received(self) -> int:
        """How much has come, which is also the offset that the next chunk must have."""
        return self._dropped + len(self._received)

    @property
    def complete(self) -> bool:
        """Whether the last byte has come."""
        return self.bytes_received == self.declared_bytes

    def add(self, offset: int, data: bytes) -> int:
        """Take one chunk and return the bytes received so far. Raises FaultError(BAD_PAYLOAD, TOO_LARGE)."""
        if len(data) > CHUNK_BYTES_MAX:
            text = f"a chunk of {len(data)} bytes is beyond the limit of {CHUNK_BYTES_MAX}"
            raise refuse(FaultKind.TOO_LARGE, text, Measure.FORM)
        if offset != self.bytes_received:
            text = f"a chunk came at offset {offset}, but {self.bytes_received} bytes were received"
            raise refuse(FaultKind.BAD_PAYLOAD, text, Measure.SEQUENCE)
        if offset + len(data) > self.declared_bytes:
            text = f"{offset + len(data)} bytes came, but only {self.declared_bytes} were declared"
            raise refuse(FaultKind.TOO_LARGE, text, Measure.SEQUENCE)
        if not data and not self.complete:
            raise refuse(FaultKind.BAD_PAYLOAD, "an empty chunk came", Measure.FORM)
        self._received += data
        return self.bytes_received

    def let_go(self) -> None:
        """Forget the bytes and go on counting: what a probe carries is not kept."""
        self._dropped += len(self._received)
        self._received.clear()

    def view(self) -> memoryview:
        """What has come so far, without a copy. Release it before the next chunk is added."""
        return memoryview(self._received).toreadonly()
