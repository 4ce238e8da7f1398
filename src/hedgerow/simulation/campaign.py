"""Very many random worlds, each with a random subset of faults, and the invariants after every event of each.

A world is one seed. A late request that nothing excuses is judged by a twin: the same world under "device-only"; where the twin
answers it in time, that is a violation. Each violation has one line that repeats it. Bug finding, not safety: no violation in
n requests is the bound 3/n at 95 % for such worlds.
"""

import gc
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from hedgerow.core import records as r
from hedgerow.core.policies import by_name
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.simulation.drawing import Scene, build, draw_scene
from hedgerow.simulation.foolish import policy_of
from hedgerow.simulation.invariants import Checker, Violated

SEEDS: Final = 1000
REQUESTS: Final = 1000
CRASHES: Final = (
    HedgerowError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)
"""What a broken core raises out of a step; memory, interrupts and the like go on."""


@dataclass(frozen=True, slots=True)
class Violation:
    """`line` repeats it on a command line."""

    seed: int
    invariant: str
    what: str
    line: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}\n    {self.line}"


@dataclass
class Tried:
    """What came of one world."""

    seed: int
    requests: int
    late: int = 0
    remote: int = 0
    reserves_used: int = 0
    steps: int = 0
    twins: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    violation: Violation | None = None


@dataclass(frozen=True, slots=True)
class Only:
    """Which of a world's faults (by place) and requests (by number) to keep; None: all of them."""

    faults: tuple[int, ...] | None = None
    requests: frozenset[int] | None = None

    def __str__(self) -> str:
        """As the option `--only` takes it: "faults/requests", "*" for all, numbers and ranges."""
        faults = "*" if self.faults is None else ",".join(map(str, self.faults))
        return f"{faults}/{'*' if self.requests is None else _ranges(self.requests)}"

    @classmethod
    def parse(cls, text: str) -> "Only":
        """Read what `str` wrote; UsageError for anything else."""
        faults, slash, requests = text.partition("/")
        try:
            if not slash:
                raise ValueError(text)
            kept = None if faults == "*" else tuple(int(each) for each in faults.split(",") if each)
            return cls(kept, None if requests == "*" else frozenset(_numbers(requests)))
        except ValueError:
            raise UsageError(
                f"'{text}' is not 'FAULTS/REQUESTS' as a shrunk campaign prints it, e.g. '0,2/17,40-44'"
            ) from None


def _ranges(numbers: frozenset[int]) -> str:
    found: list[list[int]] = []
    for each in sorted(numbers):
        if found and each == found[-1][1] + 1:
            found[-1][1] = each
        else:
            found.append([each, each])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, dash, last = part.partition("-")
        yield from range(int(first), int(last if dash else first) + 1)


def scene_of(seed: int, requests: int, only: Only | None = None) -> Scene:
    """The world of a seed, cut down; UsageError if `only` names what is not there."""
    scene = draw_scene(seed, requests)
    if only is None:
        return scene
    if only.faults and max(only.faults) >= len(scene.faults):
        raise UsageError(
            f"seed {seed} with {requests} requests has {len(scene.faults)} faults: no number {max(only.faults)}"
        )
    cut = scene.only(only.faults, only.requests)
    if not cut.samples:
        raise UsageError("no request is left of this world")
    return cut


def line_of(seed: int, requests: int, only: Only | None = None) -> str:
    """The command that repeats one world."""
    tail = "" if only is None else f" --only '{only}'"
    return f"hedgerow simulate --campaign --seed {seed} --seeds 1 --requests {requests}{tail}"


def try_scene(scene: Scene, *, line: str = "", plant: Callable[[Any], None] | None = None) -> Tried:
    """One world to its end, or to its first violation. `plant` may change the body before it runs (to test the invariants)."""
    tried = Tried(scene.seed, len(scene.samples), kinds=dict(Counter(fault.kind for fault in scene.faults)))
    checkers: list[Checker] = []
    try:
        body = build(scene, policy_of(scene.policy), None, lambda until_ns: checkers[0].disturb(until_ns))
        if plant is not None:
            plant(body)
        checkers.append(Checker(scene, body.core, body.payload_bytes))
        body.watch = checkers[0].see
        body.clock.run(scene.end_ns)
        checkers[0].finish()
        _ask_twin(scene, checkers[0].suspects, tried)
    except Violated as violated:
        tried.violation = Violation(scene.seed, violated.invariant, str(violated), line)
    except CRASHES as error:
        where = f"{type(error).__name__}: {error}"
        tried.violation = Violation(scene.seed, "crash", f"the core raised {where}", line)
    if checkers:
        seen = checkers[0]
        tried.late, tried.remote, tried.reserves_used, tried.steps = (
            seen.late,
            seen.remote,
            seen.reserves_used,
            seen.steps,
        )
    return tried


def _ask_twin(scene: Scene, suspects: list[int], tried: Tried) -> None:
    """Whether a device alone, in the very same world, would have answered these in time."""
    if not suspects or scene.policy == "device-only":
        return
    tried.twins += 1
    told: dict[int, tuple[int, r.Deliver]] = {}

    def see(now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        for action in outcome.actions:
            if type(action) is r.Deliver:
                told[action.request] = (now_ns, action)

    body = build(scene, by_name("device-only"), see, lambda until_ns: None)
    body.clock.run(scene.end_ns)
    for request in suspects:
        now_ns, deliver = told[request]
        if deliver.status is r.Status.ANSWERED:
            raise Violated("twin", now_ns, f"request {request} is late, and a device alone answers it in time")


def try_seed(seed: int, requests: int, only: Only | None = None) -> Tried:
    """One seed's world."""
    return try_scene(scene_of(seed, requests, only), line=line_of(seed, requests, only))


def _try_seeds(seeds: range, requests: int, only: Only | None) -> tuple[list[Tried], float]:
    """What one worker does, and in how much of a core's time: the garbage collector rests meanwhile, there are no cycles to speak of."""
    began = time.process_time()
    tried = []
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for place, seed in enumerate(seeds):
            tried.append(try_seed(seed, requests, only))
            if place % 20 == 19:
                gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return tried, time.process_time() - began


def run_campaign(
    *,
    first: int = 0,
    seeds: int = SEEDS,
    requests: int = REQUESTS,
    workers: int = 0,
    only: Only | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """All seeds from `first` on; `workers` 0: one a core. `progress` is told how many more seeds are done.

    Returns what `hedgerow simulate --campaign --json` prints; `requests_per_s` is by second of a core's time.
    """
    if first < 0 or seeds < 1 or requests < 1:
        raise UsageError("a campaign needs a first seed of at least 0, at least one seed and at least one request")
    workers = min(workers or os.cpu_count() or 1, seeds)
    size = max(1, min(25, seeds // (workers * 4) or 1))
    chunks = [range(start, min(start + size, first + seeds)) for start in range(first, first + seeds, size)]
    found: list[Tried] = []
    busy_s, began = 0.0, time.perf_counter()
    for tried, seconds in _spread(chunks, requests, only, workers):
        found += tried
        busy_s += seconds
        progress(len(tried))
    return _report(sorted(found, key=lambda each: each.seed), requests, busy_s, time.perf_counter() - began, workers)


def _spread(chunks: list[range], requests: int, only: Only | None, workers: int) -> Iterator[tuple[list[Tried], float]]:
    if workers == 1:
        yield from (_try_seeds(chunk, requests, only) for chunk in chunks)
        return
    import joblib

    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    yield from pool(joblib.delayed(_try_seeds)(chunk, requests, only) for chunk in chunks)


def _report(found: list[Tried], requests: int, busy_s: float, wall_s: float, workers: int) -> dict[str, Any]:
    kinds: Counter[str] = Counter()
    for each in found:
        kinds.update(each.kinds)
    violations = [each.violation for each in found if each.violation is not None]
    total = sum(each.requests for each in found)
    return {
        "requests": total, "seeds": len(found), "faults_drawn": sum(kinds.values()),
        "reserves_used": sum(each.reserves_used for each in found), "violations": len(violations),
        "requests_per_s": round(total / busy_s, 1) if busy_s else 0.0, "workers": workers, "wall_s": round(wall_s, 1),
        "first": found[0].seed, "requests_each": requests, "events": sum(each.steps for each in found),
        "remote": sum(each.remote for each in found), "late": sum(each.late for each in found),
        "twins": sum(each.twins for each in found), "kinds": dict(sorted(kinds.items())),
        "violated": [{"seed": v.seed, "invariant": v.invariant, "what": v.what, "repeat": v.line} for v in violations],
    }  # fmt: skip
