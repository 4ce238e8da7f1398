"""Writes inverted-residual networks (MobileNetV2, EfficientNet-Lite) as ONNX from a state dict of arrays.

Rules: each batch normalisation is folded into its convolution here, so no later cut can break a fusion; the batch axis is
symbolic; every tensor has a readable, stable name ("block10.output"); channel widths come from the weights; equal weights
give equal bytes; a weight that is missing, left over or of a wrong shape is a PeerError.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference

from hedgerow.errors import PeerError
from hedgerow.models.tensors import Array

OPSET = 17
IR_VERSION = 8
INPUT_NAME = "input"
OUTPUT_NAME = "logits"

Floats = NDArray[np.float32]
Pads = tuple[int, int]  # before, after; the same for height and width


@dataclass(frozen=True, slots=True)
class BlockKeys:
    """Where one block's weights lie: (convolution weight, normalisation prefix) pairs; no expansion: None."""

    expand: tuple[str, str] | None
    depthwise: tuple[str, str]
    project: tuple[str, str]


class NetworkWriter:
    """Collects nodes and weights; methods take and return tensor names."""

    def __init__(self, state: dict[str, Array], *, epsilon: float) -> None:
        self._left = {name: array for name, array in state.items() if not name.endswith("num_batches_tracked")}
        self._epsilon = epsilon
        self._nodes: list[onnx.NodeProto] = []
        self._widths = {INPUT_NAME: 3}  # channels of each tensor
        self._constants: dict[str, Array] = {
            "relu6.low": np.array(0.0, np.float32),
            "relu6.high": np.array(6.0, np.float32),
        }

    def channels(self, weight: str) -> int:
        """Output channels of a convolution whose weight has not been used yet."""
        return int(self._peek(weight).shape[0])

    def convolution(
        self, source: str, result: str, keys: tuple[str, str], *, stride: int, pads: Pads, depthwise: bool, relu6: bool
    ) -> str:
        """Convolution with folded normalisation, then a clip to 0..6 where `relu6`."""
        weight, bias = self._folded(*keys)
        groups = weight.shape[0] if depthwise else 1
        self._expect(keys[0], inputs=weight.shape[1] * groups, source=source)
        self._widths[result] = weight.shape[0]
        self._constants |= {f"{result}.weight": weight, f"{result}.bias": bias}
        plain = f"{result}.linear" if relu6 else result
        attributes = {
            "kernel_shape": weight.shape[2:],
            "strides": (stride, stride),
            "pads": (pads[0], pads[0], pads[1], pads[1]),
            "group": groups,
        }
        self._node("Conv", [source, f"{result}.weight", f"{result}.bias"], plain, **attributes)
        if relu6:
            self._node("Clip", [plain, "relu6.low", "relu6.high"], result)
        return result

    def block(self, source: str, name: str, keys: BlockKeys, *, stride: int, pads: Pads, residual: bool) -> str:
        """Inverted residual: expand (1x1), depthwise, project (1x1), and the input added where `residual`."""
        wide = source
        if keys.expand is not None:
            wide = self._pointwise(source, f"{name}.expand", keys.expand, relu6=True)
        deep = f"{name}.depthwise"
        self.convolution(wide, deep, keys.depthwise, stride=stride, pads=pads, depthwise=True, relu6=True)
        output = f"{name}.output"
        if not residual:
            return self._pointwise(deep, output, keys.project, relu6=False)
        self._pointwise(deep, f"{name}.project", keys.project, relu6=False)
        self._node("Add", [f"{name}.project", source], output)
        self._widths[output] = self._widths[source]
        return output

    def head(self, source: str, keys: tuple[str, str], classifier: str) -> None:
        """1x1 convolution, mean over the picture, linear layer `classifier` to the logits."""
        wide = self._pointwise(source, "head.output", keys, relu6=True)
        self._node("GlobalAveragePool", [wide], "pooled")
        self._node("Flatten", ["pooled"], "features", axis=1)
        for part, dimensions in (("weight", 2), ("bias", 1)):
            self._constants[f"classifier.{part}"] = self._take(f"{classifier}.{part}", dimensions)
        self._expect(classifier, inputs=self._constants["classifier.weight"].shape[1], source=wide)
        self._node("Gemm", ["features", "classifier.weight", "classifier.bias"], OUTPUT_NAME, transB=1)

    def finish(self, name: str, *, size_px: int, source: str) -> bytes:
        """The checked model's bytes; `source` (where the weights came from, their licence) goes into its description."""
        if self._left:
            raise PeerError(f"the weights of {name} hold {len(self._left)} unknown tensors, such as {min(self._left)}")
        classes = self._constants["classifier.bias"].shape[0]
        taken = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["batch", 3, size_px, size_px])
        given = helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", classes])
        weights = [numpy_helper.from_array(array, tensor) for tensor, array in self._constants.items()]
        return checked_bytes(helper.make_graph(self._nodes, name, [taken], [given], weights), source)

    def _pointwise(self, source: str, result: str, keys: tuple[str, str], *, relu6: bool) -> str:
        return self.convolution(source, result, keys, stride=1, pads=(0, 0), depthwise=False, relu6=relu6)

    def _folded(self, weight_name: str, norm: str) -> tuple[Floats, Floats]:
        weight = self._take(weight_name, 4).astype(np.float64)
        gamma, beta, mean, variance = (
            self._take(f"{norm}.{part}", 1).astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        if not len(weight) == len(gamma) == len(beta) == len(mean) == len(variance):
            raise PeerError(f"the normalisation {norm} does not have one value per channel of {weight_name}")
        scale = gamma / np.sqrt(variance + self._epsilon)
        return (weight * scale[:, None, None, None]).astype(np.float32), (beta - mean * scale).astype(np.float32)

    def _expect(self, weight: str, *, inputs: int, source: str) -> None:
        if inputs != self._widths[source]:
            raise PeerError(f"weight '{weight}' takes {inputs} channels, but '{source}' has {self._widths[source]}")

    def _peek(self, name: str) -> Array:
        if name not in self._left:
            raise PeerError(f"the weights lack '{name}'; this is another model's file")
        return self._left[name]

    def _take(self, name: str, dimensions: int) -> Floats:
        array = self._peek(name)
        if array.ndim != dimensions or array.dtype.kind != "f":
            raise PeerError(
                f"weight '{name}' is {array.dtype.name} with {array.ndim} axes, expected {dimensions} of float"
            )
        return self._left.pop(name).astype(np.float32)

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=f"{output}/{operator}", **attributes))


def checked_bytes(graph: onnx.GraphProto, source: str) -> bytes:
    """The bytes of a model made of `graph`, checked, with its shapes; PeerError where the weights do not fit it. `source` becomes
    its description."""
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="hedgerow"
    )
    model.doc_string = source
    try:
        onnx.checker.check_model(model)
        model = shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except (onnx.checker.ValidationError, shape_inference.InferenceError) as error:
        said = str(error).splitlines()[0]
        raise PeerError(f"the weights of {graph.name} do not fit its architecture: {said}") from error
    return model.SerializeToString(deterministic=True)
