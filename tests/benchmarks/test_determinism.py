"""`hedgerow bench determinism`: what it may claim, and one small real run that leaves this process as it was."""

import gc
import os
import sys
import threading
from pathlib import Path

import pytest

from hedgerow.benchmarks import determinism
from hedgerow.benchmarks.determinism import Block, Row, bench_determinism, table, verdict
from hedgerow.device import scheduling
from hedgerow.models.task import Task
from tests.device.small import profile_of, tagged
from tests.wire.serving import write_task


@pytest.mark.parametrize(
    ("ratio", "better", "pairs", "claim"),
    [
        (0.5, 15, 20, "gain"),
        (0.5, 14, 20, "no difference shown"),  # 5.8 % by chance
        (0.95, 20, 20, "no difference shown"),  # steady, but too small
        (0.1, 4, 4, "no difference shown"),  # 6.3 % by chance: too few pairs to say anything
        (1.5, 5, 20, "loss"),
        (1.5, 6, 20, "no difference shown"),
    ],
)
def test_a_gain_is_claimed_only_where_chance_would_not_give_it(
    ratio: float, better: int, pairs: int, claim: str
) -> None:
    assert verdict(ratio, better, pairs) == claim


def test_a_row_compares_what_its_setting_is_meant_to_steady() -> None:
    on = [Block([1.0, 2.0], [9.0]) for _ in range(6)]
    off = [Block([4.0, 8.0], [1.0]) for _ in range(6)]
    by_latency = determinism._judged(Row("a", "none", True, "", "latency"), on, off)
    by_timer = determinism._judged(Row("a", "none", True, "", "timer"), on, off)
    assert (by_latency.ratio, by_latency.pairs_better, by_latency.verdict) == (0.25, 1.0, "gain")
    assert (by_timer.ratio, by_timer.pairs_better, by_timer.verdict) == (9.0, 0.0, "loss")
    assert by_latency.latency_on is not None
    assert (by_latency.latency_on.p50, by_latency.latency_on.max, by_latency.latency_on.count) == (1.0, 2.0, 12)


def test_a_small_run_times_every_setting_and_undoes_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(determinism, "BLOCK", 2)
    monkeypatch.setattr(determinism, "_HEAP", 1000)
    model = Task.load(write_task(tmp_path, name="tiny", width=64, seed=0)).models[0].path
    subject = (model, profile_of(Task.of_model(model)), {"x": tagged(1)})
    before = _state()
    rows = bench_determinism(requests=8, subject=subject, say=lambda text: None)
    assert before == _state()
    assert len({row.setting for row in rows}) == len(rows) == 6
    for row in rows:
        assert row.done == (row.latency_on is not None)
        if row.latency_on and row.latency_off and row.timer_on:
            assert (row.latency_on.count, row.latency_off.count) == (8, 8)
            assert row.timer_on.count > 0
            assert row.latency_on.p50 <= row.latency_on.p99 <= row.latency_on.p999 <= row.latency_on.max
    assert table(rows).count("\n") == 7
    garbage = next(row for row in rows if row.load == "garbage")
    assert garbage.pauses_off is not None
    assert garbage.pauses_on is not None
    assert garbage.pauses_off.count > 50  # 8 requests of 10,000 containers each, one collection for each 700
    assert garbage.pauses_on.count <= 8  # the interpreter's own, past its backstop


def _state() -> tuple[object, ...]:
    mine = (sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count(), gc.isenabled())
    return (
        *mine,
        len(gc.callbacks),
        scheduling.locked_kib(),
        os.sched_getaffinity(0),
        sorted(map(str, threading.enumerate())),
    )


def test_a_refused_setting_is_told_and_not_timed() -> None:
    line = table([Row("lock memory", "none", False, "RLIMIT_MEMLOCK is 64 KiB", "latency")]).splitlines()[-1]
    assert "refused here: RLIMIT_MEMLOCK is 64 KiB" in line
