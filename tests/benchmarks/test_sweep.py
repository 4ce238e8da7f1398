"""`hedgerow bench sweep`: the figures it gives, by what they must be to each other. How fast it is, no test says."""

import json

from hedgerow.benchmarks.sweep import SAMPLES, bench_sweep
from tests.cli.typed import hedgerow


def test_json_is_one_object_with_every_figure() -> None:
    ended = hedgerow("bench", "sweep", "--json", "--arms", "8", "--moments", "600")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["arms"], found["moments"]) == (8, 600)
    assert found["one_sample_per_s"] > 0
    assert found[f"{SAMPLES}_samples_per_s"] > 0


def test_it_decides_among_many_arms_and_not_for_one_alone() -> None:
    figures = bench_sweep(arms=16, moments=3000)
    assert figures["one_sample_arms_chosen"] > 3
