"""Comparisons: by the task's meaning, never an exception, on a thread that ends."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.device.auditor import Auditor
from hedgerow.device.lane import Workpiece
from hedgerow.models.task import Task
from hedgerow.models.tensors import Tensors
from tests.device.small import pair_task
from tests.wire.serving import until


def scores(*values: float) -> Tensors:
    return {"logits": np.array([values], np.float32)}


@pytest.mark.parametrize(
    ("own", "remote", "agrees"),
    [
        (scores(1, 2, 3, 0, 0), scores(0, 0, 9, 8, 0), True),
        (scores(1, 2, 3, 0, 0), scores(9, 0, 0, 0, 0), False),
        (scores(1, 2, float("nan"), 0, 0), scores(9, 0, 0, 0, 0), None),
        (scores(1, 2, 3, 0, 0), {"other": np.zeros(2)}, None),
        (None, scores(9, 0, 0, 0, 0), None),
        (scores(1, 2, 3, 0, 0), None, None),
    ],
)
def test_compares_by_meaning_and_tells_what_cannot_be_compared(
    tmp_path: Path, own: Tensors | None, remote: Tensors | None, agrees: bool | None
) -> None:
    told: list[r.Event] = []
    auditor = Auditor(pair_task(tmp_path), told.append)
    work = Workpiece({}, outputs={"small": own} if own is not None else {}, remote=remote)
    auditor.compare(r.Compare(7, "small"), work)
    until(lambda: told, "what was found")
    auditor.close()
    assert told == [r.Compared(7, "small", agrees)]
    assert "hedgerow-audit" not in {thread.name for thread in threading.enumerate()}


def test_a_comparison_that_fails_unforeseen_is_logged_and_the_next_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    task, told = pair_task(tmp_path), list[r.Event]()
    really = type(task).agrees

    def agrees(self: Task, own: Tensors, remote: Tensors) -> bool:
        if own["logits"][0, 0] == 13:
            raise ZeroDivisionError("a mistake in comparing")
        return really(self, own, remote)

    monkeypatch.setattr(Task, "agrees", agrees)
    auditor = Auditor(task, told.append)
    with caplog.at_level(logging.ERROR, "hedgerow"):
        for request, first in ((1, 13), (2, 1)):
            own = scores(first, 20, 30, 0, 0)
            auditor.compare(r.Compare(request, "small"), Workpiece({}, outputs={"small": own}, remote=own))
        until(lambda: len(told) == 2, "both findings")
    auditor.close()
    assert told == [r.Compared(1, "small", None), r.Compared(2, "small", True)]
    assert "model small could not be compared" in caplog.text
    assert "a mistake in comparing" in caplog.text


def test_without_a_question_there_is_no_thread(tmp_path: Path) -> None:
    auditor = Auditor(pair_task(tmp_path), lambda event: None)
    assert "hedgerow-audit" not in {thread.name for thread in threading.enumerate()}
    auditor.close()
