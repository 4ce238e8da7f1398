"""`hedgerow bench decide`: the figures it gives, by what they must be to each other. How fast it is, no test says."""

import json

import pytest

from hedgerow.benchmarks.decide import bench_decide, wide_table
from tests.cli.typed import Ended, hedgerow

NAMES = {"p50_us", "p99_us", "step_p50_us", "step_p99_us", "arms", "decisions"}


def run(*arguments: str) -> Ended:
    return hedgerow("bench", "decide", *arguments)


def test_json_is_one_object_with_every_figure() -> None:
    ended = run("--json", "--count", "100", "--arms", "8")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert set(found) == NAMES
    assert found["arms"] == 8
    assert 0 < found["p50_us"] <= found["p99_us"]
    assert 0 < found["step_p50_us"] <= found["step_p99_us"]


def test_without_json_each_figure_has_its_line() -> None:
    ended = run("--count", "100", "--arms", "8")
    assert ended.returncode == 0, ended.stderr
    assert {line.split()[0] for line in ended.stdout.splitlines()} == NAMES


def test_every_request_is_decided_over_the_table_and_warm_up_is_left_out() -> None:
    figures = bench_decide(arms=16, count=100)
    assert figures["arms"] == 16
    assert figures["decisions"] >= 100


@pytest.mark.parametrize("arms", [3, 64])
def test_the_table_is_as_wide_as_asked_with_one_name_an_arm(arms: int) -> None:
    names = [arm.name for arm in wide_table(arms).arms]
    assert len(set(names)) == len(names) == arms
    assert names[:2] == ["local:small", "local:big"]


@pytest.mark.parametrize("bad", [("--count", "99"), ("--arms", "2"), ("--arms", "many")])
def test_bad_numbers_are_refused_and_named(bad: tuple[str, str]) -> None:
    ended = run(*bad)
    assert ended.returncode == 2
    assert bad[0] in ended.stderr
