"""The interpreter's findings, on this very process."""

import gc
import sys

import pytest

from hedgerow.doctor.findings import Finding, Level
from hedgerow.doctor.interpreter import interpreter


def found(environment: dict[str, str] | None = None) -> dict[str, Finding]:
    return {each.name: each for each in interpreter(environment or {})}


def test_says_what_it_runs_on() -> None:
    told = found()
    assert sys.version.split()[0] in told["Python"].seen
    assert "onnxruntime" in told["engine"].seen
    assert "full collection stops every thread for" in told["garbage"].seen


@pytest.mark.parametrize(("interval_s", "level"), [(0.005, Level.INFO), (0.0005, Level.OK)])
def test_the_switch_interval_is_judged(interval_s: float, level: Level) -> None:
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(interval_s)
        assert found()["switch interval"].level is level
    finally:
        sys.setswitchinterval(before)


def test_automatic_collection_switched_off_is_told() -> None:
    gc.disable()
    try:
        assert "automatic collection is off" in found()["garbage"].seen
    finally:
        gc.enable()


def test_what_the_environment_asks_for_is_told() -> None:
    told = found({"OMP_NUM_THREADS": "4", "PYTHONDEVMODE": "1", "PYTHONMALLOC": "malloc_debug"})
    assert told["engine"].level is Level.INFO
    assert "OMP_NUM_THREADS=4" in told["engine"].seen
    assert told["debugging"].level is Level.WARN
    assert {"PYTHONDEVMODE", "PYTHONMALLOC=malloc_debug"} <= set(told["debugging"].seen.split(", "))
