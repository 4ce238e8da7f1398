"""Least expected cost over the recent samples, with the use of the reserve as a price.

Idea     the network's next mood is like one of its last few; average each arm's cost over them, newest weighted most.
Formula  cost = energy + money + price_disagreement * E[1 - quality of the answer that will be delivered]
                + P(reserve needed) * price_reserve + E[energy of the reserve] (`expecting.py`, over the belief's samples).
Source   expected-cost offloading as in DESIGN.md, "What an arm costs"; a hard chance constraint instead of the price cost
         1.3 to 1.7 times as much on recorded drives.
Fails    when the network changes faster than samples come in: one or two reserves are used before it is believed.

>>> from hedgerow.core.policies import by_name
>>> by_name("ours").uses_reserve
True
"""

from dataclasses import dataclass

import numpy as np

from hedgerow.core.policies import Choice, View
from hedgerow.core.policies.expecting import expected
from hedgerow.core.records import Reason

_STEPS_PER_MJ = 1e6


@dataclass(frozen=True)
class LeastExpectedCost:
    name: str = "ours"
    uses_reserve: bool = True

    def choose(self, view: View) -> Choice | None:
        """The admissible arm of least expected cost; ties go to the earlier row of the table."""
        cost, needed = expected(view)
        cost = np.where(view.admissible, cost, np.inf)
        arm = int(np.rint(cost * _STEPS_PER_MJ).argmin())
        if not view.admissible[arm]:
            return None
        return Choice(arm, Reason.LEAST_EXPECTED_COST, float(cost[arm]), float(needed[arm]))


POLICY = LeastExpectedCost()
