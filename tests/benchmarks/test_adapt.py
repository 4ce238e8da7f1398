import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hedgerow.benchmarks.adapt import MEASURES, SKIPPED, bench_adapt, goals, table
from hedgerow.errors import UsageError

FOUND: dict[str, dict[str, Any]] = {
    "int8": {"speedup": 2.2, "agreement": 0.96},
    "exits_image": {"speedup": 2.0, "disagreement_asked": 0.01, "disagreement_got": 0.004, "resplits_kept": 93},
    "exits_text": {SKIPPED: "not part of this version"},
    "cascade": {"escalated": 0.33, "agreement": 0.96, "bytes_saved": 0.7},
    "bottleneck": {"bytes_25": 6000, "bytes_50": 1700, "jpeg_bytes": 16000, "plain_bytes_50": 3600, "agreement": 0.951},
    "arbitration": {"cost_ours": 0.8, "cost_best_other": 0.9},
}


def test_goals_stand_beside_the_figures() -> None:
    met = {(goal.measure, goal.figure): goal.met for goal in goals(FOUND, holdout=False)}
    assert met[("int8", "speedup")]
    assert not met[("int8", "agreement")]
    assert met[("exits_image", "resplits_kept")]
    assert met[("bottleneck", "bytes_50")]
    assert met[("arbitration", "cost_ours")]
    assert not met[("cascade", "escalated")]
    assert {measure for measure, _ in met} == set(FOUND) - {"exits_text"}


def test_a_holdout_asks_less_of_the_cascade() -> None:
    met = {(goal.measure, goal.figure): goal.met for goal in goals(FOUND, holdout=True)}
    assert met[("cascade", "escalated")]
    assert met[("cascade", "agreement")]


def test_the_table_says_what_is_met_and_what_was_left_out() -> None:
    lines = table(FOUND, holdout=False).splitlines()
    assert any("int8 agreement" in line and "0.96" in line and "NOT met" in line for line in lines)
    assert any("exits_text skipped" in line and "not part of this version" in line for line in lines)


def test_what_is_not_made_is_left_out_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEDGEROW_HOME", str(tmp_path))
    said: list[str] = []
    found = bench_adapt(data=None, holdout=None, say=said.append, measures=("int8", "unheard_of"))
    assert list(found) == ["int8", "unheard_of"]
    assert all(SKIPPED in figures for figures in found.values())
    assert said[0] == "int8: measuring"


def test_wrong_names_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no figure 'int9'; there are int8"):
        bench_adapt(data=None, holdout=None, say=print, only=["int9"])
    with pytest.raises(UsageError, match="there is no folder"):
        bench_adapt(data=None, holdout=tmp_path / "none", say=print)
    assert MEASURES[0] == "int8"


WITHOUT_TORCH = """
import importlib, pkgutil, sys
sys.modules["torch"] = None
import hedgerow.adaptation, hedgerow.benchmarks.adapt, hedgerow.benchmarks.adapting, hedgerow.cli.adapt
from hedgerow import cli
for package in (hedgerow.adaptation, hedgerow.benchmarks.adapting, cli):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.rpartition(".")[2].startswith("training"):
            importlib.import_module(module.name)
"""


def test_nothing_but_training_needs_pytorch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
