"""Spreads the channels of an activation evenly before it is quantised: one range a tensor then serves all of them.

Between a convolution, an activation that cuts off below 0, and the next convolution, a channel may be scaled up by what the
next weights are scaled down (cross-layer equalisation: Nagel, van Baalen, Blankevoort, Welling 2019, arXiv:1906.04721; there
ReLU6 had to be given up). Here channels are only scaled *up*, to the whole tensor's usual peak and no further, so that ReLU6
stays: it cuts a quiet channel off at the largest value that was ever seen of it, times a margin. How wide that must be is asked of
the float32 answers, which must stay what they were: for one model no margin is needed, another's channels rise far higher on the
next picture. Into a depthwise convolution this is free, as its
weights have a scale for each channel anyway; into another one the square root is taken, half of the way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from hedgerow.adaptation.quantise_layers import Layer, Layout, weight_of
from hedgerow.models.tensors import Tensors

LARGEST = 16.0
MARGINS = (1.0, 2.0)  # with neither, channels stay as they are
DIVERGENCE_MAX = 1e-4  # of the spread float32 model from its original, far below what rounding to int8 costs
HALF_WAY = 0.5
QUIET = 1e-3  # a channel that never rose above this is scaled as if it had


@dataclass(frozen=True, slots=True)
class Pair:
    """`first` feeds `second` alone; `depthwise`: each of the second's channels reads one of the first's."""

    first: Layer
    second: Layer
    depthwise: bool


class Peaks:
    """For each pair the largest value of each channel between them, a row each picture."""

    def __init__(self, layout: Layout) -> None:
        self.pairs = pairs(layout)
        self._rows: dict[str, list[NDArray[np.float32]]] = {pair.first.result: [] for pair in self.pairs}

    def add(self, tensors: Tensors) -> None:
        """One picture's tensors."""
        for name, rows in self._rows.items():
            rows.append(tensors[name][0].max(axis=(1, 2)).astype(np.float32))

    def scales(self, margin: float) -> dict[str, NDArray[np.float64]]:
        """By how much each channel is scaled up, by the tensor's name, so that `margin` times what was seen is not cut off."""
        found = {}
        for pair in self.pairs:
            rows = np.array(self._rows[pair.first.result], np.float64)
            usual = min(float(rows.max(axis=1).mean()), pair.first.bounds[1])
            room = np.clip(usual / np.maximum(rows.max(axis=0) * margin, QUIET), 1.0, LARGEST)
            found[pair.first.result] = room if pair.depthwise else room**HALF_WAY
        return found


def pairs(layout: Layout) -> list[Pair]:
    """Neighbouring convolutions between which channels may be scaled."""
    graph = layout.graph
    readers: dict[str, list[str]] = {}
    computed = {id(node): node for node in graph.constant_nodes.values()}  # from weights alone
    for node in (*graph.nodes, *computed.values()):
        for name in node.reads:
            readers.setdefault(name, []).append(node.makes[0])
    fixed = {layer.made for block in layout.blocks if block.first for layer in block.layers}
    found = []
    for layer in layout.layers.values():
        if layer.kind != "Conv" or layer.activation is None or layer.made in fixed:
            continue
        following = readers.get(layer.result, [])
        second = layout.layers.get(following[0]) if len(following) == 1 else None
        if second is None or second.kind != "Conv":
            continue
        used = [name for each in (layer, second) for name in each.node.proto.input[1:] if name]
        if any(len(readers[name]) > 1 or name in graph.output_names for name in used):
            continue  # weights that others read too
        shape = weight_of(graph, second.node.proto.input[1]).shape
        channels = len(weight_of(graph, layer.node.proto.input[1]))
        if len(shape) == 4 and (shape[1] == channels or (shape[1] == 1 and shape[0] == channels)):
            found.append(Pair(layer, second, depthwise=shape[1] == 1 and channels > 1))
    return found


def spread(layout: Layout, peaks: Peaks, divergence: Callable[[bytes], float]) -> tuple[bytes, float]:
    """The model with its channels spread and the least margin that keeps its answers; (the model as it is, 0) when none does."""
    for margin in MARGINS:
        data = equalised(layout, peaks.scales(margin))
        if divergence(data) <= DIVERGENCE_MAX:
            return data, margin
    return layout.graph.whole, 0.0


def equalised(layout: Layout, scales: Mapping[str, NDArray[np.float64]]) -> bytes:
    """The float32 model with these channels scaled up, and down again where they are read."""
    weights: dict[str, NDArray[np.float64]] = {}

    def weight(name: str) -> NDArray[np.float64]:
        return weights[name] if name in weights else weight_of(layout.graph, name).astype(np.float64)

    for pair in pairs(layout):
        up = scales[pair.first.result]
        first, second = pair.first.node.proto.input, pair.second.node.proto.input[1]
        weights[first[1]] = weight(first[1]) * up[:, None, None, None]
        if len(first) > 2 and first[2]:
            weights[first[2]] = weight(first[2]) * up
        across = up[:, None, None, None] if pair.depthwise else up[None, :, None, None]
        weights[second] = weight(second) / across
    model = onnx.ModelProto()
    model.CopyFrom(layout.graph.proto)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name].astype(np.float32), tensor.name))
    return model.SerializeToString(deterministic=True)
