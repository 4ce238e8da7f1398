"""What is left out is not there: no model, no arm, no crossing, nothing in reserve; and slips of the pen are refused."""

from fnmatch import fnmatchcase

import pytest

from hedgerow.core.policies import by_name
from hedgerow.errors import UsageError
from hedgerow.planning.arms import every_arm
from hedgerow.simulation import cells
from hedgerow.simulation.leaving import arms_left, check, matches, models_left
from hedgerow.simulation.world import run
from tests.simulation.profiles import kin_profile, profile
from tests.simulation.worlds import LINK, scenario


def test_a_name_matches_as_a_whole() -> None:
    assert matches("local:small", ["local:*"])
    assert not matches("local:small", ["small"])
    assert not matches("local:small", [])


def test_a_model_that_is_left_out_is_nowhere_in_the_profile_nor_in_the_table() -> None:
    found = models_left(profile(), ["smal?"])
    assert [model.name for model in found.models] == ["big"]
    assert {each.model for each in found.crossings} == {""}
    assert set(found.agreement) == {"local:big", "cloud:big:jpeg:75"}
    assert set(found.cloud.segments_ns) == {"big"}
    table = every_arm(found)
    assert {arm.name for arm in table.arms} == {"local:big", "cloud:big:jpeg:75"}
    assert [model.name for model in table.locals] == ["big"]
    assert models_left(profile(), ["nobody"]) == profile()


def test_an_arm_that_is_left_out_leaves_its_models_in_reserve() -> None:
    table = every_arm(profile())
    found = arms_left(table, ["split:*", "local:big"])
    assert {arm.name for arm in table.arms} - {arm.name for arm in found.arms} == {"split:small@1:q4", "local:big"}
    assert found.locals == table.locals
    assert arms_left(table, []) is table


def test_what_cannot_be_left_out_is_refused_and_says_why() -> None:
    table = every_arm(profile())
    with pytest.raises(UsageError, match="with which all answers are compared"):
        models_left(profile(), ["b*"])
    with pytest.raises(UsageError, match="leaves no arm"):
        arms_left(table, ["*"])
    with pytest.raises(UsageError, match=r"'\*\.int8' matches no model and no arm; models: small, big"):
        check(profile(), table, ["small", "*.int8"])
    check(profile(), table, ["small", "split:*"], ["b*"])
    with pytest.raises(UsageError, match="'nobody' matches no model; there are small, big"):
        check(profile(), table, [], ["big", "nobody"])


def test_models_may_be_named_that_stay() -> None:
    assert [model.name for model in models_left(kin_profile(), [], ["small*", "big"]).models] == [
        "small", "big", "small.exit", "small.int8",
    ]  # fmt: skip
    assert [model.name for model in models_left(kin_profile(), ["*.int8"], ["small*", "big"]).models] == [
        "small", "big", "small.exit",
    ]  # fmt: skip
    assert models_left(kin_profile(), [], ["small", "big"]).agreement.keys() == profile().agreement.keys()


def test_a_scenario_leaves_out_what_it_says_and_its_variants_that_and_more() -> None:
    with_variants = scenario(
        '[[variant]]\nname = "all"\n[[variant]]\nname = "no cuts"\nwithout = ["split:*"]\n', plain=PLAIN_WITHOUT
    )
    whole, fewer = with_variants.variants()
    assert (whole.without, fewer.without) == (("cloud:small:*",), ("cloud:small:*", "split:*"))
    names = []
    for each in (whole, fewer):
        setup = cells.build(each, profile(), cells.units(each, [LINK])[0])
        names.append({arm.name for arm in setup.table.arms})
        assert not any(fnmatchcase(name, "cloud:small:*") for name in names[-1])
        assert [model.name for model in setup.table.locals] == ["small", "big"]
    assert names[0] - names[1] == {"split:small@1:q4"}


PLAIN_WITHOUT = """
format = 1
name = "test"
without = ["cloud:small:*"]
[cloud]
factor = 0.2
[[group]]
name = "all"
radios = [""]
deadlines_ms = [150]
device_factors = [1]
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[variant]]\nname = "a"\n[[variant]]\nname = "a"\n', "two variants have the same name"),
        ('[[variant]]\nname = "a"\nwithin = ["x"]\n', "unknown field `within`"),
    ],
)
def test_bad_variants_are_refused_with_the_place(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        scenario(text)


def test_a_trunk_takes_its_branches_with_it_and_an_exit_its_gated_arms_alone() -> None:
    every = every_arm(kin_profile())
    gated = {arm.name for arm in every.arms if arm.name.startswith(("exit:", "cascade:"))}
    assert {
        "exit:small@small.exit",
        "cascade:small.exit,small>cloud:big:jpeg:75",
        "cascade:small>cloud:big:jpeg:75",
    } <= gated
    assert "split:small.int8>small@1:q4" in {arm.name for arm in every.arms}
    without = every_arm(models_left(kin_profile(), ["*.exit", "*.int8"]))
    assert {arm.name for arm in without.arms if arm.name.startswith(("exit:", "cascade:"))} == {
        "cascade:small>cloud:big:jpeg:75"
    }
    assert not any("int8" in arm.name for arm in without.arms)
    assert [model.name for model in models_left(kin_profile(), ["small"]).models] == ["big", "small.int8"]


def test_a_world_of_adapted_models_has_them_as_its_profile_says() -> None:
    given = scenario()
    setup = cells.build(given, kin_profile(), cells.units(given, [LINK])[0])
    early = setup.table.local("small.exit")
    assert (early.trunk, early.shared) == ("small", 1)
    assert setup.confidence(3, "small.exit") == kin_profile().model("small.exit").confidence[setup.arrivals[3].sample]
    made = run(setup, by_name("only:cascade:small.exit,small>cloud:big:jpeg:75"), given.price[0].prices())
    sure = [setup.confidence(n, "small.exit") or 0.0 for n in range(len(setup.arrivals))]
    assert [bool(each) for each in made.stopped] == [
        first >= 0.6 or (setup.confidence(n, "small") or 0.0) >= 0.8 for n, first in enumerate(sure)
    ]
