"""A small virtual world around one real Core, in which `check_policy` tries a policy: a lane, a link, no clock.

A link of four moods, each lasting some requests: quick, slow, dead and back. Every time is a function of request or moment,
so two runs meet the same world. Times stay within their bounds: what is late here, the policy made late.
"""

import heapq
from dataclasses import dataclass, field

from hedgerow.core import records as r
from hedgerow.core.core import Core
from hedgerow.core.records import MS
from hedgerow.errors import UsageError

PERIOD_NS, DEADLINE_NS = 100 * MS, 150 * MS
MARGINS = r.Margins(timer_ns=MS, cancel_ns=4 * MS, deliver_ns=MS)
STREAM = r.Stream("checked", DEADLINE_NS, period_ns=PERIOD_NS)
_MOODS: tuple[int | None, ...] = (30 * MS, 90 * MS, None, 45 * MS)  # until the answer is back
_MOOD_NS = 2_500 * MS


def answer_ns(now_ns: int) -> int | None:
    """How long an answer takes that is asked for now; None: it never comes."""
    mood = _MOODS[now_ns // _MOOD_NS % len(_MOODS)]
    return None if mood is None else mood + now_ns // MS * 7919 % 17 * MS


def share(now_ns: int) -> float:
    """What lane work takes, as a share of its median: 0.8 to 1.2, never past the bounds of `examples`."""
    return 0.8 + (now_ns // MS * 104_729 % 41) / 100


@dataclass
class CheckingWorld:
    """`run` plays the requests; `answers[request]` is (moment, how it was delivered); `outcomes` all that the core said."""

    core: Core
    requests: int
    now_ns: int = 0
    answers: dict[int, tuple[int, r.Deliver]] = field(default_factory=dict)
    outcomes: list[r.Outcome] = field(default_factory=list)
    _queue: list[tuple[int, int, r.Event]] = field(default_factory=list)
    _order: int = 0
    _jobs: dict[str, tuple[r.Run | r.Encode, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._at(0, r.LinkUp("cloud"))
        for request in range(self.requests):
            moment = self.captured_ns(request)
            self._at(moment, r.RequestArrived(request, STREAM.name, moment))

    @staticmethod
    def captured_ns(request: int) -> int:
        """The camera's jitter is part of its period."""
        return request * (PERIOD_NS + 7 * MS) + request * 31 % 7 * MS

    def run(self) -> None:
        """Go on to the end."""
        end_ns = self.captured_ns(self.requests) + 5_000 * MS
        while True:
            wake, first = self.core.next_wakeup_ns(), self._queue[0][0] if self._queue else None
            moment = min((each for each in (wake, first) if each is not None), default=None)
            if moment is None or moment > end_ns:
                return
            self.now_ns = max(self.now_ns, moment)
            self._step(heapq.heappop(self._queue)[2] if first is not None and first <= moment else r.TimerFired())

    def _at(self, moment: int, event: r.Event) -> None:
        self._order += 1
        heapq.heappush(self._queue, (moment, self._order, event))

    def _step(self, event: r.Event) -> None:
        if isinstance(event, r.RunDone | r.EncodeDone | r.JobEnded):
            running = self._jobs.get(event.lane)
            if running is None or running[0].job != event.job:
                return  # it was preempted or cancelled before
            del self._jobs[event.lane]
        outcome = self.core.step(event, now_ns=self.now_ns)
        self.outcomes.append(outcome)
        for action in outcome.actions:
            self._carry_out(action)

    def _carry_out(self, action: r.Action) -> None:
        now = self.now_ns
        match action:
            case r.Run():
                self._start(action, now)
                times = self._times(action, now)
                self._at(now + sum(times), r.RunDone(action.lane, action.job, action.last, times, 0.75))
            case r.Encode():
                self._start(action, now)
                self._at(now + MS, r.EncodeDone(action.lane, action.job, 11_000, MS))
            case r.Preempt():
                self._preempt(action)
            case r.Cancel():
                self._at(now + 3 * MS, r.JobEnded(action.lane, action.job))
            case r.Send():
                passed = answer_ns(now)
                if passed is not None:
                    self._at(now + passed // 3, r.ChunkAcked(action.request, action.attempt, 1000))
                    self._at(now + passed, r.AnswerArrived(action.request, action.attempt, 4000, 0, 0, 12 * MS))
            case r.Probe():
                passed = answer_ns(now)
                size = action.payload_bytes
                answered = passed is not None and r.ProbeAnswered(action.probe, passed // 2, passed, size)
                self._at(now + (passed or action.timeout_ns), answered or r.ProbeLost(action.probe))
            case r.Deliver():
                if action.request in self.answers:
                    raise UsageError(f"request {action.request} was answered twice")
                self.answers[action.request] = (now, action)
            case r.Compare():
                self._at(now + MS, r.Compared(action.request, action.model, agrees=True))
            case r.StopSending() | r.Advise() | r.Forget():
                pass

    def _start(self, action: r.Run | r.Encode, now: int) -> None:
        if action.lane in self._jobs:
            raise UsageError(f"two jobs on lane '{action.lane}' at once")
        self._jobs[action.lane] = (action, now)

    def _times(self, run: r.Run, since: int) -> tuple[int, ...]:
        medians = self.core.table.local(run.model).segment_median_ns[run.first : run.last + 1]
        return tuple(int(each * share(since)) for each in medians)

    def _preempt(self, action: r.Preempt) -> None:
        """It ends at its next joint instead of at its end."""
        run, since = self._jobs[action.lane]
        if not isinstance(run, r.Run):
            return
        times = self._times(run, since)
        ends = [since + sum(times[: count + 1]) for count in range(len(times))]
        place = next((place for place, end in enumerate(ends) if end >= self.now_ns), len(ends) - 1)
        done = r.RunDone(run.lane, run.job, run.first + place, times[: place + 1], 0.75)
        self._at(max(self.now_ns, ends[place]), done)
