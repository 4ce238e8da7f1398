"""Garbage collection off the critical path: at moments when nothing is in flight and nothing is expected for long enough.

A full collection stops every Python thread for as long as the heap is large; the interpreter starts one in the middle of
whatever allocates. While this collector is held the heap as it stands is set aside (`gc.freeze`), and collections are made
here, on a thread of its own. The rules:

- A collection begins only when no session of this process has a request in flight, and the next arrival (a stream's declared
  period, else the least distance seen lately) is further away than such a collection has lately taken, and half as much again.
- Memory cannot grow for ever: without such a moment a collection is forced after `requests_max` requests (a full one after
  ten times as many), and past BACKSTOP_ALLOCATIONS net allocations the interpreter collects by itself, wherever it is.
- Failed crossings hold their connections in cycles (device.network): such sockets stay open until the next collection, so
  a full one falls due with every tenth small one, as in the interpreter itself.

Finalisers of collected objects run on this thread; in CPython they may run on any.
"""

import gc
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from hedgerow.core import records as r

BACKSTOP_ALLOCATIONS = 100_000
DUE_ALLOCATIONS = 2_000  # net container allocations since the last collection that make a small one worth while
SMALL, FULL = 1, 2  # generations
GRACE_S = 0.002  # the core's step is over before the caller has his answer: he gets it first
_SMALLS_PER_FULL = 10
_REMEMBERED = 16
_SAFETY = 1.5
_FIRST_GUESS_NS = 2_000_000


@dataclass(slots=True)
class Collections:
    """What was collected so far: at idle moments, and by force because there was none; and how long each took at most."""

    idle: int = 0
    forced: int = 0
    full: int = 0
    longest_ns: int = 0


class IdleCollector:
    """One for the process. `watch` gives a listener for each session; `start` and `close` take and give back the heap."""

    def __init__(
        self,
        *,
        requests_max: int = 1000,
        collect: Callable[[int], int] = gc.collect,
        allocations: Callable[[], int] = lambda: gc.get_count()[0],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.done = Collections()
        self._requests_max, self._collect_now = requests_max, collect
        self._allocations, self._clock_ns = allocations, clock_ns
        self._watches: list[Watch] = []
        self._took: dict[int, deque[int]] = {each: deque([_FIRST_GUESS_NS], _REMEMBERED) for each in (SMALL, FULL)}
        self._requests = self._requests_at_small = self._requests_at_full = 0
        self._smalls = 0
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._serve, name="hedgerow-collector", daemon=True)
        self._before = (False, (0, 0, 0))
        self._froze = False

    def start(self) -> None:
        """Collect once, set aside what is left, and take over from the interpreter's own rhythm."""
        self._before = (gc.isenabled(), gc.get_threshold())
        gc.collect()
        if gc.get_freeze_count() == 0:  # a caller's own frozen heap stays his
            gc.freeze()
            self._froze = True
        gc.set_threshold(BACKSTOP_ALLOCATIONS, _SMALLS_PER_FULL, _SMALLS_PER_FULL)
        gc.enable()  # for the backstop
        for generation in (SMALL, FULL):  # the first guess is a measured one
            self._took[generation] = deque([self._timed(generation)], _REMEMBERED)
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Give the heap back as it was: thresholds, and nothing frozen that this froze."""
        self._closed = True
        self._wake.set()
        self._thread.join(timeout_s)
        enabled, threshold = self._before
        if self._froze:
            gc.unfreeze()
        gc.set_threshold(*threshold)
        if not enabled:
            gc.disable()

    @property
    def full_ms(self) -> float:
        """What the last full collection took, ms."""
        return self._took[FULL][-1] / 1e6

    def watch(self) -> "Watch":
        """A listener for one session's driver; `forget` it when the session ends."""
        found = Watch(self)
        self._watches = [*self._watches, found]
        return found

    def forget(self, watch: "Watch") -> None:
        self._watches = [each for each in self._watches if each is not watch]

    # ----------------------------------------------------------------------------------------- called under a core's lock

    def arrived(self) -> None:
        """One request more; without an idle moment for too long, a collection is due now."""
        self._requests += 1
        if self._overdue():
            self._wake.set()

    def idle(self) -> None:
        """A session has nothing in flight any more."""
        if self._due() is not None:
            self._wake.set()

    # ------------------------------------------------------------------------------------------------------- its thread

    def _serve(self) -> None:
        while not self._closed:  # asked after each clearing in `look`, so that no wish to close is lost
            self._wake.wait()
            time.sleep(GRACE_S)
            self.look()

    def look(self) -> None:
        """What the thread does when it was woken: collect if it must, or if it is due and this is a good moment."""
        self._wake.clear()
        generation = self._due()
        if overdue := self._overdue():
            self.done.forced += 1
            self._collect(overdue)
        elif generation is not None and self.room_ns(self._clock_ns()) > self.needed_ns(generation):
            self.done.idle += 1
            self._collect(generation)

    @property
    def woken(self) -> bool:
        """Whether something has asked it to look."""
        return self._wake.is_set()

    def _due(self) -> int | None:
        """The generation worth collecting at the next good moment; None for none."""
        if self._allocations() < DUE_ALLOCATIONS:
            return None
        return FULL if self._smalls >= _SMALLS_PER_FULL else SMALL

    def _overdue(self) -> int:
        """The generation that can wait no longer; 0 for none."""
        if self._requests - self._requests_at_full >= 10 * self._requests_max:
            return FULL
        waited = self._requests - self._requests_at_small
        return SMALL if waited >= self._requests_max and self._due() is not None else 0

    def room_ns(self, now_ns: int) -> float:
        """Time until the next arrival that must be expected; 0 while anything is in flight."""
        watches = self._watches
        if any(watch.open for watch in watches):
            return 0.0
        return min((watch.next_ns(now_ns) - now_ns for watch in watches), default=float("inf"))

    def needed_ns(self, generation: int) -> float:
        """What a collection must be expected to take: the longest of the last sixteen, and half as much again."""
        return max(self._took[generation]) * _SAFETY

    def _collect(self, generation: int) -> None:
        self._took[generation].append(self._timed(generation))
        self.done.longest_ns = max(self.done.longest_ns, self._took[generation][-1])
        self._requests_at_small = self._requests
        self._smalls += 1
        if generation == FULL:
            self._smalls, self._requests_at_full = 0, self._requests
            self.done.full += 1

    def _timed(self, generation: int) -> int:
        begun = time.perf_counter_ns()
        self._collect_now(generation)
        return time.perf_counter_ns() - begun


class Watch:
    """One session as the collector sees it: what is in flight, and when each stream's next request must be expected."""

    def __init__(self, collector: IdleCollector) -> None:
        self._collector = collector
        self.open: set[int] = set()
        self._periods: dict[str, int] = {}
        self._arrivals: dict[str, deque[int]] = {}

    def __call__(self, now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        """One step of the session's core (device.driver.Listener)."""
        if isinstance(event, r.RequestArrived):
            self.open.add(event.request)
            self._arrivals.setdefault(event.stream, deque(maxlen=_REMEMBERED)).append(now_ns)
            self._collector.arrived()
        elif isinstance(event, r.StreamOpened) and event.stream.period_ns is not None:
            self._periods[event.stream.name] = event.stream.period_ns
        before = len(self.open)
        for action in outcome.actions:
            if isinstance(action, r.Forget):
                self.open.discard(action.request)
        if before and not self.open:
            self._collector.idle()

    def next_ns(self, now_ns: int) -> float:
        """When the next request must be expected; infinite while no stream has shown a rhythm.

        A stream that is overdue by more than four of its distances has stopped and is expected no more.
        """
        moments = [self._after(stream, times, now_ns) for stream, times in list(self._arrivals.items())]
        return min(moments, default=float("inf"))

    def _after(self, stream: str, times: deque[int], now_ns: int) -> float:
        if stream in self._periods:
            distance = self._periods[stream]
        elif len(times) > 1:
            seen = list(times)
            distance = min(later - earlier for earlier, later in pairwise(seen))
        else:
            return float("inf")
        stopped = now_ns > times[-1] + 5 * distance
        return float("inf") if stopped else times[-1] + distance
