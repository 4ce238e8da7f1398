"""Timers are waited for in full, and a cancelled chain runs again."""

from pathlib import Path

import numpy as np
import pytest

from hedgerow.core.records import Outcome
from hedgerow.errors import HedgerowError
from hedgerow.models.task import Task
from hedgerow.profiling.interrupts import cancellation_ns, delivery_ns, timer_lateness_ns
from hedgerow.profiling.samples import Sample
from tests.wire.serving import write_task


def _slow(folder: Path) -> tuple[Task, list[Sample]]:
    task = Task.load(write_task(folder, name="slow", width=512, segments=6))
    random = np.random.default_rng(0)
    return task, [Sample("s", {"x": random.standard_normal((16, 512)).astype(np.float32)})]


def test_each_wait_gives_one_lateness_that_is_not_negative(tmp_path: Path) -> None:
    task, samples = _slow(tmp_path)
    with task.open("slow") as chain:
        late = timer_lateness_ns(chain, samples, count=9, wait_s=0.001)
    assert len(late) == 9
    assert min(late) >= 0


def test_each_delivery_gives_one_time(tmp_path: Path) -> None:
    task, samples = _slow(tmp_path)
    with task.open("slow") as chain:
        took = delivery_ns(task, "slow", chain, samples, count=5)
    assert len(took) == 5
    assert min(took) > 0


def test_a_core_that_starts_no_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, samples = _slow(tmp_path)
    monkeypatch.setattr("hedgerow.profiling.interrupts.Core.step", lambda *_, **__: Outcome((), ()))
    with task.open("slow") as chain, pytest.raises(HedgerowError, match="started no run"):
        delivery_ns(task, "slow", chain, samples, count=2)


def test_a_cancelled_chain_ends_and_runs_again(tmp_path: Path) -> None:
    task, samples = _slow(tmp_path)
    with task.open("slow") as chain:
        whole = chain.run(samples[0].tensors).tensors["y"]
        found = cancellation_ns(chain, samples, count=6, median_ns=1_000_000)
        assert 1 <= len(found) <= 6
        assert min(found) >= 0
        np.testing.assert_array_equal(chain.run(samples[0].tensors).tensors["y"], whole)


def test_runs_that_were_over_before_teach_nothing(tensor_task: Task) -> None:
    samples = [Sample("s", {"x": np.zeros((1, 64), np.float32)})]
    with tensor_task.open("tiny") as chain:
        assert cancellation_ns(chain, samples, count=2, median_ns=400_000_000) == [0]
