"""Who else computes: real processes, and counters of two made-up moments."""

import os
import time
from pathlib import Path

import pytest

from hedgerow.doctor.company import Moment, company, moment
from hedgerow.doctor.findings import Host, Level
from hedgerow.profiling.busy import busy_processes
from tests.doctor.trees import tree


def test_a_busy_process_is_named() -> None:
    with busy_processes(1, seconds_max=20.0):
        before = moment(Host())
        while (after := moment(Host())).total < before.total + 200:  # ticks of all cores
            time.sleep(0.05)
    told = {each.name: each for each in company(before, after, os.cpu_count() or 1)}
    assert told["company"].level is Level.WARN
    assert "python" in told["company"].seen
    assert "stolen time" in told


BEFORE = Moment(1000.0, 10.0, 5.0, 2, {7: ("camera", 100.0), 8: ("shell", 10.0), 9: ("mine", 50.0)})


def test_shares_are_of_one_core_and_our_own_is_left_out() -> None:
    after = Moment(
        1400.0, 10.0, 5.0, 2, {7: ("camera", 200.0), 8: ("shell", 11.0), 9: ("mine", 250.0), 10: ("new", 90.0)}
    )
    told = {each.name: each for each in company(BEFORE, after, cores=2, mine=9)}
    assert set(told) == {"company", "stolen time"}
    assert told["company"].seen == "of a core: camera (7) 50%"


@pytest.mark.parametrize(("stolen", "level"), [(10.0, Level.OK), (22.0, Level.WARN), (60.0, Level.DANGER)])
def test_stolen_time_is_judged(stolen: float, level: Level) -> None:
    told = {each.name: each for each in company(BEFORE, Moment(2000.0, stolen, 5.0, 2), cores=2)}
    assert told["stolen time"].level is level
    assert told["company"].level is Level.OK


def test_throttling_while_we_looked_is_a_danger() -> None:
    told = {each.name: each for each in company(BEFORE, Moment(2000.0, 10.0, 8.0, 3), cores=2)}
    assert told["quota reached"].level is told["heat reached"].level is Level.DANGER
    assert "3 times" in told["quota reached"].seen


def test_counters_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    nothing = moment(Host(tmp_path))
    assert [each.name for each in company(nothing, nothing, 2)] == ["company"]


def test_names_with_brackets_and_blanks_are_read(tmp_path: Path) -> None:
    fields = " ".join(["S", "1", *["0"] * 9, "40", "2", *["0"] * 20])
    root = tree(tmp_path, {"proc/stat": "cpu 1 2 3 4 5 6 7 8 9 10", "proc/31/stat": f"31 (a) b (c)) {fields}"})
    found = moment(Host(root))
    assert found.processes == {31: ("a) b (c)", 42.0)}
    assert (found.total, found.stolen) == (36.0, 8.0)
