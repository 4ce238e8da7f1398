"""One request on its way: what it tries, what it holds in reserve, and what has come of it so far.

These are the core's own mutable notes; nothing outside `core/` sees them.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from hedgerow.core.arms import Arm, CrossStep, LocalModel, RunStep
from hedgerow.core.records import Criticality, Reason, Stream


class Primary(Enum):
    """Where the chosen arm stands."""

    NONE = auto()  # no arm beside the local plan
    WAITING = auto()  # its next step wants the lane
    ON_LANE = auto()
    CROSSING = auto()  # sent; the other side has it
    ENDED = auto()  # answered, failed or given up


@dataclass(frozen=True, slots=True)
class Plan:
    """A local way to an answer: segments `first..last` of `model`."""

    model: LocalModel
    first: int

    @property
    def bound_ns(self) -> int:
        return self.model.tail_bound_ns[self.first]

    @property
    def median_ns(self) -> int:
        return self.model.tail_median_ns[self.first]

    @property
    def likely_ns(self) -> int:
        """What it takes on a usual day, for plans that nothing guarantees."""
        return self.median_ns + self.median_ns // 4

    @property
    def name(self) -> str:
        return self.model.name if self.first == 0 else f"{self.model.name}@{self.first}"


@dataclass(slots=True)
class Job:
    """What a lane is doing; `step` is None for a local plan, else the primary's step."""

    job: int
    flight: "Flight"
    lane: str
    step: RunStep | CrossStep | None
    model: str
    first: int
    last: int
    started_ns: int
    bound_ns: int
    segment_ns: int
    mandatory: bool
    preempting: bool = False
    cancelling: bool = False
    stopped_ns: int = 0  # when it was told to end, at its next joint or at once


@dataclass(slots=True)
class Audit:
    """A remote answer is checked against `model`, run here from segment `first` on; None: both are here, to be compared."""

    link: str
    alone: bool  # it came without the device's own, which chance then asked for
    model: LocalModel
    expected: float
    until_ns: int
    first: int | None


@dataclass(slots=True)
class Flight:
    """`due_ns` is the moment by which the answer must be known so that it is delivered by `deadline_ns`."""

    request: int
    stream: Stream
    captured_ns: int
    deadline_ns: int
    due_ns: int
    arm: Arm | None = None
    arm_name: str = ""
    step: int = 0
    primary: Primary = Primary.NONE
    attempt: int = 0
    plan: Plan | None = None
    eager: Reason | None = None
    guaranteed: bool = True
    promised: bool = False  # a certificate says that it will be answered in time
    likely: bool = False  # nothing guarantees it, but on a usual day its plan is in time
    started: bool = False
    joints: dict[str, int] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    result: LocalModel | None = None
    job: Job | None = None
    closed: bool = False
    audit: Audit | None = None  # once closed
    advised: bool = False
    retry_ns: int | None = None
    decided: Reason = Reason.LEAST_EXPECTED_COST
    energy_mj: float = 0.0
    uplink_bytes: int = 0
    predicted_network_ns: float = 0.0

    @property
    def plan_ns(self) -> int:
        """What the calendar sets aside for its plan."""
        if self.plan is None:
            return 0
        return self.plan.bound_ns if self.guaranteed else self.plan.likely_ns

    @property
    def expires_ns(self) -> int:
        """From when on nobody wants its answer."""
        return self.captured_ns + self.stream.expiry_ns

    @property
    def remote_pending(self) -> bool:
        """The primary may still bring an answer."""
        return self.primary in (Primary.WAITING, Primary.ON_LANE, Primary.CROSSING)

    @property
    def background(self) -> bool:
        """No reserve is held for it."""
        return self.stream.criticality is Criticality.BACKGROUND

    @property
    def only_waits(self) -> bool:
        """Nothing of it is under way: it only waits for the lane."""
        return not (self.started or self.closed or self.job or self.result or self.remote_pending)
