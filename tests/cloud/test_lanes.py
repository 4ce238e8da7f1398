"""Lanes: earliest deadline first, limits, dropping, errors, an end that leaves nothing."""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.cloud.lanes import Job, Lanes
from hedgerow.errors import EngineError
from hedgerow.wire.faults import FaultError, FaultKind
from tests.wire.serving import PATIENCE_S, SECOND_NS


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    made = Lanes(1, queue_length_max=16)
    yield made
    made.close(PATIENCE_S)


def soon(seconds: float = PATIENCE_S) -> int:
    return time.monotonic_ns() + int(seconds * SECOND_NS)


class Gate:
    """A job that holds its lane until it is opened."""

    def __init__(self, lanes: Lanes, expected_ns: int = 0) -> None:
        self._open = threading.Event()
        self._entered = threading.Event()
        self.job: Job[str] = Job(self._wait, deadline_ns=soon(), expected_ns=expected_ns)
        lanes.submit(self.job)
        assert self._entered.wait(PATIENCE_S)

    def _wait(self, _: Job[str]) -> str:
        self._entered.set()
        self._open.wait(PATIENCE_S)
        return "through"

    def open(self) -> None:
        self._open.set()


def end_of(job: Job[str]) -> str:
    ended = threading.Event()
    job.when_done(ended.set)
    assert ended.wait(PATIENCE_S)
    return job.result()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=16))
def test_waiting_jobs_run_earliest_deadline_first_equal_ones_in_order(offsets: list[int]) -> None:
    lanes = Lanes(1, queue_length_max=16)
    gate = Gate(lanes)
    base, ran = soon(), list[tuple[int, int]]()
    jobs = []
    for number, offset in enumerate(offsets):

        def work(_: Job[str], entry: tuple[int, int] = (offset, number)) -> str:
            ran.append(entry)
            return ""

        jobs.append(Job(work, deadline_ns=base + offset, expected_ns=0))
        lanes.submit(jobs[-1])
    gate.open()
    for job in jobs:
        end_of(job)
    assert ran == sorted(zip(offsets, itertools.count(), strict=False))
    lanes.close(PATIENCE_S)


def test_a_full_queue_refuses(lanes: Lanes) -> None:
    gate = Gate(lanes)
    jobs = [Job(lambda _: "", deadline_ns=soon(), expected_ns=0) for _ in range(17)]
    for job in jobs[:16]:
        lanes.submit(job)
    with pytest.raises(FaultError) as caught:
        lanes.submit(jobs[16])
    assert caught.value.fault.kind is FaultKind.OVERLOADED
    gate.open()
    assert end_of(jobs[15]) == ""


def test_a_job_out_of_time_does_not_run(lanes: Lanes) -> None:
    gate = Gate(lanes)
    job = Job(lambda _: "ran", deadline_ns=soon(0.01), expected_ns=0)
    lanes.submit(job)
    time.sleep(0.02)
    gate.open()
    with pytest.raises(FaultError) as caught:
        end_of(job)
    assert caught.value.fault.kind is FaultKind.TOO_LATE


def test_a_dropped_job_leaves_the_queue_at_once(lanes: Lanes) -> None:
    gate = Gate(lanes)
    job = Job(lambda _: "ran", deadline_ns=soon(), expected_ns=7)
    lanes.submit(job)
    assert lanes.expected_wait_ns(soon(), now_ns=time.monotonic_ns()) == 7
    lanes.drop(job)
    with pytest.raises(FaultError) as caught:
        end_of(job)  # while the gate is still closed
    assert caught.value.fault.kind is FaultKind.CANCELLED
    assert lanes.expected_wait_ns(soon(), now_ns=time.monotonic_ns()) == 0
    gate.open()


def test_a_running_job_is_asked_to_stop(lanes: Lanes) -> None:
    entered = threading.Event()

    def work(job: Job[str]) -> str:
        entered.set()
        while not job.should_stop():
            time.sleep(0.001)
        raise job.stopped_fault("after segment 1 of 4")

    job = Job(work, deadline_ns=soon(), expected_ns=0)
    lanes.submit(job)
    assert entered.wait(PATIENCE_S)
    lanes.drop(job)
    with pytest.raises(FaultError, match="after segment 1 of 4"):
        end_of(job)


def test_the_expected_wait_counts_what_is_due_before(lanes: Lanes) -> None:
    now_ns = time.monotonic_ns()
    assert lanes.expected_wait_ns(soon(), now_ns=now_ns) == 0
    gate = Gate(lanes, expected_ns=100 * SECOND_NS)
    early, late = soon(10), soon(30)
    lanes.submit(Job(lambda _: "", deadline_ns=early, expected_ns=5))
    lanes.submit(Job(lambda _: "", deadline_ns=late, expected_ns=11))
    assert gate.job.started_ns is not None
    running_ns = 100 * SECOND_NS - 1000
    now_ns = gate.job.started_ns + 1000
    assert lanes.expected_wait_ns(early - 1, now_ns=now_ns) == running_ns
    assert lanes.expected_wait_ns(early, now_ns=now_ns) == running_ns + 5
    assert lanes.expected_wait_ns(late, now_ns=now_ns) == running_ns + 16
    gate.open()


def test_an_error_reaches_the_one_who_asked_and_the_lane_lives_on(
    lanes: Lanes, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Job[str]) -> str:
        raise EngineError("the model failed")

    def bug(_: Job[str]) -> str:
        raise ZeroDivisionError

    jobs = [Job(work, deadline_ns=soon(), expected_ns=0) for work in (fail, bug, lambda _: "fine")]
    for job in jobs:
        lanes.submit(job)
    with pytest.raises(EngineError, match="the model failed"):
        end_of(jobs[0])
    with pytest.raises(FaultError) as caught:
        end_of(jobs[1])
    assert caught.value.fault.kind is FaultKind.ENGINE
    assert "ZeroDivisionError" in caplog.text
    assert end_of(jobs[2]) == "fine"


def test_awaiting_gives_the_result_and_cancelling_drops_the_job(lanes: Lanes) -> None:
    async def scenario() -> None:
        assert await lanes.run(Job(lambda _: "fine", deadline_ns=soon(), expected_ns=0)) == "fine"
        gate = Gate(lanes)
        job: Job[str] = Job(lambda _: "ran", deadline_ns=soon(), expected_ns=0)
        waiting = asyncio.ensure_future(lanes.run(job))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert job.stopped
        gate.open()

    asyncio.run(scenario())


def test_several_lanes_run_at_once() -> None:
    lanes = Lanes(2, queue_length_max=4)
    gates = [Gate(lanes), Gate(lanes)]  # the second could not enter if there were one lane
    for gate in gates:
        gate.open()
        assert end_of(gate.job) == "through"
    lanes.close(PATIENCE_S)


def test_closing_refuses_what_waits_and_ends_the_threads() -> None:
    lanes = Lanes(2, queue_length_max=4)
    gates = [Gate(lanes), Gate(lanes)]
    job: Job[str] = Job(lambda _: "", deadline_ns=soon(), expected_ns=0)
    lanes.submit(job)
    lanes.close(0.01)
    with pytest.raises(FaultError) as caught:
        end_of(job)
    assert caught.value.fault.kind is FaultKind.CLOSING
    with pytest.raises(FaultError, match="shuts down"):
        lanes.submit(job)
    assert all(gate.job.stopped for gate in gates)
    for gate in gates:
        gate.open()
    lanes.close(PATIENCE_S)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hedgerow-lane")]
