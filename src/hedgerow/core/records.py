"""What goes into the core and what comes out of it: events, actions and records, and the settings that bound them.

All are frozen, slotted dataclasses, so that the journal can keep them, the page can show them and a test can compare
them: the same objects for all. Times are integer nanoseconds of the caller's clock; `*_ns` without "duration" or a
part's name is a moment, the others are lengths, as each docstring says.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, get_args

from hedgerow.core.quick import quicken
from hedgerow.core.views import Arbitrated, PrefixAnswer, Seen

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
NOISE_NS: Final = MS // 10  # a single segment's excess up to this is lost in the handing over, which has its own margin


class Criticality(StrEnum):
    """What an answer is for; it decides which answer is delivered and whether a reserve is held (DESIGN: words)."""

    SAFETY = "safety"
    MISSION = "mission"
    BACKGROUND = "background"


class Status(StrEnum):
    """How a request ended, as seen from its deadline."""

    ANSWERED = "answered"  # in time
    LATE = "late"  # answered after its deadline
    SAFE_VALUE = "safe_value"  # the stream's declared value, at the deadline
    SPOOLED = "spooled"  # background: kept for later
    DROPPED = "dropped"  # a newer sample of the stream took its place
    FAILED = "failed"  # no arm was left that could answer


class Source(StrEnum):
    """Who gave the answer."""

    LOCAL = "local"
    REMOTE = "remote"
    REUSED = "reused"  # a model's answer to an earlier sample of the stream, from which this one hardly differs
    SAFE_VALUE = "safe_value"
    NONE = "none"


class Reason(StrEnum):
    """Why something was decided; the figures stand beside it in the record."""

    LEAST_EXPECTED_COST = "least_expected_cost"
    POLICY_FIXED = "policy_fixed"
    POLICY_FAILED = "policy_failed"  # least expected cost decided in its place
    EXPLORED = "explored"  # drawn, for what it teaches
    ONLY_LOCAL_ADMISSIBLE = "only_local_admissible"
    LINK_CLOSED = "link_closed"
    NOTHING_FITS = "nothing_fits"
    LATEST_START = "latest_start"
    REMOTE_FAILED = "remote_failed"
    LOCAL_CHOSEN = "local_chosen"
    SAFETY_CLASS = "safety_class"
    CHEAPER_FROM_JOINT = "cheaper_from_joint"
    REMOTE_IN_TIME = "remote_in_time"
    LOCAL_DONE = "local_done"
    HOLD_ENDED = "hold_ended"
    CONFIDENT_AT_GATE = "confident_at_gate"
    DEADLINE_PASSED = "deadline_passed"
    NEWER_SAMPLE = "newer_sample"
    ENGINE_FAILED = "engine_failed"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    LOWER_RATE = "lower_rate"
    MODE_CHANGED = "mode_changed"
    SAFE_VALUE_ONLY = "safe_value_only"
    SCENE_UNCHANGED = "scene_unchanged"
    LIMIT_REACHED = "limit_reached"
    ARBITRATED = "arbitrated"  # views differed, and the declared rules chose among them


@dataclass(frozen=True, slots=True)
class Stream:
    """One source of requests. `deadline_ns` and `expiry_ns` are lengths from capture.

    `period_ns` is the least distance between two captures, when known: the calendar then leaves room for the next ones.
    `capture_delay_ns` is the longest time from a capture to its arrival here, jitter included. `reuse_below`: how much a sample
    may differ from the last one that a model saw to be given its answer (core/reuse.py), for at most `reuse_age_max_ns`.
    """

    name: str
    deadline_ns: int
    criticality: Criticality = Criticality.MISSION
    period_ns: int | None = None
    has_safe_value: bool = False
    expiry_ns: int = 60 * SECOND
    capture_delay_ns: int = 0
    reuse_below: float | None = None
    reuse_age_max_ns: int = 0


@dataclass(frozen=True, slots=True)
class Margins:
    """Measured high quantiles that the calendar adds to every reserve (lengths): timer lateness, cancellation, delivery."""

    timer_ns: int = 5 * MS
    cancel_ns: int = 16 * MS
    deliver_ns: int = 2 * MS

    def before(self, stream: Stream) -> int:
        """How long before its deadline an answer must be known: a safe value's timer is set early, and does not wait for it."""
        return self.deliver_ns + (self.timer_ns if stream.has_safe_value else 0)


@dataclass(frozen=True, slots=True)
class Prices:
    """What things are worth, all in mJ: of one unit of money, one disagreement with the reference, one reserve used."""

    money_mj: float = 0.0
    disagreement_mj: float = 2000.0
    reserve_mj: float = 20.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest that anything in the core may grow; reaching one is a record, never a crash."""

    streams_max: int = 64
    requests_in_flight_max: int = 256
    arms_max: int = 4096
    belief_samples_max: int = 48
    belief_window_max: int = 300
    late_answers_kept_max: int = 256
    loss_after_ns: int = 100 * MS  # length past the deadline after which an unanswered attempt counts as lost
    failures_to_open: int = 2
    probe_silence_ns: int = 1 * SECOND
    probe_silence_max_ns: int = 8 * SECOND  # a link that is not used is probed less and less often, up to this
    probe_bytes: int = 8192
    probe_bytes_min: int = 2048
    probe_sending_ns: int = 20 * MS  # a probe is of what is believed to cross in this time, between these two
    probe_timeout_ns: int = 500 * MS
    probe_margin_ns: int = 1 * SECOND  # a probe of which nothing was reported by then counts as lost
    reopen_first_ns: int = 200 * MS
    reopen_last_ns: int = 800 * MS
    overload_queue_ns: int = 200 * MS  # the wait that a refusal of an overloaded cloud stands for
    unanswered_wait_ns: int = 2 * SECOND  # length past the deadline after which a request without any answer FAILED
    retry_background_ns: int = 500 * MS
    audit_share: float = 0.02  # of remote answers, compared with the device's own when there is room; 0: none at all
    audit_spacing_ns: int = 1 * SECOND  # between two comparisons that count: neighbouring samples are alike
    audit_wait_ns: int = 2 * SECOND  # length after which an audit that found no room is dropped
    audits_max: int = 4  # under way at once
    audit_allowance: float = 0.05  # disagreement beyond the calibrated, which stands for what calibration cannot know
    audit_false_alarm: float = 0.001  # probability of ever distrusting a link whose answers are as expected
    tracks_max: int = 256  # whose earlier views are remembered
    track_labels_max: int = 8  # of each: its likeliest
    seed: int = 0  # secret, the device's own: what `chance` draws; 0: the session chooses one


@dataclass(frozen=True, slots=True)
class StreamOpened:
    stream: Stream


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """`request` is a number never used before; `captured_ns` is a moment; `deadline_ns` a length, the stream's if None.

    `change`: by how much the sample differs from that of request `change_from`, if the shell compared them.
    `track`: which of the things that the stream follows; `changed`: another thing than before is seen.
    """

    request: int
    stream: str
    captured_ns: int
    deadline_ns: int | None = None
    change: float | None = None
    change_from: int = -1
    track: int = 0
    changed: bool = False


@dataclass(frozen=True, slots=True)
class RequestWithdrawn:
    request: int


@dataclass(frozen=True, slots=True)
class RunDone:
    """A job ended after segment `last` (earlier than asked when preempted); one duration per segment that ran."""

    lane: str
    job: int
    last: int
    segment_ns: tuple[int, ...]
    confidence: float | None = None
    view: Seen | None = None


@dataclass(frozen=True, slots=True)
class EncodeDone:
    lane: str
    job: int
    payload_bytes: int
    duration_ns: int


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job ended without a result: cancelled (`failure` None), or the engine failed with these words."""

    lane: str
    job: int
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class ChunkAcked:
    request: int
    attempt: int
    bytes_received: int


@dataclass(frozen=True, slots=True)
class AnswerArrived:
    """`prefix_bytes`: how much of the payload it was computed from; 0: all of it."""

    request: int
    attempt: int
    answer_bytes: int
    queue_ns: int
    decode_ns: int
    compute_ns: int
    confidence: float | None = None
    view: Seen | None = None
    prefix_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RemoteFailed:
    """`fault` is the wire's word for it; `link_at_fault` says that the network failed, not the request."""

    request: int
    attempt: int
    fault: str
    link_at_fault: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    probe: int
    round_trip_ns: int
    transfer_ns: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class ProbeLost:
    probe: int


@dataclass(frozen=True, slots=True)
class LinkUp:
    link: str


@dataclass(frozen=True, slots=True)
class LinkDown:
    link: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class CloudReport:
    """What a cloud says of itself between answers: the time a new request would wait there."""

    link: str
    queue_ns: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Whether the answer of `model` here agrees with the remote one; None: they cannot be compared."""

    request: int
    model: str
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class TrustRestored:
    """The operator believes the answers of this link again."""

    link: str


@dataclass(frozen=True, slots=True)
class BatteryLevel:
    fraction: float


@dataclass(frozen=True, slots=True)
class Temperature:
    celsius: float


@dataclass(frozen=True, slots=True)
class Throttled:
    """The share of time, since last told, in which the processor was held below its usual speed."""

    share: float


@dataclass(frozen=True, slots=True)
class DeliveryTook:
    """Handing an answer over took longer than its bound, to the moment at which its caller was told; `late`: it was promised
    and in time when it was decided, and no longer was."""

    request: int
    captured_ns: int
    duration_ns: int
    late: bool


@dataclass(frozen=True, slots=True)
class TimerFired:
    pass


Event = (
    StreamOpened | RequestArrived | RequestWithdrawn | RunDone | EncodeDone | JobEnded | ChunkAcked
    | AnswerArrived | RemoteFailed | ProbeAnswered | ProbeLost | LinkUp | LinkDown | CloudReport | BatteryLevel
    | Temperature | Throttled | DeliveryTook | TimerFired | Compared | TrustRestored
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """Run segments `first..last` of `model` for `request` on `lane`; one RunDone or JobEnded follows."""

    lane: str
    job: int
    request: int
    model: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Encode:
    """Encode what is alive at `joint` of `model` (-1: the raw sample) in `codec`; one EncodeDone or JobEnded follows."""

    lane: str
    job: int
    request: int
    model: str
    joint: int
    codec: str


@dataclass(frozen=True, slots=True)
class Preempt:
    """Stop the job at its next joint and keep what is done."""

    lane: str
    job: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the job now; its result is not wanted."""

    lane: str
    job: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send the encoded payload; the other side runs segments `joint + 1 .. last`; useless after `useful_until_ns`. It may run them on
    the first part of the payload, of `prefix_bytes` at least (0: never), if the rest is not there `prefix_after_ns` (a length) later."""

    request: int
    attempt: int
    link: str
    model: str
    joint: int
    last: int
    codec: str
    useful_until_ns: int
    prefix_bytes: int = 0
    prefix_after_ns: int = 0


@dataclass(frozen=True, slots=True)
class StopSending:
    request: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Probe:
    probe: int
    link: str
    payload_bytes: int
    fresh: bool
    timeout_ns: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand the answer over. `advised`: a remote answer stands beside the delivered one; `promised`: a certificate says that
    it is in time; `reusable`: keep it in place of the stream's last such one, a REUSED answer hands that over again."""

    request: int
    status: Status
    source: Source
    arm: str
    model: str
    reason: Reason
    advised: bool = False
    promised: bool = False
    reusable: bool = False


@dataclass(frozen=True, slots=True)
class Advise:
    """A remote answer came after a safety request's own answer was delivered."""

    request: int


@dataclass(frozen=True, slots=True)
class Compare:
    """Compare the answer of `model` here with the remote one; one Compared follows."""

    request: int
    model: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Nothing more will be asked of this request: its tensors may go."""

    request: int


Action = Run | Encode | Preempt | Cancel | Send | StopSending | Probe | Deliver | Advise | Compare | Forget


@dataclass(frozen=True, slots=True)
class Decision:
    """Which arm was chosen for a request, why, and what was expected of it (lengths from capture, mJ, shares).

    `propensity`: with what probability the policy would have chosen it; 1 unless it randomises.
    """

    request: int
    arm: str
    reason: Reason
    reserve: str
    slack_ms: float
    cost_mj: float
    predicted_ms: float
    predicted_p90_ms: float
    bound_ms: float
    reserve_probability: float
    propensity: float = 1.0


@dataclass(frozen=True, slots=True)
class ReserveChosen:
    """`latest_start_ns` is the moment at which the calendar would start it; 0 when it starts as soon as it can."""

    request: int
    plan: str
    reason: Reason
    latest_start_ns: int


@dataclass(frozen=True, slots=True)
class ReserveStarted:
    request: int
    plan: str
    reason: Reason
    slack_ms: float


@dataclass(frozen=True, slots=True)
class BoundExceeded:
    """A device-side time beyond its bound: the only thing that may excuse a late answer."""

    request: int
    what: str
    measured_ms: float
    bound_ms: float


@dataclass(frozen=True, slots=True)
class Delivered:
    """How the request ended (age is capture to decision, in ms) and what it used (modelled energy; bytes sent)."""

    request: int
    status: Status
    source: Source
    arm: str
    reason: Reason
    age_ms: float
    energy_mj: float
    uplink_bytes: int


@dataclass(frozen=True, slots=True)
class BreakerMoved:
    link: str
    before: str
    after: str
    because: str


@dataclass(frozen=True, slots=True)
class RemoteObserved:
    """What one crossing or probe taught: lengths in ms, `late` when the answer came too late to be used."""

    link: str
    round_trip_ms: float
    mbit_per_s: float
    cloud_ms: float
    late: bool
    lost: bool


@dataclass(frozen=True, slots=True)
class CertificateWithdrawn:
    """The proof of this mode no longer stands, because of this."""

    digest: str
    mode: str
    because: str


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """From one declared mode to another (the same twice: beyond the last, or back to it); `certified`: its proof stands."""

    before: str
    after: str
    certified: bool
    because: str


@dataclass(frozen=True, slots=True)
class RemoteDistrusted:
    """Of `audited` answers `disagreed` did, `expected` at most were to; the test reached `wealth` >= 2 / false_alarm_rate."""

    link: str
    audited: int
    disagreed: int
    expected: float
    wealth: float
    false_alarm_rate: float


@dataclass(frozen=True, slots=True)
class Reused:
    """A sample was given the answer of request `answer_of`, whose sample is `age_ms` old: it differs from that by `change`."""

    request: int
    answer_of: int
    change: float
    change_max: float
    age_ms: float


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event about something that is over: a duplicate answer, a job already gone. Counted, never acted upon."""

    what: str
    request: int


Record = (
    Decision | ReserveChosen | ReserveStarted | BoundExceeded | Delivered | BreakerMoved | RemoteObserved
    | CertificateWithdrawn | ModeChanged | RemoteDistrusted | Reused | Arbitrated | PrefixAnswer | Ignored
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step gave: records to keep and actions to carry out, each in order."""

    records: tuple[Record, ...] = ()
    actions: tuple[Action, ...] = ()


for _kind in (*get_args(Event), *get_args(Action), *get_args(Record), Outcome):
    quicken(_kind)
