"""Walks every order and timing of events that a small world allows, and checks the core after each.

The world: two requests, one lane, one link. What may happen next follows from what the core has asked for: a job ends with
each of its segments short or at its bound, at a joint when it was told to give way, or its engine fails; an attempt is
acknowledged, answered, failed or silent; a probe comes back or is lost; the timer fires on time or as late as its margin; the
second request arrives; something comes twice or for nobody. Free events happen now, a little later and at the moment of the
next event that must come, on either side of it. The walk is complete up to a depth; beyond it a path goes on with what
must come next (lane at its bounds, timer at its latest, link silent), but for as many deviations as the walk is given
(delay-bounded search: Emmi, Qadeer and Rakamaric, POPL 2011), until nothing is left to happen. Equal states are walked once.

A broken promise raises Violation; its text is a list of events that `replay` repeats.
"""

import copy
import io
import itertools
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hedgerow.core import (
    Arm,
    ArmTable,
    Core,
    Criticality,
    CrossStep,
    GateStep,
    Limits,
    LocalModel,
    Margins,
    RunStep,
    Stream,
)
from hedgerow.core import records as r
from hedgerow.core.budgets import BudgetSettings
from hedgerow.core.choosing import Choosing
from hedgerow.core.policies import Choice, Policy, View, by_name
from hedgerow.errors import UsageError

MS = r.MS
STEP_NS = 3 * MS  # a little later
MARGINS = Margins(timer_ns=2 * MS, cancel_ns=3 * MS, deliver_ns=MS)
SHORT = 2  # a short segment takes its bound divided by this
DRAIN_MAX = 400
KNOWN = ("ours", "device-only", "cloud-only")


class Violation(AssertionError):
    """A promise was broken; the text holds the path."""


@dataclass(frozen=True)
class Prefers:
    """A policy that takes one arm whenever it is admissible: foolish, as a policy may be."""

    arm: str
    name: str = "prefers"
    uses_reserve: bool = True

    def choose(self, view: View) -> Choice | None:
        for column, arm in enumerate(view.table.arms):
            if arm.name == self.arm and view.admissible[column]:
                return Choice(column, r.Reason.POLICY_FIXED)
        return None


@dataclass(frozen=True)
class Scenario:
    """One small world. `second_ns`: earliest arrival of the second request after the first; `warm`: the link is known."""

    name: str
    table: ArmTable
    streams: tuple[Stream, ...]
    policy: str
    second_ns: int = 0
    limits: Limits = field(default_factory=Limits)
    warm: bool = True

    def core(self) -> Core:
        policy: Policy = by_name(self.policy) if self.policy in KNOWN else Prefers(self.policy)  # type: ignore[assignment]
        return Core(self.table, policy=policy, streams=self.streams, limits=self.limits, margins=MARGINS)

    def stream(self, request: int) -> Stream:
        return self.streams[request % len(self.streams)]


@dataclass
class Busy:
    """What a lane does, and since when it has been told to stop."""

    action: r.Run | r.Encode
    started: int
    preempted: int | None = None
    cancelled: int | None = None


@dataclass
class World:
    """One state: the core and what is under way around it. `apply` takes an event and checks every promise."""

    scenario: Scenario
    core: Core
    now: int = 0
    jobs: dict[str, Busy] = field(default_factory=dict)
    attempts: dict[tuple[int, int], list[int]] = field(default_factory=dict)  # sent at, acknowledged or not
    probes: dict[int, int] = field(default_factory=dict)  # when it times out
    requests: dict[int, int] = field(default_factory=dict)  # captured at
    delivered: dict[int, r.Deliver] = field(default_factory=dict)
    forgotten: set[int] = field(default_factory=set)
    promised: set[int] = field(default_factory=set)
    over: list[tuple[int, int]] = field(default_factory=list)  # attempts that have ended
    strangers: int = 0
    broken: int = 0  # engines that failed
    resting: int = 0  # steps since time last moved

    # ------------------------------------------------------------------------------------------------ one step

    def apply(self, now: int, event: r.Event) -> r.Outcome:
        require(now >= self.now, "the walker went back in time")
        self.resting = 0 if now > self.now else self.resting + 1
        require(self.resting < 40, "livelock: time stands still")
        self.now = now
        self._note(event)
        outcome = self.core.step(event, now_ns=now)
        for record in outcome.records:
            if isinstance(record, r.Decision) and record.reserve and record.reason is not r.Reason.NOTHING_FITS:
                self.promised.add(record.request)
        for action in outcome.actions:
            self._carry_out(action)
        self._check_after(event)
        return outcome

    def _note(self, event: r.Event) -> None:
        """What the event itself changes around the core."""
        match event:
            case r.RequestArrived():
                self.requests[event.request] = event.captured_ns
            case r.RunDone() | r.EncodeDone() | r.JobEnded():
                busy = self.jobs.get(event.lane)
                if busy is not None and busy.action.job == event.job:
                    del self.jobs[event.lane]
                else:
                    self.strangers += 1
                self.broken += isinstance(event, r.JobEnded) and event.failure is not None
            case r.ChunkAcked():
                if (event.request, event.attempt) in self.attempts:
                    self.attempts[event.request, event.attempt][1] = 1
            case r.AnswerArrived() | r.RemoteFailed():
                attempt = (event.request, event.attempt)
                if self.attempts.pop(attempt, None) is None:
                    self.strangers += 1
                else:
                    self.over.append(attempt)
            case r.ProbeAnswered() | r.ProbeLost():
                if self.probes.pop(event.probe, None) is None:
                    self.strangers += 1
            case _:
                pass

    def _carry_out(self, action: r.Action) -> None:
        request = getattr(action, "request", None)
        gone = request in self.forgotten and not isinstance(action, r.StopSending)  # that ends what only teaches
        require(not gone, f"{action} for a request that is forgotten")
        match action:
            case r.Run() | r.Encode():
                require(action.lane not in self.jobs, f"{action}: the lane is not free")
                require(action.request in self.requests, f"{action}: unknown request")
                self.jobs[action.lane] = Busy(action, self.now)
            case r.Preempt() | r.Cancel():
                busy = self.jobs.get(action.lane)
                require(busy is not None and busy.action.job == action.job, f"{action}: this job does not run")
                assert busy is not None
                if isinstance(action, r.Preempt):
                    require(busy.preempted is None and busy.cancelled is None, f"{action}: it was told already")
                    require(isinstance(busy.action, r.Run), f"{action}: encoding has no joint")
                    busy.preempted = self.now
                else:
                    require(busy.cancelled is None, f"{action}: it was told already")
                    busy.cancelled = self.now
            case r.Send():
                require((action.request, action.attempt) not in self.attempts, f"{action}: sent twice")
                self.attempts[action.request, action.attempt] = [self.now, 0]
            case r.StopSending():
                self.attempts.pop((action.request, action.attempt), None)
                self.over.append((action.request, action.attempt))
            case r.Probe():
                require(not self.probes, "two probes at a time")
                self.probes[action.probe] = self.now + action.timeout_ns
            case r.Deliver():
                self._check_delivery(action)
            case r.Advise():
                stream = self.scenario.stream(action.request)
                require(action.request in self.delivered, "advice before the answer")
                require(stream.criticality is Criticality.SAFETY, "advice for what is no safety request")
            case r.Forget():
                require(action.request in self.delivered, "forgotten before it was delivered")
                works = any(busy.action.request == action.request for busy in self.jobs.values())
                require(not works, f"{action}: a lane still works for it")
                self.forgotten.add(action.request)

    # ------------------------------------------------------------------------------------------------ promises

    def _check_delivery(self, action: r.Deliver) -> None:
        require(action.request in self.requests, f"{action}: nobody asked")
        require(action.request not in self.delivered, f"{action}: delivered twice")
        self.delivered[action.request] = action
        stream, captured = self.scenario.stream(action.request), self.requests[action.request]
        late = self.now > captured + stream.deadline_ns
        own = action.source in (r.Source.LOCAL, r.Source.REMOTE)
        require(not own or (action.status is r.Status.LATE) == late, f"{action}: its status does not tell the time")
        require((action.source is r.Source.LOCAL) <= bool(action.model), f"{action}: a local answer of no model")
        kept = action.request in self.promised and not self.broken
        if kept and action.status is not r.Status.DROPPED:
            due = captured + stream.deadline_ns - MARGINS.deliver_ns
            # a safe value's timer may fire at the very moment at which a reserve that took all its bounds ends
            overtaken = action.status is r.Status.SAFE_VALUE and self.now == due - MARGINS.timer_ns
            require(own or overtaken, f"{action}: a reserve was promised and did not answer")
            require(self.now <= due, f"{action}: a reserve was promised, yet it comes {(self.now - due) / MS} ms late")
        if action.status is r.Status.SAFE_VALUE:
            require(not late, f"{action}: the safe value itself is late")

    def _check_after(self, event: r.Event) -> None:
        wake, limits = self.core.next_wakeup_ns(), self.scenario.limits
        require(wake is None or wake > self.now, f"the wake-up after {event} lies in the past")
        compared = len(self.core._audits.flights)  # answered already; they have a limit of their own
        require(compared <= limits.audits_max, "more audits than the limit")
        require(self.core.in_flight - compared <= limits.requests_in_flight_max, "more in flight than the limit")
        for link in self.core._links.values():
            require(len(link.attempts) <= limits.late_answers_kept_max, "more attempts kept than the limit")
            require(link.belief.samples.shape[0] <= limits.belief_samples_max, "more samples than the limit")
        open_requests = set(self.requests) - self.forgotten
        require(set(self.core._flights) == open_requests, "the core has lost a request, or kept one")
        if not self.broken:
            self._check_reserves(wake)

    def _check_reserves(self, wake: int | None) -> None:
        """All reserves still fit, even if nothing happens but that the timer comes as late as it may."""
        flights = [f for f in self.core._flights.values() if f.guaranteed and f.plan is not None and not f.closed]
        if not flights or not self.core.policy.uses_reserve:
            return
        acts_at = None if wake is None else max(wake, self.now) + MARGINS.timer_ns
        for lane in {flight.plan.model.lane for flight in flights if flight.plan}:
            busy = self.jobs.get(lane)
            jobs = [
                (flight.due_ns, sum(flight.plan.model.segment_bound_ns[flight.plan.first :]), flight.request)
                for flight in flights
                if flight.plan is not None and flight.plan.model.lane == lane
            ]
            require(
                any(feasible(*case) for case in self._cases(busy, jobs, acts_at)),
                f"the reserves do not fit any more: {jobs} from {acts_at}, lane {busy}",
            )

    def _cases(
        self, busy: Busy | None, jobs: list[tuple[int, int, int]], acts_at: int | None
    ) -> Iterator[tuple[list[tuple[int, int]], int]]:
        """(jobs as (due, bound), moment from which the lane is theirs) that the core can still bring about."""
        plain = [(due, bound) for due, bound, _ in jobs]
        if busy is None:
            if acts_at is not None:
                yield plain, acts_at
            return
        end = busy.started + sum(self.bounds(busy))
        reserve = any(request == busy.action.request for _, _, request in jobs) and self._is_reserve(busy)
        others = [(due, bound) for due, bound, request in jobs if not (reserve and request == busy.action.request)]
        own = [due for due, _, request in jobs if reserve and request == busy.action.request]
        if all(end <= due for due in own) and busy.cancelled is None:
            yield others, end  # it runs to its end first
        longest = max(self.bounds(busy))
        told = busy.preempted if busy.preempted is not None else acts_at
        if busy.cancelled is not None:
            yield others, min(end, busy.cancelled + MARGINS.cancel_ns)
        elif told is not None and isinstance(busy.action, r.Run):
            free = min(end, told + longest)
            yield [*others, *((due, max(0, end - free)) for due in own)], free

    def _is_reserve(self, busy: Busy) -> bool:
        flight = self.core._flights.get(busy.action.request)
        same = flight is not None and flight.plan is not None and flight.plan.model.name == busy.action.model
        return same and isinstance(busy.action, r.Run)

    def check_end(self) -> None:
        """Nothing is left to happen: everything is answered and let go."""
        require(
            set(self.delivered) == set(self.requests), f"never answered: {set(self.requests) - set(self.delivered)}"
        )
        require(self.forgotten == set(self.requests), f"never forgotten: {set(self.requests) - self.forgotten}")
        require(self.core.in_flight == 0, "something is still in flight")

    def check_time_is_monotone(self) -> None:
        """An earlier moment is refused and changes nothing."""
        before = key(self)
        try:
            self.core.step(r.TimerFired(), now_ns=self.now - 1)
        except UsageError:
            require(key(self) == before, "a refused event changed something")
            return
        raise Violation("an event from the past was accepted")

    # ------------------------------------------------------------------------------------------------ what may come

    def bounds(self, busy: Busy) -> tuple[int, ...]:
        """The bound of each part of a job."""
        action = busy.action
        if isinstance(action, r.Encode):
            crossings = (arm.crossing for arm in self.scenario.table.arms if arm.crossing is not None)
            return (next(each.encode_bound_ns for each in crossings if each.codec == action.codec),)
        return self.core.table.local(action.model).segment_bound_ns[action.first : action.last + 1]

    def choices(self) -> list[tuple[int, r.Event]]:
        """What may happen next and when; the first is what happens when nothing deviates: the latest of what must come."""
        must: list[tuple[int, int, int, r.Event]] = []  # latest moment of its kind, moment, ...
        may: list[tuple[int, r.Event]] = []
        for lane, busy in self.jobs.items():
            ends = list(self._ends(lane, busy))
            latest = max(moment for moment, _ in ends)
            must += [(latest, moment, 0, event) for moment, event in ends]
            if not self.broken and busy.cancelled is None:
                may.append((self.now, r.JobEnded(lane, busy.action.job, "broken")))
        wake = self.core.next_wakeup_ns()
        if wake is not None:
            latest = wake + MARGINS.timer_ns
            must += [(latest, latest, 1, r.TimerFired()), (latest, wake, 1, r.TimerFired())]
        for probe, timeout in self.probes.items():
            must.append((timeout, timeout, 2, r.ProbeLost(probe)))
            may.append((min(timeout, self.now + STEP_NS), r.ProbeAnswered(probe, MS, 2 * MS, 8192)))
        horizon = min((each[0] for each in must), default=self.now + 10 * STEP_NS)
        found = sorted((each for each in must if each[1] <= horizon), key=lambda each: (each[0], -each[1], each[2]))
        chosen = [(moment, event) for _, moment, _, event in found]
        chosen += [(moment, event) for moment, event in may if moment <= horizon]
        moments = sorted({self.now, min(self.now + STEP_NS, horizon), horizon})
        chosen += [(moment, event) for moment in moments for event in self._free(moment)]
        return chosen

    def _ends(self, lane: str, busy: Busy) -> Iterator[tuple[int, r.Event]]:
        """How and when this job may end: each part short or at its bound, at a joint once it was told to give way."""
        action, bounds = busy.action, self.bounds(busy)
        ends: dict[tuple[int, int], tuple[int, ...]] = {}
        for times in itertools.product(*((bound // SHORT, bound) for bound in bounds)):
            count = len(times)
            if busy.preempted is not None:
                joints = list(itertools.accumulate(times))
                count = next((n + 1 for n, at in enumerate(joints) if busy.started + at >= busy.preempted), count)
            end = busy.started + sum(times[:count])
            if end >= self.now:
                ends.setdefault((end, count), times[:count])
        if busy.cancelled is not None:
            latest = min(max(end for end, _ in ends), busy.cancelled + MARGINS.cancel_ns)
            yield latest, r.JobEnded(lane, action.job)
            yield self.now, r.JobEnded(lane, action.job)
            ends = {each: times for each, times in ends.items() if each[0] <= latest}
        for (end, count), times in ends.items():
            if isinstance(action, r.Encode):
                yield end, r.EncodeDone(lane, action.job, 9000, times[0])
            else:
                yield end, r.RunDone(lane, action.job, action.first + count - 1, times)

    def _free(self, moment: int) -> Iterator[r.Event]:
        if len(self.requests) == 1 and moment >= min(self.requests.values()) + self.scenario.second_ns:
            yield r.RequestArrived(1, self.scenario.stream(1).name, moment)
        for (request, attempt), (sent, acked) in self.attempts.items():
            if not acked:
                yield r.ChunkAcked(request, attempt, 4000)
            if moment > sent:
                yield r.AnswerArrived(request, attempt, 4000, 0, 0, MS)
                yield r.RemoteFailed(request, attempt, "reset", True)
                yield r.RemoteFailed(request, attempt, "overloaded", False)
        if not self.strangers and moment == self.now:
            for request, attempt in self.over[-1:]:
                yield r.AnswerArrived(request, attempt, 4000, 0, 0, MS)
            yield r.RunDone("cpu", 999, 0, (MS,))
            yield r.ProbeLost(999)


def require(kept: bool, words: str) -> None:
    if not kept:
        raise Violation(words)


def feasible(jobs: Sequence[tuple[int, int]], start: int) -> bool:
    """Whether some order of these (due, bound), from `start` on, meets every due moment: all orders tried."""
    for order in itertools.permutations(jobs):
        end, met = start, True
        for due, bound in order:
            end += bound
            met = met and end <= due
        if met:
            return True
    return False


# ------------------------------------------------------------------------------------------------------------ copying


_KEPT: dict[int, Any] = {}  # what never changes, by its identity: copies share it


def _kept(identity: int) -> Any:
    return _KEPT[identity]


def _share(found: Any) -> tuple[Any, tuple[int]]:
    _KEPT[id(found)] = found
    return _kept, (id(found),)


def _choosing(made: Any, beliefs: Any, beyond: Any) -> Any:
    new = copy.copy(made)
    new._beliefs, new._beyond, new._made = beliefs, beyond, None
    new._products = made._products.copy()
    return new


def _share_choosing(found: Choosing) -> tuple[Any, tuple[Any, ...]]:
    """Its tables are shared; its buffers are its own."""
    first = _FIRST.setdefault(id(found.table), found)
    return _choosing, (_Shared(first), found._beliefs, found._beyond)


_FIRST: dict[int, Any] = {}


class _Shared:
    """Stands for an object that is shared although its type is not."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def __reduce__(self) -> Any:
        return _share(self.found)


_FIXED = (
    Scenario, ArmTable, Arm, LocalModel, RunStep, CrossStep, GateStep, Stream, Limits, Margins, r.Prices, Prefers,
    BudgetSettings, *(type(by_name(name)) for name in KNOWN),
)  # fmt: skip
_TABLE = {**dict.fromkeys(_FIXED, _share), Choosing: _share_choosing}


def dumped(world: World) -> bytes:
    file = io.BytesIO()
    pickler = pickle.Pickler(file, 5)
    pickler.dispatch_table = _TABLE
    pickler.dump(world)
    return file.getvalue()


def loaded(data: bytes) -> World:
    """An independent copy; the beliefs' samples are made part of the one matrix again."""
    world = pickle.loads(data)
    assert isinstance(world, World)
    core = world.core
    core._choosing._links, core._choosing._desks = core._links, core._desks
    for place, link in enumerate(core._links.values()):
        width = len(link.belief.COLUMNS)
        link.belief.samples = core._choosing._beliefs[:, place * width : (place + 1) * width]
    return world


def key(world: World) -> int:
    return hash(dumped(world))


# ------------------------------------------------------------------------------------------------------------ walking


def begin(scenario: Scenario, path: list[tuple[int, r.Event]]) -> World:
    """The world at the arrival of its first request; `path` is given the events until then."""
    world = World(scenario, scenario.core())
    events: list[tuple[int, r.Event]] = []
    if scenario.warm:
        events = [(0, r.LinkUp("cloud")), (2 * MS, r.ProbeAnswered(1, MS, 2 * MS, 8192))]
    events.append((10 * MS, r.RequestArrived(0, scenario.stream(0).name, 10 * MS)))
    for moment, event in events:
        path.append((moment, event))
        world.apply(moment, event)
    return world


def told(scenario: Scenario, path: Sequence[tuple[int, r.Event]]) -> str:
    """The path as text that can be pasted: replay(SCENARIOS[name], [...])."""
    lines = "".join(f"    ({moment}, r.{event!r}),\n" for moment, event in path)
    return f"replay(SCENARIOS[{scenario.name!r}], [\n{lines}])"


def replay(scenario: Scenario, path: Sequence[tuple[int, r.Event]]) -> World:
    """Apply these events to a fresh core and check every promise on the way."""
    world = World(scenario, scenario.core())
    for moment, event in path:
        world.apply(moment, event)
    if not any(True for _ in world.choices()):
        world.check_end()
    return world


@dataclass
class Walk:
    """What a walk has seen. `whole`: it was not cut short by `nodes_max`."""

    scenario: Scenario
    depth: int
    deviations: int
    nodes_max: int
    nodes: int = 0
    merged: int = 0
    ends: int = 0
    whole: bool = True
    path: list[tuple[int, r.Event]] = field(default_factory=list)
    _seen: set[tuple[int, int, int]] = field(default_factory=set)

    def run(self) -> "Walk":
        """Walk it all; Violation with the path when a promise is broken."""
        try:
            self._below(begin(self.scenario, self.path), 0, self.deviations)
        except Violation as broken:
            raise Violation(f"{broken}\n{told(self.scenario, self.path)}") from broken
        return self

    def _below(self, world: World, depth: int, deviations: int) -> None:
        while True:
            choices = world.choices()
            quiet = not world.jobs and world.core.in_flight == 0 and not world.attempts
            if len(world.requests) == 2 and quiet:
                world.check_end()
                self.ends += 1
                return
            require(bool(choices), "stuck: nothing can happen, and something is not answered")
            if depth >= self.depth + DRAIN_MAX:
                raise Violation("no end: it goes on and on")
            branches = choices[1:] if depth < self.depth or deviations else []
            left = deviations if depth < self.depth else deviations - 1
            self._branch(world, branches, depth + 1, left)
            if not self._step(world, *self._default(world, choices)):
                return
            depth += 1
            if not self._new(world, depth, deviations):
                return

    def _default(self, world: World, choices: list[tuple[int, r.Event]]) -> tuple[int, r.Event]:
        """What comes when nothing deviates; a world at rest gets its second request."""
        if len(world.requests) == 1 and world.core.in_flight == 0:
            earliest = max(world.now, min(world.requests.values()) + self.scenario.second_ns)
            arrival = r.RequestArrived(1, self.scenario.stream(1).name, earliest)
            if earliest <= choices[0][0]:
                return earliest, arrival
        return choices[0]

    def _branch(self, world: World, branches: list[tuple[int, r.Event]], depth: int, deviations: int) -> None:
        if not branches:
            return
        data, length = dumped(world), len(self.path)
        for moment, event in branches:
            if self.nodes >= self.nodes_max:
                self.whole = False
                return
            other = loaded(data)
            if self._step(other, moment, event) and self._new(other, depth, deviations):
                self._below(other, depth, deviations)
            del self.path[length:]

    def _step(self, world: World, moment: int, event: r.Event) -> bool:
        self.path.append((moment, event))
        self.nodes += 1
        world.apply(moment, event)
        if self.nodes % 64 == 0:
            world.check_time_is_monotone()
        return True

    def _new(self, world: World, depth: int, deviations: int) -> bool:
        """Whether this state was not walked before with as much freedom left."""
        found = (key(world), min(depth, self.depth), deviations)
        if found in self._seen:
            self.merged += 1
            return False
        self._seen.add(found)
        return True
