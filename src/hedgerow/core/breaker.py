"""When not to ask the cloud at all: a circuit breaker as a table.

    state     event            next      meaning
    closed    answered         closed    failures forgotten
    closed    failed           closed*   *open once `failures_to_open` came in a row
    closed    down             open      the connection itself broke
    open      probe_sent       probing   only probes cross; each on a fresh connection
    open      up               open      the device's own network is back: the next probe may leave at once
    probing   probe_answered   closed    back; what was lost during the outage is forgotten
    probing   probe_lost       open      wait longer, up to a bound, and try again

A late answer to an old request proves the link too: (open, answered) and (probing, answered) close it.

How long a state lasts at most while requests want the link (`Limits`; the core keeps these by itself, whatever is reported):

    probing   P = probe_timeout_ns + probe_margin_ns; then the probe counts as lost, and a later report is ignored
    open      max(1.25 * reopen_last_ns, P)    P: a probe that left before it opened ends first
    closed    failures_to_open * (S + P) once nothing is heard any more; S = probe_silence_ns while requests are sent into it,
              up to probe_silence_max_ns on one that is not used

The wait before a retry is spread over 0.75 to 1.25 of its nominal length by `Limits.seed`, the link's name and the number of
the retry: a fleet that lost the same cloud does not come back in one instant.
"""

from enum import StrEnum
from typing import Final

from hedgerow.core.chance import RANGE, draw
from hedgerow.core.records import Limits


class State(StrEnum):
    __hash__ = str.__hash__  # they are looked up at every message: an enum's own is a Python call

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Signal(StrEnum):
    __hash__ = str.__hash__

    ANSWERED = "answered"
    FAILED = "failed"
    DOWN = "down"
    PROBE_SENT = "probe_sent"
    PROBE_ANSWERED = "probe_answered"
    PROBE_LOST = "probe_lost"
    UP = "up"


_MOVES: Final[dict[State, dict[Signal, State]]] = {  # what is not listed here changes nothing
    State.CLOSED: {Signal.DOWN: State.OPEN},
    State.OPEN: {
        Signal.ANSWERED: State.CLOSED, Signal.PROBE_SENT: State.PROBING, Signal.PROBE_ANSWERED: State.CLOSED
    },
    State.PROBING: {
        Signal.ANSWERED: State.CLOSED, Signal.PROBE_ANSWERED: State.CLOSED, Signal.PROBE_LOST: State.OPEN
    },
}  # fmt: skip
TABLE: Final = {(state, signal): moves.get(signal, state) for state, moves in _MOVES.items() for signal in Signal}
del TABLE[State.PROBING, Signal.PROBE_SENT]  # one probe at a time
_FAILURES: Final = frozenset({Signal.FAILED, Signal.PROBE_LOST})
_SUCCESSES: Final = frozenset({Signal.ANSWERED, Signal.PROBE_ANSWERED})


class Breaker:
    """State of one link; starts open, so that nothing is entrusted to a cloud that was never heard of."""

    def __init__(self, limits: Limits, link: str) -> None:
        self._limits, self._link = limits, link
        self._failures = self._retries = 0
        self._wait_ns = limits.reopen_first_ns
        self.state = State.OPEN
        self.retry_at_ns = 0

    def signal(self, signal: Signal, *, now_ns: int) -> tuple[State, State]:
        """Take one signal; returns (state before, state after). An unlisted pair raises LookupError naming both."""
        before = self.state
        after = TABLE.get((before, signal))
        if after is None:
            raise LookupError(f"the breaker has no rule for {signal} while {before}")
        if signal in _FAILURES:
            self._failures += 1
        elif signal in _SUCCESSES:
            self._failures = 0
        if before is State.CLOSED and signal in _FAILURES and self._failures >= self._limits.failures_to_open:
            after = State.OPEN
        if after is State.CLOSED or signal is Signal.UP:
            self._wait_ns = self._limits.reopen_first_ns
        if after is State.OPEN and signal is Signal.UP:
            self.retry_at_ns = min(self.retry_at_ns, now_ns)
        elif after is State.OPEN and before is not State.OPEN:
            self.retry_at_ns = now_ns + self._spread_ns()
            self._wait_ns = min(2 * self._wait_ns, self._limits.reopen_last_ns)
        self.state = after
        return before, after

    def _spread_ns(self) -> int:
        """The nominal wait times [0.75, 1.25), as drawn for this retry."""
        self._retries += 1
        drawn = draw(self._limits.seed, "retry", self._link, self._retries)
        return self._wait_ns * 3 // 4 + self._wait_ns * drawn // (2 * RANGE)
