"""What a table of nested joints gives away against cutting a network's graph anywhere, in latency and in throughput.

    python bench/dag_cuts.py [MODEL.onnx ...] [--random 200]

For each model (those fetched by `hedgerow model fetch`, if none is named) and a grid of settings (uplink 0.5 to 500 Mbit/s, bits
per value, device and cloud times): the best cut of the whole graph by `hedgerow.core.policies.graphs` against the best joint, that is
a place which a single tensor crosses. A node's time is its share of the model's estimated multiply-adds: an assumption, for
fused engines time no single nodes. No round trip, no encoding: what is counted is what DADS counts. `--random`: so many
random graphs of layers beside it.
"""

import argparse
import itertools
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hedgerow.core.policies.graphs import Layers, least_latency, most_throughput
from hedgerow.models.graph import Graph
from hedgerow.models.home import home

UPLINKS_MBPS = np.geomspace(0.5, 500, 13).tolist()
BITS = (32, 8, 4)
DEVICES_MS = (15.0, 60.0, 240.0)  # the whole model here
SPEEDUPS = (2.0, 10.0)  # how much faster the cloud is
INPUT_BITS_MAX = 8  # a frame is bytes before it is prepared


def layers_of(graph: Graph, *, device_ms: float, cloud_ms: float, bits: int, mbps: float) -> Layers:
    """The graph's nodes as layers, in ms; layer 0 is the input."""
    maker = {name: place for place, node in enumerate(graph.nodes, start=1) for name in node.makes}
    reads = [()] + [
        tuple(sorted({maker.get(name, 0) for name in node.reads if not graph.is_constant(name)})) or (0,)
        for node in graph.nodes
    ]
    shares = [0.0] + [node.work / (graph.work or 1.0) for node in graph.nodes]
    sizes = [sum(graph.assumed_bytes(spec.name) for spec in graph.inputs) * min(bits, INPUT_BITS_MAX) / 32]
    sizes += [sum(graph.assumed_bytes(name) for name in node.makes) * bits / 32 for node in graph.nodes]
    send = [each * 8e-3 / mbps for each in sizes]
    return Layers(
        tuple(each * device_ms for each in shares), tuple(each * cloud_ms for each in shares), tuple(send), tuple(reads)
    )


def random_layers(seed: int) -> Layers:
    """4 to 30 layers, each reading one to three of the five before it; outputs shrink, unevenly."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(5, 32))
    reads: list[tuple[int, ...]] = [()]
    for layer in range(1, count):
        earlier = np.arange(max(0, layer - 5), layer)
        some = rng.choice(earlier, size=min(len(earlier), int(rng.integers(1, 4))), replace=False)
        reads.append(tuple(sorted(int(each) for each in some)))
    unread = [layer for layer in range(count - 1) if not any(layer in each for each in reads)]
    reads[-1] = tuple(sorted({*reads[-1], *unread}))
    device = np.concatenate([[0], rng.uniform(0.5, 10, count - 1)])
    send = np.geomspace(100, 4, count) * 2 ** rng.uniform(-3, 1, count)
    return Layers(tuple(device.tolist()), tuple((device / 5).tolist()), tuple(send.tolist()), tuple(reads))


def gaps(every: Iterable[Layers]) -> tuple[list[float], list[float], int]:
    """How much longer the best joint takes than the graph's best cut: latency, slowest stage; and the number of joints."""
    latency, slowest, joints = [], [], 0
    for layers in every:
        heads = list(layers.joints())
        joints = len(heads)
        best = sum(layers.stages(least_latency(layers)))
        latency.append(min(sum(layers.stages(head)) for head in heads) / best - 1.0)
        stage = max(layers.stages(most_throughput(layers)))
        slowest.append(min(max(layers.stages(head)) for head in heads) / stage - 1.0)
    return latency, slowest, joints


def row(label: str, joints: str, figures: list[float], what: str) -> str:
    found = np.array(figures)
    some = found > 1e-6
    return (
        f"| {label} | {joints} | {what} | {len(found)} | {100 * some.mean():.1f} % | {100 * found.mean():.2f} % |"
        f" {100 * np.quantile(found, 0.99):.1f} % | {100 * found.max():.1f} % |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--random", type=int, default=200)
    given = parser.parse_args()
    models: list[Path] = given.models or sorted(home().glob("models/**/*.onnx"))
    print("| graph | joints | of | settings | joints are worse in | by (mean) | p99 | most |")
    print("|---|---|---|---|---|---|---|---|")
    for path in models:
        graph = Graph.open(path)
        grid = itertools.product(DEVICES_MS, SPEEDUPS, BITS, UPLINKS_MBPS)
        every = (
            layers_of(graph, device_ms=device, cloud_ms=device / speedup, bits=bits, mbps=mbps)
            for device, speedup, bits, mbps in grid
        )
        latency, slowest, joints = gaps(every)
        label = f"{path.stem} ({len(graph.nodes)} nodes)"
        print(row(label, str(joints), latency, "latency"), row(label, str(joints), slowest, "slowest stage"), sep="\n")
        sys.stdout.flush()
    if given.random:
        latency, slowest, _ = gaps(random_layers(seed) for seed in range(given.random))
        label = f"{given.random} random graphs"
        print(row(label, "-", latency, "latency"), row(label, "-", slowest, "slowest stage"), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
