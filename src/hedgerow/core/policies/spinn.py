"""SPINN, a remake: choose the cut and the exit's threshold together, for the best answers that still meet a service target.

Idea     an early exit answers on the device when it is confident, the rest crosses compressed; which cut, which codec and which
         threshold is one choice, made again whenever the conditions change, against the user's targets in their order.
Formula  of the arms with P(in time) >= success: the most accurate, then the least expected latency; when no arm reaches the target,
         the likeliest to be in time.  P(in time) = sum over gates and end of P(stops there) * P(time until there <= target)
Source   S. Laskaridis et al., "SPINN: Synergistic Progressive Inference of Neural Networks over Device and Cloud", MobiCom 2020.
Remade   the paper measures exit rates per threshold on a calibration set and retrains the exits with the network; here they are
         the gates of the table's arms (`stop_share`, `quality`). Its own codec (8 bits, shuffled, LZ4) is whatever the
         table has at a joint. Its targets are ranked by the user; here: latency (hard, the time until the reserve would
         start, with `success` of it), then accuracy, then latency. The link is all samples of the belief, not one
         estimate: a success share needs a distribution.
Fails    it pays any energy and money for accuracy; it reads the stop share as the same for every sample, so a run of hard
         ones is late together; a profile without exits leaves it cuts and codecs.

>>> from hedgerow.core.policies import by_name
>>> from hedgerow.core.policies.examples import cascade, steady
>>> table = cascade()
>>> def name(**link):
...     return table.arms[by_name("spinn").choose(steady(table, **link)).arm].name
>>> name(rtt_ms=10, deadline_ms=140), name(rtt_ms=10, deadline_ms=80), name(rtt_ms=500), name(rtt_ms=500, deadline_ms=60)
('cloud:big', 'cloud:big', 'local:small', 'local:small')
"""

from dataclasses import dataclass, field

import numpy as np

from hedgerow.core.arms import ArmTable, CrossStep, Floats, GateStep, RunStep
from hedgerow.core.policies import Choice, View
from hedgerow.core.policies.expecting import chosen

_STEPS = 1e6  # shares and qualities are compared in millionths, latencies in microseconds


@dataclass
class Spinn:
    """`success`: the share of answers that has to be in time."""

    name: str = "spinn"
    success: float = 0.9
    uses_reserve: bool = True
    _ends: "Ends" = field(default_factory=lambda: Ends(), repr=False, compare=False)

    def choose(self, view: View) -> Choice | None:
        """The admissible arm that meets the target best; None when no arm is admissible."""
        columns = np.flatnonzero(view.admissible)
        if not len(columns):
            return None
        in_time, latency = self._outlook(view)
        rounded = np.rint(in_time * _STEPS)
        quality = np.rint(view.table.quality * _STEPS)
        target = round(self.success * _STEPS)

        def rank(arm: int) -> tuple[bool, float, float, float]:
            meets = bool(rounded[arm] >= target)
            return not meets, 0.0 if meets else -rounded[arm], -quality[arm], float(np.rint(latency[arm] * 1e-3))

        return chosen(view, min(columns.tolist(), key=rank))

    def _outlook(self, view: View) -> tuple[Floats, Floats]:
        """(P(in time), expected latency) of every arm: what passes no gate ends last, what stops at one before."""
        latency = view.network_ns + view.device_ns
        passed, gates = self._ends.of(view.table)
        share = view.weights[:, None]
        in_time: Floats = passed * np.add.reduce((latency <= view.available_ns) * share, axis=0)
        expected: Floats = passed * np.add.reduce(latency * share, axis=0)
        for arm, stopped, after_ns in gates:
            until = float(view.device_ns[arm]) - after_ns
            in_time[arm] += stopped * (until <= view.available_ns)
            expected[arm] += stopped * until
        return in_time, expected


class Ends:
    """Where the arms of a table may end. Made once a table and not pickled: it says nothing that is learned."""

    def __init__(self) -> None:
        self._table: ArmTable | None = None
        self._found: tuple[Floats, list[tuple[int, float, float]]] = (np.zeros(0), [])

    def of(self, table: ArmTable) -> tuple[Floats, list[tuple[int, float, float]]]:
        """(share that passes all gates, (arms,)) and for each gate (arm, share that stops there, device time after it)."""
        if table is not self._table:
            self._table, self._found = table, ends(table)
        return self._found

    def __reduce__(self) -> tuple[type["Ends"], tuple[()]]:
        return Ends, ()


def ends(table: ArmTable) -> tuple[Floats, list[tuple[int, float, float]]]:
    """As `Ends.of` gives them."""
    passed, gates = np.ones(len(table.arms)), []
    for column, arm in enumerate(table.arms):
        for place, step in enumerate(arm.steps):
            if isinstance(step, GateStep):
                after_ns = float(sum(_device_ns(each) for each in arm.steps[place:]))
                gates.append((column, float(passed[column]) * step.stop_share, after_ns))
                passed[column] *= 1.0 - step.stop_share
    return passed, gates


def _device_ns(step: RunStep | CrossStep | GateStep) -> int:
    if isinstance(step, RunStep):
        return step.median_ns if step.tier == "device" else 0
    return step.encode_median_ns if isinstance(step, CrossStep) else 0


POLICY = Spinn()
