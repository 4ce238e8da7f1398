"""Ours, with exploration that is paid for: now and then another arm is drawn, with a known propensity and at a bounded price.

Idea     a journal in which one arm was certain cannot say what another would have cost. Draw the others rarely, the dear ones more
         rarely, and write down how likely each was: then `hedgerow evaluate` can tell from the journal alone what another
         policy would have cost.
Formula  the best arm is ours'. Of the K cheapest other admissible arms (the cheapest local one always among them) a is drawn with
             p_a = min(epsilon, budget / excess_a) / K,     excess_a = expected cost of a - expected cost of the best (mJ)
         so exploring happens in at most a share epsilon of requests, and costs at most `budget_mj` per request in expectation,
         whatever the view: sum p_a excess_a <= budget. An arm that would be drawn less than once in a thousand is left out:
         so rare a draw tells nothing that pays for it.
Source   epsilon-greedy (Sutton and Barto) with the cost-aware shares that propensities need for off-policy evaluation
         (Horvitz and Thompson 1952; Bottou et al., "Counterfactual Reasoning and Learning Systems", JMLR 2013, section 4).
Fails    the budget is kept in *expected* cost: where the belief is wrong, so is the price. K of 8 says nothing of what a policy
         would cost that likes dear arms; "exploring-more" draws all, each seldom. K counts arms, not how different they are.
         It learns nothing from what it explores: it is a way to ask, not to answer.

>>> from dataclasses import replace
>>> from hedgerow.core.policies import by_name
>>> from hedgerow.core.policies.examples import chain, steady
>>> table = chain(device_ms=(10, 40, 40), cloud_ms=(1, 1, 1), kilobytes=(200, 10, 5))
>>> policy, view = by_name("exploring"), steady(table, mbps=50)
>>> [(arm.name, round(float(share), 3)) for arm, share in zip(table.arms, policy.propensities(view))]
[('cut 0', 0.928), ('cut 1', 0.025), ('cut 2', 0.025), ('cut 3', 0.016), ('local:tiny', 0.006)]
>>> taken = [policy.choose(replace(view, request=request, seed=2)).arm for request in range(1000)]
>>> [taken.count(arm) for arm in range(5)]
[921, 34, 20, 20, 5]
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from hedgerow.core.arms import Flags, Floats
from hedgerow.core.chance import RANGE, draw
from hedgerow.core.policies import Choice, View
from hedgerow.core.policies.expecting import expected
from hedgerow.core.policies.ours import LeastExpectedCost
from hedgerow.core.records import Reason

SHARE_MIN = 0.001
_STEPS_PER_MJ = 1e6
_BEST = LeastExpectedCost()


@runtime_checkable
class Explores(Protocol):
    """What a policy offers that draws: with what probability each arm, so that a reader of its journal knows what it left out."""

    def propensities(self, view: View) -> Floats:
        """(arms,): the probability of each arm in this view, over seeds; all 0 where it chooses None."""
        ...


@dataclass
class Exploring:
    """`epsilon`: the largest share of requests that explore. `budget_mj`: the most that exploring may cost, per request
    (explored or not) and in expectation. `others_max`: K at most."""

    name: str = "exploring"
    epsilon: float = 0.1
    budget_mj: float = 20.0
    others_max: int = 8
    uses_reserve: bool = True

    def propensities(self, view: View) -> Floats:
        """(arms,), in sum 1, in whole steps of the draw: exactly what `choose` does over seeds; all 0 where it gives None."""
        best = _BEST.choose(view)
        steps = np.zeros(len(view.table.arms), np.int64) if best is None else self._steps(view, best.arm)
        return steps / RANGE

    def choose(self, view: View) -> Choice | None:
        """The arm whose part of the draw's range was met; None where no arm is admissible."""
        best = _BEST.choose(view)
        if best is None:
            return None
        steps = self._steps(view, best.arm)
        left, arm = draw(view.seed, "policy", view.request), best.arm
        for each in np.flatnonzero(steps).tolist():
            if each != best.arm:
                left -= int(steps[each])
                if left < 0:
                    arm = each
                    break
        cost, needed = expected(view)
        reason = Reason.EXPLORED if arm != best.arm else Reason.LEAST_EXPECTED_COST
        return Choice(arm, reason, float(cost[arm]), float(needed[arm]), int(steps[arm]) / RANGE)

    def _steps(self, view: View, best: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """(arms,): how much of the draw's range belongs to each arm; in sum RANGE."""
        cost, _ = expected(view)
        excess = np.maximum(cost - cost[best], 0.0)
        others = self._others(view, best, excess)
        capped = np.minimum(self.epsilon * excess, self.budget_mj)  # min(epsilon, budget / excess), times excess
        share = np.where(excess > 0, capped / np.where(excess > 0, excess, 1.0), self.epsilon)
        share = np.where(others, share, 0.0) / max(1, int(np.count_nonzero(others)))
        steps = np.where(share >= SHARE_MIN, np.floor(share * RANGE), 0.0).astype(np.int64)
        steps[best] = RANGE - int(np.add.reduce(steps))
        return steps

    def _others(self, view: View, best: int, excess: Floats) -> Flags:
        """(arms,): those that may be drawn; ties go to the earlier row of the table."""
        others = view.admissible.copy()
        others[best] = False
        if np.count_nonzero(others) <= self.others_max:
            return others
        rank = np.where(others, np.rint(excess * _STEPS_PER_MJ), np.inf)
        kept = rank.argsort(kind="stable")[: self.others_max]
        local = others & ~view.table.is_remote
        if local.any() and view.table.is_remote[best] and not local[kept].any():
            kept[-1] = int(np.where(local, rank, np.inf).argmin())
        found: Flags = np.zeros(len(others), dtype=np.bool_)
        found[kept] = True
        return found


POLICY = Exploring()
VARIANTS = (Exploring("exploring-more", 0.3, 100.0, 4096),)
