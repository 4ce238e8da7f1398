"""What must hold after every event of every simulated world, looked at from outside the core, with sums of its own.

    once        each request is answered exactly once, then forgotten once, and by the end all of them are
    time        time never runs back, and no wake-up lies in the past
    lane        one job a lane; what is preempted or cancelled runs
    limits      no more requests under way, crossings remembered or probes out than the limits say
    honest      "answered" means in time; a local answer was computed, a remote one arrived; what the core calls an exceeded
                bound was one
    feasible    when a request is given a reserve, all reserves held fit one after the other by their deadlines (a naive
                earliest-deadline-first sum, from what is left of what runs)
    reserve     a request that was given a reserve has a model's answer by its deadline
    twin        (below the limit of requests in flight) so has every request that the same device alone would have answered in time, where the streams keep to what
                they declare and the lane can carry them (docs/decisions/0004)
    gate        an answer stands at a gate of its arm if its model was as sure as the gate asks; otherwise the arm goes on
    mode        under a certificate only its mode's models stand in reserve, and samples are left out at its rates alone
    reuse       an answer is given again only where its stream declares it: one that a model gave in time, to a sample from which
                this one is known to differ by no more than declared, and that is no older than declared
    budget      no arm is chosen that needs more bytes than the budget has left
    breaker     the states last no longer than core/breaker.py says, and an answered probe closes it

`reserve` and `twin` hold as long as the device keeps its own bounds: from the start of a job, timer or cancellation that takes
longer than its bound (`disturb`) until the lanes are idle and nothing waits, whatever is under way is excused. Samples that
come sooner or later than their stream declared are the streams' own breach, and excuse the twin's promise alone.
The first violation ends the world (`Violated`), but for those of `twin`, which need the other world to be known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hedgerow.core import Core, Criticality, LocalModel
from hedgerow.core import records as r
from hedgerow.core.breaker import State
from hedgerow.simulation.answering import gates
from hedgerow.simulation.drawing import Scene
from hedgerow.simulation.governing import bears
from hedgerow.simulation.transfer import NEVER_NS

ACTIVE_NS: Final = 5 * r.SECOND  # how long after the last request a link is still wanted (core/link.py)
BURST_S: Final = 10.0
PayloadBytes = Callable[[int, str, int, str], int]  # of (request, model, joint, codec)
_DEVICE: Final = ("segment", "run ", "encode", "cancellation", "timer", "reserve start")


class Violated(Exception):
    """One of the invariants does not hold."""

    def __init__(self, invariant: str, now_ns: int, what: str) -> None:
        super().__init__(f"{invariant} at {now_ns / 1e6:.3f} ms: {what}")
        self.invariant = invariant


@dataclass(slots=True)
class Entry:
    """A request not yet answered. `plan`: the reserve held for it; `excused`: a device bound was broken meanwhile."""

    request: int
    stream: str
    captured_ns: int
    deadline_ns: int
    due_ns: int
    useful_ns: int
    background: bool
    admitted: bool = False
    plan: tuple[LocalModel, int] | None = None
    excused: bool = False
    unruly: bool = False


@dataclass(slots=True)
class Busy:
    """What runs on a lane."""

    job: int
    request: int
    model: str
    first: int
    started_ns: int
    ending: bool = False


@dataclass(slots=True)
class Watched:
    """One link's breaker as it was told, and when anything was last heard."""

    state: str = "open"
    since_ns: int = 0
    heard_ns: int = 0
    used_ns: int = -1
    wanted_ns: int = 0
    probe: int | None = None
    probe_ns: int = 0
    trusted: bool = True


def carries(scene: Scene) -> bool:
    """Whether the lanes bear all streams; under a certificate its modes say who is answered, and nothing is said here."""
    return scene.certificate is None and bears(scene.table, scene.streams, scene.margins)


def unruly_requests(scene: Scene) -> frozenset[int]:
    """The requests whose samples come sooner after the last, or later after their capture, than was declared."""
    last: dict[int, int] = {}
    found = set()
    for each in scene.disturbed_samples:
        stream = scene.streams[each.stream]
        period, before = stream.period_ns or 0, last.get(each.stream)
        early = before is not None and each.captured_ns - before < period
        if early or each.arrival_ns - each.captured_ns > stream.capture_delay_ns or each.deadline_ns is not None:
            found.add(each.request)
        last[each.stream] = each.captured_ns
    return frozenset(found)


class Checker:
    """Looks at every step of one core. `suspects`: late requests that nothing excuses, but that were promised to a twin only."""

    def __init__(self, scene: Scene, core: Core, payload_bytes: PayloadBytes) -> None:
        self._scene, self._core, self._payload_bytes = scene, core, payload_bytes
        self._margins, self._limits = scene.margins, scene.limits
        self._streams = {stream.name: stream for stream in scene.streams}
        self._models = {model.name: model for model in scene.table.locals}
        self._columns = {arm.name: (arm.crossing, column) for column, arm in enumerate(scene.table.arms)}
        self._carries, self._unruly = carries(scene), unruly_requests(scene)
        self._mode = scene.certificate.modes[0] if scene.certificate is not None else None
        self._samples = len(scene.samples)
        self._steps_max = 10_000 + 200 * self._samples
        self.steps = self.reserves_used = self.remote = self.late = 0
        self.suspects: list[int] = []
        self._open: dict[int, Entry] = {}
        self._answered: set[int] = set()
        self._forgotten: set[int] = set()
        self._local_done: set[int] = set()
        self._models_done: set[tuple[int, str]] = set()
        self._sure: dict[tuple[int, str], float | None] = {}
        self._gates = {arm.name: gates(arm) for arm in scene.table.arms}
        self._arms: dict[int, str] = {}  # by request, the arm that was decided on last
        self._sent_bytes: dict[int, int] = {}
        self._crossing: dict[int, str] = {}  # by request, what model its attempt under way will have answered with
        self._stopped: set[int] = set()
        self._failed: set[int] = set()
        self._ended: list[r.Deliver] = []
        self._told_ends: dict[int, r.Delivered] = {}
        self._came: set[int] = set()
        self._remote_chosen: set[int] = set()
        self._changes: dict[int, tuple[float | None, int]] = {}  # by request, what its arrival said
        self._seen: dict[
            int, tuple[str, int, str]
        ] = {}  # stream, capture and model of each answer that may be given again
        self._busy: dict[str, Busy] = {}
        self._links = {name: Watched() for name in scene.courses}
        self._over: dict[tuple[int, int], str] = {}
        self._now = self._until = 0
        self._probed: Watched | None = None
        self._links_due = 0
        self._disturbed = self._irregular = self._fresh = False
        self._bytes_per_s = scene.budgets.uplink_bytes_per_s
        self._bytes_left = (self._bytes_per_s or 0.0) * BURST_S
        self._filled_ns = 0
        self._waiting = self._in_flight = 0  # of the requests that are not background; of all, after the last step
        limits = scene.limits
        self._probing_max_ns = limits.probe_timeout_ns + limits.probe_margin_ns
        self._open_max_ns = max(limits.reopen_last_ns * 5 // 4, self._probing_max_ns)
        self._attempts, self._flights = [link.attempts for link in core._links.values()], core._flights
        self._in_flight_max = limits.requests_in_flight_max + limits.audits_max
        self._events: dict[type, Callable[[Any], object]] = {
            r.RequestArrived: self._arrived, r.RunDone: self._run_done, r.EncodeDone: self._job_over, r.JobEnded: self._job_over,
            r.AnswerArrived: self._answer, r.ChunkAcked: self._heard, r.LinkUp: self._up,
            r.ProbeAnswered: self._probe_over, r.ProbeLost: self._probe_over, r.RemoteFailed: self._remote_failed,
        }  # fmt: skip
        self._told: dict[type, Callable[[Any], None]] = {
            r.Decision: self._decision, r.ReserveChosen: self._reserve_chosen, r.ReserveStarted: self._reserve_started,
            r.BoundExceeded: self._exceeded, r.Delivered: self._delivered, r.StopSending: self._stop, r.BreakerMoved: self._moved, r.ModeChanged: self._mode_changed, r.RemoteDistrusted: self._distrusted,
            r.Run: self._starts, r.Encode: self._starts, r.Preempt: self._runs, r.Cancel: self._runs, r.Send: self._sent,
            r.Deliver: self._deliver, r.Forget: self._forget, r.Probe: self._probe, r.Advise: self._advise,
        }  # fmt: skip

    # ------------------------------------------------------------------------------------------------ what happens outside

    def disturb(self, until_ns: int) -> None:
        """From here on the device takes longer than its bounds: until then, and until it is idle."""
        self._disturbed, self._until = True, max(self._until, until_ns)
        for entry in self._open.values():
            entry.excused = True

    def _fail(self, invariant: str, what: str) -> None:
        raise Violated(invariant, self._now, what)

    def see(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        """After each step of the core, before its actions are carried out."""
        if now_ns < self._now:
            self._fail("time", f"an event of {now_ns} ns came after one of {self._now} ns")
        self._now = now_ns
        self.steps += 1
        if self.steps > self._steps_max:
            self._fail("time", f"{self.steps} steps for {self._samples} requests: it does not come to rest")
        happened, told = self._events.get(type(event)), self._told
        if happened is not None:
            happened(event)
        for each in (*outcome.records, *outcome.actions):
            seen = told.get(type(each))
            if seen is not None:
                seen(each)
        if self._ended:
            self._check_ended()
        if self._fresh:
            self._fresh = False
            self._check_feasible()
        wake = self._core.next_wakeup_ns()
        if wake is not None and wake <= now_ns:
            self._fail("time", f"the core wants to be woken at {wake} ns, which is past, after {type(event).__name__}")
        if now_ns > self._links_due or self._probed is not None:
            self._check_links()
        self._in_flight, limits = len(self._flights), self._limits
        if self._in_flight > self._in_flight_max:
            self._fail(
                "limits", f"{self._in_flight} requests in flight, at most {limits.requests_in_flight_max} may be"
            )
        for attempts in self._attempts:
            if len(attempts) > limits.late_answers_kept_max:
                self._fail("limits", f"{len(attempts)} crossings are remembered")
        if (self._disturbed or self._irregular) and not self._waiting and not self._busy:
            self._irregular = False
            self._disturbed = now_ns <= self._until

    # ----------------------------------------------------------------------------------------------------------- the events

    def _arrived(self, event: r.RequestArrived) -> None:
        stream = self._streams[event.stream]
        deadline = event.captured_ns + (stream.deadline_ns if event.deadline_ns is None else event.deadline_ns)
        background = stream.criticality is Criticality.BACKGROUND
        if event.request in self._unruly and not background:
            self._irregular = True
            for each in self._open.values():
                each.unruly = True
        self._waiting += not background
        if stream.reuse_below is not None:
            self._changes[event.request] = (event.change, event.change_from)
        due = deadline - self._margins.before(stream)
        useful = event.captured_ns + stream.expiry_ns if background else due
        self._open[event.request] = Entry(
            event.request, event.stream, event.captured_ns, deadline, due, useful, background,
            excused=self._disturbed, unruly=self._irregular,
        )  # fmt: skip

    def _job_over(self, event: r.RunDone | r.EncodeDone | r.JobEnded) -> Busy | None:
        busy = self._busy.get(event.lane)
        return self._busy.pop(event.lane) if busy is not None and busy.job == event.job else None

    def _run_done(self, event: r.RunDone) -> None:
        busy = self._job_over(event)
        if busy is not None and event.last == len(self._models[busy.model].segment_bound_ns) - 1:
            self._local_done.add(busy.request)
            self._models_done.add((busy.request, busy.model))
            self._sure[busy.request, busy.model] = event.confidence

    def _answer(self, event: r.AnswerArrived) -> None:
        self._came.add(event.request)
        self._heard(event)

    def _remote_failed(self, event: r.RemoteFailed) -> None:
        self._failed.add(event.request)

    def _heard(self, event: r.AnswerArrived | r.ChunkAcked) -> None:
        link = self._over.get((event.request, event.attempt))
        if link is not None:
            self._links[link].heard_ns = self._now

    def _up(self, event: r.LinkUp) -> None:
        self._links[event.link].wanted_ns = self._now

    def _probe_over(self, event: r.ProbeAnswered | r.ProbeLost) -> None:
        for link in self._links.values():
            if link.probe == event.probe:
                link.probe = None
                if type(event) is r.ProbeAnswered and self._now < link.probe_ns + self._probing_max_ns:
                    self._probed = link

    # ---------------------------------------------------------------------------------------------------------- the records

    def _decision(self, record: r.Decision) -> None:
        for link in self._links.values():
            link.wanted_ns = self._now
        entry = self._open.get(record.request)
        if entry is None:
            self._fail("once", f"request {record.request} is decided, and is not waiting for anything")
            return
        self._arms[record.request] = record.arm
        entry.admitted = bool(record.reserve) and record.reason is not r.Reason.NOTHING_FITS and not entry.background
        self._fresh = self._fresh or entry.admitted
        crossing, column = self._columns.get(record.arm, (None, -1))
        if self._bytes_per_s is not None:
            self._fill()
            needs = 0.0 if crossing is None else float(self._scene.table.up_bytes[column])
            if crossing is not None and needs > self._bytes_left + 1e-6:
                self._fail("budget", f"{record.arm} needs {needs:.0f} bytes and {self._bytes_left:.0f} are left")
        if crossing is not None:
            self.remote += 1
            self._remote_chosen.add(record.request)
            if not self._links[crossing.link].trusted:
                self._fail("honest", f"{record.arm} is chosen, and {crossing.link} is distrusted")

    def _fill(self) -> None:
        rate = self._bytes_per_s or 0.0
        passed_s = (self._now - self._filled_ns) / r.SECOND
        self._filled_ns = self._now
        self._bytes_left = min(self._bytes_left + rate * passed_s, rate * BURST_S)

    def _reserve_chosen(self, record: r.ReserveChosen) -> None:
        entry = self._open.get(record.request)
        if entry is not None:
            name, _, first = record.plan.partition("@")
            entry.plan = (self._models[name], int(first or 0)) if name else None
            if self._mode is not None and name and name not in self._mode.allowance(entry.stream).reserves:
                self._fail("mode", f"{name} stands in reserve for a request of {entry.stream} in {self._mode.name}")

    def _mode_changed(self, record: r.ModeChanged) -> None:
        if self._mode is None or self._mode.name != record.before:
            self._fail("mode", f"{record.before} is left, and was not in force")
        assert self._scene.certificate is not None
        self._mode = next(each for each in self._scene.certificate.modes if each.name == record.after)
        self.disturb(self._now)  # what waits gets another reserve, which nobody has promised to fit

    def _reserve_started(self, record: r.ReserveStarted) -> None:
        self.reserves_used += record.request in self._remote_chosen

    def _exceeded(self, record: r.BoundExceeded) -> None:
        if not self._disturbed and record.what.startswith(_DEVICE):
            self._fail("honest", f"{record.what} of request {record.request} is said to have taken {record.measured_ms:.3f} ms, "
                       f"beyond {record.bound_ms:.3f}, and nothing did")  # fmt: skip

    def _moved(self, record: r.BreakerMoved) -> None:
        link = self._links[record.link]
        if record.before != link.state:
            self._fail("breaker", f"{record.link} goes from {record.before}, and was {link.state}")
        link.state, link.since_ns = record.after, self._now
        self._links_due = 0

    def _distrusted(self, record: r.RemoteDistrusted) -> None:
        self._links[record.link].trusted = False

    # ---------------------------------------------------------------------------------------------------------- the actions

    def _starts(self, action: r.Run | r.Encode) -> None:
        if action.lane in self._busy:
            self._fail("lane", f"two jobs on {action.lane}: {self._busy[action.lane].job} and {action.job}")
        if action.request in self._forgotten:
            self._fail("once", f"request {action.request} is worked for after it was forgotten")
        if action.request in self._answered and (type(action) is r.Encode or action.request not in self._came):
            self._fail("once", f"request {action.request} is worked for after it was answered, and not to compare")
        first = action.first if type(action) is r.Run else -1
        self._busy[action.lane] = Busy(action.job, action.request, action.model, first, self._now)

    def _runs(self, action: r.Preempt | r.Cancel) -> None:
        busy = self._busy.get(action.lane)
        if busy is None or busy.job != action.job:
            self._fail("lane", f"{type(action).__name__} of job {action.job} on {action.lane}, which does not run")
        elif type(action) is r.Cancel:
            busy.ending = True

    def _sent(self, action: r.Send) -> None:
        request, entry = action.request, self._open.get(action.request)
        self._over[request, action.attempt] = action.link
        self._links[action.link].used_ns, self._links_due = self._now, 0
        size = self._payload_bytes(request, action.model, action.joint, action.codec)
        self._sent_bytes[request] = self._sent_bytes.get(request, 0) + size
        self._crossing[request] = action.model
        if self._stops(request):
            self._fail("gate", f"request {request} crosses, and its answer was to stand at a gate")
        self._bytes_left -= size
        if entry is None or action.useful_until_ns != entry.useful_ns:
            self._fail("honest", f"request {request} is sent as useful until {action.useful_until_ns} ns, and is not")

    def _stop(self, action: r.StopSending) -> None:
        self._stopped.add(action.request)

    def _delivered(self, record: r.Delivered) -> None:
        self._told_ends[record.request] = record
        entry = self._open.get(record.request)
        mode = self._mode  # of this very record: they come in their order
        left_out = record.reason is r.Reason.LOWER_RATE
        if left_out and entry is not None and (mode is None or mode.allowance(entry.stream).keep_every == 1):
            self._fail("mode", f"a sample of {entry.stream} is left out, and none is to be")

    def _probe(self, action: r.Probe) -> None:
        link = self._links[action.link]
        if link.probe is not None and self._now < link.probe_ns + self._probing_max_ns:
            self._fail("limits", f"a second probe of {action.link} while one is out")
        link.probe, link.probe_ns = action.probe, self._now
        link.used_ns = self._now if link.used_ns < 0 else link.used_ns
        link.heard_ns = self._now
        self._bytes_left -= action.payload_bytes

    def _advise(self, action: r.Advise) -> None:
        if action.request not in self._answered or action.request not in self._came:
            self._fail(
                "honest", f"advice for request {action.request}, which has no answer to stand beside or none from afar"
            )

    def _deliver(self, action: r.Deliver) -> None:
        entry = self._open.pop(action.request, None)
        if entry is None:
            what = "twice" if action.request in self._answered else "which never came"
            self._fail("once", f"request {action.request} is answered, {what}")
            return
        self._answered.add(action.request)
        self._waiting -= not entry.background
        local, remote = action.source is r.Source.LOCAL, action.source is r.Source.REMOTE
        again = action.source is r.Source.REUSED
        self._check_again(entry, action)
        if (action.reason is r.Reason.CONFIDENT_AT_GATE) and not self._stops(action.request):
            self._fail("gate", f"request {action.request} stops at a gate, and no model of its arm was sure enough")
        in_time = self._now <= entry.deadline_ns
        if (action.status is r.Status.ANSWERED) != ((local or remote or again) and in_time):
            self._fail(
                "honest",
                f"request {action.request} is called {action.status.value} at {self._now} ns, due {entry.deadline_ns}",
            )
        self._check_end(entry, action)
        if (local and (action.request, action.model) not in self._models_done) or (
            remote and action.request not in self._came
        ):
            self._fail("honest", f"request {action.request} has an answer ({action.source.value}) that nobody gave")
        if ((local or remote or again) and in_time) or entry.background or action.reason is r.Reason.WITHDRAWN:
            return
        self.late += 1
        if entry.excused:
            return
        if entry.admitted and action.reason is not r.Reason.NEWER_SAMPLE:
            late = (self._now - entry.deadline_ns) / 1e6
            self._fail("reserve", f"request {action.request} had a reserve and ends {action.status.value} "
                       f"({action.reason.value}), {late:.3f} ms after its deadline")  # fmt: skip
        if action.reason is r.Reason.LIMIT_REACHED:
            self._check_full(action.request)
        elif self._carries and not entry.unruly:
            self.suspects.append(action.request)

    def _stops(self, request: int) -> bool:
        """Whether a gate of its arm was met by a model that was as sure as it asks."""
        for model, at_least in self._gates.get(self._arms.get(request, ""), ()):
            sure = self._sure.get((request, model))
            if sure is not None and sure >= at_least:
                return True
        return False

    def _check_again(self, entry: Entry, action: r.Deliver) -> None:
        """That an answer which is given again may be, and that only a model's own in time is kept for it."""
        stream = self._streams[entry.stream]
        if action.reusable:
            fresh = action.source in (r.Source.LOCAL, r.Source.REMOTE) and action.status is r.Status.ANSWERED
            if not fresh or stream.reuse_below is None:
                self._fail("reuse", f"the answer of request {action.request} is kept, and may not be given again")
            self._seen[action.request] = (entry.stream, entry.captured_ns, action.model)
        if action.source is not r.Source.REUSED:
            return
        change, of = self._changes.get(action.request, (None, -1))
        name, captured_ns, model = self._seen.get(of, ("", 0, ""))
        alike = change is not None and stream.reuse_below is not None and 0 <= change <= stream.reuse_below
        young = captured_ns <= entry.captured_ns and self._now - captured_ns <= stream.reuse_age_max_ns
        if not (alike and young and name == entry.stream and model == action.model):
            self._fail("reuse", f"request {action.request} is given the answer of {of}, which does not stand")

    def _check_end(self, entry: Entry, action: r.Deliver) -> None:
        """That the record says what the action does; what is still under way for nobody is ended at the end of the step."""
        request, told = action.request, self._told_ends.pop(action.request, None)
        age_ms = (self._now - entry.captured_ns) / 1e6
        figures = (action.status, action.source, action.arm, action.reason, self._sent_bytes.get(request, 0))
        if told is None or abs(told.age_ms - age_ms) > 1e-6 or figures != (
            told.status, told.source, told.arm, told.reason, told.uplink_bytes
        ):  # fmt: skip
            self._fail("honest", f"request {request} ends otherwise than is recorded: {told}")
        if action.source is r.Source.REMOTE and action.model != self._crossing.get(request):
            self._fail("honest", f"request {request} is said to be answered by {action.model} from afar")
        self._ended.append(action)

    def _check_ended(self) -> None:
        """Once a step is over: nothing goes on for what it answered, but for advice and comparisons."""
        for action in self._ended:
            request = action.request
            for lane, busy in self._busy.items():
                if busy.request == request and not busy.ending and busy.started_ns < self._now:
                    self._fail("lane", f"{lane} goes on with request {request}, which is answered")
            over = action.status in (r.Status.DROPPED, r.Status.SPOOLED) and request in self._crossing
            if over and request not in self._came and request not in self._failed and request not in self._stopped:
                self._fail("once", f"request {request} is still sent, and nobody wants its answer")
        self._ended.clear()

    def _check_full(self, dropped: int) -> None:
        """Nothing is promised beyond the limit of requests in flight, if it is reached and nothing could have given way."""
        if self._in_flight < self._limits.requests_in_flight_max:
            self._fail("limits", f"request {dropped} is dropped for the limit, and {self._in_flight} are in flight")
        held = {busy.request for busy in self._busy.values()}
        idle = [each.request for each in self._open.values() if each.background and each.request not in held]
        if idle:
            self._fail("limits", f"request {dropped} is dropped for the limit, and background {idle[0]} is kept")

    def _forget(self, action: r.Forget) -> None:
        if action.request in self._forgotten or action.request not in self._answered:
            self._fail("once", f"request {action.request} is forgotten twice, or before it was answered")
        self._forgotten.add(action.request)

    # ---------------------------------------------------------------------------------------------------------------- sums

    def _check_feasible(self) -> None:
        """Naive: per lane, what is held in reserve one after the other in the order of deadlines."""
        if self._disturbed:
            return
        lanes: dict[str, list[tuple[int, int, int]]] = {}
        for entry in self._open.values():
            if entry.admitted and entry.plan is not None and entry.request not in self._local_done:
                model, first = entry.plan
                lanes.setdefault(model.lane, []).append((entry.due_ns, model.tail_bound_ns[first], entry.request))
        now = self._now
        for lane, jobs in lanes.items():
            jobs.sort()
            free, busy = now, self._busy.get(lane)
            mine = -1 if busy is None else busy.request
            for due, bound, request in jobs:
                if busy is not None and request == mine and busy.first >= 0 and busy.model == self._plan_of(request):
                    bound = max(0, bound - (now - busy.started_ns))
                free += bound
                if free > due:
                    self._fail("feasible", f"request {request} is due {(due - now) / 1e6:.3f} ms from now, and what {lane} "
                               f"holds before it takes {(free - now) / 1e6:.3f} ms")  # fmt: skip

    def _plan_of(self, request: int) -> str:
        plan = self._open[request].plan
        return plan[0].name if plan is not None else ""

    def _check_links(self) -> None:
        """Whether a state lasts too long; nothing to look at before the first moment at which one may (`_links_due`)."""
        now = self._now
        if self._probed is not None and self._probed.state != State.CLOSED:
            self._fail("breaker", f"a link is {self._probed.state} although its probe was answered")
        self._probed, self._links_due = None, NEVER_NS
        for name, link in self._links.items():
            if link.state == State.CLOSED:
                since, longest = link.heard_ns, self._silence_max_ns(link) + self._probing_max_ns
            else:
                since, longest = link.since_ns, self._open_max_ns if link.state == State.OPEN else self._probing_max_ns
            due = since + longest
            self._links_due = min(self._links_due, due)
            wanted = link.state == State.PROBING or link.wanted_ns >= due - ACTIVE_NS
            if now > due and wanted and link.trusted:
                after = "heard of" if link.state == State.CLOSED else "probed and answered in time"
                self._fail("breaker", f"{name} is {link.state} for {(now - since) / 1e6:.0f} ms, and was not {after}")

    def _silence_max_ns(self, link: Watched) -> int:
        """How long nothing may be heard of a link before it is probed: longer for one that has not been used for long."""
        limits, unused_ns = self._limits, link.heard_ns - link.used_ns
        return min(max(limits.probe_silence_ns, unused_ns // 4), limits.probe_silence_max_ns)

    def finish(self) -> None:
        """When the world is over."""
        self._now = self._scene.end_ns
        if self._open:
            self._fail("once", f"never answered: {', '.join(map(str, list(self._open)[:5]))}")
        if len(self._answered) != self._samples or self._core.in_flight or self._forgotten != self._answered:
            self._fail(
                "once", f"{len(self._answered)} answered and {len(self._forgotten)} forgotten of {self._samples}"
            )
