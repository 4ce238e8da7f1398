"""Writes the residual network and each of its exits as ONNX from trained weights.

Rules: normalisations are folded into their convolutions, so no joint can break a fusion; the batch axis is symbolic; joints keep
the names of the architecture's table; an exit's file takes exactly what is alive after its joint and gives "logits"; equal
weights give equal bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference

from hedgerow.adaptation.exits.architecture import SIDE_PX, Architecture, Layer
from hedgerow.models.fetch.network import INPUT_NAME, IR_VERSION, OPSET, OUTPUT_NAME

NORM_EPSILON = 1e-5  # PyTorch's
Weights = Mapping[str, NDArray[Any]]


class GraphWriter:
    """Collects nodes and weights; methods take and return tensor names."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[np.float32]] = {}

    def convolution(
        self, source: str, result: str, weight: NDArray[Any], bias: NDArray[Any], *, stride: int = 1, relu: bool = True
    ) -> str:
        """Convolution with `same` padding for odd kernels, then a ReLU where asked."""
        side = weight.shape[2]
        self._constants |= {f"{result}.weight": weight.astype(np.float32), f"{result}.bias": bias.astype(np.float32)}
        linear = f"{result}.linear" if relu else result
        self.node(
            "Conv",
            [source, f"{result}.weight", f"{result}.bias"],
            linear,
            kernel_shape=(side, side),
            strides=(stride, stride),
            pads=(side // 2,) * 4,
        )
        return self.node("Relu", [linear], result) if relu else result

    def classifier(self, source: str, name: str, weight: NDArray[Any], bias: NDArray[Any]) -> None:
        """Mean over the picture and a linear layer, whose output is "logits"."""
        self._constants |= {f"{name}.weight": weight.astype(np.float32), f"{name}.bias": bias.astype(np.float32)}
        pooled = self.node("GlobalAveragePool", [source], f"{name}.pooled")
        features = self.node("Flatten", [pooled], f"{name}.features", axis=1)
        self.node("Gemm", [features, f"{name}.weight", f"{name}.bias"], OUTPUT_NAME, transB=1)

    def constant(self, name: str, array: NDArray[Any]) -> None:
        self._constants[name] = np.ascontiguousarray(array)

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self._nodes.append(
            helper.make_node(operator, list(inputs), [output], name=f"{output}/{operator}", **attributes)
        )
        return output

    def finish(
        self,
        name: str,
        inputs: Mapping[str, tuple[int | str, ...]],
        classes: int,
        source: str,
        output: str = OUTPUT_NAME,
    ) -> bytes:
        """The checked file's bytes; `source` says what it was made from."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(each, TensorProto.FLOAT, list(shape)) for each, shape in inputs.items()],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", classes])],
            [numpy_helper.from_array(array, tensor) for tensor, array in self._constants.items()],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="hedgerow"
        )
        model.doc_string = source
        onnx.checker.check_model(model)
        model = shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        return model.SerializeToString(deterministic=True)


def whole_file(weights: Weights, architecture: Architecture, source: str) -> bytes:
    """The network without its exits."""
    writer, tensor = GraphWriter(), INPUT_NAME
    for index, stage in enumerate(architecture.stages):
        for place, layer in enumerate(stage.layers):
            tensor = _layer(writer, weights, f"stages.{index}.{place}", layer, tensor)
    weight, bias = weights["linear.weight"], weights["linear.bias"]
    writer.classifier(tensor, "classifier", weight, bias)
    return writer.finish("resnet", {INPUT_NAME: ("batch", 3, SIDE_PX, SIDE_PX)}, len(bias), source)


def exit_file(weights: Weights, architecture: Architecture, number: int, source: str) -> bytes:
    """The exit of that number (0 is the first): from its joint's tensor to logits."""
    stage = architecture.exits[number]
    side = SIDE_PX
    for each in architecture.stages[: architecture.stages.index(stage) + 1]:
        for layer in each.layers:
            side //= layer.stride
    writer, tensor = GraphWriter(), stage.joint
    for place, layer in enumerate(stage.exit):
        tensor = _layer(writer, weights, f"exits.{number}.{place}", layer, tensor)
    weight, bias = weights[f"exit_linears.{number}.weight"], weights[f"exit_linears.{number}.bias"]
    writer.classifier(tensor, "exit", weight, bias)
    shape = ("batch", stage.layers[-1].outputs, side, side)
    return writer.finish(f"exit{number + 1}", {stage.joint: shape}, len(bias), source)


def _layer(writer: GraphWriter, weights: Weights, key: str, layer: Layer, source: str) -> str:
    tensor = source
    for index in range(layer.convolutions):
        last = index + 1 == layer.convolutions
        weight, bias = _folded(weights, f"{key}.convolutions.{index}.weight", f"{key}.norms.{index}")
        plain = last and layer.residual
        result = layer.name if last and not layer.residual else f"{layer.name}.convolution{index + 1}"
        tensor = writer.convolution(
            tensor, result, weight, bias, stride=layer.stride if index == 0 else 1, relu=not plain
        )
    if layer.residual:
        writer.node("Add", [source, tensor], f"{layer.name}.sum")
        tensor = writer.node("Relu", [f"{layer.name}.sum"], layer.name)
    return tensor


def _folded(weights: Weights, convolution: str, norm: str) -> tuple[NDArray[Any], NDArray[Any]]:
    weight = weights[convolution].astype(np.float64)
    gamma, beta, mean, variance = (
        weights[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + NORM_EPSILON)
    return weight * scale[:, None, None, None], beta - mean * scale
