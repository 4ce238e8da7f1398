"""Everything to the cloud and no reserve: the other choice that is made by hand today. For comparison only.

Idea     the remote arm with the most answers that are in time and right, as if by a careful engineer who may only offload.
Formula  argmax over remote arms of quality * P(in time), over the recent samples; equal ones by mean latency
Source   DESIGN.md section 5; the common REST-call design.
Fails    whenever the network does: nothing answers in its place.

>>> from hedgerow.core.policies import by_name
>>> by_name("cloud-only").uses_reserve
False
"""

from dataclasses import dataclass

import numpy as np

from hedgerow.core.policies import Choice, View
from hedgerow.core.policies.expecting import chosen

_STEPS = 100.0  # quality in time is compared in hundredths


@dataclass(frozen=True)
class CloudOnly:
    name: str = "cloud-only"
    uses_reserve: bool = False

    def choose(self, view: View) -> Choice | None:
        """The best remote arm, whatever the link looks like."""
        remote = view.table.is_remote & view.admissible
        if not remote.any():
            return None
        latencies, share = view.network_ns + view.device_ns, view.weights
        in_time = np.add.reduce((latencies <= view.time_left_ns) * share[:, None], axis=0)
        worth = np.rint(view.table.quality * in_time * _STEPS)
        latency = np.add.reduce(latencies * share[:, None], axis=0)
        latency[~remote | (worth < worth[remote].max())] = np.inf
        return chosen(view, int(latency.argmin()))


POLICY = CloudOnly()
