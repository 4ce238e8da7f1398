"""Neurosurgeon, a remake: cut the network where the answer comes soonest (or costs the device least) at the present bandwidth.

Idea     each layer's time here and there and the size of what it makes can be predicted before it runs; so every cut's latency is
         known, and one pass over the cuts finds the best whenever bandwidth or the cloud's load has changed.
Formula  argmin over cuts j of  sum_{i<=j} device_i + bytes_j / bandwidth + round trip + load * sum_{i>j} cloud_i
         ("neurosurgeon-energy": of the device's energy, processor and radio, instead of latency)
Source   Y. Kang et al., "Neurosurgeon: Collaborative Intelligence Between the Cloud and Mobile Edge", ASPLOS 2017.
Remade   the paper predicts layers by regressions over their configurations; here their measured medians stand in the table. It
         sends fp32 tensors, or the input as it is; here the cheapest codec of each joint that agrees about as often as that
         joint's best (`splits`). Bandwidth, round trip and load are the newest sample of the belief; the reserve is the core's.
Fails    it trusts one sample, so it runs into every dip; it knows neither deadline nor price: late answers cost it nothing, and
         a cheaper model or a coarser codec does not exist for it.

>>> from hedgerow.core.policies import by_name
>>> from hedgerow.core.policies.examples import chain, steady
>>> table = chain(device_ms=(10, 40, 40), cloud_ms=(1, 1, 1), kilobytes=(200, 10, 5))
>>> [table.arms[by_name("neurosurgeon").choose(steady(table, mbps=mbps)).arm].name for mbps in (1000, 50, 0.5)]
['cut 0', 'cut 1', 'cut 3']
"""

from dataclasses import dataclass, field

from hedgerow.core.policies import Choice, View
from hedgerow.core.policies.expecting import chosen, least, present
from hedgerow.core.policies.splits import Splits

_STEPS_PER_MJ = 1e6


@dataclass
class Neurosurgeon:
    """`objective`: "latency" or "energy"."""

    name: str = "neurosurgeon"
    objective: str = "latency"
    uses_reserve: bool = True
    _splits: Splits = field(default_factory=Splits, repr=False, compare=False)

    def choose(self, view: View) -> Choice | None:
        """The admissible cut of least predicted latency or energy; None when no cut may be chosen."""
        allowed = view.admissible & self._splits.faithful(view.table)
        if self.objective == "energy":
            arm = least(view.energy_mj, allowed, _STEPS_PER_MJ)
        else:
            arm = least(view.network_ns[present(view)] + view.device_ns, allowed)
        return None if arm is None else chosen(view, arm)


POLICY = Neurosurgeon()
VARIANTS = (Neurosurgeon("neurosurgeon-energy", "energy"),)
