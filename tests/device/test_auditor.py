"""Comparisons: by the task's meaning, never an exception, on a thread that ends."""

import threading
from pathlib import Path

import numpy as np
import pytest

from hedgerow.core import records as r
from hedgerow.device.auditor import Auditor
from hedgerow.device.lane import Workpiece
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


def test_without_a_question_there_is_no_thread(tmp_path: Path) -> None:
    auditor = Auditor(pair_task(tmp_path), lambda event: None)
    assert "hedgerow-audit" not in {thread.name for thread in threading.enumerate()}
    auditor.close()
