"""The driver: callers' code that fails or stops in the middle costs nobody else an answer."""

import threading
import time
from pathlib import Path

import pytest

from hedgerow.core import records as r
from hedgerow.core.records import Status
from hedgerow.device.lane import Job, Lane
from hedgerow.device.session import Session
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.device.small import Oracle, Steps, tagged
from tests.wire.serving import ServerProcess, until


def test_a_listener_that_fails_is_told_nothing_more(
    task: Task, profile: Profile, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []
    steps = Steps()

    def fail(now_ns: int, event: r.Event, outcome: r.Outcome) -> None:
        calls.append(now_ns)
        raise RuntimeError("a broken meter")

    with Session(task, profile=profile) as session:
        session.listen(fail)
        session.listen(steps)
        for number in range(3):
            assert session.answer(tagged(number)).status is Status.ANSWERED
    assert len(calls) == 1
    assert len(steps.steps) > 3
    assert "a listener failed" in caplog.text


def test_advice_that_fails_costs_no_answer(
    task: Task, profile: Profile, server: ServerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    called = threading.Event()

    def fail(_: object) -> None:
        called.set()
        raise RuntimeError("a broken adviser")

    with Session(task, server.address, profile=profile, deadline_ms=400, criticality="safety") as session:
        until(lambda: session.submit(tagged(1), on_advice=fail).result(20).outputs and called.wait(0.05), "advice")
        for number in range(5):
            assert session.answer(tagged(number)).status is Status.ANSWERED
    assert "on_advice failed" in caplog.text


def test_a_future_given_up_by_its_caller_does_no_harm(task: Task, profile: Profile) -> None:
    with Session(task, profile=profile) as session:
        for number in range(10):
            session.submit(tagged(number)).cancel()
        answer = session.answer(tagged(3))
        Oracle(task).check(tagged(3), answer.outputs)
        assert session._driver._pending.keys() <= {answer.request}


def test_an_interrupted_caller_leaves_the_lane_free(
    task: Task, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(task, profile=profile, deadline_ms=500) as session:
        with monkeypatch.context() as patched:

            def interrupt(self: Lane, job: Job) -> r.Event:
                raise KeyboardInterrupt

            patched.setattr(Lane, "execute", interrupt)
            with pytest.raises(KeyboardInterrupt):
                session.answer(tagged(0))
        for number in range(5):
            answer = session.answer(tagged(number))
            assert answer.status is Status.ANSWERED
            Oracle(task).check(tagged(number), answer.outputs)


def test_a_waiting_caller_does_its_own_work_only(task: Task, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    done_by: dict[int, set[str]] = {}
    execute = Lane.execute

    def note(self: Lane, job: Job) -> r.Event:
        done_by.setdefault(job.action.request, set()).add(threading.current_thread().name)
        return execute(self, job)

    monkeypatch.setattr(Lane, "execute", note)
    with Session(task, profile=profile, deadline_ms=500) as session:
        first = session.submit(tagged(0))
        mine = session.answer(tagged(1))
        assert first.result(20).outputs
    assert done_by[0] == {"hedgerow-lane-cpu"}
    assert done_by[mine.request] <= {"MainThread", "hedgerow-lane-cpu"}


def test_what_the_core_refuses_leaves_nothing_pending(task: Task, profile: Profile) -> None:
    with Session(task, profile=profile) as session:
        stranger = r.Stream("stranger", 100_000_000)
        with pytest.raises(UsageError, match="no stream 'stranger'"):
            session._driver.submit(stranger, {"x": tagged(0)}, time.monotonic_ns(), None, None, None)
        assert session._driver._pending == {}
        assert session.answer(tagged(0)).status is Status.ANSWERED


def test_all_streams_there_may_be_and_one_more(task: Task, profile: Profile, tmp_path: Path) -> None:
    with Session(task, profile=profile, limits=r.Limits(streams_max=3)) as session:
        session.open_stream("a", deadline_ms=100)
        session.open_stream("b", deadline_ms=100)
        session.open_stream("b", deadline_ms=200)  # a change, not one more
        with pytest.raises(UsageError, match="more than 3 streams"):
            session.open_stream("c", deadline_ms=100)
        with pytest.raises(UsageError, match="no stream 'c'"):
            session.submit(tagged(0), stream="c")
        assert session.answer(tagged(0), stream="b").deadline_ms == 200
