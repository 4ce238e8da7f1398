"""What a generated link is made from: five parts, each a process with its own random stream, and where the figures are from.

    rates      a Markov chain of states, slow; within a state the log rate follows a score, from a slow and a fast AR(1)
    delay      the round trip's quantiles, a Pareto tail beyond them, scores from a slow and a fast AR(1)
    loss       Gilbert-Elliott: short bursts of lost probes, geometric lengths (Gilbert 1960, Elliott 1963)
    gaps       handovers: a short run of lost probes, then a raised round trip that falls back
    blackouts  tunnels: a second or more with nothing at all

All rates of change are per step of `step_s`. Rates and delays are independent of each other: what they have in common is
not modelled. Rules: plain data; a bad figure is refused with its place; the figures are what a file holds, nothing is derived.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

from hedgerow.emulation.conditions import MBPS_MAX, RTT_MS_MAX
from hedgerow.emulation.traces import BLACKOUT_S, DOWNLINK_OVER_UPLINK
from hedgerow.errors import UsageError

Label = Literal["fitted", "published", "assumed"]
LABELS: Final[tuple[Label, ...]] = ("fitted", "published", "assumed")
STEP_S_MIN, STEP_S_MAX = 0.001, 0.5
"""A step longer than half a second could not tell a stall from a blackout."""
STATES_MAX: Final = 32
POINTS_MAX: Final = 64
RATE_FLOOR_MBPS: Final = 0.001
"""A rate below this counts as none."""
SUM_TOLERANCE: Final = 1e-4
PER_HOUR_MAX: Final = 36_000.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Row i of `transitions` holds the probabilities of the states that follow state i, one step later.

    `none[i]` is the share of state i without any rate (empty: no state has such). The rest has the rate `up_mbps[i][j]` at the
    probability `points[j]` (from 0 to 1). `down_mbps` is shaped alike, or empty: then the downlink is `down_over_up` times the
    uplink. The score within a state is made as that of a delay; low scores are low rates, the lowest none.
    """

    points: tuple[float, ...]
    transitions: tuple[tuple[float, ...], ...]
    up_mbps: tuple[tuple[float, ...], ...]
    none: tuple[float, ...] = ()
    down_mbps: tuple[tuple[float, ...], ...] = ()
    down_over_up: float = DOWNLINK_OVER_UPLINK
    slow_share: float = 0.0
    slow_memory: float = 0.0
    fast_memory: float = 0.0

    def __post_init__(self) -> None:
        states = len(self.transitions)
        _memories("rates", self.slow_share, self.slow_memory, self.fast_memory)
        _within("rates.down_over_up", self.down_over_up, 0, 1000)
        _check("rates.transitions", 0 < states <= STATES_MAX, f"{states} states; 1 to {STATES_MAX}")
        _check("rates.points", 2 <= len(self.points) <= POINTS_MAX, f"give 2 to {POINTS_MAX} of them")
        _check("rates.points", self.points[0] == 0 and self.points[-1] == 1, "they go from 0 to 1")
        _rising("rates.points", self.points, strictly=True)
        for state, row in enumerate(self.transitions):
            where = f"rates.transitions of state {state}"
            _check(where, len(row) == states, f"{len(row)} probabilities for {states} states")
            for value in row:
                _within(where, value, 0, 1)
            _check(where, abs(sum(row) - 1) <= SUM_TOLERANCE, f"they add up to {sum(row):g}, not to 1")
        _check("rates.none", len(self.none) in (0, states), f"{len(self.none)} shares for {states} states")
        for share in self.none:
            _within("rates.none", share, 0, 1)
        for name, table in (("rates.up_mbps", self.up_mbps), ("rates.down_mbps", self.down_mbps)):
            if name == "rates.down_mbps" and not table:
                continue
            _check(name, len(table) == states, f"{len(table)} rows for {states} states")
            for state, row in enumerate(table):
                _check(f"{name} of state {state}", len(row) == len(self.points), f"give {len(self.points)} values")
                for value in row:
                    _within(f"{name} of state {state}", value, RATE_FLOOR_MBPS, MBPS_MAX)
                _rising(f"{name} of state {state}", row, strictly=False)


@dataclass(frozen=True, slots=True)
class Delay:
    """`points` are (probability, round trip in ms) from low to high; below the first it stays there.

    Above the last point: a Pareto tail of index `tail_index` (0: none, it stays at the last) that ends at `longest_ms`. The normal
    score is sqrt(slow_share) times a slow AR(1) plus sqrt(1 - slow_share) times a fast one; memories are factors a step.
    """

    points: tuple[tuple[float, float], ...]
    longest_ms: float
    tail_index: float = 0.0
    slow_share: float = 1.0
    slow_memory: float = 0.0
    fast_memory: float = 0.0

    def __post_init__(self) -> None:
        _check("delay.points", 1 <= len(self.points) <= POINTS_MAX, f"give 1 to {POINTS_MAX} of them")
        for probability, value_ms in self.points:
            _check("delay.points", 0 < probability < 1, f"the probability {probability:g} is not between 0 and 1")
            _within("delay.points", value_ms, 0.0001, RTT_MS_MAX)
        _rising("delay.points", [each for each, _ in self.points], strictly=True)
        _rising("delay.points", [each for _, each in self.points], strictly=False)
        _within("delay.longest_ms", self.longest_ms, self.points[-1][1], RTT_MS_MAX)
        _within("delay.tail_index", self.tail_index, 0, 1000)
        _memories("delay", self.slow_share, self.slow_memory, self.fast_memory)


@dataclass(frozen=True, slots=True)
class Loss:
    """Gilbert-Elliott: the chance a step to begin losing every probe (p), and to end it again (r); mean burst 1 / r."""

    begin: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        _within("loss.begin", self.begin, 0, 1)
        _within("loss.end", self.end, 0.001, 1)

    @property
    def share(self) -> float:
        """The share of probes that are lost in the long run."""
        return self.begin / (self.begin + self.end)


@dataclass(frozen=True, slots=True)
class Gaps:
    """Handovers: so many an hour; lost probes for `mean_s` on average (geometric, less than a second); then the round trip is
    `raised` times as long, and the logarithm of that factor shrinks by `memory` a step.
    """

    per_hour: float = 0.0
    mean_s: float = 0.0
    raised: float = 1.0
    memory: float = 0.0

    def __post_init__(self) -> None:
        _within("gaps.per_hour", self.per_hour, 0, PER_HOUR_MAX)
        _within("gaps.mean_s", self.mean_s, 0, BLACKOUT_S)
        _within("gaps.raised", self.raised, 1, 1000)
        _within("gaps.memory", self.memory, 0, 0.9999)


@dataclass(frozen=True, slots=True)
class Blackouts:
    """Tunnels: so many an hour, each at least a second, the rest of its length exponential; `mean_s` counts both."""

    per_hour: float = 0.0
    mean_s: float = BLACKOUT_S

    def __post_init__(self) -> None:
        _within("blackouts.per_hour", self.per_hour, 0, PER_HOUR_MAX)
        _within("blackouts.mean_s", self.mean_s, BLACKOUT_S, 36_000)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the figures come from. `label` "fitted": from traces, named and counted, `sha256` over their bytes in the order of
    their names; "published": from `text`, which also says what is assumed; "assumed": from nothing.
    """

    label: Label
    text: str
    licence: str = ""
    traces: tuple[str, ...] = ()
    rows: int = 0
    seconds: float = 0.0
    sha256: str = ""

    def __post_init__(self) -> None:
        _check("source.label", self.label in LABELS, f"{self.label!r}; one of {', '.join(LABELS)}")
        _check("source.text", bool(self.text.strip()), "say where the figures come from")
        _check("source.rows", 0 <= self.rows <= 10**12, f"{str(self.rows)[:20]} is out of its range")
        _within("source.seconds", self.seconds, 0, 1e12)


@dataclass(frozen=True, slots=True)
class LinkModel:
    """One generated link. UsageError names the figure that is out of its range."""

    name: str
    radio: str
    step_s: float
    rates: Rates
    delay: Delay
    source: Source
    loss: Loss = field(default_factory=Loss)
    gaps: Gaps = field(default_factory=Gaps)
    blackouts: Blackouts = field(default_factory=Blackouts)

    def __post_init__(self) -> None:
        _check("name", bool(self.name.strip()), "give one")
        _within("step_s", self.step_s, STEP_S_MIN, STEP_S_MAX)


def _check(name: str, good: bool, wrong: str) -> None:
    if not good:
        raise UsageError(f"a link model's {name}: {wrong}")


def _within(name: str, value: float, low: float, high: float) -> None:
    good = math.isfinite(value) and low <= value <= high
    _check(name, good, f"{value:g} is out of its range: {low:g} to {high:g}")


def _memories(part: str, slow_share: float, slow: float, fast: float) -> None:
    _within(f"{part}.slow_share", slow_share, 0, 1)
    _within(f"{part}.slow_memory", slow, 0, 0.999999)
    _within(f"{part}.fast_memory", fast, 0, 0.999999)


def _rising(name: str, values: "tuple[float, ...] | list[float]", *, strictly: bool) -> None:
    for before, after in pairwise(values):
        _check(
            name, after > before or (after == before and not strictly), f"{after:g} comes after {before:g}: sort them"
        )
