"""What the machine allows is tried in another process, and this one is left as it was."""

import os

import pytest

from hedgerow.device import scheduling
from hedgerow.device.scheduling import Setting
from hedgerow.doctor.allowed import _finding, allowed
from hedgerow.doctor.findings import Level


def test_every_setting_is_tried_without_an_effect_here() -> None:
    before = (
        os.sched_getscheduler(0),
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getaffinity(0),
        scheduling.locked_kib(),
    )
    found = list(allowed())
    assert [each.name.rpartition(" allowed")[0] or each.name for each in found]
    assert {each.name.split(" ")[0] for each in found} == {"timer", "cores", "memory"}
    assert before == (
        os.sched_getscheduler(0),
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getaffinity(0),
        scheduling.locked_kib(),
    )


@pytest.mark.parametrize(
    ("done", "how", "level", "word"),
    [
        (True, "SCHED_FIFO 1", Level.OK, "allowed"),
        (True, "nice -10 (SCHED_FIFO refused: RLIMIT_RTPRIO 0)", Level.INFO, "in part"),
        (False, "SCHED_FIFO refused: RLIMIT_RTPRIO 0", Level.INFO, "not allowed"),
    ],
)
def test_a_refusal_says_how_to_get_it(done: bool, how: str, level: Level, word: str) -> None:
    finding = _finding(Setting("timer priority", "SCHED_FIFO 1", done, how))
    assert (finding.level, finding.name) == (level, f"timer priority {word}")
    assert level is Level.OK or "LimitRTPRIO" in finding.do


def test_a_trial_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hedgerow.doctor.allowed.__name__", "hedgerow.doctor.nowhere")
    (finding,) = allowed()
    assert finding.level is Level.WARN
    assert "hedgerow.doctor.nowhere" in finding.seen
