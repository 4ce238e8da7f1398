"""Routing beside a live session: usual samples are dropped, unusual ones spooled, sent within the budget; nothing delays an answer."""

import csv
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hedgerow.adaptation import routing as fitting
from hedgerow.core.records import Source
from hedgerow.device.routing import ByteBudget, Router
from hedgerow.device.session import Session
from hedgerow.device.spool import Spool
from hedgerow.errors import HostError, UsageError
from hedgerow.models.task import Task
from hedgerow.models.unusual import Scorer
from tests.device.small import pair_task, profile_of

Frame = NDArray[np.uint8]
RANDOM = np.random.default_rng(11)


def usual() -> Frame:
    """Bright in the upper half, dark below, with noise."""
    frame = np.zeros((20, 30, 3))
    frame[:10] = 200
    return np.clip(frame + RANDOM.normal(0, 12, frame.shape), 0, 255).astype(np.uint8)


def seen(task: Task, count: int) -> fitting.Seen:
    with task.open("small") as chain:
        outputs = [chain.run(task.sample(usual())).tensors for _ in range(count)]
    sure = [task.interpret(each).confidence for each in outputs]
    return fitting.Seen(np.array([task.scores(each) for each in outputs], float), np.array(sure, float))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[Session, Scorer]]:
    task = pair_task(tmp_path)
    scorer = fitting.fit(task, "small", seen(task, 60), seen(task, 99))
    with Session(
        task, profile=profile_of(task, agreeing={"small": 20}), deadline_ms=900, policy="only:local:small"
    ) as session:
        yield session, scorer


def test_usual_ones_are_dropped_and_unusual_ones_kept_with_why(world: tuple[Session, Scorer], tmp_path: Path) -> None:
    session, scorer = world
    with Router(session, scorer, Spool(tmp_path / "spool")) as router:
        for frame in [usual() for _ in range(20)]:
            router.take(frame, session.answer(frame))
        odd = np.rot90(usual(), 2).copy()
        answer = session.answer(odd)
        assert (answer.source, answer.model) == (Source.LOCAL, "small")
        router.take(odd, answer)
    assert router.counts["dropped"] + router.counts["spooled"] == 21
    assert 1 <= router.counts["spooled"] <= 5
    with (tmp_path / "spool" / "reasons.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert last["reason"].startswith("unusual ")
    assert (last["model"], last["by"], last["label"]) == ("small", "small", answer.label)
    assert float(last["p_value"]) <= 0.05


def test_the_budget_of_bytes_an_hour() -> None:
    budget = ByteBudget(3600, left=3600.0, filled_s=0.0)
    assert budget.fill(0.0)
    budget.spend(5000)
    assert not budget.fill(1000.0)
    assert budget.fill(1500.0)
    assert budget.left == 100.0
    assert budget.fill(1e9)
    assert budget.left == 3600.0
    assert not ByteBudget(0).fill(1e9)
    assert ByteBudget(None).fill(0.0)


def test_what_is_sent_is_asked_of_the_session_on_a_stream_of_its_own(
    world: tuple[Session, Scorer], tmp_path: Path
) -> None:
    session, scorer = world
    odd = np.rot90(usual(), 2).copy()
    with Router(session, scorer, Spool(tmp_path / "spool"), bytes_per_hour=None) as router:
        router.take(odd, session.answer(odd, stream="main"))
    assert "unusual" in session.deadlines_ms
    assert router.counts["spooled"] == 1
    assert router.counts["sent"] == 0  # there is no server: the device said it again


def test_a_full_disk_ends_spooling_and_not_answering(
    world: tuple[Session, Scorer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, scorer = world
    said: list[str] = []
    spool = Spool(tmp_path / "spool")

    def full(*_: object, **__: object) -> None:
        raise HostError("cannot write: No space left on device")

    monkeypatch.setattr(Spool, "keep", full)
    odd = np.rot90(usual(), 2).copy()
    with Router(session, scorer, spool, say=said.append) as router:
        for _ in range(3):
            answer = session.answer(odd)
            assert answer.in_time
            router.take(odd, answer)
    assert said == ["nothing more is spooled: cannot write: No space left on device"]
    assert router.counts["not spooled"] == 2


@pytest.mark.parametrize("error", [TimeoutError(), CancelledError(), UsageError("closed")])
def test_a_question_in_vain_ends_neither_thread_nor_spooling(
    world: tuple[Session, Scorer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    session, scorer = world
    odd = np.rot90(usual(), 2).copy()
    answer = session.answer(odd)
    failed: Future[object] = Future()
    failed.set_exception(error)
    with Router(session, scorer, Spool(tmp_path / "spool"), bytes_per_hour=None) as router:
        monkeypatch.setattr(session, "submit", lambda *_args, **_options: failed)
        for _ in range(2):
            router.take(odd, answer)
    assert router.counts == {"asked in vain": 2, "spooled": 2}


def test_a_sample_that_cannot_be_judged_is_said_and_the_next_is_routed(
    world: tuple[Session, Scorer], tmp_path: Path
) -> None:
    session, scorer = world
    said: list[str] = []
    odd = np.rot90(usual(), 2).copy()
    answer = session.answer(odd)
    with Router(session, scorer, Spool(tmp_path / "spool"), say=said.append) as router:
        router.take(odd, replace(answer, outputs={"logits": np.zeros((1, 1), np.float32)}))
        router.take(odd, answer)
    assert router.counts == {"not routed": 1, "spooled": 1}
    assert len(said) == 1


def test_the_table_says_when_the_sample_was_captured(world: tuple[Session, Scorer], tmp_path: Path) -> None:
    session, scorer = world
    odd = np.rot90(usual(), 2).copy()
    answer = session.answer(odd)
    earlier = replace(answer, captured_ns=answer.captured_ns - 3_600_000_000_000)
    with Router(session, scorer, Spool(tmp_path / "spool")) as router:
        router.take(odd, earlier)
    with (tmp_path / "spool" / "reasons.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    passed = datetime.now(UTC) - datetime.fromisoformat(row["captured"])
    assert 3599 < passed.total_seconds() < 3700


def test_other_answers_say_nothing_and_other_models_are_refused(world: tuple[Session, Scorer], tmp_path: Path) -> None:
    session, scorer = world
    with Router(session, scorer, Spool(tmp_path / "spool")) as router:
        router.take(usual(), replace(session.answer(usual()), source=Source.REMOTE))
        router.take(usual(), replace(session.answer(usual()), model="other"))
    assert router.counts == {"not looked at": 1, f"of another model (the router looks at {scorer.model})": 1}
    with pytest.raises(UsageError, match="another model"):
        Router(session, replace(scorer, model_id="x", task_id="y"), Spool(tmp_path / "spool"))
    with pytest.raises(UsageError, match="would be enough"):
        Router(session, scorer, Spool(tmp_path / "spool"), false_alarm=0.01)


def test_a_router_that_never_could_send_is_refused_where_it_is_to_send(
    world: tuple[Session, Scorer], tmp_path: Path
) -> None:
    session, scorer = world
    few = replace(scorer, distances=scorer.distances[:48], doubts=scorer.doubts[:48])
    with pytest.raises(UsageError, match="79 would be enough, or send nothing"):
        Router(session, few, Spool(tmp_path / "spool"), bytes_per_hour=10**6)
    with Router(session, few, Spool(tmp_path / "spool")) as router:
        assert not router.counts


def test_a_file_that_is_no_router_is_refused_plainly(tmp_path: Path) -> None:
    (tmp_path / "router.npz").write_bytes(b"no archive at all")
    with pytest.raises(UsageError, match=r"router\.npz is no router; make one with `hedgerow adapt route`$"):
        Scorer.load(tmp_path / "router.npz")
