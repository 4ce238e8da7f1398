"""A server process that answers in time, well formed, sealed and wrong is found out by audits; the device goes on alone."""

from pathlib import Path

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.core.records import Limits, Source, Status
from hedgerow.device.journal import replay
from hedgerow.device.session import Session
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.models.tensors import Array
from tests.device.small import PREPARATION, Steps, profile_of
from tests.models.small_models import write_classifier
from tests.wire.serving import server_process, until

EVERY = Limits(audit_share=1.0, audit_spacing_ns=0)
LIAR = [Path(__file__).with_name("liar.py")]


@pytest.fixture(scope="module")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in five classes by one model, which the device and the cloud both have."""
    folder = tmp_path_factory.mktemp("labels")
    (folder / "labels.txt").write_text("\n".join(f"label{index}" for index in range(5)))
    write_classifier(folder / "big.onnx", classes=5, side_px=16)
    text = '[task]\nname = "one"\nkind = "classification"\nreference = "big"\nlabels = "labels.txt"\n'
    path = folder / "one.toml"
    path.write_text(f'{text}[[model]]\nname = "big"\nfile = "big.onnx"\n{PREPARATION}')
    return path


def picture(number: int) -> Array:
    return np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)


class Answers:
    """One picture after the other, each compared with what the model in plain chains says."""

    def __init__(self, session: Session, task: Task) -> None:
        self._session, self._chain, self._task = session, task.open("big"), task
        self.sources: list[Source] = []
        self.wrong = 0

    def next(self) -> Source:
        sample = picture(len(self.sources))
        answer = self._session.answer(sample)
        assert answer.status is Status.ANSWERED
        right = self._task.interpret(self._chain.run(self._task.sample(sample)).tensors)
        self.wrong += answer.label != right.label
        self.sources.append(answer.source)
        return answer.source

    def until_remote(self, count: int) -> None:
        def enough() -> bool:
            self.next()
            return self.sources.count(Source.REMOTE) >= count

        until(enough, f"{count} remote answers")


def distrusted(steps: Steps) -> list[r.RemoteDistrusted]:
    return [record for _, record in steps.records() if isinstance(record, r.RemoteDistrusted)]


def compared(steps: Steps) -> list[r.Compared]:
    return [event for _, event, _ in list(steps.steps) if isinstance(event, r.Compared)]


def test_a_lying_server_is_closed_and_told_of_until_it_is_trusted_again(task_file: Path, tmp_path: Path) -> None:
    task, steps, said = Task.load(task_file), Steps(), list[str]()
    profile, journal = profile_of(task), tmp_path / "journal"
    with (
        server_process(task_file, program=LIAR) as server,
        Session(
            task, server.address, profile=profile, deadline_ms=400, limits=EVERY, journal=journal, say=said.append
        ) as session,
    ):
        session.listen(steps)
        answers = Answers(session, task)

        def found(times: int) -> bool:
            answers.next()
            return len(distrusted(steps)) == times

        until(lambda: found(1), "the first finding")
        (first,) = distrusted(steps)
        assert first.audited == first.disagreed <= 5  # 0.05 is expected
        wrong, before = answers.wrong, len(answers.sources)
        assert wrong >= first.audited
        assert {answers.next() for _ in range(30)} == {Source.LOCAL}
        assert answers.wrong == wrong
        until(lambda: any("remote answers are off until trust_again()" in each for each in said), "word of it")
        session.trust_again()
        until(lambda: found(2), "the second finding")
        assert Source.REMOTE in answers.sources[before + 30 :]
        until(lambda: any("trusted again" in each for each in said), "word of the new trust")
    assert steps.unexcused() == []
    assert replay(journal).difference is None


def test_an_honest_server_stays_in_use_while_every_answer_is_audited(task_file: Path, tmp_path: Path) -> None:
    task, steps, journal = Task.load(task_file), Steps(), tmp_path / "journal"
    with (
        server_process(task_file) as server,
        Session(
            task, server.address, profile=profile_of(task), deadline_ms=400, limits=EVERY, journal=journal
        ) as session,
    ):
        session.listen(steps)
        answers = Answers(session, task)
        answers.until_remote(40)
        until(lambda: len(compared(steps)) >= 10, "audits")
        assert all(event.agrees for event in compared(steps))
        until(lambda: session._driver._pending == {}, "the end of all audits")
    assert distrusted(steps) == []
    assert answers.wrong == 0
    assert replay(journal).difference is None


def test_who_has_no_server_has_none_to_trust(task_file: Path) -> None:
    task = Task.load(task_file)
    with Session(task, profile=profile_of(task)) as session, pytest.raises(UsageError, match="no server to trust"):
        session.trust_again()
