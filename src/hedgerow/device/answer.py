"""What a caller gets back: the outputs, who gave them, when, at what cost, and why."""

from dataclasses import dataclass

from hedgerow.core.records import Source, Status
from hedgerow.core.views import Weighed
from hedgerow.models.tensors import Array, Tensors


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `outputs` are the model's named outputs, empty when `status` is safe_value, spooled, dropped or failed.

    `age_ms` counts from capture to the moment the answer was known; `agreement` is the calibrated share with which this
    arm's answer equals the reference's; `energy_mj` is modelled (see core.arms.Energy); `advice` is a remote answer beside
    a safety request's own; `mode` is the certificate's mode in force, empty when none is proven; `seen_age_ms` is the age of the
    sample that a model looked at for it: an earlier one where `source` is reused. `agreement` is then the earlier answer's, and
    what reuse itself may cost (docs/reuse.md) comes on top. Where models saw different things and rules were declared for that
    (docs/arbitration.md), `views` are all of them, `label` is what the rules decided, and `suggested` is the same, but for a
    safety stream, whose label stays the device's own. `label_index` is the likeliest label of a group, where only that is said.
    `prefix_share`: from how much of what was sent the remote answer (or the advice) was computed, where the rest would have come too
    late; `agreement` is then that of answers from such a part.
    """

    request: int
    stream: str
    status: Status
    source: Source
    outputs: Tensors
    label: str | None
    label_index: int | None
    confidence: float | None
    arm: str
    model: str
    reason: str
    captured_ns: int
    deadline_ms: float
    age_ms: float
    agreement: float
    energy_mj: float
    uplink_bytes: int
    safe_value: object = None
    advice: Tensors | None = None
    mode: str = ""
    seen_age_ms: float | None = None
    views: tuple[Weighed, ...] = ()
    suggested: str | None = None
    prefix_share: float | None = None

    @property
    def in_time(self) -> bool:
        """Answered, by a model or by the declared safe value, no later than the deadline."""
        return self.status in (Status.ANSWERED, Status.SAFE_VALUE) and self.age_ms <= self.deadline_ms

    def values(self, names: tuple[str, ...]) -> list[Array]:
        """The outputs in this order."""
        return [self.outputs[name] for name in names]
