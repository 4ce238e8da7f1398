"""The real core on a virtual clock, under a certificate, in the worst world that its bounds allow.

Lanes take exactly their bounds, or anything less; timers are late by as much as they may be; encodings and cancellations
take all they may; the link dies, or stays silent to requests while it answers probes, or answers at any moment. Given
releases go in, and heat that changes the mode; for each request comes out by how much it was late. A delivery takes its
whole margin. Late is also who was promised a reserve's answer, by the mode in which it came, and got a safe value or nothing.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from hedgerow.assurance.certification.proving import Problem
from hedgerow.core import records as r
from hedgerow.core.arms import Arm, ArmTable, CrossStep, LocalModel, RunStep
from hedgerow.core.certificate import Certificate
from hedgerow.core.core import Core
from hedgerow.core.policies import by_name

LINK = "cloud"
_STEPS_MAX = 200_000


@dataclass(frozen=True, slots=True)
class Release:
    """One sample: when it was captured, and when it came to the core."""

    stream: str
    captured_ns: int
    arrived_ns: int


@dataclass(frozen=True, slots=True)
class Mood:
    """How the world behaves. `exact`: lanes take their bounds; else anything from half of them. `link`: "dead", "silent",
    "dies" (from `dies_ns` on) or "any". `seed` decides all that is left to chance, by request, so that it can be repeated."""

    exact: bool = True
    link: str = "silent"
    dies_ns: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of one request; `late_ns` is negative if it was in time. `kept`: it got an answer, if one was promised."""

    release: Release
    late_ns: int
    source: r.Source
    kept: bool

    @property
    def late(self) -> bool:
        return self.late_ns > 0 or not self.kept


def table_of(problem: Problem) -> ArmTable:
    """The arms of a certificate's inputs with their certified bounds, and medians of two thirds of these."""
    locals_ = tuple(
        LocalModel(
            each.model, each.lane, 0.7 + 0.1 * (number % 3),
            tuple(ns * 2 // 3 for ns in each.segment_ns), each.segment_ns,
            tuple(ns * 2 // 3 for ns in each.tail_ns), each.tail_ns,
        )
        for number, each in enumerate(problem.bounds)
    )  # fmt: skip
    by_name_ = {each.name: each for each in locals_}
    holds = {each.arm: each.hold_ns for each in problem.holds}
    arms = []
    for each in problem.inputs.arms:
        model, median = by_name_[each.model], by_name_[each.model].segment_median_ns
        head = RunStep("device", model.name, 0, each.last, sum(median[: each.last + 1]), each.lane)
        if each.encode is None:
            arms.append(Arm(each.name, (head,), model.quality))
            continue
        bound = holds[each.name] if each.last < 0 else min(holds[each.name], round(each.encode.max_ns * 1.2))
        cross = CrossStep(LINK, "jpeg", 10_000, bound * 2 // 3, bound, lane=each.lane)
        rest = RunStep(LINK, model.name, each.last + 1, model.last, 5 * r.MS)
        arms.append(Arm(each.name, (head, cross, rest) if each.last >= 0 else (cross, rest), 0.97))
    return ArmTable(tuple(arms), locals_)


def worst_segments(model: LocalModel, boosted: int | None = None) -> list[int]:
    """Times of a run in which everything from each joint on takes its whole bound, as far as the segments' own bounds
    allow; `boosted` takes its own bound, at the cost of those before it."""
    times = [0] * (model.last + 1)
    behind = 0
    for segment in range(model.last, -1, -1):
        room = model.tail_bound_ns[segment] - behind
        usual = model.tail_bound_ns[segment] - (model.tail_bound_ns[segment + 1] if segment < model.last else 0)
        wanted = model.segment_bound_ns[segment] if segment == boosted else min(room, model.segment_bound_ns[segment])
        times[segment] = max(0, min(wanted if boosted in (None, segment) else min(usual, wanted), room))
        behind += times[segment]
    return times


@dataclass
class World:
    """One run of one core."""

    core: Core
    mood: Mood
    now: int = 0
    modes: dict[int, str] = field(
        default_factory=dict
    )  # by request: the mode in which it came, empty if none was proven
    ended: dict[int, tuple[int, r.Deliver]] = field(default_factory=dict)
    records: list[r.Record] = field(default_factory=list)
    _events: list[tuple[int, int, r.Event]] = field(default_factory=list)
    _order: int = 0
    _running: dict[str, tuple[int, int, list[int]]] = field(
        default_factory=dict
    )  # by lane: job, start, segments' times

    def at(self, moment: int, event: r.Event) -> None:
        self._order += 1
        heapq.heappush(self._events, (moment, self._order, event))

    def run(self, until: int) -> None:
        """Go on until nothing is left to happen, or `until`."""
        for _ in range(_STEPS_MAX):
            wake = self.core.next_wakeup_ns()
            fires = None if wake is None else max(wake + self._timer_late_ns(wake), self.now)
            at = self._events[0][0] if self._events else None
            moment = min((each for each in (fires, at) if each is not None), default=None)
            if moment is None or moment > until:
                return
            self.now = max(self.now, moment)
            if at is not None and at <= self.now:
                event = heapq.heappop(self._events)[2]
                if isinstance(event, r.RunDone | r.EncodeDone | r.JobEnded):
                    running = self._running.get(event.lane)
                    if running is None or running[0] != event.job:
                        continue
                    del self._running[event.lane]
            else:
                event = r.TimerFired()
            if isinstance(event, r.RequestArrived):
                self.modes[event.request] = self.core.mode
            outcome = self.core.step(event, now_ns=self.now)
            self.records.extend(outcome.records)
            for action in outcome.actions:
                self._carry_out(action)

    def _random(self, *what: object) -> Random:
        return Random(f"{self.mood.seed}:{what}")

    def _timer_late_ns(self, wake: int) -> int:
        latest = self.core.margins.timer_ns
        return latest if self.mood.exact else self._random("timer", wake).randint(0, latest)

    def _times(self, request: int, name: str) -> list[int]:
        model, random = self.core.table.local(name), self._random(request, name)
        times = worst_segments(model, random.choice((None, random.randint(0, model.last))))
        return times if self.mood.exact else [random.randint(each // 2, each) for each in times]

    def _carry_out(self, action: r.Action) -> None:
        match action:
            case r.Run():
                times = self._times(action.request, action.model)[action.first : action.last + 1]
                self._start(action.lane, action.job, times)
                self.at(self.now + sum(times), r.RunDone(action.lane, action.job, action.last, tuple(times)))
                self._firsts[action.job, action.lane] = action.first
            case r.Encode():
                bound = self._encode_ns(action)
                self._start(action.lane, action.job, [bound])
                self.at(self.now + bound, r.EncodeDone(action.lane, action.job, 10_000, bound))
            case r.Preempt():
                job, start, times = self._running[action.lane]
                for last in range(len(times)):
                    if start + sum(times[: last + 1]) >= self.now:
                        first = self._firsts[job, action.lane]
                        done = r.RunDone(action.lane, job, first + last, tuple(times[: last + 1]))
                        self.at(start + sum(times[: last + 1]), done)
                        return
            case r.Cancel():
                job, start, times = self._running[action.lane]
                ends = [start + sum(times[: count + 1]) for count in range(len(times))]
                end = min((end for end in ends if end >= self.now), default=self.now)
                self._running[action.lane] = (-job, start, times)
                self.at(min(end, self.now + self.core.margins.cancel_ns), r.JobEnded(action.lane, job))
                self._running[action.lane] = (job, start, times)
                self._cancelled.add((job, action.lane))
            case r.Send():
                self._send(action)
            case r.Probe():
                self._probe(action)
            case r.Deliver():
                assert action.request not in self.ended, "delivered twice"
                self.ended[action.request] = (self.now, action)
            case r.StopSending() | r.Advise() | r.Forget():
                pass

    _firsts: dict[tuple[int, str], int] = field(default_factory=dict)
    _cancelled: set[tuple[int, str]] = field(default_factory=set)

    def _start(self, lane: str, job: int, times: list[int]) -> None:
        assert lane not in self._running, "two jobs on one lane"
        self._running[lane] = (job, self.now, times)

    def _encode_ns(self, action: r.Encode) -> int:
        bounds = [
            step.encode_bound_ns
            for arm in self.core.table.arms
            for place, step in enumerate(arm.steps)
            if isinstance(step, CrossStep) and arm.sends(place) == (action.model, action.joint)
        ]
        bound = min(bounds)
        return bound if self.mood.exact else self._random("encode", action.request).randint(bound // 2, bound)

    @property
    def _alive(self) -> bool:
        return self.mood.link in ("silent", "any") or (self.mood.link == "dies" and self.now < self.mood.dies_ns)

    def _send(self, action: r.Send) -> None:
        random = self._random("answer", action.request, action.attempt)
        silent = not self._alive or self.mood.link == "silent" or (self.mood.link == "any" and random.random() < 0.4)
        if not silent:
            passed = random.randint(r.MS, 200 * r.MS)
            if self.mood.link != "dies" or self.now + passed < self.mood.dies_ns:
                self.at(self.now + passed, r.AnswerArrived(action.request, action.attempt, 4000, 0, 0, passed // 3))

    def _probe(self, action: r.Probe) -> None:
        if self._alive:
            self.at(self.now + 10 * r.MS, r.ProbeAnswered(action.probe, 5 * r.MS, 10 * r.MS, action.payload_bytes))
        else:
            self.at(self.now + action.timeout_ns, r.ProbeLost(action.probe))


def play_core(
    problem: Problem,
    certificate: Certificate | None,
    releases: Sequence[Release],
    mood: Mood,
    policy: str = "ours",
    heat: Sequence[tuple[int, float]] = (),
) -> tuple[list[Ended], World]:
    """What comes of each release, in their order, under the certificate; and the world in which it happened.

    `heat`: moments (ns) with the degrees Celsius that are told then, before whatever else comes at that moment.
    """
    margins = r.Margins(problem.margins.timer_ns, problem.margins.cancel_ns, problem.margins.deliver_ns)
    core = Core(table_of(problem), policy=by_name(policy), margins=margins, certificate=certificate)
    world = World(core, mood)
    world.at(0, r.LinkUp(LINK))
    for moment, celsius in heat:
        world.at(moment, r.Temperature(celsius))
    declared = {each.name: each for each in problem.declared.streams}
    ordered = sorted(range(len(releases)), key=lambda each: releases[each].arrived_ns)
    for number, which in enumerate(ordered):
        release = releases[which]
        world.at(release.arrived_ns, r.RequestArrived(number, release.stream, release.captured_ns))
    last = max((each.captured_ns + declared[each.stream].deadline_ns for each in releases), default=0)
    world.run(last + 10 * r.SECOND)
    ended: dict[int, Ended] = {}
    for number, which in enumerate(ordered):
        ended[which] = _ended(world, problem, certificate, releases[which], number)
    return [ended[which] for which in range(len(releases))], world


def _ended(world: World, problem: Problem, certificate: Certificate | None, release: Release, number: int) -> Ended:
    stream = next(each for each in problem.declared.streams if each.name == release.stream)
    moment, deliver = world.ended.get(number, (world.now, None))
    late_ns = moment + problem.margins.deliver_ns - release.captured_ns - stream.deadline_ns
    if not stream.reserved:  # nothing is promised to it
        return Ended(release, min(0, late_ns), deliver.source if deliver else r.Source.NONE, kept=True)
    if deliver is None:
        return Ended(release, max(1, late_ns), r.Source.NONE, kept=False)
    answered = deliver.source in (r.Source.LOCAL, r.Source.REMOTE, r.Source.REUSED)
    if certificate is None:
        return Ended(release, late_ns, deliver.source, kept=answered)
    came_in = next((each for each in certificate.modes if each.name == world.modes[number]), certificate.modes[0])
    allowance = came_in.allowance(stream.name)
    left_out = allowance.keep_every > 1 and deliver.reason is r.Reason.LOWER_RATE
    return Ended(release, late_ns, deliver.source, kept=answered or left_out or not allowance.reserves)
