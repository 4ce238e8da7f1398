"""The same worlds with and without some arms: equal where nothing is left out, and figures that are those of the runs."""

from functools import cache

import numpy as np
import pytest

from hedgerow.core.policies import by_name
from hedgerow.errors import UsageError
from hedgerow.simulation import cells, scenario
from hedgerow.simulation.beside import Beside, run_variants, summary
from hedgerow.simulation.world import run

TEXT = """format = 1
name = "small"
seconds = 3
[cloud]
factor = 0.25
[[group]]
name = "all"
radios = [""]
deadlines_ms = [60, 100]
device_factors = [2]
[[price]]
disagreement_mj = 500
[[price]]
disagreement_mj = 2000
[[variant]]
name = "with"
[[variant]]
name = "the same"
[[variant]]
name = "without"
without = ["split:*", "cloud:*"]
"""


@cache
def found() -> Beside:
    given = scenario.parse(TEXT, name="small")
    links = [each for name in ("drive-mixed", "wifi-site") for each in cells.load_courses(name)]
    return run_variants(given, cells.units(given, links), ("hedgerow",), workers=1)


def test_every_policy_runs_in_every_world_of_every_variant() -> None:
    told = summary(found())
    assert [each["name"] for each in told["variants"]] == ["with", "the same", "without"]
    assert (told["links"], told["worlds"], told["errors"]) == (2, 4, [])
    for variant in told["variants"]:
        assert [row["name"] for row in variant["policies"]] == ["device-only", "hedgerow"]
        assert all(row["requests"] == 4 * 30 * 2 and not row["failed"] for row in variant["policies"])


def test_equal_variants_are_equal_and_the_first_is_against_nothing() -> None:
    first, same, other = ({row["name"]: row for row in each["policies"]} for each in summary(found())["variants"])
    assert "first_over_this" not in first["hedgerow"]
    for name, row in same.items():
        assert row.pop("first_over_this") == 1.0
        row.pop("first_over_this_95")
        assert row == first[name]
    assert other["hedgerow"]["remote"] == other["hedgerow"]["stood_in"] == 0.0
    assert other["hedgerow"]["agreement_stood_in"] is None
    assert other["device-only"]["cost"] < first["device-only"]["cost"]  # no link is left, so none is probed


def test_costs_and_what_stood_in_are_those_of_the_runs_themselves() -> None:
    given = scenario.parse(TEXT, name="small").variants()[0]
    costs, agreeing, stood_in = [], 0, 0
    for unit in found().units:  # all have as many requests, and both links' radios as many worlds
        setup = cells.build(given, cells.profile_of(given), unit)
        for price in given.price:
            made = run(setup, by_name("hedgerow", setup.table), price.prices())
            costs.append(float(made.cost_mj(price.prices(), setup.table).mean()))
            agreeing += int((made.stood_in & made.agrees).sum())
            stood_in += int(made.stood_in.sum())
    row = summary(found())["variants"][0]["policies"][1]
    assert row["cost"] == pytest.approx(np.mean(costs), abs=1e-3)
    assert row["stood_in"] == pytest.approx(stood_in / row["requests"], abs=1e-5)
    assert stood_in > 0
    assert row["agreement_stood_in"] == pytest.approx(agreeing / stood_in, abs=1e-5)


def test_a_variant_that_leaves_out_what_is_not_there_is_refused_before_anything_runs() -> None:
    given = scenario.parse(TEXT + '[[variant]]\nname = "slip"\nwithout = ["*.int9"]\n', name="small")
    with pytest.raises(UsageError, match=r"'\*\.int9' matches no model"):
        run_variants(given, cells.units(given, cells.load_courses("wifi-site")), ("hedgerow",))
