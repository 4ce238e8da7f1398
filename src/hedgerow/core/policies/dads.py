"""DADS, a remake: under light load the cut of least latency, under heavy load the cut of most throughput.

Idea     when each frame is done before the next comes, only its own latency counts; when one stage (device, link, cloud) takes
         longer than a period, queues grow, and the cut must make the slowest stage as quick as it can be.
Formula  light: argmin device + crossing + cloud;  heavy: argmin max(device, crossing, cloud);
         heavy when the light cut's slowest stage takes a mean period or more, or requests pile up (more in flight than stages).
Source   C. Hu, W. Bao, D. Wang, F. Liu, "Dynamic Adaptive DNN Surgery for Inference Acceleration on the Edge", INFOCOM 2019:
         a minimum cut of the layers' graph (light, exact) and an approximation within a factor of 3 (heavy, NP-hard).
Remade   `graphs` has both on whole graphs of layers, held to brute force; what runs are the nested joints that the table keeps, on
         which both are exact by looking at each, and docs/policies.md says how much that gives away. The codec of a joint as in
         `splits`. The paper knows the camera's rate; here it is the mean of the last gaps between requests.
         Times are the newest sample of the belief; the round trip counts for latency and holds up no stage.
Fails    as Neurosurgeon does: one sample of the link is believed, no deadline and no price is known. The rate of one
         camera says little when several streams share the device.

>>> from hedgerow.core.policies import by_name
>>> from hedgerow.core.policies.examples import chain, steady
>>> table = chain(device_ms=(20, 30, 5), cloud_ms=(1, 1, 1), kilobytes=(70, 20, 20), encode_ms=0)
>>> def names(period_ms):
...     policy = by_name("dads")
...     views = [steady(table, rtt_ms=40, request=k, now_ns=k * period_ms * 10**6) for k in range(5)]
...     return [table.arms[policy.choose(view).arm].name for view in views]
>>> names(period_ms=100)  # no stage of "everything here" takes 100 ms
['cut 3', 'cut 3', 'cut 3', 'cut 3', 'cut 3']
>>> names(period_ms=40)  # everything here would take 55 of 40 ms; one layer here and its output sent take 20 each
['cut 3', 'cut 1', 'cut 1', 'cut 1', 'cut 1']
"""

from dataclasses import dataclass, field

import numpy as np

from hedgerow.core.arms import Floats
from hedgerow.core.policies import Choice, View
from hedgerow.core.policies.expecting import chosen, least, present
from hedgerow.core.policies.splits import Splits

_NEWEST = 0.25  # weight of the last gap in the mean
_STAGES = 3


@dataclass
class Dads:
    name: str = "dads"
    uses_reserve: bool = True
    last_ns: int | None = None
    period_ns: float = 0.0  # 0: not known yet
    _splits: Splits = field(default_factory=Splits, repr=False, compare=False)

    def choose(self, view: View) -> Choice | None:
        """The admissible cut that is best for the load; None when no cut may be chosen."""
        self._watch(view.now_ns)
        allowed = view.admissible & self._splits.faithful(view.table)
        arm = least(view.network_ns[present(view)] + view.device_ns, allowed)
        if arm is None:
            return None
        slowest = np.max(stages(view), axis=0)
        congested = 0 < self.period_ns <= slowest[arm] or view.in_flight > _STAGES
        heavy = least(slowest, allowed) if congested else arm
        return None if heavy is None else chosen(view, heavy)

    def _watch(self, now_ns: int) -> None:
        """Learn the period from the gap since the last request."""
        if self.last_ns is not None and now_ns > self.last_ns:
            gap = float(now_ns - self.last_ns)
            self.period_ns = gap if self.period_ns == 0 else self.period_ns + _NEWEST * (gap - self.period_ns)
        self.last_ns = now_ns


def stages(view: View) -> Floats:
    """(3, arms): how long each arm holds the device, the link and the cloud at present."""
    _, per_byte, factor = view.samples[present(view)].tolist()
    return np.stack([view.table.busy_ns, view.table.up_bytes * per_byte, view.table.cloud_ns * factor])


POLICY = Dads()
