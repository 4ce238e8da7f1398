"""`plan` under every policy: it shows that policy's choice, and says what the policy never takes."""

import numpy as np
import pytest

from hedgerow.core.policies import by_name, names
from hedgerow.core.records import Margins, Prices
from hedgerow.errors import UsageError
from hedgerow.planning import plan
from hedgerow.planning.outlook import LinkFigures, view_of
from tests.core.world import small_table

TABLE = small_table()
LINK = LinkFigures(20.0, 30.0)


@pytest.mark.parametrize("name", [*names(), "only:cloud:big:jpeg:75", "only:local:small"])
def test_the_plan_is_the_policys_own_choice_each_time_it_is_asked(name: str) -> None:
    view, _ = view_of(TABLE, LINK, deadline_ms=150.0, prices=Prices(), margins=Margins())
    choice = by_name(name).choose(view)
    made, again = (plan(TABLE, 20.0, 30.0, 150.0, policy=name) for _ in range(2))
    assert made == again
    assert made.chosen == (None if choice is None else TABLE.arms[choice.arm].name)
    for arm in made.arms:
        column = next(place for place, each in enumerate(TABLE.arms) if each.name == arm.name)
        assert arm.cost_mj is None or view.admissible[column]
        assert (arm.obstacle == "the policy never takes it") == (bool(view.admissible[column]) and arm.cost_mj is None)
    assert np.isfinite([arm.cost_mj for arm in made.arms if arm.cost_mj is not None]).all()


def test_what_a_policy_leaves_to_the_device_is_said() -> None:
    made = plan(TABLE, 20.0, 30.0, 60.0, policy="only:local:big")
    assert made.chosen is None
    assert (
        made.because
        == "none of the arms that policy 'only:local:big' takes may be chosen: the device's own plan answers"
    )
    dear = plan(TABLE, 20.0, 30.0, 150.0, policy="device-only")
    assert {arm.name for arm in dear.arms if arm.obstacle == "the policy never takes it"} == {
        "cloud:big:jpeg:75",
        "split:small@1:q4",
    }
    costly = plan(TABLE, 20.0, 30.0, 150.0, policy="only:local:small")
    assert "next" not in costly.because


def test_a_wrong_policy_or_arm_is_refused() -> None:
    with pytest.raises(UsageError, match="no policy 'hope'; there are: ans, "):
        plan(TABLE, 20.0, 30.0, policy="hope")
    with pytest.raises(UsageError, match="no arm 'hope'; there are: local:small"):
        plan(TABLE, 20.0, 30.0, policy="only:hope")
