"""Least expected cost over the recent samples, with the use of the reserve as a price.

Idea     the network's next mood is like one of its last few; average each arm's cost over them, newest weighted most.
Formula  cost = energy + money + price_disagreement * E[1 - quality of the answer that will be delivered]
                + P(reserve needed) * (price_reserve + energy of the reserve)
         P(...) = weight of the samples in which the arm's answer comes after the reserve would have started.
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
from hedgerow.core.records import Reason

_STEPS_PER_MJ = 1e6


@dataclass(frozen=True)
class LeastExpectedCost:
    name: str = "ours"
    uses_reserve: bool = True

    def choose(self, view: View) -> Choice | None:
        """The admissible arm of least expected cost; ties go to the earlier row of the table."""
        table, prices = view.table, view.prices
        limits = np.array((view.available_ns, view.time_left_ns))[:, None, None] - view.device_ns
        needed, missed = np.add.reduce((view.network_ns > limits) * view.weights[:, None], axis=1)
        needed *= table.is_remote
        missed *= (table.quality - view.reserve_quality) * prices.disagreement_mj
        missed += needed * (prices.reserve_mj + view.reserve_energy_mj)
        missed += view.cost_mj
        cost = np.where(view.admissible, missed, np.inf)
        arm = int(np.rint(cost * _STEPS_PER_MJ).argmin())
        if not view.admissible[arm]:
            return None
        return Choice(arm, Reason.LEAST_EXPECTED_COST, float(cost[arm]), float(needed[arm]))


POLICY = LeastExpectedCost()
