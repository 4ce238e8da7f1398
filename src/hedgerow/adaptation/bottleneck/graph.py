"""The ONNX side of a bottleneck: reads the tail's layers for training, and writes encoder, latent, decoder and tail as one file.

The latent is one int8 tensor, which is the joint at which the file is cut: level = sign(u) * floor(|u| / scale + 1/2 - theta).
`scale` is a weight of its own, so the same trained weights serve at any rate: `rescaled` writes another one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hedgerow.adaptation.bottleneck.transform import LEVEL_MAX, THETA
from hedgerow.errors import EngineError, UsageError
from hedgerow.models.cuts import head_of, named_cut
from hedgerow.models.graph import Graph
from hedgerow.models.split import extract

Weights = Mapping[str, NDArray[np.float32]]

LATENT = "latent"
STEPS = "encoder.latent"  # the encoder's output before it is scaled and rounded
SCALE, INVERSE = "latent.scale", "latent.inverse"
TRAINED_OPERATORS = ("Conv", "Clip", "Relu", "Add", "GlobalAveragePool", "Flatten", "Gemm")


@dataclass(frozen=True, slots=True)
class Layer:
    """One node of a tail, plain: what PyTorch needs to compute the same with gradients."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    stride: int = 1
    pads: int = 0
    groups: int = 1
    low: float = 0.0
    high: float = float("inf")


@dataclass(frozen=True, slots=True)
class Tail:
    """A part of a model from one tensor to the next, as layers and weights."""

    source: str
    result: str
    layers: tuple[Layer, ...]
    weights: Weights


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted residual: 1x1 convolution, clip to 0..6, depthwise convolution, clip, 1x1 convolution, and perhaps its input added."""

    stride: int
    residual: bool
    weights: Mapping[str, NDArray[np.float32]]  # expand.weight, expand.bias, depthwise.., project..

    @property
    def hidden(self) -> int:
        return len(self.weights["expand.weight"])


def part(graph: Graph, source: str | None, target: str | None) -> bytes:
    """The piece between two cuts of one tensor each (None: the model's end); UsageError where more than one tensor crosses."""
    before = 0 if source is None else head_of(graph, named_cut(graph, source))
    after = graph.everything if target is None else head_of(graph, named_cut(graph, target))
    piece = extract(graph, before, after)
    if len(piece.inputs) != 1 or piece.model is None or len(piece.outputs) != 1:
        raise UsageError(f"a bottleneck needs one tensor at each of its places, not {', '.join(piece.inputs)}")
    return piece.model


def tail_of(model: bytes) -> Tail:
    """The layers of a piece of one input and one output; UsageError for an operator that is not trained through here."""
    proto = onnx.load_from_string(model).graph
    weights = {each.name: np.array(numpy_helper.to_array(each)) for each in proto.initializer}
    layers = tuple(_layer(node, weights) for node in proto.node)
    return Tail(proto.input[0].name, proto.output[0].name, layers, weights)


def _layer(node: onnx.NodeProto, weights: Weights) -> Layer:
    given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    name, inputs = node.output[0], tuple(node.input)
    if node.op_type == "Conv":
        strides, pads = given.get("strides", [1, 1]), given.get("pads", [0] * 4)
        if len(set(strides)) == 1 and len(set(pads)) == 1 and set(given.get("dilations", [1])) == {1}:
            return Layer("Conv", inputs, name, strides[0], pads[0], given.get("group", 1))
    elif node.op_type == "Clip" and len(inputs) == 3:
        return Layer("Clip", inputs[:1], name, low=float(weights[inputs[1]]), high=float(weights[inputs[2]]))
    elif node.op_type == "Gemm" and given.get("transB") == 1 and not given.get("transA"):
        return Layer("Gemm", inputs, name)
    elif node.op_type in ("Relu", "Add", "GlobalAveragePool", "Flatten"):
        return Layer(node.op_type, inputs, name)
    raise UsageError(
        f"a bottleneck is not trained through '{node.op_type}' as in '{name}'; known are {', '.join(TRAINED_OPERATORS)},"
        " with equal strides and padding on both sides"
    )


class Writer:
    """Collects the nodes of encoder and decoder."""

    def __init__(self, weights: Weights) -> None:
        self.weights: dict[str, NDArray[Any]] = dict(weights)
        self.nodes: list[onnx.NodeProto] = []

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"{output}/{operator}", **attributes))
        return output

    def convolution(self, source: str, name: str, *, stride: int = 1, relu6: bool = False, relu: bool = False) -> str:
        weight = self.weights[f"{name}.weight"]
        kernel = weight.shape[2]
        pad = 0 if kernel == stride and kernel != 1 and not relu6 else kernel // 2
        groups = weight.shape[0] if weight.shape[1] == 1 and weight.shape[0] > 1 else 1
        plain = f"{name}.linear" if relu6 or relu else name
        self.node(
            "Conv",
            [source, f"{name}.weight", f"{name}.bias"],
            plain,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad] * 4,
            group=groups,
        )
        if relu6:
            return self.node("Clip", [plain, "bottleneck.low", "bottleneck.high"], name)
        return self.node("Relu", [plain], name) if relu else name

    def constant(self, name: str, value: float) -> str:
        self.weights[name] = np.array(value, np.float32)
        return name

    def array(self, name: str, value: NDArray[np.generic]) -> str:
        """A constant of any kind."""
        self.weights[name] = np.ascontiguousarray(value)
        return name

    def values(self, latent: str, scale: str) -> str:
        """The latent's numbers as the decoder takes them."""
        return self.node(
            "Mul", [self.node("Cast", [latent], "decoder.levels", to=TensorProto.FLOAT), scale], "decoder.values"
        )


def assemble(
    head: bytes, tail: bytes, weights: Weights, *, patch: int, blocks: Sequence[Block], scale: float, origin: str
) -> bytes:
    """ONNX bytes: `head` -> encoder -> latent -> decoder -> `tail`, with the head's input and the tail's output.

    `weights` are those of training_bottleneck; `blocks` stand before its latent; `origin` is kept in the file's description.
    """

    def write(writer: Writer, source: str, target: str) -> None:
        writer.weights |= weights
        writer.constant("bottleneck.low", 0.0)
        writer.constant("bottleneck.high", 6.0)
        quantiser(writer, _encoder(writer, source, patch, blocks), scale)
        _decoder(writer, decoded(target), patch)

    return joined(head, tail, write, origin=origin)


def joined(head: bytes, tail: bytes, write: Callable[[Writer, str, str], None], *, origin: str) -> bytes:
    """`head`, what `write` puts between the head's output and the tail's input, and `tail`."""
    front, back = (onnx.load_from_string(each) for each in (head, tail))
    target = back.graph.input[0].name
    writer = Writer({})
    write(writer, front.graph.output[0].name, target)
    for node in back.graph.node:  # the head may have a tensor of the same name
        node.input[:] = [decoded(target) if name == target else name for name in node.input]
    held = {each.name: each for each in (*front.graph.initializer, *back.graph.initializer)}
    held |= {name: numpy_helper.from_array(array, name) for name, array in writer.weights.items()}
    nodes = [*front.graph.node, *writer.nodes, *back.graph.node]
    graph = helper.make_graph(
        nodes, "bottleneck", list(front.graph.input), list(back.graph.output), list(held.values())
    )
    model = helper.make_model(graph, opset_imports=list(front.opset_import), ir_version=front.ir_version)
    model.producer_name, model.doc_string = "hedgerow", origin
    try:
        onnx.checker.check_model(model)
        whole = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise EngineError(f"the bottleneck's weights do not fit together: {str(error).splitlines()[0]}") from error
    return whole.SerializeToString(deterministic=True)


def decoded(target: str) -> str:
    """What the decoder's output is called in place of the tensor `target`."""
    return f"decoder.{target}"


def _encoder(writer: Writer, source: str, patch: int, blocks: Sequence[Block]) -> str:
    for number, block in enumerate(blocks, start=1):
        name = f"encoder.block{number}"
        writer.weights |= {f"{name}.{part}": array for part, array in block.weights.items()}
        wide = writer.convolution(source, f"{name}.expand", relu6=True)
        deep = writer.convolution(wide, f"{name}.depthwise", stride=block.stride, relu6=True)
        given = writer.convolution(deep, f"{name}.project")
        source = writer.node("Add", [given, source], f"{name}.output") if block.residual else given
    return writer.convolution(source, STEPS, stride=patch)


def quantiser(writer: Writer, steps: str, scale: float) -> None:
    """From the tensor `steps` to the joint "latent" (int8), by the rule above."""
    writer.constant(SCALE, scale)
    writer.constant(INVERSE, 1 / scale)
    writer.constant("latent.half", 0.5 - THETA)
    writer.constant("latent.low", -LEVEL_MAX)
    writer.constant("latent.high", LEVEL_MAX)
    scaled = writer.node("Mul", [steps, INVERSE], "latent.scaled")
    size = writer.node("Add", [writer.node("Abs", [scaled], "latent.size"), "latent.half"], "latent.raised")
    level = writer.node("Floor", [size], "latent.floor")
    signed = writer.node("Mul", [level, writer.node("Sign", [scaled], "latent.sign")], "latent.signed")
    bounded = writer.node("Clip", [signed, "latent.low", "latent.high"], "latent.bounded")
    writer.node("Cast", [bounded], LATENT, to=TensorProto.INT8)


def _decoder(writer: Writer, target: str, patch: int) -> None:
    values = writer.values(LATENT, SCALE)
    folded = writer.convolution(values, "decoder.plain")
    if "decoder.first.weight" in writer.weights:  # not without training
        folded = _refined(writer, values, folded)
    operator = "DepthToSpace" if patch > 1 else "Identity"
    writer.node(operator, [folded], target, **({"blocksize": patch, "mode": "CRD"} if patch > 1 else {}))


def _refined(writer: Writer, values: str, plain: str) -> str:
    first = writer.convolution(values, "decoder.first", relu=True)
    second = writer.convolution(first, "decoder.second", relu=True)
    refined = writer.convolution(writer.node("Add", [first, second], "decoder.both"), "decoder.third")
    return writer.node("Add", [plain, refined], "decoder.folded")


def rescaled(model: bytes, scale: float) -> bytes:
    """The same file with another scale."""
    proto = onnx.load_from_string(model)
    for tensor in proto.graph.initializer:
        if tensor.name in (SCALE, INVERSE):
            value = scale if tensor.name == SCALE else 1 / scale
            tensor.CopyFrom(numpy_helper.from_array(np.array(value, np.float32), tensor.name))
    return proto.SerializeToString(deterministic=True)


def scale_of(model: bytes) -> float:
    """The scale in a bottleneck's file; UsageError for another file."""
    for tensor in onnx.load_from_string(model).graph.initializer:
        if tensor.name == SCALE:
            return float(numpy_helper.to_array(tensor))
    raise UsageError("this file holds no bottleneck of `hedgerow adapt bottleneck`")


def blocks_of(between: bytes) -> tuple[Block, ...]:
    """The blocks that a piece consists of; UsageError where it holds anything else, for only such are imitated."""
    tail = tail_of(between)
    layers, found = list(tail.layers), []
    while layers:
        kinds = [layer.operator for layer in layers[:5]]
        if kinds != ["Conv", "Clip", "Conv", "Clip", "Conv"] or not _is_block(layers, tail.weights):
            raise UsageError(
                f"what lies between cut and target holds more than inverted residual blocks (at '{layers[0].output}');"
                " name the cut as its own target"
            )
        weights: dict[str, NDArray[np.float32]] = {}
        for name, layer in zip(("expand", "depthwise", "project"), layers[:5:2], strict=True):
            weights |= {f"{name}.weight": tail.weights[layer.inputs[1]], f"{name}.bias": tail.weights[layer.inputs[2]]}
        residual = len(layers) > 5 and layers[5].operator == "Add"
        found.append(Block(layers[2].stride, residual, weights))
        del layers[: 6 if residual else 5]
    return tuple(found)


def _is_block(layers: list[Layer], weights: Weights) -> bool:
    expand, deep, project = layers[:5:2]
    if any(len(layer.inputs) < 3 for layer in (expand, deep, project)):
        return False
    shapes = [weights[layer.inputs[1]].shape for layer in (expand, deep, project)]
    clipped = all((layer.low, layer.high) == (0.0, 6.0) for layer in layers[1:4:2])
    return clipped and shapes[0][2] == shapes[2][2] == 1 and deep.groups == shapes[1][0] == shapes[0][0]
