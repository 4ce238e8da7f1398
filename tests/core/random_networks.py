"""Random networks for the remakes: chains and graphs of layers, tables of their joints, and what each cut takes, counted anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hedgerow.core.arms import ArmTable
from hedgerow.core.policies import View
from hedgerow.core.policies.examples import chain, steady
from hedgerow.core.policies.graphs import Layers

NETWORKS = 200
MBPS = 8.0  # 1 kB takes 1 ms
FOREVER_MS = 1e6


def random_layers(seed: int, *, chained: bool) -> Layers:
    """2 to 9 layers behind the input, in ms; every output but the last is read, in a chain by the next layer alone."""
    rng = np.random.default_rng((seed, chained))
    count = int(rng.integers(3, 11))
    reads: list[tuple[int, ...]] = [()]
    for layer in range(1, count):
        some = set() if chained else {int(each) for each in np.flatnonzero(rng.random(layer) < 0.25)}
        reads.append(tuple(sorted(some | {layer - 1} if chained or not some or rng.random() < 0.6 else some)))
    unread = [layer for layer in range(count - 1) if not any(layer in each for each in reads)]
    reads[-1] = tuple(sorted({*reads[-1], *unread}))
    device, cloud = (np.round(rng.uniform(low, high, count), 3) for low, high in ((0.5, 30), (0.1, 6)))
    send = np.round(np.geomspace(60, 6, count) * 2 ** rng.uniform(-3, 1, count), 3)  # outputs shrink, unevenly
    device[0] = cloud[0] = 0.0
    return Layers(tuple(device.tolist()), tuple(cloud.tolist()), tuple(send.tolist()), tuple(reads))


@dataclass(frozen=True)
class Segments:
    """The chain of a network's joints: per segment ms here and there, per cut kB that cross (0 segments here, 1, ...)."""

    device_ms: tuple[float, ...]
    cloud_ms: tuple[float, ...]
    kilobytes: tuple[float, ...]

    @classmethod
    def of(cls, layers: Layers) -> "Segments":
        heads = list(layers.joints())
        gained = [after - before for before, after in pairwise(heads)]
        sums = [
            tuple(sum(times[layer] for layer in sorted(each)) for each in gained)
            for times in (layers.device, layers.cloud)
        ]
        return cls(sums[0], sums[1], tuple(layers.stages(head)[1] for head in heads[:-1]))

    @property
    def cuts(self) -> int:
        return len(self.device_ms) + 1

    def table(self, encode_ms: float = 0.0) -> ArmTable:
        return chain(self.device_ms, self.cloud_ms, self.kilobytes, encode_ms)

    def stages_ms(self, cut: int, encode_ms: float = 0.0) -> tuple[float, float, float]:
        """(device, crossing, cloud) by the definition."""
        here, there = sum(self.device_ms[:cut]), sum(self.cloud_ms[cut:])
        if cut == self.cuts - 1:
            return here, 0.0, 0.0
        return here + encode_ms, self.kilobytes[cut] * 8.0 / MBPS, there


def view_of(
    table: ArmTable, allowed: Sequence[bool], *, rtt_ms: float = 0.0, request: int = 0, now_ns: int = 0
) -> View:
    """All the time in the world; `allowed` says of each arm whether it is admissible."""
    view = steady(table, rtt_ms=rtt_ms, mbps=MBPS, deadline_ms=FOREVER_MS, request=request, now_ns=now_ns)
    view.admissible = np.array(allowed, dtype=np.bool_)
    return view


def masks(seed: int, arms: int) -> list[list[bool]]:
    """Everything allowed, and some of it."""
    rng = np.random.default_rng((seed, 99))
    return [[True] * arms, [bool(each) for each in rng.random(arms) < 0.6]]
