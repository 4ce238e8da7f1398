"""Everything to the cloud and no reserve: the other choice that is made by hand today. For comparison only.

Idea     the remote arm that is expected soonest among those of the best quality.
Formula  argmin over remote arms of mean latency, quality within 0.02 of the best remote arm
Source   DESIGN.md section 5; the common REST-call design.
Fails    whenever the network does: nothing answers in its place.

>>> from hedgerow.core.policies import by_name
>>> by_name("cloud-only").uses_reserve
False
"""

from dataclasses import dataclass

import numpy as np

from hedgerow.core.policies import Choice, View
from hedgerow.core.records import Reason

_QUALITY_SLACK = 0.02


@dataclass(frozen=True)
class CloudOnly:
    name: str = "cloud-only"
    uses_reserve: bool = False

    def choose(self, view: View) -> Choice | None:
        """The quickest of the good remote arms, whatever the link looks like."""
        remote = view.table.is_remote & view.admissible
        if not remote.any():
            return None
        good = remote & (view.table.quality >= view.table.quality[remote].max() - _QUALITY_SLACK)
        latency = np.add.reduce(view.latency_ns * view.weights[:, None], axis=0) / np.add.reduce(view.weights)
        latency[~good] = np.inf
        return Choice(int(latency.argmin()), Reason.POLICY_FIXED)


POLICY = CloudOnly()
