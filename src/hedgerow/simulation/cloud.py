"""The cloud as a queue: replicas that compute, what waits for them, who is refused, and what becomes of it all in a crash.

Rules it keeps, the first four as the real server (`hedgerow.cloud`) does by default:

1. A request is refused when it comes whole: "too_late" when its expected computation exceeds its time left, "overloaded" when it
   does so behind what is due before it, or when `queue_length_max` wait already.
2. Earliest deadline first among those that wait (FIFO on request); a lane that is free takes the next at once.
3. One whose time is up when its turn comes ends "too_late"; one that runs out of time or is cancelled while it runs ends
   before its next segment.
4. One lane (`replicas` 1), no batches. Beyond that: batches of one kind up to `batch_max`, for which a free lane waits until the
   oldest has waited `batch_wait_ns`; replicas that come `start_ns` after they are wanted and go after `idle_ns` without work.
5. A crash ends whatever is inside with "link" (its connection is reset), and refuses likewise until the restart is over.
6. Each request has exactly one answer. Nothing is random: times of decoding and computing are given with the request.

Like the core it has one timer: `advance` at `next_ns`, and after every call collect the answers that are due.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from hedgerow.core.records import SECOND
from hedgerow.errors import UsageError

OVERLOADED, TOO_LATE, CANCELLED, LINK = "overloaded", "too_late", "cancelled", "link"
_FAR_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """How the server is set up; the defaults are those of `hedgerow serve`. Lengths in ns.

    `batch_share`: what each further item of a batch adds, as a share of the longest one's computation (1: batching gains
    nothing, 0: the others are free). `scale_up_queue`: requests waiting per replica (running or starting) beyond which one
    more is started. `replicas_max` above `replicas` turns scaling on.
    """

    replicas: int = 1
    replicas_max: int = 0
    order: str = "deadline"
    queue_length_max: int = 64
    checks_time: bool = True
    batch_max: int = 1
    batch_wait_ns: int = 0
    batch_share: float = 1.0
    start_ns: int = 8 * SECOND
    idle_ns: int = 60 * SECOND
    scale_up_queue: int = 4
    is_cold: bool = False

    def __post_init__(self) -> None:
        if self.order not in ("deadline", "arrival"):
            raise UsageError(f"a cloud's order is '{self.order}': give deadline or arrival")
        if self.replicas < 0 or max(self.replicas, self.replicas_max) < 1:
            raise UsageError("a cloud needs at least one replica, or scaling (replicas_max 1 or more)")
        if self.batch_max < 1 or self.batch_wait_ns < 0 or not 0 <= self.batch_share <= 1:
            raise UsageError("a cloud's batch holds at least 1, waits 0 ns or more, and has a share of 0 to 1")
        if self.queue_length_max < 0 or self.start_ns < 0 or self.idle_ns < 0 or self.scale_up_queue < 1:
            raise UsageError("a cloud's queue, start and idle times are 0 or more, and its scaling step 1 or more")


@dataclass(frozen=True, slots=True)
class CloudRequest:
    """What comes whole. `deadline_ns` is the moment at which its time is up (None: never); `segments_ns` what each segment will
    take; `expected_ns` what the server expects of them; requests of one `kind` can share a batch."""

    key: object
    deadline_ns: int | None
    decode_ns: int
    segments_ns: tuple[int, ...]
    expected_ns: int = 0
    kind: str = ""


@dataclass(frozen=True, slots=True)
class CloudAnswer:
    """What became of it at `done_ns`; `fault` is the wire's word for it, empty for an answer."""

    key: object
    done_ns: int
    queue_ns: int = 0
    decode_ns: int = 0
    compute_ns: int = 0
    batch: int = 1
    fault: str = ""


@dataclass(slots=True)
class _Waiting:
    request: CloudRequest
    came_ns: int
    dropped: bool = False


@dataclass(slots=True)
class _Batch:
    """What one lane runs: when it will be done, and each item's answer."""

    items: list[_Waiting]
    started_ns: int
    done_ns: int
    answers: list[CloudAnswer]
    expected_ns: int


class Cloud:
    """One server. All times are moments in ns that never run back from one call to the next."""

    def __init__(self, settings: CloudSettings | None = None, *, now_ns: int = 0) -> None:
        self.settings = settings or CloudSettings()
        self._replicas_max = max(self.settings.replicas, self.settings.replicas_max)
        self._queue: list[tuple[int, int, _Waiting]] = []
        self._waiting: dict[object, _Waiting] = {}
        self._number = 0
        self._running: list[tuple[int, int, _Batch]] = []
        self._starting: list[int] = [now_ns + self.settings.start_ns] * (
            self.settings.replicas if self.settings.is_cold else 0
        )
        self.replicas_ready = 0 if self.settings.is_cold else self.settings.replicas
        self._idle_since_ns = now_ns
        self._down_until_ns = -1
        self._answers: list[CloudAnswer] = []
        self._batch_due_ns = _FAR_NS
        self._next_ns: int | None = self._starting[0] if self._starting else None
        self.busy_ns = 0
        self.crashes = 0

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def computing(self) -> int:
        """Requests on a lane."""
        return sum(len(batch.items) for _, _, batch in self._running)

    def busy_until_ns(self, now_ns: int) -> int:
        """Computing time of all replicas up to `now_ns` together, what runs included."""
        return self.busy_ns + sum(min(now_ns, batch.done_ns) - batch.started_ns for _, _, batch in self._running)

    def submit(self, request: CloudRequest, *, now_ns: int) -> list[CloudAnswer]:
        """Take a request whose last byte came at `now_ns`; returns all answers due by now, a refusal of it included."""
        found = self.advance(now_ns)
        self._scale_down(now_ns)
        fault = self._refusal(request, now_ns)
        if fault:
            found.append(CloudAnswer(request.key, now_ns, fault=fault))
            return found
        waiting = _Waiting(request, now_ns)
        self._number += 1
        first = request.deadline_ns if self.settings.order == "deadline" else None
        heapq.heappush(self._queue, (_FAR_NS if first is None else first, self._number, waiting))
        self._waiting[request.key] = waiting
        self._scale_up(now_ns)
        self._dispatch(now_ns)
        return found + self._collect()

    def advance(self, now_ns: int) -> list[CloudAnswer]:
        """Do what is due up to `now_ns`; returns the answers given since the last call, in order of time."""
        while self._next_ns is not None and self._next_ns <= now_ns:
            moment = self._next_ns
            while self._running and self._running[0][0] <= moment:
                self._finish(heapq.heappop(self._running)[2])
            while self._starting and self._starting[0] <= moment:
                heapq.heappop(self._starting)
                self.replicas_ready += 1
            self._dispatch(moment)
        return self._collect()

    def next_ns(self) -> int | None:
        """The moment at which `advance` must be called, or None: nothing happens before the next request."""
        return self._next_ns

    def expected_wait_ns(self, deadline_ns: int | None, *, now_ns: int) -> int:
        """How long a request of that deadline would wait, going by the expected times of those before it."""
        if self.replicas_ready > len(self._running) + len(self._waiting):
            return 0
        mine = _FAR_NS if deadline_ns is None or self.settings.order == "arrival" else deadline_ns
        before = sum(each.request.expected_ns for due, _, each in self._queue if due <= mine and not each.dropped)
        for _, _, batch in self._running:
            before += max(batch.expected_ns - (now_ns - batch.started_ns), 0)
        if self.replicas_ready:
            return before // self.replicas_ready
        return before + (max(self._starting[0] - now_ns, 0) if self._starting else self.settings.start_ns)

    def cancel(self, key: object, *, now_ns: int) -> list[CloudAnswer]:
        """The client gave up: out of the queue at once, or before its next segment. An unknown key does nothing."""
        found = self.advance(now_ns)
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.dropped = True
            found.append(CloudAnswer(key, now_ns, now_ns - waiting.came_ns, fault=CANCELLED))
        for place, (_, number, batch) in enumerate(self._running):
            if len(batch.items) == 1 and batch.items[0].request.key == key:
                self._running[place] = self._stopped(number, batch, now_ns)
                heapq.heapify(self._running)
                break
        self._plan()
        return found

    def crash(self, now_ns: int, *, down_ns: int) -> list[CloudAnswer]:
        """All that is inside is lost; nobody is served until `down_ns` later, when the replicas are back (warm)."""
        found = self.advance(now_ns)
        lost = [each for _, _, batch in self._running for each in batch.items]
        lost += [each for _, _, each in sorted(self._queue, key=lambda entry: entry[1]) if not each.dropped]
        for _, _, batch in self._running:
            self.busy_ns += now_ns - batch.started_ns
        found += [CloudAnswer(each.request.key, now_ns, fault=LINK) for each in lost]
        self._queue.clear()
        self._waiting.clear()
        self._running.clear()
        self._starting.clear()
        self._batch_due_ns = _FAR_NS
        self.replicas_ready = self.settings.replicas
        self._idle_since_ns = self._down_until_ns = max(now_ns + down_ns, self._down_until_ns)
        self._next_ns = None
        self.crashes += 1
        return found

    def _refusal(self, request: CloudRequest, now_ns: int) -> str:
        if now_ns < self._down_until_ns:
            return LINK
        if self.settings.checks_time and request.deadline_ns is not None:
            left_ns = request.deadline_ns - now_ns
            if left_ns <= 0 or request.expected_ns > left_ns:
                return TOO_LATE
            if self.expected_wait_ns(request.deadline_ns, now_ns=now_ns) + request.expected_ns > left_ns:
                self._scale_up(now_ns, refused=True)
                return OVERLOADED
        return OVERLOADED if len(self._waiting) >= self.settings.queue_length_max else ""

    def _collect(self) -> list[CloudAnswer]:
        found, self._answers = self._answers, []
        return found

    def _finish(self, batch: _Batch) -> None:
        self._answers += batch.answers
        self.busy_ns += batch.done_ns - batch.started_ns
        self._idle_since_ns = batch.done_ns

    def _scale_up(self, now_ns: int, *, refused: bool = False) -> None:
        """One more replica when those that wait (or are refused for want of time) are too many for those there are."""
        coming = self.replicas_ready + len(self._starting)
        wanted = refused or coming == 0 or len(self._waiting) > self.settings.scale_up_queue * coming
        if wanted and coming < self._replicas_max:
            heapq.heappush(self._starting, now_ns + self.settings.start_ns)
            self._plan()

    def _scale_down(self, now_ns: int) -> None:
        """After long enough without any work all replicas beyond the standing ones have gone."""
        if not self._running and not self._waiting and now_ns - self._idle_since_ns >= self.settings.idle_ns:
            self.replicas_ready = min(self.replicas_ready, self.settings.replicas)

    def _dispatch(self, now_ns: int) -> None:
        """Give every free lane its next batch, if one is ready to go."""
        self._batch_due_ns = _FAR_NS
        while self._waiting and len(self._running) < self.replicas_ready:
            items = self._next_batch(now_ns)
            if not items:
                break
            for each in items:
                del self._waiting[each.request.key]
            batch = self._start(items, now_ns)
            if batch is not None:
                self._number += 1
                heapq.heappush(self._running, (batch.done_ns, self._number, batch))
        self._plan()

    def _next_batch(self, now_ns: int) -> list[_Waiting]:
        """The first that waits and those of its kind behind it; nothing while more may still come in time."""
        while self._queue and self._queue[0][2].dropped:
            heapq.heappop(self._queue)
        if self.settings.batch_max == 1:
            return [heapq.heappop(self._queue)[2]]
        head = self._queue[0][2]
        alike = sorted(entry for entry in self._queue if entry[2].request.kind == head.request.kind)
        chosen = [entry for entry in alike if not entry[2].dropped][: self.settings.batch_max]
        oldest_ns = min(each.came_ns for _, _, each in chosen)
        if len(chosen) < self.settings.batch_max and now_ns - oldest_ns < self.settings.batch_wait_ns:
            self._batch_due_ns = oldest_ns + self.settings.batch_wait_ns
            return []
        taken = {number for _, number, _ in chosen}
        self._queue = [entry for entry in self._queue if entry[1] not in taken]
        heapq.heapify(self._queue)
        return [each for _, _, each in chosen]

    def _start(self, items: list[_Waiting], now_ns: int) -> _Batch | None:
        """Run them together: decoded one by one, computed at once; None when nobody's time is left."""
        wanted = []
        for each in items:
            if each.request.deadline_ns is not None and now_ns >= each.request.deadline_ns:
                self._answers.append(CloudAnswer(each.request.key, now_ns, now_ns - each.came_ns, fault=TOO_LATE))
            else:
                wanted.append(each)
        if not wanted:
            return None
        if len(wanted) == 1:
            return self._alone(wanted[0], now_ns)
        decode_ns = sum(each.request.decode_ns for each in wanted)
        longest_ns = max(sum(each.request.segments_ns) for each in wanted)
        compute_ns = round(longest_ns * (1 + self.settings.batch_share * (len(wanted) - 1)))
        done_ns = now_ns + decode_ns + compute_ns
        answers = [
            CloudAnswer(each.request.key, done_ns, now_ns - each.came_ns, decode_ns, compute_ns, len(wanted))
            for each in wanted
        ]
        return _Batch(wanted, now_ns, done_ns, answers, max(each.request.expected_ns for each in wanted))

    def _alone(self, item: _Waiting, now_ns: int) -> _Batch:
        """Segment by segment, while its time is not up."""
        request, queue_ns = item.request, now_ns - item.came_ns
        compute_ns = sum(request.segments_ns)
        done_ns, fault = now_ns + request.decode_ns + compute_ns, ""
        joint_ns = done_ns - request.segments_ns[-1]  # the last moment at which it is asked
        if len(request.segments_ns) > 1 and request.deadline_ns is not None and joint_ns >= request.deadline_ns:
            done_ns, fault = stop_ns(now_ns + request.decode_ns, request.segments_ns, request.deadline_ns), TOO_LATE
        answer = CloudAnswer(request.key, done_ns, queue_ns, request.decode_ns, compute_ns, 1, fault)
        return _Batch([item], now_ns, done_ns, [answer], request.expected_ns)

    def _stopped(self, number: int, batch: _Batch, now_ns: int) -> tuple[int, int, _Batch]:
        """The batch as it ends when its only item is cancelled now: before the next segment, or answered if none is left."""
        request = batch.items[0].request
        done_ns = min(stop_ns(batch.started_ns + request.decode_ns, request.segments_ns, now_ns), batch.done_ns)
        if done_ns < batch.done_ns:
            batch.done_ns = done_ns
            batch.answers = [CloudAnswer(request.key, done_ns, batch.answers[0].queue_ns, fault=CANCELLED)]
        return batch.done_ns, number, batch

    def _plan(self) -> None:
        """Set the moment at which something happens by itself."""
        moment = min(self._running[0][0] if self._running else _FAR_NS, self._batch_due_ns)
        if self._starting:
            moment = min(moment, self._starting[0])
        self._next_ns = None if moment == _FAR_NS else moment


def stop_ns(decoded_ns: int, segments_ns: Iterable[int], until_ns: int) -> int:
    """When work ends if it is to stop from `until_ns` on: at the first joint from then, the last segment's end if none is left.

    The first segment runs in any case: nothing is asked between decoding and it.
    """
    moment = decoded_ns
    for duration_ns in segments_ns:
        moment += duration_ns
        if moment >= until_ns:
            break
    return moment


def run(cloud: Cloud, arrivals: Iterable[tuple[int, CloudRequest]]) -> list[CloudAnswer]:
    """Stand-alone: submit requests at rising moments, then let all finish. Answers in order of time."""
    found: list[CloudAnswer] = []
    for now_ns, request in arrivals:
        found += cloud.submit(request, now_ns=now_ns)
    while (moment := cloud.next_ns()) is not None:
        found += cloud.advance(moment)
    return found
