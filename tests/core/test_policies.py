"""Every policy passes the one check and does what its name says; the check finds those that do not."""

import doctest
import importlib
import pickle
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from hedgerow.cli._policies import NAMES as SAID
from hedgerow.core import policies
from hedgerow.core.chance import RANGE, draw
from hedgerow.core.policies import Choice, Feedback, Policy, View, by_name, names, only_names
from hedgerow.core.policies.checking import check_policy
from hedgerow.core.policies.checking_views import made_views
from hedgerow.core.policies.examples import cascade, chain, steady
from hedgerow.core.policies.expecting import chosen
from hedgerow.core.records import Reason
from hedgerow.errors import UsageError
from tests.core.world import small_table

TABLE = small_table()
LOCAL, REMOTE = 0, 2
MODULES = [f"{policies.__name__}.{each.name}" for each in pkgutil.iter_modules(policies.__path__)]


@pytest.mark.parametrize("name", [*names(), "ours", "only:cloud:big:jpeg:75", "only:local:tiny", "only:gate 0.6"])
def test_every_policy_passes_the_check(name: str) -> None:
    check_policy(by_name(name), tables=[TABLE])


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_the_docstrings_are_true(module: str) -> None:
    found = importlib.import_module(module)
    result = doctest.testmod(found)
    assert result.failed == 0
    if hasattr(found, "POLICY"):
        assert result.attempted > 0, "a policy without a doctest"


def test_every_remake_says_what_it_is() -> None:
    for module in MODULES:
        found = importlib.import_module(module)
        if hasattr(found, "POLICY"):
            said = found.__doc__ or ""
            assert all(f"\n{word} " in said for word in ("Idea", "Formula", "Source", "Fails")), module
            assert ("Remade" in said) == ("a remake" in said.splitlines()[0]), module


def test_by_name_gives_a_fresh_one_each_time_and_ours_under_two_names() -> None:
    for name in names():
        assert by_name(name) is not by_name(name)
        assert by_name(by_name(name).name).name == by_name(name).name, "a journal's header keeps the policy's own name"
    assert type(by_name("hedgerow")) is type(by_name("ours"))
    assert "ours" not in names()
    assert len(set(names())) == len(names())


def test_the_command_line_says_every_name() -> None:
    assert names() == SAID


def test_an_unknown_policy_is_told_with_the_known_ones() -> None:
    for name in ("hope", "only:", ""):
        with pytest.raises(UsageError, match=rf"no policy '{name}'; there are: .*cloud-only, .*, only:ARM"):
            by_name(name)


def test_only_takes_its_arm_or_nothing() -> None:
    for view in made_views(TABLE, 24):
        for column, name in enumerate(only_names(TABLE)):
            choice = by_name(name, TABLE).choose(view)
            assert (choice is not None) == bool(view.admissible[column])
            assert choice is None or choice.arm == column
    assert by_name("only:no such arm").choose(steady(TABLE)) is None
    with pytest.raises(UsageError, match="no arm 'no such arm'; there are: local:small, local:big"):
        by_name("only:no such arm", TABLE)


def test_device_only_stays_and_cloud_only_goes() -> None:
    for view in made_views(TABLE, 40):
        here, there = by_name("device-only").choose(view), by_name("cloud-only").choose(view)
        assert here is None or not TABLE.is_remote[here.arm]
        assert there is None or TABLE.is_remote[there.arm]


def test_the_expected_cost_is_the_one_that_ours_states() -> None:
    for view in made_views(TABLE, 40):
        ours = by_name("ours").choose(view)
        if ours is not None:
            mine = chosen(view, ours.arm)
            assert mine.cost_mj == pytest.approx(ours.cost_mj)
            assert mine.reserve_probability == pytest.approx(ours.reserve_probability)


# ------------------------------------------------------------------------------------------------- what the check finds


@dataclass
class Faulty:
    """Chooses as `how` says: (this policy, view) -> anything."""

    how: Callable[["Faulty", View], Any]
    name: str = "faulty"
    uses_reserve: bool = True
    learned: list[Any] = field(default_factory=list)
    unseen: int = 0

    def choose(self, view: View) -> Choice | None:
        found: Choice | None = self.how(self, view)
        return found

    def learn(self, feedback: Feedback) -> None:
        self.learned.append(feedback.latency_ns)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "unseen": 0}


def sound(policy: Faulty, view: View) -> Choice | None:
    allowed = np.flatnonzero(view.admissible)
    return chosen(view, int(allowed[len(policy.learned) % len(allowed)])) if len(allowed) else None


def greedy(policy: Faulty, view: View) -> Choice | None:
    return Choice(0, Reason.POLICY_FIXED)


def writes(policy: Faulty, view: View) -> Choice | None:
    view.cost_mj[0] += 1.0
    return sound(policy, view)


def not_a_number(policy: Faulty, view: View) -> Choice | None:
    choice = sound(policy, view)
    return None if choice is None else replace(choice, cost_mj=float("nan"))


def forgets(policy: Faulty, view: View) -> Choice | None:
    policy.unseen += 1
    allowed = np.flatnonzero(view.admissible)
    return chosen(view, int(allowed[policy.unseen // 10 % len(allowed)])) if len(allowed) else None


_CALLS = [0]


def undetermined(policy: Faulty, view: View) -> Choice | None:
    _CALLS[0] += 1
    allowed = np.flatnonzero(view.admissible)
    return chosen(view, int(allowed[_CALLS[0] % len(allowed)])) if len(allowed) else None


def _drawn(view: View, share: float, said: float) -> Choice | None:
    allowed = np.flatnonzero(view.admissible)
    if len(allowed) < 2:
        return chosen(view, int(allowed[0])) if len(allowed) else None
    first = draw(view.seed, "policy", view.request) < share * RANGE
    return chosen(view, int(allowed[0 if first else 1]), propensity=said if first else 1.0 - said)


def randomises(policy: Faulty, view: View) -> Choice | None:
    return _drawn(view, 0.3, 0.3)


def declines(policy: Faulty, view: View) -> Choice | None:
    choice = sound(policy, view)
    if choice is None or draw(view.seed, "policy", view.request) % 4:
        return None
    return replace(choice, propensity=0.25)


def declines_in_silence(policy: Faulty, view: View) -> Choice | None:
    choice = declines(policy, view)
    return None if choice is None else replace(choice, propensity=1.0)


def boasts(policy: Faulty, view: View) -> Choice | None:
    return _drawn(view, 0.2, 0.3)


def conceals(policy: Faulty, view: View) -> Choice | None:
    choice = _drawn(view, 0.3, 0.3)
    return None if choice is None else replace(choice, propensity=1.0)


def hoards(policy: Faulty, view: View) -> Choice | None:
    policy.learned.append(bytes(20_000))
    return chosen(view, int(view.admissible.argmax())) if view.admissible.any() else None


@pytest.mark.parametrize("how", [sound, randomises, declines])
def test_the_check_passes_what_is_sound(how: Callable[[Faulty, View], Any]) -> None:
    check_policy(Faulty(how))


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        (greedy, "chose arm 0, which was not admissible in view"),
        (writes, "wrote to what it was shown"),
        (not_a_number, "figures that are no numbers"),
        (undetermined, "is not deterministic"),
        (forgets, "forgets when it is pickled"),
        (boasts, "says a propensity of 0.[37] for arm"),
        (declines_in_silence, "says a propensity of 1 for arm"),
        (conceals, "says a propensity of 1 for arm"),
        (hoards, "bytes of state"),
        (lambda policy, view: None, "cannot be pickled"),
    ],
)
def test_the_check_finds_what_is_not(how: Callable[[Faulty, View], Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        check_policy(Faulty(how))


def test_the_check_finds_a_request_without_an_answer() -> None:
    table = replace(chain((10, 10), (1, 1), (10, 10)))
    policy = Faulty(lambda policy, view: None)
    with pytest.raises(UsageError, match="no policy: a policy has a name"):
        check_policy(table)  # type: ignore[arg-type]
    policy.uses_reserve = None  # type: ignore[assignment]
    with pytest.raises(UsageError, match="no policy: a policy has a name"):
        check_policy(policy)


def test_a_policy_is_pickled_with_what_it_has_learned() -> None:
    policy: Policy = Faulty(sound)
    policy.learn(Feedback(0, 1, 5))  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert cascade().arms[3].name == "gate 0.6"
