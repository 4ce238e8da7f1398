"""What of a model can be computed in int8: layers with constant weights, what may stand between them, and its blocks.

Rules: a model that is quantised already, or float16, is refused; an operator that is not listed stays in float32 and is said;
a block lies between two narrow places (cuts of one tensor that are smaller than those before and after), and is quantised whole or
not at all; the block that reads a picture's three channels stays in float32, because int8 gains nothing there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hedgerow.errors import UsageError
from hedgerow.models.cuts import Cut, find_cuts, head_of
from hedgerow.models.graph import Graph, Node
from hedgerow.models.tensors import Array

LAYERS = ("Conv", "Gemm", "MatMul")
JOINING = ("Add", "GlobalAveragePool")  # quantised between quantised ones, with a range of their own
RESIDUAL = (
    "Add"  # in float32 unless an activation follows: errors would add up from block to block, and adding is cheap
)
PASSING = ("Flatten", "Reshape", "MaxPool", "Squeeze", "Unsqueeze", "Transpose")  # they keep their input's range
ACTIVATIONS = ("Clip", "Relu")
FEW_CHANNELS = 4  # of a picture
QUANTISED_ALREADY = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True, slots=True)
class Layer:
    """One node that can be int8. `result` is what it makes, after the activation that its range swallows."""

    node: Node
    reads: tuple[str, ...]  # what is not constant
    made: str  # by the node itself
    result: str  # by its activation, else the same
    activation: onnx.NodeProto | None
    bounds: tuple[float, float]  # of that activation

    @property
    def kind(self) -> str:
        return self.node.proto.op_type


@dataclass(frozen=True, slots=True)
class Block:
    """The layers between two narrow places, called after the tensor at its end."""

    name: str
    layers: tuple[Layer, ...]
    work_share: float
    first: bool  # reads the picture


@dataclass(frozen=True, slots=True)
class Layout:
    """All that a quantiser needs to know of a model."""

    graph: Graph
    layers: Mapping[str, Layer]  # by `made`, in the file's order
    blocks: tuple[Block, ...]
    left_out: Mapping[str, int]  # operators that stay in float32, and how often


def lay_out(graph: Graph, joints: Collection[str]) -> Layout:
    """What can be quantised, tensors at `joints` being kept in float32; UsageError for a model that cannot be at all."""
    refuse(graph)
    kept = set(joints) | set(graph.output_names)
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.reads:
            readers.setdefault(name, []).append(node)
    layers: dict[str, Layer] = {}
    swallowed: set[str] = set()
    left_out: dict[str, int] = {}
    for node in graph.nodes:
        if node.makes[0] in swallowed:
            continue
        layer = _layer(graph, node, readers, kept)
        if layer is None:
            left_out[node.proto.op_type] = left_out.get(node.proto.op_type, 0) + 1
            continue
        layers[layer.made] = layer
        if layer.activation is not None:
            swallowed.add(layer.result)
    if not any(layer.kind in LAYERS for layer in layers.values()):
        raise UsageError(f"the model has no layer that can be int8 ({', '.join(LAYERS)} with constant float32 weights)")
    return Layout(graph, layers, _blocks(graph, layers), left_out)


def refuse(graph: Graph) -> None:
    """UsageError for a model that is quantised already or is no float32 model."""
    for node in graph.nodes:
        operator = node.proto.op_type
        if operator in QUANTISED_ALREADY or operator.startswith("QLinear"):
            raise UsageError(f"the model is quantised already (it holds {operator}); give its float32 original")
    halves = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    if any(weight.data_type in halves for weight in graph.weights.values()):
        raise UsageError("the model has 16-bit weights; give its float32 original")


def _layer(graph: Graph, node: Node, readers: Mapping[str, list[Node]], kept: set[str]) -> Layer | None:
    operator = node.proto.op_type
    known = operator in LAYERS + JOINING + PASSING and node.proto.domain in ("", "ai.onnx")
    if not known or len(node.makes) != 1 or graph.spec(node.makes[0]).dtype != "float32":
        return None
    reads = tuple(name for name in node.reads if not graph.is_constant(name))
    made = node.makes[0]
    if operator in LAYERS and (len(reads) != 1 or not _has_weights(graph, node.proto)):
        return None
    if operator == "Add" and (len(reads) != 2 or len(node.proto.input) != 2):
        return None
    if operator in ("Conv", "Add") and made not in kept and len(readers.get(made, [])) == 1:
        (reader,) = readers[made]
        bounds = _bounds(graph, reader.proto)
        if bounds is not None:
            return Layer(node, reads, made, reader.makes[0], reader.proto, bounds)
    return Layer(node, reads, made, made, None, (-np.inf, np.inf))


def _has_weights(graph: Graph, proto: onnx.NodeProto) -> bool:
    """Constant float32 weights of a plain layer, and constant biases if any."""
    if proto.input[0] in graph.weights or not all(name in graph.weights for name in proto.input[1:] if name):
        return False
    weight = graph.weights[proto.input[1]]
    if weight.data_type != TensorProto.FLOAT or (proto.op_type != "Conv" and len(weight.dims) != 2):
        return False
    settings = {each.name: helper.get_attribute_value(each) for each in proto.attribute}
    plain = settings.get("alpha", 1.0) == 1.0 and settings.get("beta", 1.0) == 1.0 and not settings.get("transA", 0)
    return bool(plain) if proto.op_type == "Gemm" else True


def _bounds(graph: Graph, proto: onnx.NodeProto) -> tuple[float, float] | None:
    """What an activation leaves, if it only cuts off below 0 and above something."""
    if proto.op_type == "Relu":
        return 0.0, np.inf
    if proto.op_type != "Clip":
        return None
    settings = {each.name: helper.get_attribute_value(each) for each in proto.attribute}
    ends = [settings.get("min", -np.inf), settings.get("max", np.inf)]
    for index, name in enumerate(proto.input[1:3]):
        if name and name not in graph.weights:
            return None
        if name:
            ends[index] = float(numpy_helper.to_array(graph.weights[name]).reshape(-1)[0])
    return (float(ends[0]), float(ends[1])) if ends[0] == 0.0 and ends[1] > 0.0 else None


def weight_axis(proto: onnx.NodeProto) -> int:
    """The axis of a layer's weight that its outputs lie along."""
    if proto.op_type == "Conv":
        return 0
    transposed = any(each.name == "transB" and each.i for each in proto.attribute)
    return 0 if proto.op_type == "Gemm" and transposed else 1


def weight_of(graph: Graph, name: str) -> Array:
    """A constant as an array."""
    array: Array = numpy_helper.to_array(graph.weights[name])
    return array


def _blocks(graph: Graph, layers: Mapping[str, Layer]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    before = 0
    for cut in (*_narrow(find_cuts(graph)), None):
        after = graph.everything if cut is None else head_of(graph, cut)
        members = list(graph.members(after & ~before))
        inside = tuple(layers[node.makes[0]] for node in members if node.makes[0] in layers)
        if cut is not None and not any(layer.kind in LAYERS for layer in inside):
            continue  # nothing to gain alone: it goes with what follows
        before = after
        name = cut.name if cut is not None else graph.outputs[0].name
        share = sum(node.work for node in members) / (graph.work or 1.0)
        blocks.append(Block(name, inside, share, _reads_picture(graph, inside)))
    return tuple(block for block in blocks if block.layers)


def _narrow(cuts: Sequence[Cut]) -> list[Cut]:
    """Runs of cuts of one size that are smaller than the cuts on either side, the whole model's input and output aside."""
    runs = [list(run) for _, run in groupby(cuts, key=lambda cut: cut.bytes)]
    return [
        cut
        for before, run, after in zip(runs, runs[1:], runs[2:], strict=False)
        for cut in run
        if before[0].bytes > run[0].bytes < after[0].bytes
    ]


def _reads_picture(graph: Graph, layers: Sequence[Layer]) -> bool:
    inputs = {spec.name: spec.shape for spec in graph.inputs if len(spec.shape) == 4}
    for layer in layers:
        if layer.kind == "Conv" and layer.reads[0] in inputs:
            channels = inputs[layer.reads[0]][1]
            if isinstance(channels, int) and channels <= FEW_CHANNELS:
                return True
    return False
