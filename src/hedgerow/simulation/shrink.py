"""A world that violates an invariant, cut down to the fewest faults and requests that still violate the same one.

Delta debugging (Zeller and Hildebrandt, IEEE TSE 2002), first over faults, then over requests, by turns until neither can lose
anything: no single fault and no single request can then be left out. Deterministic: everything about the world is drawn
before a run, so what is left means the same as before. The number of runs is bounded; what was reached by then is the result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from hedgerow.errors import UsageError
from hedgerow.simulation.campaign import Only, Tried, line_of, try_scene
from hedgerow.simulation.drawing import Scene, draw_scene

RUNS_MAX: Final = 3000
Part = TypeVar("Part")
Try = Callable[[Scene], Tried]


@dataclass(frozen=True)
class Shrunk:
    """What is left: the faults and requests as `only` names them, and after how many runs."""

    only: Only
    scene: Scene
    invariant: str
    what: str
    runs: int
    line: str

    def __str__(self) -> str:
        scene = self.scene
        rows = [
            f"{self.invariant}: {self.what}",
            f"left after {self.runs} runs: {len(scene.faults)} faults, {len(scene.samples)} requests",
        ]
        rows += [f"  {fault}" for fault in scene.faults]
        for each in scene.disturbed_samples[:40]:
            stream = scene.streams[each.stream]
            rows.append(
                f"  request {each.request} of {stream.name} ({stream.criticality.value}, {stream.deadline_ns / 1e6:.1f} ms) "
                f"captured at {each.captured_ns / 1e6:.3f} ms, here at {each.arrival_ns / 1e6:.3f} ms"
            )
        return "\n".join([*rows, self.line])


class _Budget(Exception):
    pass


class _Search:
    """Remembers the smallest world that still fails."""

    def __init__(self, scene: Scene, invariant: str, try_one: Try) -> None:
        self.scene, self.invariant, self._try, self.runs = scene, invariant, try_one, 0
        self.faults = tuple(range(len(scene.faults)))
        self.requests = tuple(each.request for each in scene.samples)
        self.what = ""

    def _fails(self, faults: Sequence[int], requests: Sequence[int]) -> bool:
        if not requests:
            return False
        if self.runs >= RUNS_MAX:
            raise _Budget
        self.runs += 1
        violation = self._try(self.scene.only(tuple(faults), frozenset(requests))).violation
        if violation is None or violation.invariant != self.invariant:
            return False
        self.faults, self.requests, self.what = tuple(faults), tuple(requests), violation.what
        return True

    def first_part(self) -> None:
        """The shortest beginning of the requests that fails: most of a world comes after what went wrong."""
        low, high = 1, len(self.requests)
        requests, faults = self.requests, self.faults
        while low < high:
            middle = (low + high) // 2
            if self._fails(faults, requests[:middle]):
                high = middle
            else:
                low = middle + 1

    def turns(self) -> None:
        """Faults and requests by turns, until a whole turn brings nothing."""
        while True:
            before = (self.faults, self.requests)
            cut(self.faults, lambda some: self._fails(some, self.requests))
            cut(self.requests, lambda some: self._fails(self.faults, some))
            if (self.faults, self.requests) == before:
                return


def cut(parts: tuple[Part, ...], fails: Callable[[tuple[Part, ...]], bool]) -> tuple[Part, ...]:
    """A part of `parts`, in their order, that fails, and of which no one can be left out (1-minimal); all of them must fail."""
    size = max(1, len(parts) // 2)
    if parts and fails(()):
        return ()
    while parts:
        place = 0
        smaller = False
        while place < len(parts):
            rest = parts[:place] + parts[place + size :]
            if rest and fails(rest):
                parts, smaller = rest, True
            else:
                place += size
        if size == 1 and not smaller:
            break
        size = max(1, size // 2)
    return parts


def shrink(seed: int, requests: int, *, only: Only | None = None, try_one: Try = try_scene) -> Shrunk:
    """Cut the world of this seed down. UsageError if nothing is violated in it."""
    whole = draw_scene(seed, requests)
    kept = only or Only()
    begin = whole.only(kept.faults, kept.requests)
    first = try_one(begin).violation
    if first is None:
        raise UsageError(
            f"nothing is violated in this world, so there is nothing to shrink: {line_of(seed, requests, only)}"
        )
    search = _Search(whole, first.invariant, try_one)
    search.what = first.what
    if kept.faults is not None:
        search.faults = kept.faults
    if kept.requests is not None:
        search.requests = tuple(sorted(kept.requests))
    try:
        search.first_part()
        search.turns()
    except _Budget:
        pass
    left = Only(search.faults, frozenset(search.requests))
    line = line_of(seed, requests, left)
    return Shrunk(left, whole.only(left.faults, left.requests), first.invariant, search.what, search.runs + 1, line)
