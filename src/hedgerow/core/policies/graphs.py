"""A network as a graph of layers, and where to cut it in two: the least latency by a minimum cut, the most throughput nearly.

A *cut* is the set of layers that run on the device; whoever makes what one of them reads is in it too. Its device time is the sum
of theirs, its cloud time that of the others, and what crosses is each device layer's output that a cloud layer reads, once
however many read it; the input crosses as the output of a layer "source" that is always on the device and takes no time.
Planning only, plain Python floats in a fixed order: decisions choose among the joints that a table keeps (`dads`).

`least_latency` is exact: the construction of Hu et al. (INFOCOM 2019), in which cutting (s, v) pays for v's cloud time, (v, t)
for its device time, and (v, v') for sending its output once to all its readers. `most_throughput` minimises the largest of the
three stages, which is NP-hard: the best of several weighted minimum cuts. The evenly weighted one alone is within a factor of
3, for the largest of three is at most their sum, and their least sum at most three times the least largest.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from hedgerow.errors import UsageError

Stages = tuple[float, float, float]
_SLACK = 1e-12  # of the largest capacity: what is left of one that is used up


@dataclass(frozen=True)
class Layers:
    """`device[v]`, `cloud[v]`: time of layer v; `send[v]`: of its output's crossing. `reads[v]`: the layers, all before v, whose
    output it reads. Layer 0 is the source (the input): it takes no time and always runs on the device. UsageError otherwise."""

    device: tuple[float, ...]
    cloud: tuple[float, ...]
    send: tuple[float, ...]
    reads: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        lengths = {len(each) for each in (self.device, self.cloud, self.send, self.reads)}
        if len(lengths) != 1 or not self.device or self.device[0] or self.cloud[0] or self.reads[0]:
            raise UsageError("layers need as many times, sizes and readers, and first the source, which takes no time")
        if any(not (0 <= each < inf) for each in (*self.device, *self.cloud, *self.send)):
            raise UsageError("a layer's times are numbers of 0 or more")
        if any(not 0 <= read < layer for layer in range(1, len(self.reads)) for read in self.reads[layer] or (-1,)):
            raise UsageError("a layer reads one or more layers before it")

    def stages(self, head: frozenset[int]) -> Stages:
        """(device, crossing, cloud) times of the cut with this head."""
        tail = [layer for layer in range(len(self.device)) if layer not in head]
        crossing = sorted({read for layer in tail for read in self.reads[layer] if read in head})
        device = sum(self.device[layer] for layer in sorted(head))
        return device, sum(self.send[layer] for layer in crossing), sum(self.cloud[layer] for layer in tail)

    def joints(self) -> Iterator[frozenset[int]]:
        """The nested cuts: the source alone, every place that a single output crosses, and everything."""
        for end in range(1, len(self.device) + 1):
            head = frozenset(range(end))
            crossing = {read for layer in range(end, len(self.device)) for read in self.reads[layer] if read < end}
            if len(crossing) <= 1:
                yield head


def least_latency(layers: Layers, weights: Stages = (1.0, 1.0, 1.0)) -> frozenset[int]:
    """The head of least weighted sum of device, crossing and cloud time; of equals a smallest."""
    count = len(layers.device)
    source, sink = 2 * count, 2 * count + 1
    flow = Flow(2 * count + 2)
    here, across, there = weights
    for layer in range(count):
        copy = count + layer  # what its readers read
        flow.edge(source, layer, inf if layer == 0 else there * layers.cloud[layer])
        flow.edge(layer, sink, here * layers.device[layer])
        flow.edge(layer, copy, across * layers.send[layer])
        for read in layers.reads[layer]:
            flow.edge(count + read, layer, inf)
            flow.edge(layer, read, inf)  # whoever makes what the head reads is in the head
    return frozenset(node for node in flow.side_of(source, sink) if node < count)


def most_throughput(layers: Layers, rounds: int = 24) -> frozenset[int]:
    """A head whose largest stage is small: the best of minimum cuts, each weighting the last one's largest stage more."""
    weights, best = (1.0, 1.0, 1.0), least_latency(layers)
    candidates = [best]
    for _ in range(rounds):
        stages = layers.stages(candidates[-1])
        worst = stages.index(max(stages))
        weights = tuple(each * (1.25 if place == worst else 1.0) for place, each in enumerate(weights))  # type: ignore[assignment]
        candidates.append(least_latency(layers, weights))
    return min([*candidates, *layers.joints()], key=lambda head: max(layers.stages(head)))


class Flow:
    """Maximum flow between two nodes by shortest augmenting paths level by level (Dinic 1970), and the cut that it leaves."""

    def __init__(self, nodes: int) -> None:
        self._edges: list[list[int]] = [[] for _ in range(nodes)]  # numbers of edges; number ^ 1 is the way back
        self._to: list[int] = []
        self._left: list[float] = []

    def edge(self, start: int, end: int, capacity: float) -> None:
        for node, other, left in ((start, end, capacity), (end, start, 0.0)):
            self._edges[node].append(len(self._to))
            self._to.append(other)
            self._left.append(left)

    def side_of(self, source: int, sink: int) -> set[int]:
        """The nodes that `source` still reaches when the flow is greatest: the smallest side of a minimum cut."""
        finite = [each for each in self._left if each < inf]
        self._none = _SLACK * max(finite, default=0.0)
        while sink in (level := self._levels(source)):
            used = [0] * len(self._edges)
            while self._push(source, sink, inf, level, used) > 0:
                pass
        return set(level)

    def _levels(self, source: int) -> dict[int, int]:
        level, queue = {source: 0}, deque([source])
        while queue:
            node = queue.popleft()
            for edge in self._edges[node]:
                if self._left[edge] > self._none and self._to[edge] not in level:
                    level[self._to[edge]] = level[node] + 1
                    queue.append(self._to[edge])
        return level

    def _push(self, node: int, sink: int, most: float, level: dict[int, int], used: list[int]) -> float:
        if node == sink:
            return most
        while used[node] < len(self._edges[node]):
            edge = self._edges[node][used[node]]
            other = self._to[edge]
            if self._left[edge] > self._none and level.get(other) == level[node] + 1:
                pushed = self._push(other, sink, min(most, self._left[edge]), level, used)
                if pushed > 0:
                    self._left[edge] -= pushed
                    self._left[edge ^ 1] += pushed
                    return pushed
            used[node] += 1
        return 0.0


def brute_force(layers: Layers) -> Sequence[frozenset[int]]:
    """Every cut there is; for tests and small graphs (UsageError above 20 layers)."""
    if len(layers.device) > 20:
        raise UsageError(f"{len(layers.device)} layers have too many cuts to look at each; at most 20")
    heads = [frozenset({0})]
    for layer in range(1, len(layers.device)):
        heads += [head | {layer} for head in heads if all(read in head for read in layers.reads[layer])]
    return heads
