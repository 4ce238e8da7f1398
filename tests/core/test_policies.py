"""Every policy passes the one check in every view; and each does what its name says."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.core.policies import Policy, View, by_name
from hedgerow.core.records import Prices
from hedgerow.errors import UsageError
from tests.core.world import MS, small_table

TABLE = small_table()
NAMES = ("ours", "device-only", "cloud-only")


@st.composite
def views(draw: st.DrawFn) -> View:
    arms, samples = len(TABLE.arms), 4
    milliseconds = st.floats(0.1, 10_000)
    latency = np.array(draw(st.lists(milliseconds, min_size=arms * samples, max_size=arms * samples))) * MS
    weights = np.array([0.05, *draw(st.lists(st.floats(0, 1), min_size=samples - 1, max_size=samples - 1))])
    available = draw(milliseconds)
    return View(
        TABLE,
        network_ns=latency.reshape(samples, arms),
        device_ns=np.array(draw(st.lists(milliseconds, min_size=arms, max_size=arms))) * MS,
        weights=weights / weights.sum(),
        admissible=np.array(draw(st.lists(st.booleans(), min_size=arms, max_size=arms))),
        energy_mj=np.array(draw(st.lists(st.floats(0, 1000), min_size=arms, max_size=arms))),
        cost_mj=np.array(draw(st.lists(st.floats(0, 3000), min_size=arms, max_size=arms))),
        available_ns=available * MS,
        time_left_ns=(available + draw(milliseconds)) * MS,
        reserve_energy_mj=draw(st.floats(0, 500)),
        reserve_quality=draw(st.floats(0, 1)),
        prices=Prices(),
    )


def check_policy(policy: Policy, view: View) -> None:
    """Raise AssertionError unless `policy` is picklable, deterministic and chooses admissibly in `view`."""
    first, second = policy.choose(view), pickle.loads(pickle.dumps(policy)).choose(view)
    assert first == second, f"{policy.name} is not deterministic"
    if first is not None:
        assert view.admissible[first.arm], f"{policy.name} chose an arm that is not admissible"


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(view=views())
def test_every_policy_is_picklable_deterministic_and_admissible(name: str, view: View) -> None:
    policy = by_name(name)
    check_policy(policy, view)
    choice = policy.choose(view)
    if name == "device-only" and choice is not None:
        assert not TABLE.is_remote[choice.arm]
    if name == "cloud-only" and choice is not None:
        assert TABLE.is_remote[choice.arm]
    if not view.admissible.any():
        assert choice is None


def test_an_unknown_policy_is_told_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no policy 'hope'; there are: cloud-only, device-only, ours"):
        by_name("hope")


def test_the_check_finds_a_policy_that_takes_what_it_may_not() -> None:
    from hedgerow.core.policies.device_only import DeviceOnly

    class Greedy(DeviceOnly):
        def choose(self, view: View) -> object:  # type: ignore[override]
            view.admissible[:] = True
            choice = super().choose(view)
            view.admissible[:] = False
            return choice

    Greedy.__module__, Greedy.__qualname__ = __name__, "Greedy"
    globals()["Greedy"] = Greedy
    arms = len(TABLE.arms)
    ones = np.ones(arms)
    view = View(TABLE, np.ones((1, arms)), ones, np.ones(1), ones > 0, ones, ones, 1.0, 1.0, 1.0, 1.0, Prices())
    with pytest.raises(AssertionError, match="not admissible"):
        check_policy(Greedy(), view)  # type: ignore[arg-type]
