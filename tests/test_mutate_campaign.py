"""Mutants before a campaign: one that worlds notice, one that they cannot, and what is told of both."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOL = ROOT / "tools" / "mutate_campaign.py"
sys.path.insert(0, str(ROOT / "tools"))
from mutants import Mutant, mutants  # noqa: E402 - the tools are no package


def row(mutant: Mutant, status: str = "survived") -> dict[str, Any]:
    kept = ("key", "module", "function", "line", "original", "mutated", "digest")
    return {name: getattr(mutant, name) for name in kept} | {"status": status, "killer": "", "tests": ""}


def of(module: str, function: str, mutated: str) -> Mutant:
    path = ROOT / "src" / Path(*module.split(".")).with_suffix(".py")
    found = mutants(module, path.read_text(encoding="utf-8"))[1]
    return next(each for each in found if each.function == function and mutated in each.mutated)


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(TOOL), "--seeds", "4", "--requests", "60", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=110)


def test_what_worlds_notice_is_killed_and_counted(tmp_path: Path) -> None:
    seen = of("hedgerow.core.core", "Core._deliver", "(False, None, None)")
    unseen = of("hedgerow.core.records", "LinkDown", "message")
    changed = {**row(of("hedgerow.core.core", "Core._deliver", "if not flight.closed")), "digest": "of another source"}
    results = tmp_path / "results.jsonl"
    rows = [row(seen), row(unseen), changed, {**row(unseen, "killed"), "key": "by a test"}]
    results.write_text("".join(json.dumps(each) + "\n" for each in rows))
    done = run("--results", str(results), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["run"], told["killed_by_tests"], told["tried"], told["killed_by_campaign"]) == (4, 1, 2, 1)
    assert (told["score"], told["score_with_campaign"]) == (0.25, 0.5)
    assert [each["key"] for each in told["killed"]] == [seen.key]
    assert told["killed"][0]["killer"].startswith("campaign: ")
    assert [each["key"] for each in told["survivors"]] == [unseen.key]
    written = (tmp_path / "results_campaign.jsonl").read_text().splitlines()
    assert {json.loads(line)["key"] for line in written} == {seen.key, unseen.key}


def test_without_results_it_says_so(tmp_path: Path) -> None:
    done = run("--results", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "no results of tools/mutate.py" in done.stderr


@pytest.mark.parametrize("option", ["--seeds", "--requests"])
def test_wrong_words_are_refused(option: str) -> None:
    assert run(option, "many").returncode == 2
