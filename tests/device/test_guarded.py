"""A real session below a real guard: its answers reach the consumer, and it goes on without the guard."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hedgerow.core.records import Source, Status
from hedgerow.device.answer import Answer
from hedgerow.device.guarded import Guarded, encode
from hedgerow.device.session import Session
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.guard.consumer import Consumer, Message
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from tests.device.small import tagged
from tests.guard.running import PATIENCE_S, Running, guarding, streams_file

DEVICE = str(Path(__file__).with_name("guarded_device.py"))
TESTS = str(Path(__file__).resolve().parents[2])


def device(task: Path, frames: int) -> tuple[str, ...]:
    return ("env", f"PYTHONPATH={TESTS}:{TESTS}/src", sys.executable, DEVICE, str(task), str(frames))


def answers(consumer: Consumer, count: int) -> list[Message]:
    found: list[Message] = []
    for message in consumer:
        found += [message] if message.kind == "answer" else []
        if len(found) == count:
            break
    return found


def test_a_session_s_answers_reach_the_consumer_and_it_outlives_the_guard(tmp_path: Path, task_file: Path) -> None:
    file = streams_file(tmp_path, deadline_ms=3000.0)
    with guarding(file, options=device(task_file, 100_000)) as guard, Consumer(guard.path) as consumer:
        for message in answers(consumer, 10):
            value = message.value
            assert value["status"] == "answered"
            assert value["source"] == "local"
            assert value["model"] == "tiny"
            assert 0 < value["age_ms"] < 3000.0
        assert any("is none of the session's" in line for line in guard.printed)
        guard.process.kill()
        guard.until(lambda: guard.printed[-1:] == ["goes on: answered"])
        assert guard.printed.count("lost") == 1


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A guard whose child only sleeps: the tests' own session speaks in its place."""
    file = streams_file(tmp_path_factory.mktemp("guard"), deadline_ms=1500.0)
    with guarding(file, options=("sleep", "1000")) as running:
        yield running


@pytest.fixture
def session(task: Task, profile: Profile) -> Iterator[Session]:
    with Session(task, profile=profile, say=lambda text: None) as opened:
        opened.open_stream("camera", deadline_ms=1500.0)
        yield opened


@pytest.fixture(autouse=True)
def _first_epoch(monkeypatch: pytest.MonkeyPatch, guard: Running) -> None:
    guard.session_pid()
    monkeypatch.setenv("HEDGEROW_GUARD", guard.path)
    monkeypatch.setenv("HEDGEROW_GUARD_EPOCH", "1")


def receive(consumer: Consumer) -> Message:
    message = consumer.receive()
    assert message is not None
    return message


def test_the_answer_is_that_of_the_future_and_of_this_frame(guard: Running, session: Session) -> None:
    def numbered(answer: Answer) -> bytes:
        return json.dumps([answer.request, answer.outputs["y"].tolist()]).encode()

    assert session.deadlines_ms["camera"] == 1500.0
    assert not session.governed
    with Consumer(guard.path) as consumer, Guarded(session, encode_answer=numbered) as guarded:
        for number in range(5):
            answer = guarded.submit(tagged(number)).result(PATIENCE_S)
            message = receive(consumer)
            assert message.value == [answer.request, answer.outputs["y"].tolist()]
            assert message.captured_ns == answer.captured_ns
            assert answer.deadline_ms < 1500.0  # the guard's bound is held back


def test_what_is_too_large_or_wrong_is_told_and_the_safe_value_stands_for_it(guard: Running, session: Session) -> None:
    problems: list[HedgerowError] = []
    with Consumer(guard.path) as consumer:
        with Guarded(session, encode_answer=lambda answer: b"x" * 5000, on_problem=problems.append) as guarded:
            guarded.submit(tagged(0)).result(PATIENCE_S)
            with pytest.raises(UsageError):
                guarded.submit(np.zeros((3, 3), np.float32))
            messages = [receive(consumer), receive(consumer)]
    assert [message.kind for message in messages] == ["safe_value"] * 2
    assert len(problems) == 1
    assert "at most 4096" in str(problems[0])


def test_streams_that_do_not_fit_are_refused(guard: Running, session: Session, task: Task, profile: Profile) -> None:
    with Session(task, profile=profile, say=lambda text: None) as other:
        with pytest.raises(UsageError, match="'camera' is none of the session's"):
            Guarded(other)
    with Guarded(session) as guarded, pytest.raises(UsageError, match="there are: camera"):
        guarded.submit(tagged(0), stream="rear")
    certified: Any = SimpleNamespace(governed=True, deadlines_ms={"camera": 1499.0})
    with pytest.raises(UsageError, match=r"\[guard.stream.camera\]"):
        Guarded(certified)
    certified.deadlines_ms["camera"] = 1490.0
    Guarded(certified).close()


def test_an_answer_s_bytes_hold_what_was_asked_for() -> None:
    answer = Answer(
        *(7, "camera", Status.ANSWERED, Source.LOCAL, {"y": np.array([[1.5, 2.0]])}, "cat", 3, 0.25, "local:m", "m"),
        *("why" * 1000, 5, 100.0, 12.3456, 1.0, 2.0, 0),
    )
    found = json.loads(encode(answer, ("y",)))
    assert found["outputs"] == {"y": [[1.5, 2.0]]}
    assert (found["label"], found["label_index"], found["confidence"], found["age_ms"]) == ("cat", 3, 0.25, 12.346)
    assert len(encode(answer)) < 1000
    assert os.linesep.encode() not in encode(answer)
