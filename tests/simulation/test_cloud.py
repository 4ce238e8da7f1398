"""The cloud against queueing theory, against two recursions that share no code with it, and against examples by hand."""

import heapq
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hedgerow.core.records import MS, SECOND
from hedgerow.errors import UsageError
from hedgerow.simulation.cloud import Cloud, CloudAnswer, CloudRequest, CloudSettings, run

OPEN = CloudSettings(queue_length_max=10**9, order="arrival")
"""A plain queue: nobody is refused."""
Ints = NDArray[np.int64]


def request(
    key: object, ms: float, *, deadline_ms: float | None = None, kind: str = "", segments: int = 1
) -> CloudRequest:
    """Work of `ms` in equal segments, expected to take as long; the deadline is a moment."""
    part = round(ms * MS / segments)
    deadline = None if deadline_ms is None else round(deadline_ms * MS)
    return CloudRequest(key, deadline, 0, (part,) * segments, part * segments, kind)


def served(settings: CloudSettings, times: Ints, works: Ints) -> list[CloudAnswer]:
    requests = (
        (at, CloudRequest(key, None, 0, (work,)))
        for key, (at, work) in enumerate(zip(times.tolist(), works.tolist(), strict=True))
    )
    return run(Cloud(settings), requests)


def poisson(seed: int, count: int, load: float, servers: int, service_ns: int) -> Ints:
    gaps = np.random.default_rng(seed).exponential(service_ns / (load * servers), count)
    return np.cumsum(gaps).astype(np.int64)


def waits_lindley(times: Ints, works: Ints) -> Ints:
    """One server: W = max(0, W + S - A), all at once as a running minimum (Lindley, 1952)."""
    steps = np.concatenate([[0], np.cumsum(works[:-1] - np.diff(times))])
    return steps - np.minimum.accumulate(steps)


def waits_of_many(times: Ints, works: Ints, servers: int) -> Ints:
    """Several servers: the next in line takes whichever is free first (Kiefer and Wolfowitz, 1955)."""
    free = [0] * servers
    found = []
    for at, work in zip(times.tolist(), works.tolist(), strict=True):
        start = max(at, free[0])
        heapq.heapreplace(free, start + work)
        found.append(start - at)
    return np.array(found)


def erlang_wait(load: float, servers: int) -> float:
    """Mean wait of M/M/c in service times (Erlang C)."""
    offered = load * servers
    last = offered**servers / math.factorial(servers) / (1 - load)
    waits = last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)
    return waits / (servers * (1 - load))


def test_one_server_waits_exactly_as_lindley_says() -> None:
    times, works = poisson(1, 20_000, 0.8, 1, MS), np.full(20_000, MS)
    waits = waits_lindley(times, works)
    answers = served(OPEN, times, works)
    assert [each.queue_ns for each in answers] == waits.tolist()
    assert [each.done_ns for each in answers] == (times + waits + works).tolist()


@pytest.mark.parametrize("servers", [2, 5])
def test_several_servers_wait_exactly_as_kiefer_and_wolfowitz_say(servers: int) -> None:
    times = poisson(2, 20_000, 0.9, servers, MS)
    works = np.random.default_rng(3).exponential(MS, 20_000).astype(np.int64) + 1
    answers = served(replace(OPEN, replicas=servers), times, works)
    by_key = {each.key: each.queue_ns for each in answers}
    assert [by_key[key] for key in range(len(times))] == waits_of_many(times, works, servers).tolist()


@pytest.mark.parametrize("load", [0.5, 0.7, 0.9])
def test_the_recursion_that_it_equals_has_the_mean_wait_of_m_d_1_within_a_percent(load: float) -> None:
    count = 8_000_000
    times = poisson(4, count, load, 1, MS)
    assert waits_lindley(times, np.full(count, MS)).mean() / MS == pytest.approx(load / (2 * (1 - load)), rel=0.01)


@pytest.mark.parametrize(("load", "servers"), [(0.5, 2), (0.7, 4)])
def test_the_recursion_that_it_equals_has_the_mean_wait_of_m_m_c_within_a_percent(load: float, servers: int) -> None:
    count = 2_000_000
    times = poisson(8, count, load, servers, MS)
    works = np.random.default_rng(9).exponential(MS, count).astype(np.int64)
    assert waits_of_many(times, works, servers).mean() / MS == pytest.approx(erlang_wait(load, servers), rel=0.01)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("servers", [1, 4])
def test_the_server_itself_is_within_a_percent_of_the_formulas(servers: int) -> None:
    count, load = 1_500_000, 0.6
    times = poisson(8, count, load, servers, MS)
    works = np.full(count, MS) if servers == 1 else np.random.default_rng(9).exponential(MS, count).astype(np.int64)
    answers = served(replace(OPEN, replicas=servers), times, works)
    theory = load / (2 * (1 - load)) if servers == 1 else erlang_wait(load, servers)
    assert sum(each.queue_ns for each in answers) / count / MS == pytest.approx(theory, rel=0.01)


def test_erlangs_formula_is_right_for_one_server() -> None:
    assert erlang_wait(0.8, 1) == pytest.approx(0.8 / 0.2)


def test_the_number_inside_is_the_rate_times_the_time_inside() -> None:
    """Little's law, with the number inside as the server itself counts it, at every event."""
    cloud, count = Cloud(replace(OPEN, replicas=2)), 5000
    times = poisson(6, count, 0.9, 2, MS)
    works = np.random.default_rng(7).exponential(MS, count).astype(np.int64)
    area, last, came, spent = 0, 0, {}, 0
    events = [(at, key) for key, at in enumerate(times.tolist())]
    while events or cloud.next_ns() is not None:
        due = cloud.next_ns()
        comes = bool(events) and (due is None or events[0][0] < due)
        now = events[0][0] if comes else due
        assert now is not None
        area += (cloud.waiting + cloud.computing) * (now - last)
        last = now
        if comes:
            _, key = events.pop(0)
            came[key] = now
            answers = cloud.submit(CloudRequest(key, None, 0, (int(works[key]),)), now_ns=now)
        else:
            answers = cloud.advance(now)
        spent += sum(each.done_ns - came[each.key] for each in answers if isinstance(each.key, int))
    assert area == spent
    assert cloud.waiting == cloud.computing == 0
    assert cloud.busy_ns == works.sum()


def test_a_batch_server_by_hand() -> None:
    """Batches of 3, waiting 5 ms, each further item 20 % more: 10, 12 and 14 ms."""
    settings = replace(OPEN, batch_max=3, batch_wait_ns=5 * MS, batch_share=0.2)
    arrivals_ms = [0, 2, 4, 6, 7, 30, 40]
    found = run(Cloud(settings), [(at * MS, request(key, 10)) for key, at in enumerate(arrivals_ms)])
    by_hand = [
        # 0, 1, 2 are full at 4 and take 14; 3 and 4 (oldest since 6) go at 18 and take 12; 5 waits until 35; 6 until 45
        (0, 18, 4, 3), (1, 18, 2, 3), (2, 18, 0, 3), (3, 30, 12, 2), (4, 30, 11, 2), (5, 45, 5, 1), (6, 55, 5, 1),
    ]  # fmt: skip
    assert [(each.key, each.done_ns / MS, each.queue_ns / MS, each.batch) for each in found] == by_hand
    assert [each.compute_ns / MS for each in found] == [14, 14, 14, 12, 12, 10, 10]


def test_only_one_kind_shares_a_batch() -> None:
    settings = replace(OPEN, batch_max=4, batch_share=0.0)
    kinds = ["a", "a", "b", "a"]
    found = run(Cloud(settings), [(at, request(at, 10, kind=kind)) for at, kind in enumerate(kinds)])
    assert [(each.key, each.batch) for each in found] == [(0, 1), (1, 2), (3, 2), (2, 1)]


def test_the_earliest_deadline_goes_first_and_arrival_order_on_request() -> None:
    deadlines = {0: 1000, 1: 500, 2: 300, 3: 400}
    for order, expected in (("deadline", [0, 2, 3, 1]), ("arrival", [0, 1, 2, 3])):
        cloud = Cloud(CloudSettings(order=order))
        found = run(cloud, [(key * MS, request(key, 20, deadline_ms=each)) for key, each in deadlines.items()])
        assert [each.key for each in found] == expected


def test_what_cannot_be_met_is_refused_at_once_and_says_why() -> None:
    cloud = Cloud()
    assert not cloud.submit(request("first", 50, deadline_ms=60), now_ns=0)
    assert _faults(cloud.submit(request("too long", 50, deadline_ms=41), now_ns=MS)) == {"too long": "too_late"}
    assert _faults(cloud.submit(request("over", 5, deadline_ms=1), now_ns=MS)) == {"over": "too_late"}
    assert _faults(cloud.submit(request("behind", 20, deadline_ms=65), now_ns=MS)) == {"behind": "overloaded"}
    assert not cloud.submit(request("fits", 20, deadline_ms=75), now_ns=MS)
    done = run(cloud, [])
    assert [(each.key, each.done_ns / MS, each.fault) for each in done] == [("first", 50, ""), ("fits", 70, "")]


def test_the_queues_limit_is_kept() -> None:
    cloud = Cloud(CloudSettings(queue_length_max=2))
    faults: dict[object, str] = {}
    for key in range(5):
        faults |= _faults(cloud.submit(request(key, 10), now_ns=0))
        assert cloud.waiting <= 2
    assert faults == {3: "overloaded", 4: "overloaded"}


def test_time_that_runs_out_ends_it_before_its_next_segment() -> None:
    lax = CloudSettings(checks_time=False)
    late_queue = [(0, request("a", 30)), (0, request("b", 30, deadline_ms=20))]
    assert [(each.key, each.done_ns / MS, each.fault) for each in run(Cloud(lax), late_queue)] == [
        ("a", 30, ""),
        ("b", 30, "too_late"),
    ]
    slow = CloudRequest("slow", 25 * MS, 2 * MS, (10 * MS,) * 4, 0)
    assert [(each.done_ns / MS, each.fault) for each in run(Cloud(lax), [(0, slow)])] == [(32, "too_late")]
    last = CloudRequest("last", 35 * MS, 2 * MS, (10 * MS,) * 4, 0)
    assert [(each.done_ns / MS, each.fault) for each in run(Cloud(lax), [(0, last)])] == [
        (42, "")
    ]  # nothing asks after it


def test_cancelling_frees_the_queue_at_once_and_the_lane_at_the_next_joint() -> None:
    cloud = Cloud()
    cloud.submit(request("runs", 40, segments=4), now_ns=0)
    cloud.submit(request("waits", 10), now_ns=0)
    cloud.submit(request("stays", 10), now_ns=0)
    assert _faults(cloud.cancel("waits", now_ns=5 * MS)) == {"waits": "cancelled"}
    assert not cloud.cancel("runs", now_ns=12 * MS)
    assert not cloud.cancel("nobody", now_ns=12 * MS)
    done = run(cloud, [])
    assert [(each.key, each.done_ns / MS, each.fault) for each in done] == [
        ("runs", 20, "cancelled"),
        ("stays", 30, ""),
    ]


def test_a_crash_loses_all_that_is_inside_and_nobody_is_served_until_it_is_back() -> None:
    cloud = Cloud()
    for key in range(3):
        cloud.submit(request(key, 10), now_ns=0)
    assert _faults(cloud.crash(15 * MS, down_ns=SECOND)) == {0: "", 1: "link", 2: "link"}
    assert cloud.next_ns() is None
    assert _faults(cloud.submit(request(3, 10), now_ns=500 * MS)) == {3: "link"}
    assert not cloud.submit(request(4, 10), now_ns=SECOND + 15 * MS)
    assert [(each.key, each.done_ns / MS) for each in run(cloud, [])] == [(4, 1025)]


def test_a_cold_server_answers_after_its_start() -> None:
    cloud = Cloud(CloudSettings(is_cold=True, start_ns=8 * SECOND))
    found = run(cloud, [(SECOND, request("early", 10))])
    assert [(each.done_ns / MS, each.queue_ns / MS) for each in found] == [(8010, 7000)]
    hurried = Cloud(CloudSettings(is_cold=True, start_ns=8 * SECOND))
    assert _faults(hurried.submit(request("hurried", 10, deadline_ms=100), now_ns=0)) == {"hurried": "overloaded"}


def test_scaling_follows_the_queue_with_its_lag_and_goes_back() -> None:
    settings = CloudSettings(replicas=1, replicas_max=3, start_ns=100 * MS, idle_ns=SECOND, scale_up_queue=2)
    cloud = Cloud(settings)
    for key in range(9):
        cloud.submit(request(key, 50), now_ns=0)
    # one runs and eight wait: a second replica from the third that waits, a third from the fifth
    assert cloud.replicas_ready == 1
    found = run(cloud, [])
    assert cloud.replicas_ready == 3
    # the first alone at 50 and 100, then three at a time
    assert [each.done_ns / MS for each in found] == [50, 100, 150, 150, 150, 200, 200, 200, 250]
    cloud.submit(request("next", 50), now_ns=500 * MS)
    assert cloud.replicas_ready == 3
    run(cloud, [])
    cloud.submit(request("later", 50), now_ns=3 * SECOND)
    assert cloud.replicas_ready == 1


def test_scaled_to_nothing_it_refuses_the_hurried_and_starts_for_the_next() -> None:
    cloud = Cloud(CloudSettings(replicas=0, replicas_max=1, start_ns=SECOND))
    assert _faults(cloud.submit(request("hurried", 10, deadline_ms=100), now_ns=0)) == {"hurried": "overloaded"}
    assert cloud.advance(SECOND) == []
    assert cloud.replicas_ready == 1
    assert not cloud.submit(request("second", 10, deadline_ms=1100), now_ns=SECOND)


def test_every_request_has_exactly_one_answer_whatever_happens() -> None:
    for seed in range(60):
        random = np.random.default_rng(seed)
        settings = CloudSettings(
            replicas=int(random.integers(0, 3)), replicas_max=int(random.integers(1, 4)), queue_length_max=int(random.integers(1, 9)),
            order=("deadline", "arrival")[seed % 2], batch_max=int(random.integers(1, 4)), batch_wait_ns=int(random.integers(0, 9)) * MS,
            batch_share=0.3, start_ns=30 * MS, idle_ns=50 * MS, scale_up_queue=1, checks_time=bool(seed % 3),
        )  # fmt: skip
        cloud, now, answers = Cloud(settings), 0, []
        for key in range(150):
            now += int(random.integers(0, 12 * MS))
            while (due := cloud.next_ns()) is not None and due <= now:
                answers += cloud.advance(due)
                assert cloud.waiting <= settings.queue_length_max
            deadline = now + int(random.integers(1, 80)) * MS if random.random() < 0.8 else None
            work = CloudRequest(
                key, deadline, MS, (int(random.integers(1, 9)) * MS,) * 2, 9 * MS, "ab"[int(random.integers(2))]
            )
            answers += cloud.submit(work, now_ns=now)
            if random.random() < 0.1:
                answers += cloud.cancel(int(random.integers(key + 1)), now_ns=now)
            if random.random() < 0.03:
                answers += cloud.crash(now, down_ns=20 * MS)
        answers += run(cloud, [])
        assert sorted(each.key for each in answers if isinstance(each.key, int)) == list(range(150))
        assert {each.fault for each in answers} <= {"", "overloaded", "too_late", "cancelled", "link"}


def _faults(answers: list[CloudAnswer]) -> dict[object, str]:
    return {each.key: each.fault for each in answers}


def test_what_cannot_be_is_refused() -> None:
    for wrong in ({"order": "luck"}, {"replicas": 0}, {"batch_max": 0}, {"batch_share": 1.5}, {"queue_length_max": -1}):
        with pytest.raises(UsageError):
            CloudSettings(**wrong)
