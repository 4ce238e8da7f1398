"""What each arm is expected to cost and how likely it is to need the reserve: the figures that the journal keeps of a choice.

The formula is that of `ours.py`; a policy that chooses by other rules states by it what its choice is expected to cost, so that
policies can be compared by what they say of themselves.
"""

import numpy as np

from hedgerow.core.arms import Flags, Floats
from hedgerow.core.policies import Choice, View
from hedgerow.core.records import Reason

_STEPS_PER_NS = 1e-3  # latencies are compared in microseconds


def expected(view: View) -> tuple[Floats, Floats]:
    """(expected cost in mJ, probability that the reserve is needed) of every arm, both (arms,)."""
    table, prices, share = view.table, view.prices, view.weights[:, None]
    latency = view.network_ns + view.device_ns
    needed: Floats = np.add.reduce((latency > view.available_ns) * share, axis=0) * table.is_remote
    missed = np.add.reduce((latency > view.time_left_ns) * share, axis=0)
    cost: Floats = view.cost_mj + missed * (table.quality - view.reserve_quality) * prices.disagreement_mj
    cost = cost + needed * (prices.reserve_mj + view.reserve_energy_mj)
    return cost, needed


def chosen(view: View, arm: int, reason: Reason = Reason.POLICY_FIXED, propensity: float = 1.0) -> Choice:
    """This arm, with what it is expected to cost."""
    cost, needed = expected(view)
    return Choice(arm, reason, float(cost[arm]), float(needed[arm]), propensity)


def least(score: Floats, allowed: Flags, steps: float = _STEPS_PER_NS) -> int | None:
    """The allowed arm of least score, in whole steps (so that last bits decide nothing); ties to the earlier; None: none."""
    rounded = np.where(allowed, np.rint(score * steps), np.inf)
    arm = int(rounded.argmin())
    return arm if allowed[arm] else None


def present(view: View) -> int:
    """The belief sample that weighs most: the newest, or the prior when all is old."""
    return int(view.weights.argmax())
