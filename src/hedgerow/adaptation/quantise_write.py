"""Writes the int8 copy of a model: QuantizeLinear and DequantizeLinear around what is quantised, everything else as it was.

Unsigned activations, one range a tensor; signed weights, one scale an output channel; biases in 32 bits.
Rules: the tensor at a joint keeps its name and is float32: it is what its int8 form decodes to, and whoever computes in int8
after it quantises it again in the same steps, which gives back the same numbers. So a cut there loses nothing, and either side
may be the float32 model instead. An activation that the range of the result contains is left out: the range does its work.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hedgerow.adaptation.quantise_layers import LAYERS, PASSING, Layer, Layout, weight_axis, weight_of
from hedgerow.models.tensors import Array

STEPS = 255  # of an unsigned activation
WEIGHT_MAX = 127
BIAS_MAX = 2**31 - 1
ROOM_FOR_BIAS = 2**30  # a channel with tiny weights gets a scale in which its bias fits

Range = tuple[float, float]
Weights = tuple[NDArray[np.int8], NDArray[np.float32]]  # numbers, and a scale for each channel


@dataclass(frozen=True, slots=True)
class Scale:
    """value = (number - zero) * scale, numbers 0 to 255."""

    scale: np.float32
    zero: np.uint8


def scale_of(extent: Range) -> Scale:
    """The scale whose numbers cover this range, and 0 exactly."""
    low, high = min(0.0, extent[0]), max(0.0, extent[1])
    scale = np.float32((high - low) / STEPS) or np.float32(1.0)
    return Scale(scale, np.uint8(np.clip(np.rint(-low / float(scale)), 0, STEPS)))


def quantised_weights(weight: NDArray[np.float32], axis: int, least: NDArray[np.float64]) -> Weights:
    """(int8 weight, one float32 scale for each channel along `axis`), scales at least `least`."""
    rest = tuple(each for each in range(weight.ndim) if each != axis)
    scales = np.maximum(np.abs(weight).max(axis=rest, initial=0.0).astype(np.float64) / WEIGHT_MAX, least)
    scales = np.where(scales > 0.0, scales, 1.0).astype(np.float32)
    shape = [1] * weight.ndim
    shape[axis] = -1
    steps = np.clip(np.rint(weight / scales.reshape(shape)), -WEIGHT_MAX, WEIGHT_MAX)
    return steps.astype(np.int8), scales


def write(
    layout: Layout,
    ranges: Mapping[str, Range],
    chosen: Collection[str],
    joints: Collection[str],
    weights: Mapping[str, Weights] | None = None,
) -> bytes:
    """The model's bytes with the layers that make `chosen` in int8; `ranges` has a range for each tensor they touch.

    `weights` has those that are rounded already, by what their layer makes; the others are rounded one by one.
    """
    return _Writer(layout, ranges, chosen, joints, weights or {}).model()


class _Writer:
    def __init__(
        self,
        layout: Layout,
        ranges: Mapping[str, Range],
        chosen: Collection[str],
        joints: Collection[str],
        weights: Mapping[str, Weights],
    ) -> None:
        self._layout = layout
        self._rounded = weights
        self._graph = layout.graph
        self._joints = set(joints)
        self._chosen = {made: layout.layers[made] for made in layout.layers if made in set(chosen)}
        self._swallowed = {layer.result for layer in self._chosen.values() if layer.activation is not None}
        self._read_in_int8 = {name for layer in self._chosen.values() for name in layer.reads}
        self._scales: dict[str, Scale] = {}
        self._ranges = ranges
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, Array] = {}
        self._decoded: set[str] = set()  # tensors that exist as a decoded int8 form under their own name
        self._again: dict[str, str] = {}  # the same for those that int8 readers quantise themselves

    def model(self) -> bytes:
        for node in self._graph.nodes:
            made = node.makes[0]
            if made in self._swallowed:
                continue
            layer = self._chosen.get(made)
            if layer is None:
                self._nodes.append(node.proto)
            else:
                self._write(layer)
        whole = onnx.ModelProto()
        whole.CopyFrom(self._graph.proto)
        for field in ("node", "initializer", "value_info"):
            whole.graph.ClearField(field)
        constants = {id(node.proto): node.proto for node in self._graph.constant_nodes.values()}
        whole.graph.node.extend([*constants.values(), *self._nodes])
        read = {name for node in whole.graph.node for name in node.input}
        whole.graph.initializer.extend(
            weight for name, weight in self._graph.weights.items() if name in read or name in self._graph.output_names
        )
        whole.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in self._constants.items())
        return whole.SerializeToString(deterministic=True)

    def _write(self, layer: Layer) -> None:
        proto = onnx.NodeProto()
        proto.CopyFrom(layer.node.proto)
        for index, name in enumerate(proto.input):
            if name in layer.reads:
                proto.input[index] = self._in_int8(name)
        if layer.kind in LAYERS:
            self._weights(layer, proto)
        result = layer.result
        if layer.kind in ("Gemm", "MatMul") and (result not in self._read_in_int8 or result in self._joints):
            self._nodes.append(proto)  # its sums are exact and need no range
            return
        if layer.kind in PASSING:
            self._scales[result] = self._scale(layer.reads[0])
        proto.output[0] = f"{result}/float"
        self._nodes.append(proto)
        self._pair(proto.output[0], result, result)
        self._decoded.add(result)

    def _weights(self, layer: Layer, proto: onnx.NodeProto) -> None:
        axis = weight_axis(proto)
        weight = weight_of(self._graph, proto.input[1]).astype(np.float32)
        step = float(self._scale(layer.reads[0]).scale)
        bias = None
        if len(proto.input) > 2 and proto.input[2]:
            bias = weight_of(self._graph, proto.input[2]).astype(np.float64).reshape(-1)
        channels = weight.shape[axis]
        least = np.zeros(channels) if bias is None else np.abs(bias) / (step * ROOM_FOR_BIAS)
        steps, scales = self._rounded.get(layer.made) or quantised_weights(weight, axis, np.zeros(channels))
        if (scales < least).any():
            steps, scales = quantised_weights(weight, axis, np.broadcast_to(least, (channels,)))
        proto.input[1] = self._constant(proto.input[1], layer.made, steps, scales, axis)
        if bias is not None:
            each = (scales * np.float32(step)).astype(np.float32)
            whole = np.clip(np.rint(np.broadcast_to(bias, (channels,)) / each), -BIAS_MAX, BIAS_MAX).astype(np.int32)
            proto.input[2] = self._constant(proto.input[2], layer.made, whole, each, 0)

    def _constant(self, name: str, layer: str, numbers: Array, scales: Array, axis: int) -> str:
        """A constant in whole numbers and the node that decodes it; named after its layer too, as two may share one."""
        stem = f"{name}@{layer}"
        self._constants[f"{stem}/numbers"] = numbers
        self._constants[f"{stem}/scales"] = scales
        self._constants[f"{stem}/zeros"] = np.zeros(scales.shape, numbers.dtype)
        inputs = [f"{stem}/numbers", f"{stem}/scales", f"{stem}/zeros"]
        self._nodes.append(helper.make_node("DequantizeLinear", inputs, [stem], name=f"{stem}/decode", axis=axis))
        return stem

    def _in_int8(self, name: str) -> str:
        """What an int8 layer reads for this tensor: its decoded form."""
        if name in self._decoded and name not in self._joints:
            return name
        if name not in self._again:
            self._again[name] = f"{name}/again"
            self._pair(name, name, self._again[name])
        return self._again[name]

    def _scale(self, name: str) -> Scale:
        if name not in self._scales:
            self._scales[name] = scale_of(self._ranges[name])
        return self._scales[name]

    def _pair(self, source: str, name: str, target: str) -> None:
        """Quantise `source` with the range of `name` and decode it as `target`."""
        found = self._scale(name)
        scale, zero = f"{name}/scale", f"{name}/zero"
        self._constants[scale], self._constants[zero] = np.array(found.scale), np.array(found.zero)
        numbers = f"{target}/numbers"
        self._nodes.append(
            helper.make_node("QuantizeLinear", [source, scale, zero], [numbers], name=f"{target}/encode")
        )
        self._nodes.append(
            helper.make_node("DequantizeLinear", [numbers, scale, zero], [target], name=f"{target}/decode")
        )
