"""What each arm is expected to cost and how likely it is to need the reserve: the figures that the journal keeps of a choice.

Formula  cost = energy + money + price_disagreement * E[1 - quality of the answer that will be delivered]
                + P(reserve needed) * price_reserve + E[time that the reserve runs] * active power
         P and E over the belief's samples: the reserve runs from its latest start until the answer is there or it is done.
         Reserve: the arm's own (`Insured`), which after a split arm's head may be the rest of its own model. Where the first part
         of a payload may be answered, E of what comes too late counts that part, if it is expected in time.

`ours` takes the least; a policy that chooses by other rules states by it what its choice is expected to cost, so that policies can
be compared by what they say of themselves.
"""

import numpy as np

from hedgerow.core.arms import Flags, Floats
from hedgerow.core.insurance import Insured
from hedgerow.core.policies import Choice, View
from hedgerow.core.records import Reason

_STEPS_PER_NS = 1e-3  # latencies are compared in microseconds


def stand_in(view: View) -> Insured:
    """What stands in for each arm: as the view says, or the one reserve for all."""
    if view.insured is not None:
        return view.insured
    same, power = np.ones(len(view.table.arms)), view.table.energy.active_mw * 1e-9
    median = view.reserve_energy_mj / power if power > 0 else 0.0
    return Insured(same * view.available_ns, same * median, same * view.reserve_quality, same, view.time_left_ns)


def expected(view: View) -> tuple[Floats, Floats]:
    """(expected cost in mJ, probability that the reserve is needed) of every arm, both (arms,)."""
    table, prices, held, share = view.table, view.prices, stand_in(view), view.weights[:, None]
    latency = view.network_ns + view.device_ns
    over = latency - held.until_ns
    needed = np.add.reduce((over > 0.0) * share, axis=0)
    needed = np.maximum(needed, 1.0 - held.keeps_head) * table.is_remote
    missed = np.add.reduce((latency > held.useful_ns) * share, axis=0)
    missed = np.maximum(missed, (1.0 - held.keeps_head) * table.is_remote)
    np.maximum(over, 0.0, out=over)
    np.minimum(over, held.median_ns, out=over)
    over *= share
    runs_mj = np.add.reduce(over, axis=0) * (table.is_remote * (table.energy.active_mw * 1e-9))
    cost: Floats = view.cost_mj + missed * ((table.quality - held.quality) * prices.disagreement_mj)
    if table.prefixes.size and view.parts:
        late = (latency > held.useful_ns) * share
        cost = cost - _from_prefixes(view, held, latency, late) * prices.disagreement_mj
    cost = cost + (needed * prices.reserve_mj + runs_mj)
    return cost, needed


def _from_prefixes(view: View, held: Insured, latency: Floats, late: Floats) -> Floats:
    """By how much more often than its stand-in the answer of each arm is expected to agree, where all of its payload comes too late
    and the least part that is worth more does not: (arms,). The first link's samples stand for all links."""
    shares, agrees = view.table.prefixes
    better = agrees > held.quality
    place, columns = better.argmax(axis=0), np.arange(agrees.shape[1])
    gained = np.where(better.any(axis=0), agrees[place, columns] - held.quality, 0.0)
    spared_ns = view.samples[:, 1:2] * (view.table.up_bytes * (1.0 - shares[place, columns]))
    in_time: Floats = np.add.reduce((latency - spared_ns <= held.useful_ns) * late, axis=0)
    return in_time * gained


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
    """The belief sample that weighs most: the newest that was observed, or what an attempt gives to expect that takes longer than
    usual; the prior when there is nothing else."""
    learned = view.weights[1:]
    return 1 + int(learned.argmax()) if len(learned) and learned.any() else 0
