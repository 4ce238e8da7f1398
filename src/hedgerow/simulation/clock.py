"""The virtual clock: what happens next, in order of its moment; of equal moments, what was planned first.

Rules: time never runs back (a moment in the past happens now); nothing here knows what it calls.
"""

import heapq
from collections.abc import Callable
from typing import Any

Call = Callable[..., None]


class Clock:
    """`now_ns` is the virtual time in ns; `events` counts what has happened."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.events = 0
        self._order = 0
        self._queue: list[tuple[int, int, Call, tuple[Any, ...]]] = []

    def at(self, moment_ns: int, call: Call, *arguments: Any) -> None:
        """Plan `call(*arguments)` for this moment."""
        self._order += 1
        heapq.heappush(self._queue, (moment_ns, self._order, call, arguments))

    @property
    def waiting(self) -> int:
        """How much is planned."""
        return len(self._queue)

    def run(self, until_ns: int) -> None:
        """Let everything happen that is planned up to `until_ns` (inclusive)."""
        queue, pop = self._queue, heapq.heappop
        while queue and queue[0][0] <= until_ns:
            moment_ns, _, call, arguments = pop(queue)
            if moment_ns > self.now_ns:
                self.now_ns = moment_ns
            self.events += 1
            call(*arguments)
