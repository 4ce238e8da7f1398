"""Whether a cut of so many tensors can still come: a bound that keeps the search for cuts from wandering.

Every way from what is alive now to the end must pass a tensor that crosses the cut. So n ways that share no tensor
need n tensors (Menger, 1927), and where the search may still choose fewer it need not go on. The ways are counted by
augmenting paths in a graph whose vertices are tensors, each split into an entrance (2i) and an exit (2i + 1).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Set

from hedgerow.models.graph import Graph

_END = -1


class Ways:
    """Which tensors of a model are made from which."""

    def __init__(self, graph: Graph) -> None:
        self._index: dict[str, int] = {}
        self._after: dict[int, list[int]] = {}
        for name in graph.output_names:
            self._after[self._number(name)] = [_END]
        for node in graph.nodes:
            made = [self._number(name) for name in node.makes]
            for name in node.reads:
                self._after.setdefault(self._number(name), []).extend(made)

    def more_than(self, limit: int, start: Iterable[str], closed: Iterable[str], end: Iterable[str]) -> bool:
        """Whether more than `limit` ways that share no tensor lead from `start` past the `closed` ones to the end.

        The end is whatever makes a tensor of `end`, and the model's outputs.
        """
        barred = {self._index[name] for name in closed}
        last = {self._index[name] for name in end}
        starts = [2 * self._index[name] for name in start if self._index[name] not in barred]
        taken: set[tuple[int, int]] = set()
        into: dict[int, set[int]] = {}
        for _ in range(limit + 1):
            steps = self._one_more(starts, barred, last, taken, into)
            if not steps:
                return False
            for here, there in steps:
                if (there, here) in taken:
                    taken.discard((there, here))
                    into[here].discard(there)
                else:
                    taken.add((here, there))
                    into.setdefault(there, set()).add(here)
        return True

    def _number(self, name: str) -> int:
        return self._index.setdefault(name, len(self._index))

    def _one_more(
        self,
        starts: list[int],
        barred: Set[int],
        last: Set[int],
        taken: Set[tuple[int, int]],
        into: dict[int, set[int]],
    ) -> list[tuple[int, int]]:
        """The steps of one more way, which may undo steps of earlier ones; none if there is none."""
        begun = [start for start in starts if (start, start + 1) not in taken]
        came_from: dict[int, int] = dict.fromkeys(begun, _END)
        waiting = deque(begun)
        while waiting:
            here = waiting.popleft()
            for there in self._next(here, barred, last, taken, into):
                if there == _END:
                    steps = [(here, _END)]
                    while came_from[here] != _END:
                        steps.append((came_from[here], here))
                        here = came_from[here]
                    return steps
                if there not in came_from:
                    came_from[there] = here
                    waiting.append(there)
        return []

    def _next(
        self, here: int, barred: Set[int], last: Set[int], taken: Set[tuple[int, int]], into: dict[int, set[int]]
    ) -> Iterator[int]:
        """Where one may go on: along steps not taken, or back along taken ones."""
        if here % 2:
            for after in self._after.get(here // 2, ()):
                there = _END if after == _END or after in last else 2 * after
                if after not in barred and (here, there) not in taken:
                    yield there
        elif (here, here + 1) not in taken:
            yield here + 1
        yield from into.get(here, ())
