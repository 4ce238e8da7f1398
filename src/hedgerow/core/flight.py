"""One request on its way: what it tries, what it holds in reserve, and what has come of it so far.

These are the core's own mutable notes; nothing outside `core/` sees them.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from hedgerow.core.arms import Arm, CrossStep, GateStep, LocalModel, RunStep
from hedgerow.core.records import Criticality, Margins, Reason, Source, Status, Stream
from hedgerow.core.views import ModelView

NEVER_NS: Final = 1 << 62


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
    lane: str = field(init=False, compare=False)
    bound_ns: int = field(init=False, compare=False)
    median_ns: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lane", self.model.lane)
        object.__setattr__(self, "bound_ns", self.model.tail_bound_ns[self.first])
        object.__setattr__(self, "median_ns", self.model.tail_median_ns[self.first])

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


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides how a request ends when nothing happens."""

    margins: Margins
    uses_reserve: bool
    unanswered_wait_ns: int


Ending = tuple[Status, Source, Reason]
"""How a request ends although nothing happens."""


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
    column: int = -1  # of the arm in the table
    decided_ns: int = 0
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
    sure: dict[str, float | None] = field(default_factory=dict)  # of each answer that has come, by its model
    refused: str = ""  # the model whose answer a gate of the arm did not let stand
    again: str = ""  # the model whose earlier answer is given again
    job: Job | None = None
    closed: bool = False
    audit: Audit | None = None  # once closed
    advised: bool = False
    retry_ns: int | None = None
    decided: Reason = Reason.LEAST_EXPECTED_COST
    energy_mj: float = 0.0
    uplink_bytes: int = 0
    predicted_network_ns: float = 0.0
    crossed: tuple[CrossStep, int] | None = None  # what was last sent, and of how many bytes
    part_quality: float | None = None  # of its remote answer, where that came from the first part of a payload
    track: int = 0
    views: tuple[ModelView, ...] = ()  # of its sample, as far as they have come
    past: ModelView | None = None  # what its track had shown before it
    ends_ns: int = NEVER_NS  # when it ends although nothing happens
    look_ns: int = NEVER_NS  # the first of that end, its next try and the end of its audit

    def advance(self) -> None:
        """Go on to the arm's next step: lane steps wait for the desk, a gate decides now, the end is the end."""
        assert self.arm is not None
        while self.step < len(self.arm.steps):
            step = self.arm.steps[self.step]
            if isinstance(step, GateStep):
                model = self.arm.before(self.step)
                sure = self.sure.get(model)
                if sure is not None and sure >= step.at_least:
                    self.decided = Reason.CONFIDENT_AT_GATE
                    break
                self.refused = model
            elif not (isinstance(step, RunStep) and self.joints.get(step.model, -1) >= step.last):
                self.primary = Primary.WAITING
                return
            self.step += 1
        self.primary = Primary.ENDED

    def takes(self, model: LocalModel) -> bool:
        """Whether this model's answer, which has come, is to stand for the one there is: a better one, or what a gate asked for."""
        held = self.result
        return held is None or model.quality >= held.quality or held.name == self.refused

    def improves(self, final: LocalModel) -> bool:
        """Whether the rest of its local arm, which ends with `final`, may still better the answer there is."""
        held = self.result
        return held is None or final.quality > held.quality or held.name == self.refused

    def surpassed_by(self, model: LocalModel) -> bool:
        """Whether this model is better than the one whose answer is held; true while there is none."""
        return self.result is None or model.quality > self.result.quality

    def keeps_plan(self, ended: LocalModel, now_ns: int) -> bool:
        """Whether its plan stays in reserve although `ended` has answered: a gate refused that, the plan's model is better, and it
        is still sure to be in time. The refused answer is then only what is held if all else fails."""
        plan = self.plan
        if plan is None or ended.name != self.refused or self.decided is Reason.CONFIDENT_AT_GATE:
            return False
        return self.guaranteed and self.surpassed_by(plan.model) and now_ns + plan.bound_ns <= self.due_ns

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
    def may_yield(self) -> bool:
        """It can be handed back when there is no room for more: no deadline holds it, and no lane."""
        return self.background and not self.closed and self.job is None

    @property
    def stands_in(self) -> float:
        """How good the best local answer is that it has, or that its plan would give; 0 without any."""
        found = [self.result] if self.plan is None else [self.result, self.plan.model]
        return max((model.quality for model in found if model is not None), default=0.0)

    @property
    def remote_quality(self) -> float:
        """How often the answer from afar agrees that it got, or that it waits for."""
        if self.part_quality is not None:
            return self.part_quality
        return 0.0 if self.arm is None else self.arm.quality

    @property
    def only_waits(self) -> bool:
        """Nothing of it is under way: it only waits for the lane."""
        return not (self.started or self.closed or self.job or self.result or self.remote_pending)

    @property
    def has_own(self) -> bool:
        """A safety request takes its own answer, else its safe value: beside these a remote one is advice."""
        own = self.plan is not None or self.stream.has_safe_value
        return own and self.stream.criticality is Criticality.SAFETY

    def answered_by(self, source: Source) -> str:
        """The model whose answer ends it; empty for none."""
        if source is Source.LOCAL and self.result is not None:
            return self.result.name
        if source is Source.REMOTE and self.arm is not None:
            return self.arm.model
        return self.again if source is Source.REUSED else ""

    def status_at(self, now_ns: int) -> Status:
        """How an answer that comes now is."""
        return Status.ANSWERED if now_ns <= self.deadline_ns else Status.LATE

    def ending(self, now_ns: int) -> Ending:
        """With the best there is: its own answer that was held, its safe value, else nothing."""
        if self.background:
            return Status.SPOOLED, Source.NONE, Reason.EXPIRED
        if self.result is not None:
            return self.status_at(now_ns), Source.LOCAL, Reason.HOLD_ENDED
        if self.stream.has_safe_value:
            only = self.decided is Reason.SAFE_VALUE_ONLY
            reason = Reason.SAFE_VALUE_ONLY if only else Reason.DEADLINE_PASSED
            return Status.SAFE_VALUE, Source.SAFE_VALUE, reason
        return Status.FAILED, Source.NONE, Reason.DEADLINE_PASSED

    def wind(self, rules: Rules) -> None:
        """Set `ends_ns` and `look_ns`; to be called whenever one of these may be another."""
        ends = NEVER_NS
        if not self.closed:
            if self.stream.criticality is Criticality.BACKGROUND:
                ends = self.expires_ns
            elif self.result is not None or self.stream.has_safe_value:
                ends = self.deadline_ns - rules.margins.deliver_ns - rules.margins.timer_ns
            elif not rules.uses_reserve:
                ends = self.deadline_ns + rules.unanswered_wait_ns
        look = ends if self.audit is None else self.audit.until_ns
        self.ends_ns, self.look_ns = ends, look if self.retry_ns is None or look < self.retry_ns else self.retry_ns
