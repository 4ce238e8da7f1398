"""A small world with a virtual clock around a real Core: lanes with given times, a link with a given answer time.

It holds the core to its promises after every event: each request delivered once, one job a lane, time monotone.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from hedgerow.core import Arm, ArmTable, Core, CrossStep, LocalModel, Margins, RunStep, Stream
from hedgerow.core import records as r
from hedgerow.core.policies import Policy, by_name

MS = r.MS


def local_model(
    name: str, medians_ms: tuple[float, ...], quality: float, bound_factor: float = 1.2, lane: str = "cpu"
) -> LocalModel:
    """A model whose bounds are its medians times a factor."""
    medians = tuple(int(each * MS) for each in medians_ms)
    bounds = tuple(int(each * bound_factor) for each in medians)
    tails = tuple(sum(medians[i:]) for i in range(len(medians)))
    tail_bounds = tuple(sum(bounds[i:]) for i in range(len(bounds)))
    return LocalModel(name, lane, quality, medians, bounds, tails, tail_bounds)


def small_table(small_ms: float = 30.0, big_cloud_ms: float = 15.0) -> ArmTable:
    """The demo's shape: a small model here, a big one that only the cloud can run in time, JPEG or a split to reach it."""
    small = local_model("small", (1.0, small_ms / 3, small_ms / 3, small_ms / 3), 0.8)
    big = local_model("big", (2.0, 60.0, 60.0, 60.0), 1.0)
    cloud = int(big_cloud_ms * MS)
    arms = (
        Arm("local:small", (RunStep("device", "small", 0, 3, small.tail_median_ns[0]),), 0.8),
        Arm("local:big", (RunStep("device", "big", 0, 3, big.tail_median_ns[0]),), 1.0),
        Arm(
            "cloud:big:jpeg:75",
            (CrossStep("cloud", "jpeg:75", 11_000, 2 * MS, 4 * MS), RunStep("cloud", "big", 0, 3, cloud)),
            0.97,
        ),
        Arm(
            "split:small@1:q4",
            (
                RunStep("device", "small", 0, 1, small.segment_median_ns[0] + small.segment_median_ns[1]),
                CrossStep("cloud", "q4", 4_000, MS, 2 * MS),
                RunStep("cloud", "small", 2, 3, 3 * MS),
            ),
            0.8,
        ),
    )
    return ArmTable(arms, (small, big))


@dataclass
class World:
    """Drives one Core. `answer_ns(now)` gives the time to a remote answer, or None for a link that swallows it."""

    core: Core
    answer_ns: Callable[[int], int | None] = lambda now: 40 * MS
    lane_factor: float = 1.0
    encode_ns: int = 2 * MS
    timer_late_ns: Callable[[int], int] = lambda wake: 0
    agrees: Callable[[r.Compare], bool | None] = lambda compare: True
    comparing_ns: int = MS
    now: int = 0
    queue: list[tuple[int, int, r.Event]] = field(default_factory=list)
    delivered: dict[int, tuple[int, r.Deliver]] = field(default_factory=dict)
    forgotten: set[int] = field(default_factory=set)
    arrived: dict[int, int] = field(default_factory=dict)
    records: list[r.Record] = field(default_factory=list)
    steps: list[tuple[int, r.Event, r.Outcome]] = field(default_factory=list)
    sent: list[r.Send] = field(default_factory=list)
    _order: int = 0
    _jobs: dict[str, tuple[r.Run | r.Encode, int]] = field(default_factory=dict)

    def at(self, moment: int, event: r.Event) -> None:
        self._order += 1
        heapq.heappush(self.queue, (moment, self._order, event))

    def request(self, number: int, stream: str, captured: int) -> None:
        self.arrived[number] = captured
        self.at(captured, r.RequestArrived(number, stream, captured))

    def periodic(self, stream: Stream, count: int, first: int = 0, period: int | None = None, base: int = 0) -> None:
        for index in range(count):
            self.request(base + index, stream.name, first + index * (period or stream.period_ns or 0))

    def run(self, until: int) -> None:
        while True:
            wake = self.core.next_wakeup_ns()
            if wake is not None:
                wake += self.timer_late_ns(wake)
            at = self.queue[0][0] if self.queue else None
            moment = min((m for m in (wake, at) if m is not None), default=None)
            if moment is None or moment > until:
                return
            self.now = max(self.now, moment)
            if at is not None and at <= self.now:
                event = heapq.heappop(self.queue)[2]
                if self._stale(event):
                    continue
            else:
                event = r.TimerFired()
            self._step(event)

    def _stale(self, event: r.Event) -> bool:
        if isinstance(event, r.RunDone | r.EncodeDone):
            running = self._jobs.get(event.lane)
            return running is None or running[0].job != event.job
        return False

    def _step(self, event: r.Event) -> None:
        if isinstance(event, r.RunDone | r.EncodeDone | r.JobEnded):
            del self._jobs[event.lane]
        outcome = self.core.step(event, now_ns=self.now)
        self.steps.append((self.now, event, outcome))
        self.records.extend(outcome.records)
        for action in outcome.actions:
            self._carry_out(action)

    def _carry_out(self, action: r.Action) -> None:
        match action:
            case r.Run():
                assert action.lane not in self._jobs, "two jobs on one lane"
                self._jobs[action.lane] = (action, self.now)
                model = self.core.table.local(action.model)
                times = [int(t * self.lane_factor) for t in model.segment_median_ns[action.first : action.last + 1]]
                done = r.RunDone(action.lane, action.job, action.last, tuple(times))
                self.at(self.now + sum(times), done)
            case r.Encode():
                assert action.lane not in self._jobs, "two jobs on one lane"
                self._jobs[action.lane] = (action, self.now)
                self.at(self.now + self.encode_ns, r.EncodeDone(action.lane, action.job, 11_000, self.encode_ns))
            case r.Preempt():
                self._preempt(action)
            case r.Cancel():
                self.at(self.now + 6 * MS, r.JobEnded(action.lane, action.job))
                self._jobs[action.lane] = (r.Run(action.lane, -1, -1, "", 0, 0), self.now)
            case r.Send():
                self.sent.append(action)
                passed = self.answer_ns(self.now)
                if passed is not None:
                    self.at(self.now + passed // 3, r.ChunkAcked(action.request, action.attempt, 1000))
                    answer = r.AnswerArrived(action.request, action.attempt, 4000, 0, 0, 15 * MS)
                    self.at(self.now + passed, answer)
            case r.Probe():
                passed = self.answer_ns(self.now)
                lost = passed is None or passed > action.timeout_ns
                if lost:
                    self.at(self.now + action.timeout_ns, r.ProbeLost(action.probe))
                else:
                    assert passed is not None
                    trip = passed // 2
                    self.at(self.now + passed, r.ProbeAnswered(action.probe, trip, passed, action.payload_bytes))
            case r.Deliver():
                assert action.request not in self.delivered, "delivered twice"
                self.delivered[action.request] = (self.now, action)
            case r.Forget():
                assert action.request in self.delivered, "forgotten before it was delivered"
                self.forgotten.add(action.request)
            case r.Compare():
                self.at(self.now + self.comparing_ns, r.Compared(action.request, action.model, self.agrees(action)))
            case r.StopSending() | r.Advise():
                pass

    def _preempt(self, action: r.Preempt) -> None:
        """The job ends at the next joint: its first segment whose end is not yet past."""
        run, started = self._jobs[action.lane]
        assert isinstance(run, r.Run)
        model = self.core.table.local(run.model)
        times: list[int] = []
        for segment in range(run.first, run.last + 1):
            times.append(int(model.segment_median_ns[segment] * self.lane_factor))
            if started + sum(times) >= self.now:
                self.at(started + sum(times), r.RunDone(run.lane, run.job, segment, tuple(times)))
                return

    def latency_ms(self, request: int) -> float:
        return (self.delivered[request][0] - self.arrived[request]) / MS

    def late(self, deadline_ns: int) -> list[int]:
        """Requests without an answer by their deadline."""
        return [
            number
            for number, captured in self.arrived.items()
            if number not in self.delivered
            or self.delivered[number][0] > captured + deadline_ns
            or self.delivered[number][1].source is r.Source.NONE
        ]


def world(
    *streams: Stream,
    table: ArmTable | None = None,
    policy: Policy | str = "ours",
    answer_ns: Callable[[int], int | None] = lambda now: 40 * MS,
    **settings: object,
) -> World:
    chosen = by_name(policy) if isinstance(policy, str) else policy
    margins = Margins(timer_ns=2 * MS, cancel_ns=8 * MS, deliver_ns=MS)
    core = Core(table or small_table(), policy=chosen, streams=streams, margins=margins, **settings)  # type: ignore[arg-type]
    return World(core, answer_ns=answer_ns)
