"""Exits for a model that is not trained here: what hangs at a joint, as a short list of operations with weights to train.

Two kinds. *Tail*: the model's own remaining layers, asked at half the resolution, with their weights to begin with; it knows all
classes before it is trained, and costs a quarter of what it stands for. It exists where the rest of the model is convolutions that
end in a mean over the picture. *Small*: a mean over 2 x 2, a convolution, a mean over the picture and a linear layer, learned from
nothing; it exists at any joint of one picture-like tensor, and needs many samples of each class.

Both begin with the mean over 2 x 2, so that what training needs of a sample is a quarter of the joint's tensor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hedgerow.adaptation.exits.network_file import GraphWriter
from hedgerow.errors import UsageError
from hedgerow.models.cuts import Cut, head_of
from hedgerow.models.graph import Graph

POOLED = "half"
SMALL_WIDTH_MAX = 256
Weights = dict[str, NDArray[np.float32]]

# operators a tail may hold, and which of their inputs are weights that may be trained
TRAINABLE: dict[str, tuple[int, ...]] = {"Conv": (1, 2), "Gemm": (1, 2)}
KNOWN = {*TRAINABLE, "Clip", "Relu", "Add", "Mul", "Sigmoid", "HardSwish", "GlobalAveragePool", "Flatten"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One node."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """An exit: the joint's tensor and its shape without the batch axis, operations after the mean over 2 x 2, and weights."""

    kind: str
    joint: str
    shape: tuple[int, int, int]
    operations: tuple[Operation, ...]
    weights: Weights

    @property
    def pooled_shape(self) -> tuple[int, int, int]:
        """What training needs of a sample."""
        channels, height, width = self.shape
        return channels, (height + 1) // 2, (width + 1) // 2

    @property
    def trainable(self) -> tuple[str, ...]:
        """The names of the weights that training may change."""
        names = {
            operation.inputs[place]
            for operation in self.operations
            for place in TRAINABLE.get(operation.operator, ())
            if place < len(operation.inputs)
        }
        return tuple(name for name in self.weights if name in names)

    def with_weights(self, weights: Weights) -> "Head":
        """The same with these in place of the old ones."""
        return replace(self, weights=self.weights | weights)

    def file(self, source: str) -> bytes:
        """The exit as ONNX: from the joint's tensor to the scores. UsageError where the operations do not fit together."""
        writer = GraphWriter()
        height, width = self.shape[1:]
        writer.node(
            "AveragePool",
            [self.joint],
            POOLED,
            kernel_shape=(2, 2),
            strides=(2, 2),
            pads=(0, 0, height % 2, width % 2),
            count_include_pad=0,
        )
        for name, array in self.weights.items():
            writer.constant(name, array)
        for operation in self.operations:
            writer.node(operation.operator, operation.inputs, operation.output, **operation.attributes)
        classes = self._classes()
        inputs = {self.joint: ("batch", *self.shape)}
        try:
            return writer.finish(f"exit after {self.joint}", inputs, classes, source, output=self.operations[-1].output)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise UsageError(f"no exit fits after '{self.joint}': {str(error).splitlines()[0]}") from error

    def _classes(self) -> int:
        last = self.operations[-1]
        weight = self.weights[last.inputs[1]]
        return int(weight.shape[0 if last.attributes.get("transB", 0) else 1])


def picture_shape(cut: Cut) -> tuple[int, int, int] | None:
    """(channels, height, width) of a joint of one float32 tensor with a batch axis; None for any other."""
    if len(cut.tensors) != 1 or cut.tensors[0].dtype != "float32" or len(cut.tensors[0].shape) != 4:
        return None
    sizes = [axis for axis in cut.tensors[0].shape[1:] if isinstance(axis, int)]
    if len(sizes) != 3 or min(sizes) < 2:
        return None
    return sizes[0], sizes[1], sizes[2]


def heads_at(graph: Graph, cut: Cut, classes: int, *, seed: int) -> list[Head]:
    """The exits that can hang there, the more promising kind first; none where the joint is not of one picture-like tensor."""
    shape = picture_shape(cut)
    if shape is None:
        return []
    tail = tail_head(graph, cut, shape)
    small = small_head(cut.name, shape, classes, seed=seed)
    return [tail, small] if tail is not None else [small]


def tail_head(graph: Graph, cut: Cut, shape: tuple[int, int, int]) -> Head | None:
    """The rest of the model at half the resolution, or None where it cannot be asked so."""
    nodes = list(graph.members(graph.everything & ~head_of(graph, cut)))
    operations, weights = [], {}
    for node in nodes:
        if node.proto.op_type not in KNOWN or len(node.proto.output) != 1:
            return None
        inputs = tuple(POOLED if name == cut.name else name for name in node.proto.input)
        attributes = {each.name: helper.get_attribute_value(each) for each in node.proto.attribute}
        operations.append(Operation(node.proto.op_type, inputs, node.proto.output[0], attributes))
        for name in node.proto.input:
            if graph.is_constant(name):
                if name not in graph.weights:
                    return None
                weights[name] = np.asarray(numpy_helper.to_array(graph.weights[name]))
    if not operations or operations[-1].operator != "Gemm" or len(graph.outputs) != 1:
        return None
    head = Head("tail", cut.name, shape, tuple(operations), weights)
    try:
        head.file("")
    except UsageError:
        return None
    return head


def small_head(joint: str, shape: tuple[int, int, int], classes: int, *, seed: int) -> Head:
    """A convolution, a mean, a linear layer, with random weights."""
    chance = np.random.default_rng(seed)
    channels, width = shape[0], min(SMALL_WIDTH_MAX, 2 * shape[0])

    def drawn(*dimensions: int) -> NDArray[np.float32]:
        spread = np.sqrt(2.0 / np.prod(dimensions[1:]))
        return np.asarray(chance.standard_normal(dimensions) * spread, np.float32)

    weights = {
        "exit.convolution.weight": drawn(width, channels, 3, 3),
        "exit.convolution.bias": np.zeros(width, np.float32),
        "exit.linear.weight": drawn(classes, width) * np.float32(0.1),
        "exit.linear.bias": np.zeros(classes, np.float32),
    }
    convolution: dict[str, Any] = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "strides": (1, 1)}
    operations = (
        Operation(
            "Conv", (POOLED, "exit.convolution.weight", "exit.convolution.bias"), "exit.convolution", convolution
        ),
        Operation("Relu", ("exit.convolution",), "exit.active", {}),
        Operation("GlobalAveragePool", ("exit.active",), "exit.pooled", {}),
        Operation("Flatten", ("exit.pooled",), "exit.features", {"axis": 1}),
        Operation("Gemm", ("exit.features", "exit.linear.weight", "exit.linear.bias"), "logits", {"transB": 1}),
    )
    return Head("small", joint, shape, operations, weights)


def pooled(tensor: NDArray[Any]) -> NDArray[np.float32]:
    """(n, c, h, w) -> (n, c, ceil(h / 2), ceil(w / 2)): the mean over 2 x 2, at an odd edge over what is there."""
    height, width = tensor.shape[2:]
    padded = np.pad(tensor, ((0, 0), (0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    count, channels, rows, columns = padded.shape
    folded = padded.reshape(count, channels, rows // 2, 2, columns // 2, 2)
    return np.asarray(folded.mean(axis=(3, 5)), np.float32)


def work_of(files: Sequence[bytes]) -> list[float]:
    """Estimated multiply-adds of each."""
    return [float(Graph.open(each).work) for each in files]
