"""What a journal shows of the device's side: which bounds were exceeded and when, who held the lane, what fitted.

Nothing is inferred from lateness itself: only records, and times between an order to cancel and its end. The figures of
energy and bytes that fall outside a request's own account (work that went on after its answer, probes) are added up here
too, so that no strategy gets them for nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hedgerow.core import records as r
from hedgerow.core.arms import Energy
from hedgerow.core.records import Margins, Reason

Step = tuple[int, r.Event, r.Outcome]
SYMPTOM = "reserve start"
"""A reserve begun too late is no cause: what delayed it (a timer, a job, a cancellation) has a record of its own."""
DELIVERY = "delivery"
"""Timed by the harness, from the core's decision to the consumer; the core's own record of it would count it twice."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A device-side time beyond its bound, noted at `at_ns` for `request` (-1: the timer, which serves them all)."""

    request: int
    at_ns: int
    what: str
    by_ns: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A request's job on a lane, from `started_ns` to `ended_ns`."""

    request: int
    lane: str
    started_ns: int
    ended_ns: int
    encoding: bool = False


@dataclass(frozen=True, slots=True)
class ProbeCost:
    """A probe that had an outcome: what it put on the uplink, all of it even if it was lost on the way."""

    sent_ns: int
    uplink_bytes: int
    energy_mj: float


@dataclass(slots=True)
class Evidence:
    """Made by `of`. `unfit`: requests for which no local arm fitted; `reserved`: those that held a reserve."""

    margins: Margins
    excesses: list[Excess] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    unfit: set[int] = field(default_factory=set)
    reserved: set[int] = field(default_factory=set)
    delivered_ns: dict[int, int] = field(default_factory=dict)
    energy_after_mj: dict[int, float] = field(default_factory=dict)
    probes: list[ProbeCost] = field(default_factory=list)

    @classmethod
    def of(cls, steps: Iterable[Step], *, margins: Margins, energy: Energy | None = None) -> "Evidence":
        """Out of a journal's steps, (now_ns, event, outcome), in their order; `margins` and `energy` are its header's."""
        reader = _Reader(cls(margins), energy or Energy())
        for now_ns, event, outcome in steps:
            reader.take(now_ns, event, outcome)
        return reader.evidence

    def last_start_ns(self, request: int) -> int | None:
        """When the last of the request's jobs began; None if none did."""
        return max((hold.started_ns for hold in self.holds if hold.request == request), default=None)

    def waits_for_lane(self, request: int, told_ns: int) -> bool:
        """Whether it held a reserve that had not begun when it ended: then it waited for the lane all the time."""
        ran = (hold for hold in self.holds if hold.request == request and not hold.encoding)
        return request in self.reserved and not any(hold.started_ns < told_ns for hold in ran)


class _Reader:
    """Walks once through the steps; keeps what is open."""

    def __init__(self, evidence: Evidence, energy: Energy) -> None:
        self.evidence, self._energy = evidence, energy
        self._open: dict[tuple[str, int], tuple[int, int, bool]] = {}  # (lane, job) -> (request, started, encoding)
        self._lasts: dict[tuple[str, int], int] = {}  # (lane, job) -> the last segment that was ordered
        self._probes: dict[int, tuple[int, int]] = {}

    def take(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        self._event(now_ns, event)
        for record in outcome.records:
            self._record(now_ns, record)
            if isinstance(record, r.Delivered) and isinstance(event, r.RequestArrived):
                self._ended_on_arrival(record, event)
        for action in outcome.actions:
            match action:
                case r.Run() | r.Encode():
                    if isinstance(action, r.Run):
                        self._lasts[action.lane, action.job] = action.last
                    self._open[action.lane, action.job] = (action.request, now_ns, isinstance(action, r.Encode))
                case r.Probe():
                    self._probes[action.probe] = (now_ns, action.payload_bytes)
                case _:
                    pass

    def _ended_on_arrival(self, record: r.Delivered, event: r.RequestArrived) -> None:
        """A sample that was handed over when its time was up had no chance, whatever the link was like."""
        if record.request == event.request and record.reason in (Reason.EXPIRED, Reason.DEADLINE_PASSED):
            self.evidence.unfit.add(record.request)

    def _event(self, now_ns: int, event: r.Event) -> None:
        match event:
            case r.RunDone():
                whole = self._lasts.pop((event.lane, event.job), event.last) == event.last
                self._handed_over(now_ns, event.lane, event.job, None if whole else sum(event.segment_ns))
                self._ended(now_ns, event.lane, event.job, sum(event.segment_ns))
            case r.EncodeDone():
                self._handed_over(now_ns, event.lane, event.job, event.duration_ns)
                self._ended(now_ns, event.lane, event.job, event.duration_ns)
            case r.JobEnded():
                self._ended(now_ns, event.lane, event.job, None)
            case r.ProbeAnswered() | r.ProbeLost():
                self._probe_ended(event)
            case _:
                pass

    def _handed_over(self, now_ns: int, lane: str, job: int, busy_ns: int | None) -> None:
        """A lane's thread that began late or told late, as late as a timer may be on top; None: the run's record has it."""
        request, started_ns, _ = self._open.get((lane, job), (-1, now_ns, False))
        over_ns = now_ns - started_ns - (now_ns if busy_ns is None else busy_ns) - self.evidence.margins.timer_ns
        if over_ns > 0:
            self.evidence.excesses.append(Excess(request, now_ns, "handing over the lane", over_ns))

    def _probe_ended(self, event: r.ProbeAnswered | r.ProbeLost) -> None:
        sent = self._probes.pop(event.probe, None)
        if sent is None:
            return
        sending_ns = 0
        if isinstance(event, r.ProbeAnswered):
            sending_ns = max(0, event.transfer_ns - event.round_trip_ns)
        self.evidence.probes.append(ProbeCost(*sent, self._energy.radio_mj(sending_ns)))

    def _ended(self, now_ns: int, lane: str, job: int, busy_ns: int | None) -> None:
        found = self._open.pop((lane, job), None)
        if found is None:
            return
        request, started_ns, encoding = found
        evidence = self.evidence
        evidence.holds.append(Hold(request, lane, started_ns, now_ns, encoding))
        if request in evidence.delivered_ns:
            spent = self._energy.busy_mj(now_ns - started_ns if busy_ns is None else busy_ns)
            evidence.energy_after_mj[request] = evidence.energy_after_mj.get(request, 0.0) + spent

    def _record(self, now_ns: int, record: r.Record) -> None:
        evidence = self.evidence
        match record:
            case r.BoundExceeded() if record.what not in (SYMPTOM, DELIVERY):
                by_ns = round((record.measured_ms - record.bound_ms) * 1e6)
                evidence.excesses.append(Excess(record.request, now_ns, record.what, by_ns))
            case r.Decision():
                if record.reserve:
                    evidence.reserved.add(record.request)
                if record.reason is Reason.NOTHING_FITS:
                    evidence.unfit.add(record.request)
            case r.Delivered():
                evidence.delivered_ns[record.request] = now_ns
                if record.status is r.Status.DROPPED and record.reason is Reason.NEWER_SAMPLE:
                    evidence.unfit.add(record.request)  # it gave way because the lane had no room for both
            case _:
                pass
