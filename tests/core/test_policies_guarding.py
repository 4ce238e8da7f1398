"""A guarded policy may do anything but cost an answer: what it does wrong is told once and decided by least expected cost."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hedgerow.core import Core
from hedgerow.core.policies import Choice, Feedback, View, by_name
from hedgerow.core.policies.checking import check_policy
from hedgerow.core.policies.checking_views import made_views
from hedgerow.core.policies.checking_world import DEADLINE_NS, MARGINS, STREAM, CheckingWorld
from hedgerow.core.policies.examples import chain
from hedgerow.core.policies.guarding import Guarded
from hedgerow.core.records import Decision, Reason, Source
from hedgerow.errors import UsageError
from tests.core.world import small_table

TABLE = small_table()


class Foolish:
    """Chooses as `how` says."""

    name = "foolish"
    uses_reserve = True

    def __init__(self, how: Callable[[View], Any]) -> None:
        self.how = how

    def choose(self, view: View) -> Choice | None:
        found: Choice | None = self.how(view)
        return found


class Unsayable:
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def fails(view: View) -> Any:
    raise RuntimeError("out\nof ideas " + "x" * 1000)


def writes(view: View) -> Any:
    view.admissible[:] = True
    view.cost_mj[:] = 0.0
    return Choice(0, Reason.POLICY_FIXED)


def unteaches(view: View) -> Any:
    view.table.amounts["bytes:cloud"][:] = 0.0
    return Choice(0, Reason.POLICY_FIXED)


def inadmissible(view: View) -> Any:
    refused = np.flatnonzero(~view.admissible)
    return Choice(int(refused[0]) if len(refused) else 99, Reason.POLICY_FIXED)


NONSENSE: dict[str, tuple[Callable[[View], Any], str]] = {
    "raises": (fails, "raised RuntimeError: out of ideas x"),
    "cannot say": (lambda view: (_ for _ in ()).throw(ValueError(Unsayable())), "raised ValueError"),
    "writes": (writes, "raised ValueError: assignment destination is read-only"),
    "writes to the table": (unteaches, "raised ValueError: assignment destination is read-only"),
    "another type": (lambda view: 2, "gave a int, not a Choice or None"),
    "inadmissible": (inadmissible, "chose arm"),
    "beyond": (lambda view: Choice(99, Reason.POLICY_FIXED), "chose arm 99, which is none of the 4"),
    "negative": (lambda view: Choice(-1, Reason.POLICY_FIXED), "chose arm -1, which is none of the 4"),
    "fraction": (lambda view: Choice(1.5, Reason.POLICY_FIXED), "chose arm 1.5, which is none"),  # type: ignore[arg-type]
    "truth": (lambda view: Choice(True, Reason.POLICY_FIXED), "chose arm True, which is none"),
    "no number": (lambda view: _with(view, cost_mj=float("nan")), "figures that are no numbers"),
    "endless": (lambda view: _with(view, cost_mj=float("inf")), "figures that are no numbers"),
    "text": (lambda view: _with(view, cost_mj="much"), "figures that are no numbers"),
    "unlikely": (lambda view: _with(view, reserve_probability=-0.1), "a reserve probability of -0.1"),
    "impossible": (lambda view: _with(view, propensity=0.0), "a propensity of 0; it is above 0"),
    "surer than sure": (lambda view: _with(view, propensity=1.5), "a propensity of 1.5"),
    "reasonless": (lambda view: _with(view, reason="because"), "the reason because, which is no Reason"),
}


def _with(view: View, **changes: Any) -> Choice | None:
    if not view.admissible.any():
        return None
    return Choice(**{"arm": int(view.admissible.argmax()), "reason": Reason.POLICY_FIXED, **changes})


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_told_once_and_costs_no_answer(kind: str) -> None:
    how, said = NONSENSE[kind]
    told: list[str] = []
    guarded, ours = Guarded(Foolish(how), told.append), by_name("ours")
    fell_back = 0
    for view in made_views(TABLE, 24):
        expected, choice = ours.choose(view), guarded.choose(view)
        if choice is None:
            assert expected is None
        elif choice.reason is Reason.POLICY_FAILED:
            assert expected is not None
            assert (choice.arm, choice.cost_mj) == (expected.arm, expected.cost_mj)
            fell_back += 1
    assert fell_back > 10
    assert len(told) == 1
    assert told == [guarded.problem]
    assert guarded.failures >= fell_back
    assert "\n" not in told[0]
    assert len(told[0]) < 500
    assert said in told[0]


@pytest.mark.parametrize("kind", NONSENSE)
def test_the_core_answers_in_time_whatever_a_policy_does_and_replays_it(kind: str) -> None:
    runs = []
    for _ in range(2):
        world = CheckingWorld(
            Core(TABLE, policy=Guarded(Foolish(NONSENSE[kind][0])), streams=(STREAM,), margins=MARGINS), 60
        )
        world.run()
        runs.append(world.outcomes)
        for request in range(60):
            moment, deliver = world.answers[request]
            assert deliver.source is not Source.NONE
            assert moment <= world.captured_ns(request) + DEADLINE_NS
    assert runs[0] == runs[1]
    reasons = {record.reason for outcome in runs[0] for record in outcome.records if isinstance(record, Decision)}
    assert Reason.POLICY_FAILED in reasons


def test_a_sound_policy_is_left_alone() -> None:
    told: list[str] = []
    for name in ("ours", "device-only", "cloud-only", "neurosurgeon"):
        guarded = Guarded(by_name(name), told.append)
        assert (guarded.name, guarded.uses_reserve) == (name, by_name(name).uses_reserve)
        for view in made_views(TABLE, 24):
            assert guarded.choose(view) == by_name(name).choose(view)
        assert (guarded.failures, guarded.problem) == (0, "")
    assert told == []


def test_numbers_of_numpy_become_pythons_own() -> None:
    """The journal keeps nothing else."""
    table = chain((6, 12), (1, 1), (40, 12))
    figures = {"arm": np.int64(0), "cost_mj": np.float64(1.5), "propensity": np.float64(1.0)}
    for view in made_views(table, 2):
        if view.admissible[0]:
            choice = Guarded(Foolish(lambda view: _with(view, **figures))).choose(view)
            assert choice == Choice(0, Reason.POLICY_FIXED, 1.5)
            assert type(choice.arm) is int
            assert type(choice.cost_mj) is type(choice.propensity) is float


class Unteachable:
    """A sound chooser that fails when it is to learn."""

    name, uses_reserve = "unteachable", True

    def choose(self, view: View) -> Choice | None:
        return by_name("ours").choose(view)

    def learn(self, feedback: Feedback) -> None:
        raise KeyError(feedback.request)


def test_a_policy_that_cannot_learn_costs_no_answer_either() -> None:
    told: list[str] = []
    world = CheckingWorld(
        Core(TABLE, policy=Guarded(Unteachable(), told.append), streams=(STREAM,), margins=MARGINS), 60
    )
    world.run()
    assert len(world.answers) == 60
    assert len(told) == 1
    assert "raised KeyError when it was to learn" in told[0]


def test_a_guarded_policy_passes_the_check_itself() -> None:
    check_policy(Guarded(Unteachable(), print))
    again: Guarded = pickle.loads(pickle.dumps(Guarded(by_name("ours"), print)))
    assert again.name == "ours"


@pytest.mark.parametrize(
    "thing", [3, None, object(), Foolish, type("Half", (), {"name": "half", "uses_reserve": True})()]
)
def test_what_is_no_policy_at_all_is_refused(thing: Any) -> None:
    with pytest.raises(UsageError, match="is no policy: a policy has a name, uses_reserve"):
        Guarded(thing)
