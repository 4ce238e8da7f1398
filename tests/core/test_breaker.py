"""The breaker's table: complete where the link can bring it, and loud elsewhere."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.core.breaker import TABLE, Breaker, Signal, State
from hedgerow.core.chance import RANGE, draw
from hedgerow.core.records import MS, Limits

LIMITS = Limits()
NEVER = {(State.PROBING, Signal.PROBE_SENT)}  # one probe at a time


def in_state(state: State) -> Breaker:
    breaker = Breaker(LIMITS, "cloud")
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
    breaker = Breaker(LIMITS, "cloud")
    assert (breaker.state, breaker.retry_at_ns) == (State.OPEN, 0)


def test_opens_after_failures_in_a_row_only() -> None:
    breaker = in_state(State.CLOSED)
    for _ in range(5):
        assert breaker.signal(Signal.FAILED, now_ns=1)[1] is State.CLOSED
        breaker.signal(Signal.ANSWERED, now_ns=1)
    breaker.signal(Signal.FAILED, now_ns=1)
    assert breaker.signal(Signal.PROBE_LOST, now_ns=1) == (State.CLOSED, State.OPEN)


def retries(breaker: Breaker, count: int) -> list[int]:
    """The waits before so many probes that are all lost, from a break at 0 on."""
    breaker.signal(Signal.DOWN, now_ns=0)
    waits = [breaker.retry_at_ns]
    for _ in range(count - 1):
        now = breaker.retry_at_ns
        breaker.signal(Signal.PROBE_SENT, now_ns=now)
        breaker.signal(Signal.PROBE_LOST, now_ns=now)
        waits.append(breaker.retry_at_ns - now)
    return waits


def test_waits_longer_each_time_up_to_a_bound_and_begins_anew_when_closed() -> None:
    breaker = in_state(State.CLOSED)
    first, last = LIMITS.reopen_first_ns, LIMITS.reopen_last_ns
    nominal = [first, 2 * first, 4 * first, last, last, last]
    for wait, expected in zip(retries(breaker, 6), nominal, strict=True):
        assert 0.75 * expected <= wait < 1.25 * expected
    breaker.signal(Signal.ANSWERED, now_ns=0)
    breaker.signal(Signal.DOWN, now_ns=0)
    assert 0.75 * first <= breaker.retry_at_ns < 1.25 * first


def test_up_ends_the_wait_of_an_open_link_and_of_no_other() -> None:
    breaker = in_state(State.CLOSED)
    retries(breaker, 5)
    now = breaker.retry_at_ns - 100 * MS
    assert breaker.signal(Signal.UP, now_ns=now) == (State.OPEN, State.OPEN)
    assert breaker.retry_at_ns == now
    breaker.signal(Signal.UP, now_ns=now + MS)
    assert breaker.retry_at_ns == now  # never put off by it


@pytest.mark.parametrize("retry", [1, 2, 4])
def test_a_fleet_that_lost_the_same_cloud_does_not_come_back_in_one_instant(retry: int) -> None:
    """1,000 devices: every tenth of the interval gets about a tenth of them, and no instant more than a handful."""
    fleet = []
    for seed in range(1, 1001):
        breaker = Breaker(Limits(seed=seed), "cloud")
        breaker.signal(Signal.ANSWERED, now_ns=0)
        fleet.append(retries(breaker, retry)[-1])
    nominal = min(LIMITS.reopen_first_ns << (retry - 1), LIMITS.reopen_last_ns)
    low, width = nominal * 3 // 4, nominal // 20
    tenths = [(wait - low) // width for wait in fleet]
    counts = [tenths.count(tenth) for tenth in range(10)]
    assert sum(counts) == 1000
    assert max(counts) <= 145  # 100 expected; 4.7 standard deviations
    assert min(counts) >= 55
    assert max(sum(wait // MS == each for wait in fleet) for each in {wait // MS for wait in fleet}) <= 40


def test_the_same_device_waits_the_same_on_replay_and_another_link_differently() -> None:
    waits = [retries(Breaker(Limits(seed=5), link), 1) for link in ("cloud", "cloud", "gateway")]
    assert waits[0] == waits[1]  # still open since it was made: 0
    closed = [Breaker(Limits(seed=5), link) for link in ("cloud", "cloud", "gateway")]
    for breaker in closed:
        breaker.signal(Signal.ANSWERED, now_ns=0)
    one, same, other = (retries(breaker, 4) for breaker in closed)
    assert one == same
    assert one != other


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.sampled_from(Signal), st.integers(0, 2000)), max_size=60), st.integers(0, 2**62))
def test_any_order_of_signals_follows_the_table_and_keeps_the_wait_bounded(
    signals: list[tuple[Signal, int]], seed: int
) -> None:
    """Beside a second reading of the rules: what the state is, and how long the next retry may be away."""
    breaker, state, failures, now = Breaker(Limits(seed=seed), "cloud"), State.OPEN, 0, 0
    for signal, passed_ms in signals:
        now += passed_ms * MS
        if (state, signal) in NEVER:
            with pytest.raises(LookupError, match=f"no rule for {signal} while {state}"):
                breaker.signal(signal, now_ns=now)
            continue
        if signal in (Signal.ANSWERED, Signal.PROBE_ANSWERED):
            expected, failures = State.CLOSED, 0
        else:
            failures += signal in (Signal.FAILED, Signal.PROBE_LOST)
            opens = signal is Signal.DOWN or failures >= LIMITS.failures_to_open
            match state:
                case State.CLOSED:
                    counts = signal in (Signal.DOWN, Signal.FAILED, Signal.PROBE_LOST)
                    expected = State.OPEN if opens and counts else State.CLOSED
                case State.OPEN:
                    expected = State.PROBING if signal is Signal.PROBE_SENT else State.OPEN
                case State.PROBING:
                    expected = State.OPEN if signal is Signal.PROBE_LOST else State.PROBING
        assert breaker.signal(signal, now_ns=now) == (state, expected)
        state = expected
        assert breaker.retry_at_ns - now <= 1.25 * LIMITS.reopen_last_ns
        if signal is Signal.UP and state is State.OPEN:
            assert breaker.retry_at_ns <= now


def test_the_spread_is_drawn_by_the_number_of_the_retry_which_begins_at_one() -> None:
    limits = Limits(seed=7)
    breaker, now, wait = Breaker(limits, "cloud"), 0, limits.reopen_first_ns
    breaker.signal(Signal.PROBE_ANSWERED, now_ns=now)
    for retry in range(1, 5):
        breaker.signal(Signal.DOWN if retry == 1 else Signal.PROBE_LOST, now_ns=now)
        drawn = draw(7, "retry", "cloud", retry)
        assert breaker.retry_at_ns == now + wait * 3 // 4 + wait * drawn // (2 * RANGE)
        wait = min(2 * wait, limits.reopen_last_ns)
        now = breaker.retry_at_ns
        breaker.signal(Signal.PROBE_SENT, now_ns=now)
