"""Random worlds for the core: streams, phases, lane times and link moods drawn by hypothesis, replayable for a twin.

Everything random is decided before the core runs, as a function of request, segment or moment, so that two policies meet
the very same world.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import assume
from hypothesis import strategies as st

from hedgerow.core import Arm, ArmTable, Core, Criticality, CrossStep, Margins, RunStep, Stream
from hedgerow.core import records as r
from hedgerow.core.lanes import Forecast, sustainable
from hedgerow.core.policies import by_name
from tests.core.world import MS, World, local_model

MARGINS = Margins(timer_ns=2 * MS, cancel_ns=8 * MS, deliver_ns=MS)
BOUND_FACTOR = 1.3
ENCODE_NS = 2 * MS


@dataclass(frozen=True, slots=True)
class Scene:
    """One drawn world. `arrivals`: (moment, stream index), each stream's no closer than its period; times in ns."""

    streams: tuple[Stream, ...]
    arrivals: tuple[tuple[int, int], ...]
    small_ms: tuple[float, ...]
    big_ms: tuple[float, ...]
    lane_seed: int
    answers: tuple[tuple[int, int | None], ...]
    timer_late_ns: int

    def lane_ns(self, request: int, model: str, segment: int, median_ns: int) -> int:
        """Between 0.6 of the median and the bound, never beyond it."""
        mixed = (request * 7919 + segment * 104_729 + len(model) * 1_299_709 + self.lane_seed * 15_485_863) % 1000
        return int(median_ns * (0.6 + (BOUND_FACTOR - 0.6) * mixed / 1000))

    def answer_ns(self, now: int) -> int | None:
        """The link's answer time at this moment: the mood that began last."""
        mood = self.answers[0][1]
        for since, answer in self.answers:
            if since <= now:
                mood = answer
        return mood

    @property
    def table(self) -> ArmTable:
        small = local_model("small", self.small_ms, 0.8, BOUND_FACTOR)
        big = local_model("big", self.big_ms, 1.0, BOUND_FACTOR)
        middle = len(self.small_ms) // 2
        arms = [
            Arm("local:small", (RunStep("device", "small", 0, small.last, small.tail_median_ns[0]),), 0.8),
            Arm("local:big", (RunStep("device", "big", 0, big.last, big.tail_median_ns[0]),), 1.0),
            Arm(
                "cloud:big:jpeg:75",
                (
                    CrossStep("cloud", "jpeg:75", 11_000, ENCODE_NS, 2 * ENCODE_NS),
                    RunStep("cloud", "big", 0, big.last, MS),
                ),
                0.97,
            ),
        ]
        if middle < small.last:
            head = sum(small.segment_median_ns[: middle + 1])
            cross = CrossStep("cloud", "q4", 4_000, ENCODE_NS, 2 * ENCODE_NS)
            rest = RunStep("cloud", "small", middle + 1, small.last, MS)
            arms.append(Arm("split:small:q4", (RunStep("device", "small", 0, middle, head), cross, rest), 0.9))
        return ArmTable(tuple(arms), (small, big))

    @property
    def sustainable(self) -> bool:
        """Whether the lane could carry all streams at once, each at its least distance, by its bounds."""
        table = self.table
        bound = min(model.tail_bound_ns[0] for model in table.locals)
        longest = max(model.segment_longest_ns() for model in table.locals)
        reserved = [s for s in self.streams if s.criticality is not Criticality.BACKGROUND]
        each = [Forecast(0, s.period_ns or 0, s.deadline_ns - MARGINS.deliver_ns, bound) for s in reserved]
        return sustainable(each, blocking_ns=longest + MARGINS.timer_ns)


@dataclass
class RandomWorld(World):
    """A World whose lane times, cancellations and timers follow a Scene; it checks the core after every event."""

    scene: Scene | None = None

    def run(self, until: int) -> None:
        assert self.scene is not None
        while True:
            wake = self.core.next_wakeup_ns()
            at = self.queue[0][0] if self.queue else None
            fires = None if wake is None else max(wake, self.now) + self.scene.timer_late_ns
            moment = min((m for m in (fires, at) if m is not None), default=None)
            if moment is None or moment > until:
                return
            self.now = max(self.now, moment)
            if at is not None and at <= self.now:
                event = self.pop()
                if event is None:
                    continue
            else:
                event = r.TimerFired()
            self._step(event)
            after = self.core.next_wakeup_ns()
            assert after is None or after > self.now, f"wake-up in the past after {event}"

    def pop(self) -> r.Event | None:
        event = heapq.heappop(self.queue)[2]
        return None if self._stale(event) else event

    def _times(self, run: r.Run) -> list[int]:
        assert self.scene is not None
        medians = self.core.table.local(run.model).segment_median_ns
        return [
            self.scene.lane_ns(run.request, run.model, segment, medians[segment])
            for segment in range(run.first, run.last + 1)
        ]

    def _carry_out(self, action: r.Action) -> None:
        match action:
            case r.Run():
                assert action.lane not in self._jobs, "two jobs on one lane"
                self._jobs[action.lane] = (action, self.now)
                times = self._times(action)
                self.at(self.now + sum(times), r.RunDone(action.lane, action.job, action.last, tuple(times)))
            case r.Preempt():
                run, started = self._jobs[action.lane]
                assert isinstance(run, r.Run)
                assert run.job == action.job, "preempts what does not run"
                times = self._times(run)
                for last in range(len(times)):
                    if started + sum(times[: last + 1]) >= self.now:
                        done = r.RunDone(run.lane, run.job, run.first + last, tuple(times[: last + 1]))
                        self.at(started + sum(times[: last + 1]), done)
                        return
            case r.Cancel():
                job, started = self._jobs[action.lane]
                assert job.job == action.job, "cancels what does not run"
                ends = [started + ENCODE_NS]
                if isinstance(job, r.Run):
                    times = self._times(job)
                    ends = [started + sum(times[: count + 1]) for count in range(len(times))]
                end = min((end for end in ends if end >= self.now), default=self.now)
                self.at(min(end, self.now + MARGINS.cancel_ns), r.JobEnded(action.lane, action.job))
                self._jobs[action.lane] = (r.Run(action.lane, -1, -1, "", 0, 0), started)
            case _:
                super()._carry_out(action)


def play(scene: Scene, policy: str = "ours", *, agrees: bool = True, **settings: object) -> RandomWorld:
    """The scene under one policy, to its end. `agrees`: what each comparison of an audit finds."""
    core = Core(scene.table, policy=by_name(policy), margins=MARGINS, **settings)  # type: ignore[arg-type]
    world = RandomWorld(core, answer_ns=scene.answer_ns, scene=scene, agrees=lambda compare: agrees)
    for stream in scene.streams:
        world.at(0, r.StreamOpened(stream))
    for number, (moment, which) in enumerate(scene.arrivals):
        world.request(number, scene.streams[which].name, moment)
    world.run(600_000 * MS)
    return world


def in_time(scene: Scene, world: World, request: int) -> bool:
    """Whether the request had its own or a remote answer by its deadline."""
    captured, stream = scene.arrivals[request]
    moment, deliver = world.delivered[request]
    return deliver.source is not r.Source.NONE and moment <= captured + scene.streams[stream].deadline_ns


@st.composite
def scenes(
    draw: Callable[..., object],
    *,
    criticalities: tuple[Criticality, ...] = (Criticality.SAFETY, Criticality.MISSION),
    sustainable_only: bool = False,
) -> Scene:
    """One to three streams over about two seconds, moods of the link in between."""

    def number(low: int, high: int) -> int:
        value = draw(st.integers(low, high))
        assert isinstance(value, int)
        return value

    segments = number(1, 5)
    small = (float(number(0, 3)), *(float(number(1, 15)) for _ in range(segments)))
    big = (float(number(0, 3)), *(float(number(10, 60)) for _ in range(number(1, 4))))
    streams: list[Stream] = []
    arrivals: list[tuple[int, int]] = []
    for index in range(number(1, 3)):
        period = number(30, 250)
        deadline = number(30, 300)
        kind = draw(st.sampled_from(criticalities))
        assert isinstance(kind, Criticality)
        stream = Stream(f"s{index}", deadline * MS, kind, period_ns=period * MS, expiry_ns=1000 * MS)
        streams.append(stream)
        moment = number(0, 120) * MS
        jitter = number(0, 1)
        for _ in range(number(1, 12)):
            arrivals.append((moment, index))
            moment += period * MS + (jitter * number(0, 60) * MS)
    moods: list[tuple[int, int | None]] = [(0, draw(st.sampled_from([None, 5 * MS, 20 * MS, 40 * MS, 90 * MS])))]  # type: ignore[list-item]
    for _ in range(number(0, 4)):
        mood = draw(st.sampled_from([None, 5 * MS, 20 * MS, 40 * MS, 90 * MS, 250 * MS, 900 * MS]))
        moods.append((number(0, 2500) * MS, mood))  # type: ignore[arg-type]
    moods.sort(key=lambda each: each[0])
    late = number(0, 2) * MS
    scene = Scene(tuple(streams), tuple(sorted(arrivals)), small, big, number(0, 9), tuple(moods), late)
    if sustainable_only:
        assume(scene.sustainable)
    return scene
