"""What a deadline certificate lets the core do, and when it no longer holds: modes as a table, moved by a Governor.

The proof itself is made and checked in `assurance.certification`. Here stands what it means at run time: each declared mode
was proven feasible by itself, with its streams' reserves, rates and the blocking that each lane bears. Rules:

1. An exceeded bound is counted; more than `exceedances_max` in `window_ns`, or one guaranteed answer that came late, withdraws
   the certificate of the present mode and moves to the next.
2. Heat or throttling moves to the next mode before a bound breaks.
3. The way back is one mode at a time, after `return_after_ns` without a cause; each relapse doubles that wait, up to
   `return_after_max_ns`, and an hour's quiet forgets it. So the number of changes in any span of time is bounded.
4. Beyond the last mode nothing is certified any more: the last mode's rules stay in force.
"""

from dataclasses import dataclass

from hedgerow.core.records import SECOND, Stream
from hedgerow.errors import UsageError


@dataclass(frozen=True, slots=True)
class Allowance:
    """One stream in one mode: `reserves` are the local models that may stand in reserve (none: the stream's safe value is
    its reserve); of its samples every `keep_every`-th is taken, the others get the safe value or are dropped at once."""

    stream: str
    reserves: tuple[str, ...]
    keep_every: int = 1


@dataclass(frozen=True, slots=True)
class Blocking:
    """The longest time that optional work may hold this lane between two joints."""

    lane: str
    blocking_ns: int


@dataclass(frozen=True, slots=True)
class Mode:
    """A proven way to run all streams."""

    name: str
    allowances: tuple[Allowance, ...]
    blocking: tuple[Blocking, ...]

    def allowance(self, stream: str) -> Allowance:
        """The stream's part; UsageError for a stream that the certificate does not know."""
        for each in self.allowances:
            if each.stream == stream:
                return each
        raise UsageError(f"stream '{stream}' is not in the certificate; certify all streams together")

    def blocking_ns(self, lane: str) -> int:
        """What optional work may take of this lane between two joints; 0 on a lane that was not certified."""
        return next((each.blocking_ns for each in self.blocking if each.lane == lane), 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a mode is left and when it is taken up again. None: temperature does not matter."""

    exceedances_max: int = 3
    window_ns: int = 10 * SECOND
    return_after_ns: int = 10 * SECOND
    return_after_max_ns: int = 600 * SECOND
    hot_celsius: float | None = None
    cool_celsius: float | None = None
    hot_step_ns: int = 5 * SECOND  # still hot after so long: one mode further


@dataclass(frozen=True, slots=True)
class Certificate:
    """What governs: the streams that were certified together, the modes in their order, and the rule between them."""

    digest: str
    streams: tuple[Stream, ...]
    modes: tuple[Mode, ...]
    rule: Rule = Rule()
