"""The best local arm that meets the deadline; the network is never used. The twin against which lateness is measured.

Idea     what a careful engineer ships today.
Formula  argmin over admissible local arms of energy + price_disagreement * (1 - quality)
Source   DESIGN.md section 5 ("device-only").
Fails    never on the network; always on quality, when only a small model fits the deadline.

>>> from hedgerow.core.policies import by_name
>>> by_name("device-only").uses_reserve
True
"""

from dataclasses import dataclass

import numpy as np

from hedgerow.core.policies import Choice, View
from hedgerow.core.records import Reason


@dataclass(frozen=True)
class DeviceOnly:
    name: str = "device-only"
    uses_reserve: bool = True

    def choose(self, view: View) -> Choice | None:
        """The cheapest admissible local arm, or None (the core then does what it can with the fastest plan)."""
        allowed = view.admissible & ~view.table.is_remote
        if not allowed.any():
            return None
        cost = np.where(allowed, view.cost_mj, np.inf)
        arm = int(cost.argmin())
        return Choice(arm, Reason.POLICY_FIXED, float(cost[arm]))


POLICY = DeviceOnly()
