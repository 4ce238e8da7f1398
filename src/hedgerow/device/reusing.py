"""What a stream's last answer was, kept for as long as the core may give it again, and by how much a new sample differs from it.

The core says what is kept and when it is given again; here it is only held, one a stream, and samples are compared. Both happen
under the driver's lock, so the figure that the core gets always belongs to the answer that it knows of.
"""

from dataclasses import dataclass

from hedgerow.core.records import RequestArrived
from hedgerow.models.change import Looks, change
from hedgerow.models.task import Interpretation
from hedgerow.models.tensors import Tensors


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that may be given again; `looks`: its sample's summary (models/change.py)."""

    request: int
    captured_ns: int
    looks: Looks | None
    outputs: Tensors
    agreement: float
    meaning: Interpretation | None = None  # what was said of it, after any arbitration
    confidence: float | None = None  # the model's own, on which the threshold was calibrated; never a pooled one

    @property
    def sure(self) -> float:
        """Its model's confidence; 1 where it has none."""
        return 1.0 if self.confidence is None else self.confidence


class Reusing:
    """At most one answer for each stream that declares reuse."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}

    def arrival(
        self, request: int, stream: str, captured_ns: int, deadline_ns: int | None, looks: Looks | None
    ) -> RequestArrived:
        """The sample's arrival, with how much it differs from the one that the stream's kept answer belongs to."""
        kept = self._kept.get(stream)
        if kept is None or kept.looks is None or looks is None:
            return RequestArrived(request, stream, captured_ns, deadline_ns)
        by = change(kept.looks, looks, kept.sure)
        return RequestArrived(request, stream, captured_ns, deadline_ns, by, kept.request)

    def keep(self, stream: str, kept: Kept) -> None:
        """In place of the one before."""
        self._kept[stream] = kept

    def again(self, stream: str) -> Kept:
        """What the core gives again."""
        return self._kept[stream]
