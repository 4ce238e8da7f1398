"""A simulated device around one real `Core`: carries out its actions on modelled lanes, a link and a cloud, and posts events.

It is the virtual counterpart of device/driver.py, device/lane.py and device/network.py, and keeps their habits: one job a
lane, preemption at the next joint, cancellation within its bound, the first acknowledgement tells the round trip, an
attempt ends with one answer or one fault, a server refuses what it cannot finish. It never asks whether to run something.
Energy is accounted here by what really happened: lane busy time, the time in which the bottleneck moves the bytes (none while all stands still), and a tail a crossing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hedgerow.core import Core
from hedgerow.core import records as r
from hedgerow.simulation.clock import Clock
from hedgerow.simulation.transfer import NEVER_NS, Direction

ACK_BYTES = 1024
OVERTIME_NS = 50 * r.MS  # how long after its time is up a crossing may still be answered (wire/limits.py)
DESCRIBE_BYTES = 600  # what asking a server what it serves costs, once a connection
OPENING_BYTES = 400  # of a crossing, beside its payload
PREFIX_ENDS_MAX = 4  # a payload told in layers may be cut at so many places (wire/limits.py)
LAYER_BYTES = 256  # and no closer (codecs/ints.py)


def waits_ns(after_ns: int, first: int, behind: int, ahead: int, last_ns: int) -> int:
    """How long after an opening came a server waits for more: the rule of `RequestReader.wait_ns`, `first` the bytes of the opening
    and its chunk, `behind` those that have come since (the last `last_ns` after it), `ahead` those up to the next place to cut at."""
    if behind <= 0:
        return after_ns * ahead // (ahead + first)
    return after_ns - min(first * last_ns // behind, after_ns * first // (behind + first))


class LaneTimes(Protocol):
    """How long lane work takes: a function of the request, not of when it was asked for."""

    def segments_ns(self, request: int, model: str, first: int, last: int, now_ns: int) -> tuple[int, ...]: ...
    def encode_ns(self, request: int, model: str, joint: int, codec: str, now_ns: int) -> int: ...
    def payload_bytes(self, request: int, model: str, joint: int, codec: str) -> int: ...


@dataclass(slots=True)
class Work:
    """One crossing as the server sees it; moments in ns."""

    device: int
    request: int
    attempt: int
    model: str
    joint: int
    last: int
    codec: str
    arrival_ns: int
    deadline_ns: int


@dataclass(slots=True)
class Ended:
    """How the server ended it: `fault` is the wire's word, "" for an answer."""

    fault: str
    queue_ns: int = 0
    decode_ns: int = 0
    compute_ns: int = 0
    answer_bytes: int = 0


class Server(Protocol):
    """A cloud: calls `done(ended)` at the virtual moment at which the answer (or refusal) leaves it."""

    def submit(self, work: Work, clock: Clock, done: Callable[[Ended], None]) -> None: ...

    @property
    def alive(self) -> bool:
        """Whether it takes connections now."""
        ...


@dataclass(slots=True)
class Link:
    """Both directions of one link, as one device uses it."""

    up: Direction
    down: Direction


@dataclass(slots=True)
class Tally:
    """What was really used, by request (mJ, bytes, ns of cloud time); probes beside."""

    energy_mj: dict[int, float] = field(default_factory=dict)
    up_bytes: dict[int, int] = field(default_factory=dict)
    cloud_ns: dict[int, int] = field(default_factory=dict)
    probe_mj: float = 0.0
    probe_bytes: int = 0
    probes: int = 0


Watch = Callable[[int, r.Event, r.Outcome], None]


@dataclass(slots=True)
class _Job:
    action: r.Run | r.Encode
    started_ns: int
    times: tuple[int, ...]
    token: int


class Body:
    """Drives one core. `links` and `servers` by the link's name; `watch` sees every step."""

    def __init__(
        self,
        core: Core,
        clock: Clock,
        lanes: LaneTimes,
        links: dict[str, Link],
        servers: dict[str, Server],
        *,
        device: int = 0,
        timer_late_ns: Callable[[int], int] = lambda wake_ns: 0,
        agrees: Callable[[r.Compare], bool | None] = lambda compare: True,
        cancel_ns: Callable[[int], int] = lambda request: r.MS,
        confidence: Callable[[int, str], float | None] = lambda request, model: None,
        watch: Watch | None = None,
    ) -> None:
        self.core, self.clock, self.lanes, self._lanes = core, clock, lanes, lanes
        self._links, self._servers, self.device = links, servers, device
        self._timer_late, self._agrees, self._cancel_ns, self.watch = timer_late_ns, agrees, cancel_ns, watch
        self._confidence = confidence
        self._last = {model.name: model.last for model in core.table.locals}
        self.tally = Tally()
        self._energy = core.table.energy
        self._jobs: dict[str, _Job] = {}
        self._tokens = 0
        self._wake_at: int | None = None
        self._ended: set[tuple[int, int]] = set()
        self._connected: dict[str, bool] = {}
        self._parts: dict[tuple[int, int], int] = {}  # of what is under way, how much is computed from if not all
        self._carry: dict[type, Callable[..., None] | None] = {  # None: told to the outside by whoever watches
            r.Run: self._run,
            r.Encode: self._encode,
            r.Preempt: self._preempt,
            r.Cancel: self._cancel,
            r.Send: self._send,
            r.StopSending: self._stop,
            r.Probe: self._probe,
            r.Compare: self._compare,
            r.Deliver: None,
            r.Advise: None,
            r.Forget: None,
        }
        self.on_air: Callable[[int, int, int, int], None] | None = (
            None  # request (-1: a probe), bytes up, down, ns on air
        )
        self._worked: Callable[[int, int], None] | None = getattr(lanes, "worked", None)  # lanes that heat up want it
        self.dead = False
        self.post_steps = 0

    def tell_deliveries(self, tell: Callable[[r.Deliver], None]) -> None:
        """Call `tell` with every answer that is handed over, as the device's shell would be the one to do it."""
        before = self._carry[r.Deliver]

        def both(action: r.Deliver) -> None:
            tell(action)
            if before is not None:
                before(action)

        self._carry[r.Deliver] = both

    def busy_since_ns(self) -> int | None:
        """The moment since which a lane computes; None while none does."""
        return min((job.started_ns for job in self._jobs.values()), default=None)

    def post(self, event: r.Event) -> None:
        """Put one event through the core and carry out what it wants."""
        if self.dead:
            return
        now = self.clock.now_ns
        outcome = self.core.step(event, now_ns=now)
        self.post_steps += 1
        if self.watch is not None:
            self.watch(now, event, outcome)
        carry = self._carry
        for action in outcome.actions:
            carry_out = carry[type(action)]
            if carry_out is not None:
                carry_out(action)
        wake = self.core.next_wakeup_ns()
        if wake is not None and (self._wake_at is None or wake < self._wake_at):
            self._wake_at = wake
            self.clock.at(max(wake, now) + self._timer_late(wake), self._timer, wake)

    def _timer(self, planned_ns: int) -> None:
        if planned_ns != self._wake_at:
            return  # an earlier one took its place
        self._wake_at = None
        wake = self.core.next_wakeup_ns()
        if wake is not None and wake <= self.clock.now_ns:
            self.post(r.TimerFired())
        elif wake is not None:
            self._wake_at = wake
            self.clock.at(wake + self._timer_late(wake), self._timer, wake)

    # -------------------------------------------------------------------------------------------------------- the lanes

    def _start(self, action: r.Run | r.Encode, times: tuple[int, ...], end: Callable[[str, int], None]) -> None:
        if action.lane in self._jobs:
            raise AssertionError(f"the core asked for two jobs on lane {action.lane}")
        self._tokens += 1
        self._jobs[action.lane] = _Job(action, self.clock.now_ns, times, self._tokens)
        self.clock.at(self.clock.now_ns + sum(times), end, action.lane, self._tokens)

    def _run(self, action: r.Run) -> None:
        times = self._lanes.segments_ns(action.request, action.model, action.first, action.last, self.clock.now_ns)
        self._start(action, times, self._run_ends)

    def _encode(self, action: r.Encode) -> None:
        took = self._lanes.encode_ns(action.request, action.model, action.joint, action.codec, self.clock.now_ns)
        self._start(action, (took,), self._encode_ends)

    def _take(self, lane: str, token: int) -> _Job | None:
        job = self._jobs.get(lane)
        if job is None or job.token != token:
            return None
        del self._jobs[lane]
        if self._worked is not None:
            self._worked(job.started_ns, self.clock.now_ns)
        busy = self._energy.busy_mj(self.clock.now_ns - job.started_ns)
        used, request = self.tally.energy_mj, job.action.request
        used[request] = used.get(request, 0.0) + busy
        return job

    def _run_ends(self, lane: str, token: int, count: int = 0) -> None:
        job = self._take(lane, token)
        if job is not None:
            self._ran(lane, job, job.times if not count else job.times[:count])

    def _ran(self, lane: str, job: _Job, times: tuple[int, ...]) -> None:
        """So many segments have run; only a model that has come to its end knows how sure it is."""
        action = job.action
        assert isinstance(action, r.Run)
        last = action.first + len(times) - 1
        sure = self._confidence(action.request, action.model) if last == self._last[action.model] else None
        self.post(r.RunDone(lane, action.job, last, times, sure))

    def _encode_ends(self, lane: str, token: int) -> None:
        job = self._take(lane, token)
        if job is not None:
            action = job.action
            assert isinstance(action, r.Encode)
            size = self._lanes.payload_bytes(action.request, action.model, action.joint, action.codec)
            self.post(r.EncodeDone(lane, action.job, size, job.times[0]))

    def _preempt(self, action: r.Preempt) -> None:
        job = self._jobs.get(action.lane)
        if job is None or job.action.job != action.job or isinstance(job.action, r.Encode):
            return
        end = job.started_ns
        for count, took in enumerate(job.times, start=1):
            end += took
            if end >= self.clock.now_ns:
                self._retime(job, action.lane)
                self.clock.at(end, self._run_ends, action.lane, job.token, count)
                return

    def _cancel(self, action: r.Cancel) -> None:
        job = self._jobs.get(action.lane)
        if job is None or job.action.job != action.job:
            return
        now, end, ends = self.clock.now_ns, job.started_ns, 0
        for took in job.times:
            end += took
            ends = end
            if end >= now:
                break
        self._retime(job, action.lane)
        self.clock.at(
            min(max(ends, now), now + self._cancel_ns(job.action.request)), self._job_ends, action.lane, job.token
        )

    def _retime(self, job: _Job, lane: str) -> None:
        """What was planned for this job no longer holds."""
        self._tokens += 1
        job.token = self._tokens

    def _job_ends(self, lane: str, token: int) -> None:
        job = self._take(lane, token)
        if job is not None:
            self.post(r.JobEnded(lane, job.action.job))

    # --------------------------------------------------------------------------------------------------------- the link

    def _send(self, action: r.Send) -> None:
        now, link = self.clock.now_ns, self._links[action.link]
        size = self._lanes.payload_bytes(action.request, action.model, action.joint, action.codec)
        key = (action.request, action.attempt)
        whole = size + OPENING_BYTES
        sending = link.up.sending_ns(whole, now)
        first_ns, done_ns = self._cross(link.up, action, size, now)
        tally, request = self.tally, action.request
        air_ns = link.up.moving_ns(now, min(now + sending, max(now, action.useful_until_ns + OVERTIME_NS)))
        radio = self._energy.radio_mj(air_ns)
        if self.on_air is not None:
            self.on_air(request, size, 0, air_ns)
        tally.energy_mj[request] = tally.energy_mj.get(request, 0.0) + radio
        tally.up_bytes[request] = tally.up_bytes.get(request, 0) + size
        gives_up = action.useful_until_ns + OVERTIME_NS
        if first_ns < gives_up:
            acked = link.down.pass_by(first_ns)
            if acked < gives_up:
                self.clock.at(acked, self._acked, key, min(size, ACK_BYTES))
        if done_ns < gives_up:
            work = Work(
                self.device, request, action.attempt, action.model, action.joint, action.last, action.codec,
                done_ns, action.useful_until_ns,
            )  # fmt: skip
            self.clock.at(done_ns, self._at_server, action.link, work, key, gives_up)
        else:
            self.clock.at(gives_up, self._failed, key, "too_late", False)

    def _cross(self, up: Direction, action: r.Send, size: int, now: int) -> tuple[int, int]:
        """When the first bytes of a crossing are at the server, and when it has what it computes from: all of the payload, or the
        part of it that is there when its time to wait is over (cloud/crossing.py, wire/readers.py)."""
        if not action.prefix_bytes:
            return up.send(size + OPENING_BYTES, now, ACK_BYTES + OPENING_BYTES)
        stride = max(LAYER_BYTES, (size - action.prefix_bytes) // PREFIX_ENDS_MAX)
        chunk = min(ACK_BYTES, action.prefix_bytes)
        came_ns, begun, opened_ns = 0, -OPENING_BYTES, -1
        for end in (*range(action.prefix_bytes, size, stride), size):
            first_ns, done_ns = up.send(end - begun, now, chunk + OPENING_BYTES)
            opened_ns = first_ns if opened_ns < 0 else opened_ns
            since_ns = came_ns - opened_ns
            wait_ns = waits_ns(action.prefix_after_ns, chunk + OPENING_BYTES, begun - chunk, end - chunk, since_ns)
            cut_ns = max(came_ns, opened_ns + wait_ns)
            if begun > 0 and cut_ns < done_ns:  # what is here so far is computed from, and no later part is sent
                self._parts[action.request, action.attempt] = begun
                return opened_ns, cut_ns
            came_ns, begun = done_ns, end
        return opened_ns, came_ns

    def _answer(self, key: tuple[int, int], ended: Ended) -> r.AnswerArrived:
        part = self._parts.pop(key, 0)
        figures = (ended.answer_bytes, ended.queue_ns, ended.decode_ns, ended.compute_ns)
        return r.AnswerArrived(*key, *figures, prefix_bytes=part)

    def _acked(self, key: tuple[int, int], size: int) -> None:
        if key not in self._ended:
            self.post(r.ChunkAcked(*key, size))

    def _at_server(self, name: str, work: Work, key: tuple[int, int], gives_up: int) -> None:
        server = self._servers[name]
        if not server.alive:
            self.clock.at(self._links[name].down.pass_by(self.clock.now_ns), self._failed, key, "unavailable", True)
            return
        server.submit(work, self.clock, lambda ended: self._from_server(name, key, gives_up, ended))

    def _from_server(self, name: str, key: tuple[int, int], gives_up: int, ended: Ended) -> None:
        now, link = self.clock.now_ns, self._links[name]
        if ended.fault:
            arrival = link.down.pass_by(now)
            harmless = ended.fault in ("too_late", "overloaded", "cancelled")
            self.clock.at(min(arrival, max(gives_up, now)), self._failed, key, ended.fault, not harmless)
            return
        used = self.tally.cloud_ns
        used[key[0]] = used.get(key[0], 0) + ended.decode_ns + ended.compute_ns
        arrival = link.down.send(ended.answer_bytes, now)[1]
        if self.on_air is not None:
            self.on_air(key[0], 0, ended.answer_bytes, 0)
        if arrival <= gives_up:
            self.clock.at(arrival, self._answered, key, ended)
        else:
            self.clock.at(max(gives_up, now), self._failed, key, "too_late", False)

    def _answered(self, key: tuple[int, int], ended: Ended) -> None:
        if key in self._ended:
            return
        self._ended.add(key)
        self.post(self._answer(key, ended))

    def _failed(self, key: tuple[int, int], fault: str, link_at_fault: bool) -> None:
        if key in self._ended:
            return
        self._ended.add(key)
        self._parts.pop(key, None)
        self.post(r.RemoteFailed(*key, fault, link_at_fault))

    def _stop(self, action: r.StopSending) -> None:
        self._ended.add((action.request, action.attempt))

    # -------------------------------------------------------------------------------------------------------- the probes

    def _probe(self, action: r.Probe) -> None:
        now, link = self.clock.now_ns, self._links[action.link]
        tally, size = self.tally, action.payload_bytes
        tally.probes += 1
        tally.probe_bytes += size
        air_ns = link.up.moving_ns(now, now + min(link.up.sending_ns(size, now), action.timeout_ns))
        tally.probe_mj += self._energy.radio_mj(air_ns)
        if self.on_air is not None:
            self.on_air(-1, size, 0, air_ns)
        first_ns, done_ns = link.up.send(size, now, ACK_BYTES, fresh=action.fresh)
        lost_ns = now + action.timeout_ns
        answered = link.down.pass_by(done_ns) if done_ns < NEVER_NS else NEVER_NS
        if answered <= lost_ns and self._servers[action.link].alive:
            # the client times a fresh probe from the open connection on
            began = now + (link.up.opening_ns(now) if action.fresh else 0)
            trip = max(1, link.down.pass_by(first_ns) - began)
            probed: Callable[[], None] | None = getattr(self._servers[action.link], "probed", None)  # one that forgets
            if probed is not None:
                self.clock.at(answered, probed)
            took = r.ProbeAnswered(action.probe, trip, max(trip, answered - began), size)
            self.clock.at(answered, self._probed, took)
        else:
            refused = not self._servers[action.link].alive and answered <= lost_ns
            self.clock.at(link.down.pass_by(first_ns) if refused else lost_ns, self._probed, r.ProbeLost(action.probe))

    def _probed(self, event: r.ProbeAnswered | r.ProbeLost) -> None:
        self.post(event)

    def _compare(self, action: r.Compare) -> None:
        self.clock.at(
            self.clock.now_ns + r.MS, self.post, r.Compared(action.request, action.model, self._agrees(action))
        )
