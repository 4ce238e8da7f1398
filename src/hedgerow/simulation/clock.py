"""The virtual clock: what happens next, in order of its moment; of equal moments, what was planned first.

Rules: time never runs back (a moment in the past happens now); nothing here knows what it calls.
"""

import heapq
from collections import deque
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
        self._line: deque[tuple[int, int, Call, tuple[Any, ...]]] = deque()

    def at(self, moment_ns: int, call: Call, *arguments: Any) -> None:
        """Plan `call(*arguments)` for this moment."""
        self._order += 1
        heapq.heappush(self._queue, (moment_ns, self._order, call, arguments))

    def line_up(self, moment_ns: int, call: Call, *arguments: Any) -> None:
        """The same, quicker for the very many that are planned beforehand in the order of their moments: a heap of them all would
        make everything else wait."""
        if self._line and moment_ns < self._line[-1][0]:
            self.at(moment_ns, call, *arguments)
            return
        self._order += 1
        self._line.append((moment_ns, self._order, call, arguments))

    @property
    def waiting(self) -> int:
        """How much is planned."""
        return len(self._queue) + len(self._line)

    def run(self, until_ns: int) -> None:
        """Let everything happen that is planned up to `until_ns` (inclusive)."""
        queue, line, pop = self._queue, self._line, heapq.heappop
        while queue or line:
            first = line and (not queue or line[0] < queue[0])
            if (line[0] if first else queue[0])[0] > until_ns:
                return
            moment_ns, _, call, arguments = line.popleft() if first else pop(queue)
            if moment_ns > self.now_ns:
                self.now_ns = moment_ns
            self.events += 1
            call(*arguments)
