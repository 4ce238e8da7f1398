"""Who gets in: every claim of a request is checked before its bytes are received, and what cannot be met is refused.

A request is refused at once when its time left cannot hold the expected computation (TOO_LATE), or not behind those that
are due before it (OVERLOADED). Expectations are medians of what was measured here; an unmeasured model refuses nobody.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hedgerow import codecs
from hedgerow.cloud.calibrations import CalibrationStore
from hedgerow.cloud.catalogue import Catalogue, ServedModel
from hedgerow.cloud.lanes import Lanes
from hedgerow.cloud.limits import ServerLimits
from hedgerow.errors import UsageError
from hedgerow.wire.faults import FaultKind, Measure, refuse
from hedgerow.wire.generated import crossing_pb2 as pb
from hedgerow.wire.messages import RAW_SAMPLE, SAMPLE_ID_BYTES

_CODEC_TEXT_MAX = 100


@dataclass(frozen=True, slots=True)
class Admitted:
    """A crossing whose claims are right."""

    served: ServedModel
    first: int
    last: int
    codec: codecs.Codec
    deadline_ns: int
    expected_ns: int


class Admission:
    """Counts what is open, and decides about what comes. Belongs to the event loop's thread."""

    def __init__(
        self, catalogue: Catalogue, lanes: Lanes, calibrations: CalibrationStore, limits: ServerLimits
    ) -> None:
        self._catalogue = catalogue
        self._lanes = lanes
        self._calibrations = calibrations
        self._limits = limits
        self.closing = False
        self.crossings_open = 0
        self._bytes_open = 0

    def check_open(self) -> None:
        """FaultError(CLOSING) once the server shuts down."""
        if self.closing:
            raise refuse(FaultKind.CLOSING, "the server shuts down")

    @property
    def payload_bytes_max(self) -> int:
        """The most that one request may carry."""
        return self._limits.payload_bytes_max

    @contextmanager
    def place(self, payload_bytes: int) -> Iterator[None]:
        """Hold a place for a crossing of that many bytes. FaultError(CLOSING, TOO_LARGE, OVERLOADED)."""
        self.check_open()
        limits = self._limits
        if payload_bytes > limits.payload_bytes_max:
            raise refuse(
                FaultKind.TOO_LARGE, f"{payload_bytes} bytes are beyond the limit of {limits.payload_bytes_max}"
            )
        if self.crossings_open >= limits.crossings_max:
            raise refuse(FaultKind.OVERLOADED, f"{limits.crossings_max} crossings are open already")
        if self._bytes_open + payload_bytes > limits.received_bytes_max:
            raise refuse(FaultKind.OVERLOADED, f"open crossings hold {self._bytes_open} bytes already")
        self.crossings_open += 1
        self._bytes_open += payload_bytes
        try:
            yield
        finally:
            self.crossings_open -= 1
            self._bytes_open -= payload_bytes

    def admit(self, opening: pb.Open) -> Admitted:
        """Check every claim of a sealed opening. FaultError of the kind that is wrong."""
        now_ns = time.monotonic_ns()
        if len(opening.sample_id) != SAMPLE_ID_BYTES:
            raise refuse(FaultKind.BAD_PAYLOAD, f"a sample id has {SAMPLE_ID_BYTES} bytes")
        served = self._catalogue.find(opening.task_id, opening.model, opening.chain_id)
        first = opening.joint + 1
        if not RAW_SAMPLE <= opening.joint < opening.last <= served.last:
            raise refuse(
                FaultKind.WRONG_CUT,
                f"no segments {first} to {opening.last} in '{served.name}', which has 0 to {served.last}",
            )
        codec = self._codec(opening)
        if opening.prefix_ends and codecs.progressive(codec) is None:
            raise refuse(FaultKind.BAD_PAYLOAD, f"a payload of codec '{codec.name}' cannot be read from its first part")
        remaining_ns = min(opening.remaining_ns, self._limits.remaining_max_ns)
        deadline_ns = now_ns + remaining_ns
        expected_ns = self.check_time(served, first, opening.last, deadline_ns=deadline_ns, now_ns=now_ns)
        return Admitted(served, first, opening.last, codec, deadline_ns, expected_ns)

    def check_time(self, served: ServedModel, first: int, last: int, *, deadline_ns: int, now_ns: int) -> int:
        """The expected computation in ns. FaultError(TOO_LATE, OVERLOADED) when it cannot be done by the deadline."""
        expected_ns = served.times.expected_ns(first, last)
        remaining_ns = deadline_ns - now_ns
        if remaining_ns <= 0 or expected_ns > remaining_ns:
            text = f"{_ms(remaining_ns)} left, but segments {first} to {last} take {_ms(expected_ns)}"
            raise refuse(FaultKind.TOO_LATE, text, Measure.TIME_OF_LIFE if remaining_ns <= 0 else None)
        wait_ns = self._lanes.expected_wait_ns(deadline_ns, now_ns=now_ns)
        if wait_ns + expected_ns > remaining_ns:
            raise refuse(
                FaultKind.OVERLOADED,
                f"{_ms(remaining_ns)} left, but those before take {_ms(wait_ns)} and it {_ms(expected_ns)}",
            )
        return expected_ns

    def _codec(self, opening: pb.Open) -> codecs.Codec:
        calibration = None
        if opening.calibration_id:
            calibration = self._calibrations.get(opening.calibration_id)
        try:
            return codecs.get(opening.codec[:_CODEC_TEXT_MAX], calibration=calibration)
        except UsageError as error:
            raise refuse(FaultKind.WRONG_CODEC, str(error)) from None


def _ms(duration_ns: int) -> str:
    return f"{duration_ns / 1e6:.1f} ms"
