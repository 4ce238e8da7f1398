"""Tiny ONNX models for tests of tasks: linear classifiers over pictures, and a sum of two tensors."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_classifier(
    path: Path, *, classes: int = 3, side_px: int = 4, input_name: str = "input", seed: int = 0
) -> Path:
    """Flatten and a linear layer: float32 (batch, 3, side, side) -> "logits" (batch, classes)."""
    weight = np.random.default_rng(seed).normal(size=(classes, 3 * side_px * side_px)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", [input_name], ["flat"]),
            helper.make_node("Gemm", ["flat", "weight"], ["logits"], transB=1),
        ],
        "classifier",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["batch", 3, side_px, side_px])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return _write(path, graph)


def write_sum(path: Path, *, width: int = 3, second: str = "b") -> Path:
    """ "a" and "b", float32 (batch, width) -> "sum"; "count" int64 (1,) passes through as "counted"."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", second], ["sum"]), helper.make_node("Identity", ["count"], ["counted"])],
        "sum",
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, ["batch", width]),
            helper.make_tensor_value_info(second, TensorProto.FLOAT, ["batch", width]),
            helper.make_tensor_value_info("count", TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["batch", width]),
            helper.make_tensor_value_info("counted", TensorProto.INT64, [1]),
        ],
    )
    return _write(path, graph)


def _write(path: Path, graph: onnx.GraphProto) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path
