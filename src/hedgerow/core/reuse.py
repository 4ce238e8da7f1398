"""Whether a stream's last answer stands for its next sample too: while the scene is still, nobody needs to be asked again.

An answer stands only

- where the stream declares it: `reuse_below`, how much a sample may differ, and `reuse_age_max_ns`, for how long; a stream
  that does not is always answered anew, whatever its criticality;
- if a model gave it, in time, and no answer of the stream since was late, a safe value or none;
- for a sample that was compared with the very one the model saw, differs by no more, and was captured no sooner;
- until the sample that the model saw is too old. What is reused is not looked at anew, so its age goes on from there and
  no chain of reuses is longer than the bound;
- as long as the link it came over is trusted, and no longer than the certificate's mode in which it was given.

It is the shell that compares samples (models/change.py); here its figure is only held against what was declared. Reuse takes
work away and adds none: what a certificate proves of the streams holds with every sample answered anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hedgerow.core import records as r
from hedgerow.core.flight import Flight
from hedgerow.core.link import Link
from hedgerow.core.records import Reason, Source, Status

ARM: Final = "reuse"
_SAYS_NOTHING = (Reason.WITHDRAWN, Reason.LOWER_RATE)  # such an end tells nothing of what the stream may count on


@dataclass(frozen=True, slots=True)
class Standing:
    """The answer that a stream may use again: of which sample, by which model, over which link (empty: this device)."""

    request: int
    captured_ns: int
    model: str
    link: str


class Reuse:
    """The last answer of each stream that declares reuse; at most one a stream."""

    def __init__(self, links: Mapping[str, Link], records: list[r.Record]) -> None:
        self._links, self._records = links, records
        self._standing: dict[str, Standing] = {}

    def take_up(self, event: r.RequestArrived, flight: Flight, now_ns: int) -> bool:
        """Whether an earlier answer is given to this sample at once; it is noted which, and why."""
        kept, below = self._standing.get(event.stream), flight.stream.reuse_below
        if kept is None or event.change is None or below is None or now_ns > flight.due_ns:
            return False
        alike = event.change_from == kept.request and 0 <= event.change <= below
        age_ns = now_ns - kept.captured_ns
        young = kept.captured_ns <= event.captured_ns and age_ns <= flight.stream.reuse_age_max_ns
        if not (alike and young) or (kept.link and not self._links[kept.link].trusted):
            return False
        flight.arm_name, flight.again = ARM, kept.model
        self._records.append(r.Reused(event.request, kept.request, event.change, below, age_ns / 1e6))
        return True

    def ended(self, flight: Flight, status: Status, source: Source, reason: Reason, model: str) -> bool:
        """Note how a request ended; True where its outputs are to be kept because a later sample may be given them."""
        name = flight.stream.name
        if source is Source.REUSED or reason in _SAYS_NOTHING or flight.stream.reuse_below is None:
            return False
        if status is not Status.ANSWERED:
            self._standing.pop(name, None)
            return False
        before = self._standing.get(name)
        if before is not None and before.captured_ns > flight.captured_ns:
            return False  # it was overtaken: what stands is newer
        crossing = flight.arm.crossing if flight.arm is not None and source is Source.REMOTE else None
        link = "" if crossing is None else crossing.link
        self._standing[name] = Standing(flight.request, flight.captured_ns, model, link)
        return True

    def forget(self) -> None:
        """Nothing stands any more: the mode has changed."""
        self._standing.clear()
