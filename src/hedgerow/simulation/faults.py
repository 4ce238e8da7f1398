"""The kinds of fault that a simulated campaign lays over a world, as a table, and how a seed draws a subset of them.

Swarm-style (Groce et al., "Swarm testing", ISSTA 2012): a seed turns a random subset of the kinds on, because faults mask
each other; a world with all of them seldom shows what two of them do. The first fifteen are those of the real campaign
(docs/safety/fault-campaign.md) by the same names; the others only a simulator can make. Rules: a fault is plain data; drawn
before anything runs; what it does to messages, lanes and clocks stands in faulty.py, to a link's course and to the samples here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hedgerow.core import records as r
from hedgerow.simulation.course import Course

SLOW_RATE_BYTES_PER_S: Final = 12_500.0  # 0.1 Mbit/s
SPIKE_NS: Final = 600 * r.MS
DRIFT: Final = 0.02  # what a bad clock may gain or lose, as a share of the time passed
STEP_NS: Final = 200 * r.MS


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table. `spell_ms`: shortest and longest; `stages`: variants that are drawn evenly."""

    name: str
    where: str
    what: str
    spell_ms: tuple[int, int] = (300, 1500)
    stages: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one world; `strength` is in 0 to 1, and what it means is the kind's own affair."""

    kind: str
    from_ns: int
    for_ns: int
    strength: float = 0.5
    stage: str = ""
    link: str = "cloud"

    @property
    def until_ns(self) -> int:
        return self.from_ns + self.for_ns

    def __str__(self) -> str:
        stage = f"({self.stage})" if self.stage else ""
        return f"{self.kind}{stage} on {self.link} at {self.from_ns / 1e6:.1f} ms for {self.for_ns / 1e6:.1f} ms"


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("blackout", "link", "nothing crosses; connections are reset at its end"),
        Kind("one-way-loss", "link", "every message of one direction is lost; then a reset", stages=("up", "down")),
        Kind("stall", "link", "bytes stand still, connections stay"),
        Kind("rate-collapse", "link", "both rates become 0.1 Mbit/s"),
        Kind("delay-spike", "link", "the round trip grows by up to 600 ms"),
        Kind("reset", "link", "every crossing under way is reset", (0, 1)),
        Kind("server-kill", "server", "what it computes is lost; a new one begins cold", (0, 2000)),
        Kind("server-stop", "server", "nothing is computed for a while, then all of it"),
        Kind("server-slow", "server", "computing takes ten times as long"),
        Kind("wrong-version", "server", "one of another protocol refuses all, yet answers probes"),
        Kind("garbage", "server", "nothing that it says can be read: no connection comes about"),
        Kind("cpu-hog", "device", "lanes take up to three times as long"),
        Kind("memory", "device", "single segments take up to ten times as long"),
        Kind("disk-full", "device", "answers are handed over late"),
        Kind("clock-step", "input", "samples seem to be up to 200 ms older than they are"),
        Kind("link-flap", "link", "the device's own network goes down, and comes up"),
        Kind("reorder", "message", "messages from afar are delayed by their own lengths, so that they overtake each other"),
        Kind("duplicate", "message", "messages from afar come again, at once or much later", (1000, 20000)),
        Kind("ack-loss", "message", "acknowledgements are lost", (1000, 20000)),
        Kind("silence", "message", "answers and refusals are lost; nobody ever tells", (500, 5000)),
        Kind("probe-loss", "message", "what probes bring is lost; nobody ever tells", (500, 8000)),
        Kind("stray", "message", "answers, jobs' ends and probes that nobody asked for", (1000, 20000)),
        Kind("old-server", "server", "one of an older version knows no cuts: it refuses or misreads them", (2000, 20000)),
        Kind("cloud-overload", "server", "every request is refused as one too many"),
        Kind("false-report", "server", "it tells of a queue that it does not have", (1000, 10000)),
        Kind("liar", "server", "its answers are wrong, well formed and punctual", (5000, 60000)),
        Kind("battery-cliff", "device", "the battery falls to nothing at once, and is full again", (2000, 20000)),
        Kind("heat", "device", "the processor heats up, is throttled, and cools", (3000, 20000)),
        Kind("engine-failure", "device", "runs fail in the engine", (200, 3000)),
        Kind("slow-lane", "device", "a lane is slower than its profile throughout", (5000, 60000)),
        Kind("late-timer", "device", "timers fire far beyond their margin", (300, 3000)),
        Kind("slow-cancel", "device", "cancellations take far longer than their margin", (300, 5000)),
        Kind("clock-drift", "input", "the camera's clock runs ahead or behind by up to 2 %", (5000, 60000)),
        Kind("late-capture", "input", "samples arrive later after their capture than declared"),
        Kind("burst", "input", "samples come at once that should be a period apart"),
        Kind("short-deadline", "input", "single requests ask for far less time than their stream", (500, 5000)),
        Kind("withdraw", "input", "callers withdraw what they asked for", (500, 10000)),
    )
}  # fmt: skip
REAL: Final = tuple(KINDS)[:15]
_SHARES: Final = (0.0, 0.05, 0.12, 0.25)
_SPELLS_MAX: Final = 3


def draw_faults(random: np.random.Generator, span_ns: int, links: Sequence[str]) -> tuple[Fault, ...]:
    """A random subset of the kinds, each with one to three spells within the span."""
    share = _SHARES[int(random.integers(len(_SHARES)))]
    drawn = random.random(len(KINDS))
    found = []
    for place, kind in enumerate(KINDS.values()):
        if drawn[place] >= share:
            continue
        for _ in range(int(random.integers(1, _SPELLS_MAX + 1))):
            low, high = kind.spell_ms
            numbers = random.random(5)
            found.append(
                Fault(
                    kind.name, int(numbers[0] * span_ns), int((low + numbers[1] * (high - low)) * r.MS), float(numbers[2]),
                    kind.stages[int(numbers[3] * len(kind.stages))], links[int(numbers[4] * len(links))],
                )
            )  # fmt: skip
    return tuple(sorted(found, key=lambda fault: (fault.from_ns, fault.kind)))


def shape(course: Course, fault: Fault) -> Course:
    """The course with what this fault does to the link itself."""
    if fault.kind in ("blackout", "stall"):
        return course.with_blackout(fault.from_ns, fault.for_ns)
    if fault.kind == "rate-collapse":
        rate = SLOW_RATE_BYTES_PER_S
        return course.with_rate(fault.from_ns, fault.for_ns, up_bytes_per_s=rate, down_bytes_per_s=rate)
    if fault.kind == "delay-spike":
        return course.with_round_trip(fault.from_ns, fault.for_ns, added_ns=fault.strength * SPIKE_NS)
    return course


@dataclass(slots=True)
class Sample:
    """One request before it is sent: moments in ns; `deadline_ns` a length, None for the stream's own."""

    request: int
    stream: int
    captured_ns: int
    arrival_ns: int
    deadline_ns: int | None = None


def disturb_samples(samples: list[Sample], fault: Fault, deadlines_ns: Sequence[int]) -> None:
    """Change in place what this fault does to samples that are captured while it lasts. `deadlines_ns` by stream."""
    first: int | None = None
    for each in samples:
        if not fault.from_ns <= each.captured_ns < fault.until_ns:
            continue
        if fault.kind == "clock-step":
            each.captured_ns -= int(fault.strength * STEP_NS)
        elif fault.kind == "clock-drift":
            gained = int((each.captured_ns - fault.from_ns) * DRIFT * (2 * fault.strength - 1))
            each.captured_ns = min(each.captured_ns - gained, each.arrival_ns)  # never from the future: that is refused
        elif fault.kind == "late-capture":
            each.arrival_ns += int(fault.strength * deadlines_ns[each.stream] * 1.2)
        elif fault.kind == "burst":
            first = each.captured_ns if first is None else first
            each.captured_ns, each.arrival_ns = first, first + each.arrival_ns - each.captured_ns
        elif fault.kind == "short-deadline":
            each.deadline_ns = int(fault.strength * deadlines_ns[each.stream])
        each.captured_ns = max(0, each.captured_ns)
