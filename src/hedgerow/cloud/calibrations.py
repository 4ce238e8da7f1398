"""The calibrations that devices gave to this server, known by id; the least recently used one goes when it is full.

A device whose calibration went is told WRONG_CODEC and gives it again.
"""

import json
from collections import OrderedDict

from hedgerow.codecs import Calibration
from hedgerow.errors import HedgerowError
from hedgerow.wire.faults import FaultKind, refuse


class CalibrationStore:
    """At most `count_max` calibrations of at most `bytes_max` bytes of JSON. Belongs to the event loop's thread."""

    def __init__(self, *, count_max: int, bytes_max: int) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._kept: OrderedDict[str, Calibration] = OrderedDict()

    @property
    def ids(self) -> tuple[str, ...]:
        """What is known, least recently used first."""
        return tuple(self._kept)

    def put(self, text: str) -> str:
        """Keep a calibration given as JSON and return its id. FaultError(TOO_LARGE, BAD_PAYLOAD)."""
        if len(text) > self._bytes_max:
            raise refuse(FaultKind.TOO_LARGE, f"a calibration of {len(text)} bytes is beyond {self._bytes_max}")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise refuse(FaultKind.BAD_PAYLOAD, "the calibration is not JSON") from None
        if not isinstance(value, dict):
            raise refuse(FaultKind.BAD_PAYLOAD, "the calibration is not a JSON object")
        try:
            calibration = Calibration.from_dict(value)
        except HedgerowError as error:
            raise refuse(FaultKind.BAD_PAYLOAD, f"the calibration is wrong: {error}") from None
        self._kept[calibration.id] = calibration
        self._kept.move_to_end(calibration.id)
        if len(self._kept) > self._count_max:
            self._kept.popitem(last=False)
        return calibration.id

    def get(self, calibration_id: str) -> Calibration:
        """The calibration of that id. FaultError(WRONG_CODEC) when it is not known."""
        if calibration_id not in self._kept:
            raise refuse(
                FaultKind.WRONG_CODEC,
                f"calibration '{calibration_id[:40]}' is not known here; give it to the server first",
            )
        self._kept.move_to_end(calibration_id)
        return self._kept[calibration_id]
