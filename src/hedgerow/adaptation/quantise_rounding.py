"""Rounds a convolution's weights so that its sums stay right, instead of each weight by itself.

Weights are rounded one input after the other; the error of each is made up for by those not yet rounded, as far as the inputs
that a layer really sees go together (their second moments, measured on pictures). It is the rounding of GPTQ (Frantar,
Ashkboos, Hoefler, Alistarh 2022, arXiv:2210.17323), which comes from Optimal Brain Surgeon (Hassibi, Stork 1993), here for
depthwise and pointwise convolutions too. Moments are not centred: so the mean of the error shrinks too, and no bias has to be
corrected afterwards. (Correcting biases by the mean error made things worse where ranges cut off rare large values: what a few
pictures lose was then added to all.)
Layers whose inputs cannot be laid out as columns here (dilated, automatic pads, very many inputs) are rounded plainly.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from hedgerow.adaptation.quantise_layers import Layout, weight_of
from hedgerow.adaptation.quantise_write import WEIGHT_MAX, Weights, quantised_weights
from hedgerow.models.tensors import Array, Tensors

POSITIONS = 64  # of each layer's result, looked at in each picture
INPUTS_MAX = 1600  # of one sum: its moments are a matrix of so many rows
TOGETHER = 16  # pictures whose columns are multiplied at once
DAMPING = 0.01  # of the mean moment: inputs that were hardly ever seen are not relied on


class Moments:
    """For each convolution the second moments of what it sums up: (groups, inputs, inputs)."""

    def __init__(self, layout: Layout, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._protos: dict[str, NodeProto] = {}
        self._reads: dict[str, str] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._waiting: dict[str, list[NDArray[np.float32]]] = {}
        for made, layer in layout.layers.items():
            if layer.kind != "Conv":
                continue
            weight = weight_of(layout.graph, layer.node.proto.input[1])
            inputs = int(np.prod(weight.shape[1:]))
            if weight.ndim == 4 and inputs <= INPUTS_MAX and _is_plain(layer.node.proto):
                groups = int(_setting(layer.node.proto, "group", 1))
                self._protos[made], self._reads[made] = layer.node.proto, layer.reads[0]
                self._shapes[made] = weight.shape
                self._sums[made] = np.zeros((groups, inputs, inputs))
                self._waiting[made] = []

    def add(self, tensors: Tensors) -> None:
        """One picture's tensors."""
        for made, proto in self._protos.items():
            waiting = self._waiting[made]
            waiting.append(self._columns(proto, self._shapes[made], tensors[self._reads[made]]))
            if len(waiting) >= TOGETHER:
                self._sum_up(made)

    def weights(self, layout: Layout) -> dict[str, Weights]:
        """Each such layer's weights, rounded: (int8, a float32 scale for each channel)."""
        found = {}
        for made, sums in self._sums.items():
            self._sum_up(made)
            weight = weight_of(layout.graph, self._protos[made].input[1]).astype(np.float32)
            _, scales = quantised_weights(weight, 0, np.zeros(len(weight)))
            groups, inputs = sums.shape[:2]
            rows = weight.reshape(groups, -1, inputs).astype(np.float64)
            steps = rounded(rows, scales.reshape(groups, -1), sums)
            found[made] = (steps.reshape(weight.shape).astype(np.int8), scales)
        return found

    def _sum_up(self, made: str) -> None:
        """Add what waits to the moments."""
        if self._waiting[made]:
            columns = np.concatenate(self._waiting[made], axis=1)
            self._sums[made] += np.matmul(columns.transpose(0, 2, 1), columns)
            self._waiting[made].clear()

    def _columns(self, proto: NodeProto, shape: tuple[int, ...], array: Array) -> NDArray[np.float32]:
        """(groups, positions, inputs of one sum) of some places of the layer's result."""
        pads, strides = _setting(proto, "pads", [0] * 4), _setting(proto, "strides", [1, 1])
        groups = int(_setting(proto, "group", 1))
        high, wide = shape[2:]
        padded = np.pad(array[0], ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
        rows = (padded.shape[1] - high) // strides[0] + 1
        columns = (padded.shape[2] - wide) // strides[1] + 1
        places = self._random.permutation(rows * columns)[:POSITIONS]
        top, left = places // columns * strides[0], places % columns * strides[1]
        taps = [padded[:, top + down, left + right] for down in range(high) for right in range(wide)]
        found = np.stack(taps, axis=1)  # (channels, taps, positions)
        grouped = found.reshape(groups, shape[1] * high * wide, len(places))
        return np.ascontiguousarray(grouped.transpose(0, 2, 1), np.float32)


def rounded(rows: NDArray[np.float64], scales: NDArray[np.float32], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole numbers -127 to 127 for weights (groups, channels, inputs) with these scales (groups, channels)."""
    inputs = rows.shape[2]
    damped = sums + _damping(sums)[:, None, None] * np.eye(inputs)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    left = rows.copy()
    steps = np.empty_like(left)
    size = scales.astype(np.float64)
    for index in range(inputs):
        steps[:, :, index] = np.clip(np.rint(left[:, :, index] / size), -WEIGHT_MAX, WEIGHT_MAX)
        error = (left[:, :, index] - steps[:, :, index] * size) / upper[:, None, index, index]
        left[:, :, index + 1 :] -= error[:, :, None] * upper[:, None, index, index + 1 :]
    return steps


def _damping(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """A share of the group's mean moment, and of all groups', so that one that saw nothing is rounded plainly."""
    means = np.diagonal(sums, axis1=1, axis2=2).mean(axis=1)
    found: NDArray[np.float64] = DAMPING * (means + 0.1 * means.mean()) + 1e-12
    return found


def _is_plain(proto: NodeProto) -> bool:
    return _setting(proto, "auto_pad", b"NOTSET") == b"NOTSET" and set(_setting(proto, "dilations", [1, 1])) == {1}


def _setting(proto: NodeProto, name: str, default: Any) -> Any:
    for each in proto.attribute:
        if each.name == name:
            value: Any = helper.get_attribute_value(each)
            return value
    return default
