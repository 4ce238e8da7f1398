"""The oracle knows an answer for another frame, another model's answer and a bent one; rounding and codecs it forgives."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hedgerow import codecs
from hedgerow.campaigns.oracle import Oracle, Said
from hedgerow.campaigns.small_task import frames, write_task
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from tests.device.small import dense_task


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return Task.load(write_task(tmp_path_factory.mktemp("blocks")))


@pytest.fixture(scope="module")
def drawn() -> NDArray[np.uint8]:
    return frames(12)


@pytest.fixture(scope="module")
def oracle(task: Task, drawn: NDArray[np.uint8]) -> Oracle:
    return Oracle(task, drawn)


def answer(task: Task, model: str, frame: NDArray[np.uint8]) -> Tensors:
    """By the library's own chain."""
    with task.open(model) as chain:
        return chain.run(task.sample(frame)).tensors


def test_every_models_own_answer_is_right(task: Task, drawn: NDArray[np.uint8], oracle: Oracle) -> None:
    for model in ("little", "large"):
        for number in (0, 7):
            assert oracle.wrong(Said(number, model, "", answer(task, model, drawn[number]))) == ""


@pytest.mark.parametrize("codec", ["raw", "jpeg:90"])
def test_an_answer_to_another_frame_is_wrong_whatever_lay_between(
    task: Task, drawn: NDArray[np.uint8], oracle: Oracle, codec: str
) -> None:
    made = codecs.get(codec)
    crossed = made.decode(made.encode({"frame": drawn[3]}), limits=codecs.CodecLimits())["frame"]
    outputs = answer(task, "large", crossed.astype(np.uint8))
    assert oracle.wrong(Said(3, "large", codec, outputs)) == ""
    assert oracle.wrong(Said(4, "large", codec, outputs)) == "it is the answer to frame 3, not to 4"


def test_bent_missing_and_foreign_outputs_are_wrong(task: Task, drawn: NDArray[np.uint8], oracle: Oracle) -> None:
    outputs = answer(task, "large", drawn[0])
    bent = {"scores": np.multiply(outputs["scores"], 1.01)}
    assert "is allowed" in oracle.wrong(Said(0, "large", "raw", bent))
    assert oracle.wrong(Said(0, "large", "jpeg:90", bent)) == ""
    broken = {"scores": np.multiply(outputs["scores"], np.nan)}
    assert oracle.wrong(Said(0, "large", "", broken)) == "its outputs are not finite"
    assert oracle.wrong(Said(0, "little", "", outputs))
    assert "has not the outputs" in oracle.wrong(Said(0, "large", "", {}))
    assert "none of the task's" in oracle.wrong(Said(0, "huge", "", outputs))


def test_frames_that_could_not_be_told_apart_and_tasks_without_frames_are_refused(
    task: Task, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="like another"):
        Oracle(task, np.stack([drawn[0], drawn[1], drawn[0]]))
    with pytest.raises(UsageError, match="takes none"):
        Oracle(dense_task(tmp_path), drawn)
