"""A policy that is not ours, held so that no fault of its own costs an answer: a policy can be foolish, never late.

Rules: what it raises, and any choice that is none (another type, an arm that there is not or that is not admissible, figures
that are no numbers, a propensity outside (0, 1]), falls back to least expected cost and is recorded as the decision's reason,
`policy_failed`; the first problem is told, once; it may read the view's and the table's arrays and not write them. So a replay with the same
policy decides the same. What cannot be guarded from within a process: a policy that never returns.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from math import isfinite
from operator import attrgetter
from typing import Any

import numpy as np

from hedgerow.core.arms import ArmTable, Flags, Floats
from hedgerow.core.policies import Choice, Feedback, Learns, Policy, View, by_name
from hedgerow.core.records import Reason
from hedgerow.errors import UsageError

_TEXT_MAX = 300
_PARTS = attrgetter(*(each.name for each in fields(View)))


def fault(choice: object, admissible: Flags) -> str:
    """What is wrong with what a policy gave back for a view in which these arms were admissible; "" for nothing."""
    if choice is None:
        return ""
    if not isinstance(choice, Choice):
        return f"gave a {type(choice).__name__}, not a Choice or None"
    arm: object = choice.arm
    reason: object = choice.reason
    figures = (choice.cost_mj, choice.reserve_probability, choice.propensity)
    if isinstance(arm, bool) or not isinstance(arm, int | np.integer) or not 0 <= arm < len(admissible):
        return f"chose arm {_short(arm)}, which is none of the {len(admissible)}"
    if not admissible[arm]:
        return f"chose arm {arm}, which was not admissible"
    if not isinstance(reason, Reason):
        return f"gave the reason {_short(reason)}, which is no Reason"
    if not all(isinstance(each, int | float | np.number) and isfinite(each) for each in figures):
        return f"gave figures that are no numbers: {_short(figures)}"
    if not 0 <= choice.reserve_probability <= 1 + 1e-9:
        return f"gave a reserve probability of {choice.reserve_probability:g}"
    if not 0 < choice.propensity <= 1 + 1e-9:
        return f"gave a propensity of {choice.propensity:g}; it is above 0 and at most 1"
    return ""


class Guarded:
    """`policy` behind the rules above, under its own name. `tell` gets the first problem as one line.

    `problem`: that line, "" while there is none; `failures`: how many decisions fell back. UsageError for what cannot be a
    policy at all.
    """

    def __init__(self, policy: Policy, tell: Callable[[str], None] | None = None) -> None:
        told: Any = policy
        name, reserve = getattr(told, "name", None), getattr(told, "uses_reserve", None)
        sound = isinstance(name, str) and bool(name) and isinstance(reserve, bool) and not isinstance(told, type)
        if not (sound and callable(getattr(told, "choose", None))):
            lacks = "a policy has a name, uses_reserve (True or False) and choose(view)"
            raise UsageError(f"{_short(policy)} is no policy: {lacks}")
        self.policy, self.name, self.uses_reserve = policy, policy.name, policy.uses_reserve
        self.problem, self.failures = "", 0
        self._tell, self._instead = tell, by_name("ours")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tell": None}  # a caller's function need not travel

    def choose(self, view: View) -> Choice | None:
        """What the policy chooses, or what costs least where it fails."""
        try:
            choice = self.policy.choose(_readable(view))
            wrong = fault(choice, view.admissible)
        except Exception as error:  # noqa: BLE001 - supervisor: the policy is the caller's code; the answer must still come
            choice, wrong = None, f"raised {type(error).__name__}: {_short(error)}"
        if not wrong:
            return None if choice is None else _plain(choice)
        self._note(wrong)
        instead = self._instead.choose(view)
        return None if instead is None else replace(instead, reason=Reason.POLICY_FAILED)

    def learn(self, feedback: Feedback) -> None:
        """Pass it on to a policy that learns."""
        try:
            if isinstance(self.policy, Learns):
                self.policy.learn(feedback)
        except Exception as error:  # noqa: BLE001 - supervisor: as above
            self._note(f"raised {type(error).__name__} when it was to learn: {_short(error)}")

    def _note(self, wrong: str) -> None:
        self.failures += 1
        if not self.problem:
            self.problem = f"policy '{self.name}' {wrong}; least expected cost decides where it fails"
            if self._tell is not None:
                self._tell(self.problem)


def _short(value: object) -> str:
    """On one line, of bounded length; what cannot even say what it is has its type's name."""
    try:
        text = " ".join(str(value).split())
    except Exception:  # noqa: BLE001 - supervisor: as above
        text = f"a {type(value).__name__}"
    return text if len(text) <= _TEXT_MAX else text[:_TEXT_MAX] + "..."


def _plain(choice: Choice) -> Choice:
    """The same in Python's own numbers, which the journal can keep."""
    share = min(1.0, float(choice.reserve_probability)), min(1.0, float(choice.propensity))
    return Choice(int(choice.arm), choice.reason, float(choice.cost_mj), *share)


def _readable(view: View) -> View:
    """The view with arrays that refuse to be written: they are the core's own memory."""
    if view.table.quality.flags.writeable:  # once a table: nothing writes to it after it is made
        for array in _arrays(view.table):
            array.flags.writeable = False
    sealed: list[Any] = [_sealed(each) if isinstance(each, np.ndarray) else each for each in _PARTS(view)]
    return View(*sealed)


def _arrays(table: ArmTable) -> list[Floats]:
    rows = [*table.amounts.values(), *table.spent.values()]
    return [*rows, *(each for each in vars(table).values() if isinstance(each, np.ndarray))]


def _sealed(array: Any) -> Floats:
    found: Floats = array.view()
    found.flags.writeable = False
    return found
