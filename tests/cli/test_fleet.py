"""What `hedgerow simulate SCENARIO` prints for a fleet: a table, or one JSON object, and the picture beside it."""

import json
from pathlib import Path

import pytest

from hedgerow.cli._fleet import fleet
from tests.simulation.worlds import scenario

SMALL = "[fleet]\ndevices = [1, 2]\ncells = 1\n[fleet.outage]\nat_s = 1\nfor_s = 0.5\n"


def test_a_small_fleet_is_told_in_a_table_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet(scenario(SMALL), picture=tmp_path / "fleet.png", as_json=False)
    told = capsys.readouterr().out
    assert "fleet 'test' under ours: 150 ms, 10 s" in told
    assert "all cells dead at 1 s for 0.5 s" in told
    assert (tmp_path / "fleet.png").exists()


def test_or_in_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    fleet(scenario(SMALL), policy="device-only", seed=3, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["policy"], found["seed"]) == ("device-only", 3)
    assert [row["remote"] for row in found["sizes"]] == [0.0, 0.0]
