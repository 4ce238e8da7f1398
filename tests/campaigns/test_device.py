"""The device's own questions: whose answer an arm's is, what a wrong or repeated one is called, what silence is."""

from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from hedgerow.assurance import Timed
from hedgerow.campaigns.device import STREAMS, Kept, codec_of, model_of, timed, wrong_answers
from hedgerow.campaigns.judging import UNANSWERED
from hedgerow.campaigns.oracle import Oracle
from hedgerow.campaigns.small_task import frames, write_task
from hedgerow.core.records import Source, Status
from hedgerow.device.answer import Answer
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return Oracle(Task.load(write_task(tmp_path_factory.mktemp("blocks"))), frames(4))


def answered(
    oracle: Oracle, frame: int, of: int, *, arm: str = "cloud:large:raw", advice_of: int | None = None
) -> Kept:
    """The request for `frame`, answered remotely with the outputs of frame `of`."""

    def outputs(number: int) -> Tensors:
        return {"scores": oracle._rows["large"][number].reshape(1, -1)}

    future: Future[Answer] = Future()
    advice = None if advice_of is None else outputs(advice_of)
    who = (Status.ANSWERED, Source.REMOTE, outputs(of), None, None, None, arm, "large", "remote_in_time")
    future.set_result(Answer(frame, "steer", *who, 0, 120.0, 10.0, 1.0, 1.0, 100, None, advice))
    return Kept(STREAMS[1], frame, 0, future, told_ns=10_000_000, tellings=1)


@pytest.mark.parametrize(
    ("arm", "model", "codec"),
    [("cloud:large:raw", "large", "raw"), ("cloud:large:jpeg:90", "large", "jpeg:90"), ("split:a-b@1:q8", "a-b", "q8")],
)
def test_an_arm_names_its_model_and_codec(arm: str, model: str, codec: str) -> None:
    assert (model_of(arm), codec_of(arm, Source.REMOTE)) == (model, codec)
    assert codec_of(arm, Source.LOCAL) == ""


def test_the_answer_to_another_frame_is_found_and_so_is_advice(oracle: Oracle) -> None:
    arms = {0: "cloud:large:raw", 1: "cloud:large:raw"}
    assert wrong_answers([answered(oracle, 0, 0), answered(oracle, 1, 1, advice_of=1)], arms, oracle) == []
    wrong = wrong_answers([answered(oracle, 0, 2), answered(oracle, 1, 1, advice_of=3)], arms, oracle)
    assert wrong == [
        "request 0: it is the answer to frame 2, not to 0",
        "request 1: it is the answer to frame 3, not to 1",
    ]


def test_an_answer_that_comes_twice_is_wrong(oracle: Oracle) -> None:
    kept = answered(oracle, 0, 0)
    kept.tellings = 2
    assert wrong_answers([kept], {}, oracle) == ["request 0 was answered 2 times"]


def test_silence_is_a_row_of_its_own() -> None:
    open_future: Future[Answer] = Future()
    for kept in (Kept(STREAMS[0], 0, 0), Kept(STREAMS[0], 0, 0, open_future)):
        row = timed(3, kept, 9_000_000_000)
        assert isinstance(row, Timed)
        assert (row.index, row.reason, row.status, row.answered) == (3, UNANSWERED, Status.FAILED, False)


def test_a_told_row_counts_from_capture_to_the_consumer(oracle: Oracle, tmp_path: Path) -> None:
    row = timed(0, answered(oracle, 0, 0), 0)
    assert (row.latency_ms, row.deadline_ns, row.in_time) == (10.0, 120_000_000, True)
    assert np.isfinite(row.energy_mj)
