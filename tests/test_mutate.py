"""The mutation tool: it kills what a test notices, tells what none does, and never touches a file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "mutate.py"

MODULE = '''"""A module."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Colour", "least", "steps"]


class Colour(StrEnum):
    """Red."""

    RED = "red"


@dataclass(frozen=True)
class Size:
    length: int = 3


def least(a: int, b: "int" = 2) -> int:
    """The smaller."""
    assert isinstance(a, int)
    if a < b:
        return a
    return b


def steps(count: int) -> int:
    done = 0
    while done < count:
        done += 1
    return done


def forgotten(a: int) -> int:
    return a + 1


def same(a: int) -> int:
    return max(a, a)
'''
TESTS = """
from hypothesis import given, settings, strategies
from toy.parts import Size, least, same, steps

def test_least():
    assert (least(1), least(5), least(2, 1), Size().length) == (1, 2, 1, 3)

def test_steps():
    assert steps(4) == 4

@settings(max_examples=40)
@given(strategies.integers())
def test_same(a):
    assert same(a) == a
"""


def plant(root: Path, tests: str = TESTS) -> Path:
    for name, text in (
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\naddopts = '-q'\nfilterwarnings = ['error']\nmarkers = ['slow: long']\n",
        ),
        ("src/toy/__init__.py", '"""A package."""\n'),
        ("src/toy/parts.py", MODULE),
        ("tests/toy/test_parts.py", tests),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def run(root: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [
        sys.executable,
        TOOL,
        "--root",
        root,
        "--source",
        "src/toy",
        "--tests",
        "tests/toy",
        "--patience",
        "1",
    ]
    return subprocess.run([*command, *more], capture_output=True, text=True, timeout=110)


def files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for part in ("src", "tests") for path in sorted((root / part).rglob("*.py"))}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = plant(tmp_path_factory.mktemp("toy"))
    before = files(root)
    done = run(root, "--json")
    assert done.returncode == 0, done.stderr
    assert files(root) == before
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return root, told


def rows(root: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (root / "out" / "mutants.jsonl").read_text().splitlines()]


def test_what_a_test_notices_is_killed_and_by_whom_is_told(campaign: tuple[Path, dict[str, Any]]) -> None:
    found = {(row["function"], row["mutated"]): row for row in rows(campaign[0])}
    assert found["least", "if a >= b:"]["status"] == "killed"
    assert found["least", "if a >= b:"]["killer"] == "tests/toy/test_parts.py::test_least"
    assert found["Size", "length: int = 4"]["status"] == "killed"


def test_what_runs_on_without_end_is_killed_by_time(campaign: tuple[Path, dict[str, Any]]) -> None:
    root, told = campaign
    found = {(row["function"], row["mutated"]): row["status"] for row in rows(root)}
    assert found["steps", "pass"] == "timeout"
    assert told["timeouts"] >= 1


def test_what_no_test_passes_or_notices_survives(campaign: tuple[Path, dict[str, Any]]) -> None:
    root, told = campaign
    survived = {(row["function"], row["mutated"]) for row in told["survivors"]}
    assert {("forgotten", "return a - 1"), ("forgotten", "return a + 2"), ("same", "return min(a, a)")} <= survived
    assert ("least", "if a <= b:") in survived  # the same either way
    assert told["killed"] + told["survived"] + told["equivalent"] == told["run"] == told["mutants"] == len(rows(root))
    low, high = told["interval"]
    assert low < told["score"] < high
    assert told["score"] == pytest.approx(told["killed"] / told["run"], abs=1e-4)


def test_words_and_annotations_are_left_alone(campaign: tuple[Path, dict[str, Any]]) -> None:
    changed = " ".join(row["original"] for row in rows(campaign[0]))
    for left in ("A module", "The smaller", "assert", "RED", "__all__", "dataclass", "import", "'int'"):
        assert left not in changed.replace('b: "int"', "").replace("b: 'int'", ""), left


def test_a_second_run_repeats_nothing_and_equivalent_ones_do_not_count(
    campaign: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    root, told = campaign
    count = len(rows(root))
    listed = tmp_path / "equivalent.toml"
    entry = 'module = "toy.parts"\nfunction = "{}"\noriginal = "{}"\nmutated = "{}"\nwhy = "{}"\n'
    first = entry.format("least", "if a < b:", "if a <= b:", "equal numbers are the same")
    second = entry.format("same", "return max(a, a)", "return min(a, a)", "")  # no reason given: it does not count
    listed.write_text(f"[[mutant]]\n{first}[[mutant]]\n{second}")
    again = json.loads(run(root, "--json", "--equivalent", str(listed)).stdout)
    assert len(rows(root)) == count
    assert (again["equivalent"], again["survived"]) == (1, told["survived"] - 1)
    assert again["score"] == pytest.approx(told["killed"] / (told["run"] - 1), abs=1e-4)


def test_the_same_seed_draws_the_same_sample(tmp_path: Path) -> None:
    root = plant(tmp_path)
    first, second, other = (run(root, "--list", "--sample", "6", "--seed", seed).stdout for seed in ("3", "3", "4"))
    assert first == second != other
    assert first.count("  + ") == 6


def test_tests_that_fail_by_themselves_and_wrong_names_are_told(tmp_path: Path) -> None:
    root = plant(tmp_path, TESTS + "\n\ndef test_wrong():\n    assert same(1) == 2\n")
    done = run(root)
    assert done.returncode == 2
    assert "fail without any change: tests/toy/test_parts.py::test_wrong" in done.stderr
    assert run(root, "--module", "nothing").returncode == 2


def test_a_score_below_what_is_asked_is_a_failure(tmp_path: Path) -> None:
    root = plant(tmp_path)
    done = run(root, "--sample", "1", "--seed", "1", "--at-least", "1.01")
    assert done.returncode == 1
    assert "killed" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_dozen_mutants_of_the_core_itself(tmp_path: Path) -> None:
    command = [sys.executable, str(TOOL), "--sample", "12", "--module", "core.budgets", "--json"]
    done = subprocess.run(
        [*command, "--results", str(tmp_path / "results")], capture_output=True, text=True, timeout=1100
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["killed"] >= 6
