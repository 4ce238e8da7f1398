"""The breaker's table: complete where the link can bring it, and loud elsewhere."""

import pytest

from hedgerow.core.breaker import TABLE, Breaker, Signal, State
from hedgerow.core.records import Limits

LIMITS = Limits()
NEVER = {(State.PROBING, Signal.PROBE_SENT)}  # one probe at a time


def in_state(state: State) -> Breaker:
    breaker = Breaker(LIMITS)
    if state is State.CLOSED:
        breaker.signal(Signal.PROBE_ANSWERED, now_ns=0)
    if state is State.PROBING:
        breaker.signal(Signal.PROBE_SENT, now_ns=0)
    assert breaker.state is state
    return breaker


def test_every_pair_that_can_be_has_a_rule_and_no_other() -> None:
    assert set(TABLE) | NEVER == {(state, signal) for state in State for signal in Signal}
    assert not set(TABLE) & NEVER


@pytest.mark.parametrize(("pair", "after"), TABLE.items())
def test_each_rule_is_followed(pair: tuple[State, Signal], after: State) -> None:
    assert in_state(pair[0]).signal(pair[1], now_ns=1) == (pair[0], after)


@pytest.mark.parametrize(("state", "signal"), sorted(NEVER))
def test_an_unknown_pair_raises_naming_both(state: State, signal: Signal) -> None:
    with pytest.raises(LookupError, match="no rule for probe_sent while probing"):
        in_state(state).signal(signal, now_ns=1)


def test_starts_open_and_may_be_probed_at_once() -> None:
    breaker = Breaker(LIMITS)
    assert (breaker.state, breaker.retry_at_ns) == (State.OPEN, 0)


def test_opens_after_failures_in_a_row_only() -> None:
    breaker = in_state(State.CLOSED)
    for _ in range(5):
        assert breaker.signal(Signal.FAILED, now_ns=1)[1] is State.CLOSED
        breaker.signal(Signal.ANSWERED, now_ns=1)
    breaker.signal(Signal.FAILED, now_ns=1)
    assert breaker.signal(Signal.PROBE_LOST, now_ns=1) == (State.CLOSED, State.OPEN)


def test_waits_longer_each_time_up_to_a_bound_and_begins_anew_when_closed() -> None:
    breaker = in_state(State.CLOSED)
    breaker.signal(Signal.DOWN, now_ns=0)
    waits = [breaker.retry_at_ns]
    for _ in range(5):
        now = breaker.retry_at_ns
        breaker.signal(Signal.PROBE_SENT, now_ns=now)
        breaker.signal(Signal.PROBE_LOST, now_ns=now)
        waits.append(breaker.retry_at_ns - now)
    first, last = LIMITS.reopen_first_ns, LIMITS.reopen_last_ns
    assert waits == [first, 2 * first, 4 * first, last, last, last]
    breaker.signal(Signal.ANSWERED, now_ns=0)
    breaker.signal(Signal.DOWN, now_ns=0)
    assert breaker.retry_at_ns == first
