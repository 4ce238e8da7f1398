from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.pipe import Flow, Kind, Pipe, PipeLimits

MS = 1_000_000
ROOMY = PipeLimits(queue_bytes_min=10_000_000, queue_bytes_max=10_000_000)


def opened(pipe: Pipe, number: int = 1) -> Flow:
    flow = Flow(number)
    pipe.block(flow, False, now_ns=0)
    return flow


def set_link(pipe: Pipe, rate: float | None, rtt_ms: float = 0.0, *, now_ns: int = 0, stalled: bool = False) -> None:
    pipe.set_conditions(rate, LinkConditions(rtt_ms=rtt_ms, stalled=stalled), now_ns=now_ns)


def drain(pipe: Pipe, until_ns: int, start_ns: int = 0) -> list[tuple[int, int, bytes]]:
    """Everything that comes out until a time, as (when, owner, bytes), by the pipe's own wake-ups."""
    out = []
    now_ns: int | None = start_ns
    while now_ns is not None and now_ns <= until_ns:
        out += [(now_ns, p.flow.owner, bytes(p.data)) for p in pipe.advance(now_ns=now_ns) if p.kind is Kind.DATA]
        following = pipe.next_wakeup_ns()
        assert following is None or following > now_ns
        now_ns = following
    return out


@pytest.mark.parametrize("rate", [40_000.0, 625_000.0, 6_250_000.0, 125_000_000.0])
@pytest.mark.parametrize("rtt_ms", [0.0, 40.0])
def test_the_last_byte_arrives_after_size_over_rate_plus_half_the_round_trip(rate: float, rtt_ms: float) -> None:
    pipe = Pipe(ROOMY)
    set_link(pipe, rate, rtt_ms)
    flow = opened(pipe)
    pipe.offer(flow, bytes(100_000), now_ns=0)
    out = drain(pipe, 10**13)
    assert sum(len(data) for _, _, data in out) == 100_000
    assert out[-1][0] == pytest.approx(100_000 / rate * 1e9 + rtt_ms * 5e5, abs=1000)


def test_a_late_driver_does_not_slow_the_link() -> None:
    pipe = Pipe(ROOMY)
    set_link(pipe, 1e6)
    flow = opened(pipe)
    pipe.offer(flow, bytes(100_000), now_ns=0)
    pipe.advance(now_ns=0)
    assert sum(len(p.data) for p in pipe.advance(now_ns=50 * MS)) == 50_000


def test_delay_does_not_take_up_the_bottleneck() -> None:
    pipe = Pipe()
    set_link(pipe, 1e6, rtt_ms=1000)
    flow = opened(pipe)
    for start_ms in range(0, 100, 10):
        pipe.advance(now_ns=start_ms * MS)
        pipe.offer(flow, bytes(1000), now_ns=start_ms * MS)
    assert [when for when, _, _ in drain(pipe, 10**12, 90 * MS)][-1] == (90 + 1 + 500) * MS


def test_two_flows_take_turns() -> None:
    pipe = Pipe(ROOMY)
    set_link(pipe, 1e6)
    bulk, small = opened(pipe, 1), opened(pipe, 2)
    pipe.offer(bulk, bytes(1_000_000), now_ns=0)
    pipe.advance(now_ns=0)
    pipe.offer(small, bytes(3000), now_ns=0)
    out = drain(pipe, 20 * MS)
    passed = {owner: sum(len(data) for _, who, data in out if who == owner) for owner in (1, 2)}
    assert passed[2] == 3000
    assert max(when for when, owner, _ in out if owner == 2) <= 10 * MS


def test_a_change_of_rate_counts_from_its_moment() -> None:
    pipe = Pipe(ROOMY)
    set_link(pipe, 1e6)
    flow = opened(pipe)
    pipe.offer(flow, bytes(100_000), now_ns=0)
    drain(pipe, 20 * MS)
    set_link(pipe, 0.0, now_ns=20 * MS)
    assert drain(pipe, 10**10, 20 * MS) == []
    set_link(pipe, 4e6, now_ns=500 * MS)
    out = drain(pipe, 10**12, 500 * MS)
    assert out[-1][0] == pytest.approx((500 + 80_000 / 4e3) * MS, rel=1e-3)


def test_nothing_moves_while_frozen_and_all_of_it_after() -> None:
    pipe = Pipe(ROOMY)
    set_link(pipe, 1e6, rtt_ms=20)
    flow = opened(pipe)
    pipe.offer(flow, bytes(10_000), now_ns=0)
    before = drain(pipe, 12 * MS)
    set_link(pipe, 1e6, 20, now_ns=12 * MS, stalled=True)
    pipe.offer(flow, bytes(5_000), now_ns=13 * MS)
    assert pipe.advance(now_ns=900 * MS) == []
    assert pipe.next_wakeup_ns() is None
    set_link(pipe, 1e6, 20, now_ns=1000 * MS)
    after = drain(pipe, 10**12, 1000 * MS)
    assert sum(len(data) for _, _, data in before + after) == 15_000
    # 12,000 bytes could have been sent before the stall but 10,000 were there; 5,000 need 5 ms after it.
    assert after[-1][0] == pytest.approx(1015 * MS, abs=1000)


def test_a_round_trip_that_shrinks_lets_nothing_overtake() -> None:
    pipe = Pipe()
    set_link(pipe, None, rtt_ms=1000)
    flow = opened(pipe)
    pipe.offer(flow, b"first", now_ns=0)
    pipe.advance(now_ns=0)
    set_link(pipe, None, rtt_ms=10, now_ns=MS)
    pipe.offer(flow, b"second", now_ns=MS)
    assert [data for _, _, data in drain(pipe, 10**12, MS)] == [b"first", b"second"]


def test_the_queue_is_bounded_and_says_so() -> None:
    pipe = Pipe()
    flow = opened(pipe)
    set_link(pipe, 1e4)
    assert pipe.room(flow) == 32 * 1024
    set_link(pipe, 1e6)
    assert pipe.room(flow) == 100_000
    set_link(pipe, 1e9)
    assert pipe.room(flow) == 256 * 1024
    set_link(pipe, 0.0)
    pipe.offer(flow, bytes(32 * 1024), now_ns=0)
    assert pipe.room(flow) == 0
    assert not pipe.worth_reading(flow)


def test_the_delay_line_is_bounded() -> None:
    pipe = Pipe(PipeLimits(in_flight_bytes_max=10_000, queue_bytes_max=1_000))
    set_link(pipe, None, rtt_ms=1000)
    flow = opened(pipe)
    pipe.offer(flow, bytes(50_000), now_ns=0)
    assert pipe.advance(now_ns=0) == []
    assert flow.queued_bytes == 40_000
    assert sum(len(data) for _, _, data in drain(pipe, 10**12)) == 50_000


def test_signs_keep_their_place_and_a_forgotten_flow_is_silent() -> None:
    pipe = Pipe()
    set_link(pipe, 1e6, rtt_ms=10)
    flow, other = opened(pipe, 1), opened(pipe, 2)
    pipe.mark(flow, Kind.OPENED, now_ns=0)
    pipe.offer(flow, b"x" * 3000, now_ns=0)
    pipe.end(flow, now_ns=0)
    pipe.offer(other, b"y" * 100, now_ns=0)
    pipe.advance(now_ns=0)
    pipe.forget(other)
    kinds = [parcel.kind for parcel in pipe.advance(now_ns=1000 * MS)]
    assert kinds == [Kind.OPENED, Kind.DATA, Kind.DATA, Kind.END]


def test_a_blocked_flow_waits_and_is_not_credited_for_it() -> None:
    pipe = Pipe(ROOMY)
    set_link(pipe, 1e6)
    flow = Flow(1)
    pipe.offer(flow, bytes(10_000), now_ns=0)
    assert pipe.advance(now_ns=500 * MS) == []
    pipe.block(flow, False, now_ns=500 * MS)
    assert drain(pipe, 10**12, 500 * MS)[-1][0] == 510 * MS


@dataclass(frozen=True)
class Step:
    wait_us: int
    flow: int
    size: int
    rate: float | None
    rtt_ms: float
    stalled: bool


STEPS = st.builds(
    Step,
    st.integers(0, 30_000),
    st.integers(0, 2),
    st.integers(1, 20_000),
    st.sampled_from([None, 0.0, 50_000.0, 1e6, 2e7]),
    st.sampled_from([0.0, 1.0, 40.0]),
    st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_no_byte_is_lost_and_none_overtakes_whatever_happens(steps: list[Step]) -> None:
    pipe = Pipe()
    flows = [opened(pipe, number) for number in range(3)]
    sent, got = [bytearray(), bytearray(), bytearray()], [bytearray(), bytearray(), bytearray()]
    ended: list[int] = []

    def collect(until_ns: int) -> None:
        for parcel in pipe.advance(now_ns=until_ns):
            got[parcel.flow.owner] += parcel.data
            if parcel.kind is Kind.END:
                ended.append(parcel.flow.owner)

    now_ns = 0
    for number, step in enumerate(steps):
        now_ns += step.wait_us * 1000
        collect(now_ns)
        set_link(pipe, step.rate, step.rtt_ms, now_ns=now_ns, stalled=step.stalled)
        piece = number.to_bytes(1, "big") * min(step.size, pipe.room(flows[step.flow]))
        sent[step.flow] += piece
        if piece:
            pipe.offer(flows[step.flow], piece, now_ns=now_ns)
    collect(now_ns)
    set_link(pipe, 1e6, now_ns=now_ns)
    for flow in flows:
        pipe.end(flow, now_ns=now_ns)
    while (following := pipe.next_wakeup_ns()) is not None:
        collect(following)
    collect(now_ns + 10**11)
    assert got == sent
    assert sorted(ended) == [0, 1, 2]
    assert pipe.passed_bytes == sum(map(len, sent))
