"""What stands in for each arm: the reserve held, or, once a head has run, the rest of its own model (or of kin) where that is the
cheaper one. Once a head has come to an answer, before a gate, that answer stands in, and nothing needs to run.

A split arm's insurance shrinks as its head advances (DESIGN: the rule that keeps the deadline). A policy that counts only with the
reserve that is held at first takes such an arm for dearer than it is. The rule here is that of `reserves.at_joint`, told ahead: it
holds if the head is done before the first reserve would start, for which its usual time and a margin must leave room.
"""

from dataclasses import dataclass

import numpy as np

from hedgerow.core.arms import ArmTable, Floats, LocalModel, RunStep
from hedgerow.core.flight import NEVER_NS, Plan
from hedgerow.core.records import Prices

HEAD_MARGIN = 1.3  # how much longer than usual a head may take and still be counted with


@dataclass(frozen=True, slots=True)
class Insurance:
    """By arm, (arms,): how much later than the first reserve its own may start (ns), its usual time (ns) and its quality."""

    later_ns: Floats
    median_ns: Floats
    quality: Floats


@dataclass(frozen=True, slots=True)
class Insured:
    """The same for one request: until when (ns from now) each arm's stand-in may wait, how long it takes, how good it is."""

    until_ns: Floats
    median_ns: Floats
    quality: Floats
    keeps_head: Floats  # 1 where the head is usually done before the first reserve must start, else 0
    useful_ns: float  # until when a remote answer is waited for once a local one is there


def insurance(table: ArmTable, prices: Prices, plan: Plan) -> Insurance:
    """Of every arm, if `plan` is the reserve that is held at first."""
    count, first = len(table.arms), plan.median_ns
    found = Insurance(np.zeros(count), np.full(count, float(first)), np.full(count, plan.model.quality))
    for column, arm in enumerate(table.arms):
        head = arm.steps[0]
        if arm.crossing is None or not isinstance(head, RunStep) or head.tier != "device":
            continue
        model = table.local(head.model)
        if head.last >= model.last:  # its answer, which a gate looks at, stands by itself
            found.later_ns[column], found.median_ns[column], found.quality[column] = NEVER_NS, 0.0, model.quality
            continue
        kin = [(table.local(name), joint + 1) for name, joint in table.left_by(head.model, head.last)]
        rests = [Plan(each, first) for each, first in kin if _goes_on(each, first, plan)]
        rest = min(rests, key=lambda each: cost_mj(table, prices, each), default=None)
        if rest is not None and cost_mj(table, prices, rest) <= cost_mj(table, prices, plan):
            found.later_ns[column] = plan.bound_ns - rest.bound_ns
            found.median_ns[column], found.quality[column] = rest.median_ns, rest.model.quality
    return found


def _goes_on(model: LocalModel, first: int, plan: Plan) -> bool:
    """Whether this model, from that segment on, may take the place of the plan."""
    return first <= model.last and model.lane == plan.lane and model.tail_bound_ns[first] <= plan.bound_ns


def cost_mj(table: ArmTable, prices: Prices, plan: Plan, energy_price: float = 1.0) -> float:
    """What a local plan is worth when plans are compared: its usual energy and its disagreement."""
    return table.energy.busy_mj(plan.median_ns) * energy_price + prices.disagreement_mj * (1.0 - plan.model.quality)


def insured(table: ArmTable, found: Insurance, plan: Plan, available_ns: float, useful_ns: float) -> Insured:
    """For one request whose first reserve may wait for `available_ns`; of both times the timer's lateness is taken off."""
    sure = table.busy_ns * HEAD_MARGIN <= available_ns
    until = np.where(sure, available_ns + found.later_ns, available_ns)
    median = np.where(sure, found.median_ns, float(plan.median_ns))
    quality = np.where(sure, found.quality, plan.model.quality)
    return Insured(until, median, quality, (table.busy_ns <= available_ns).astype(np.float64), useful_ns)
