"""Policies that no one should use, for campaigns: a policy can be foolish, or broken, and no answer is late for it."""

from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np

from hedgerow.core.chance import RANGE, draw
from hedgerow.core.policies import Choice, Policy, View, by_name
from hedgerow.core.policies.guarding import Guarded
from hedgerow.core.records import Reason

POLICIES: Final = (
    *("ours",) * 8, *("foolish",) * 7, *("broken",) * 2, "device-only", "neurosurgeon", "dads", "spinn", "ans",
)  # fmt: skip
"""What worlds are drawn with, each as often as it stands here."""


@dataclass
class Foolish:
    """Any admissible arm, or none, by lot."""

    name: str = "foolish"
    uses_reserve: bool = True

    def choose(self, view: View) -> Choice | None:
        drawn = draw(view.seed, "foolish", view.request)
        columns = np.flatnonzero(view.admissible)
        if not len(columns) or drawn % 11 == 0:
            return None
        return Choice(int(columns[drawn * len(columns) // RANGE]), Reason.POLICY_FIXED)


@dataclass
class Broken:
    """Foolish, and every second time raises, or gives what is no choice, by lot; only for behind a guard."""

    name: str = "broken"
    uses_reserve: bool = True

    def choose(self, view: View) -> Choice | None:
        drawn = draw(view.seed, "broken", view.request) % 14
        good = Foolish().choose(view) or Choice(0, Reason.POLICY_FIXED)
        if drawn == 13:
            raise ZeroDivisionError("by lot")
        return cast(Choice, _wrong(drawn, good, view)) if drawn < 6 else Foolish().choose(view)


def _wrong(drawn: int, good: Choice, view: View) -> Any:
    """What is no choice in this view: the one of six that was drawn."""
    if drawn == 0:
        return "an arm"
    if drawn < 3:
        return replace(good, arm=(10**6, -1)[drawn - 1])
    if drawn < 5:
        return replace(good, cost_mj=float("nan")) if drawn == 3 else replace(good, propensity=0.0)
    refused = np.flatnonzero(~view.admissible)
    return replace(good, arm=int(refused[0])) if len(refused) else 7


def policy_of(name: str) -> Policy:
    """A fresh policy of a scene."""
    own: dict[str, Policy] = {"foolish": Foolish(), "broken": Guarded(Broken())}
    return own[name] if name in own else by_name(name)
