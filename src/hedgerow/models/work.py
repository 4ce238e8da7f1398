"""An estimate of the work of one node, in multiply-adds, from shapes alone.

Convolutions, matrix products and recurrent layers are counted; any other node counts one per element it makes. It is
an estimate for showing and for first plans: what a segment costs on a processor is measured, never read from here.
"""

import math
from collections.abc import Callable, Sequence

import onnx

Shape = tuple[int, ...]
ShapeOf = Callable[[str], Shape | None]

_CONVOLUTIONS = {"Conv", "ConvInteger", "QLinearConv", "FusedConv", "NhwcConv", "ConvTranspose"}
_PRODUCTS = {"MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul", "Gemm", "QGemm", "FusedGemm", "MatMulNBits"}
_RECURRENT = {"LSTM", "GRU", "RNN"}
_WEIGHT_INDEX = {"QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3}


def node_work(node: onnx.NodeProto, shape_of: ShapeOf) -> float:
    """Multiply-adds of the node, at least 1; where shapes are unknown, one per known output element."""
    made = max((_elements(shape_of(name)) for name in node.output if name), default=1)
    taken = [shape_of(name) if name else None for name in node.input]
    if node.op_type in _CONVOLUTIONS:
        return max(1.0, _convolution(node, made, taken))
    if node.op_type in _PRODUCTS:
        return max(1.0, _product(node, made, taken))
    if node.op_type in _RECURRENT:
        return max(1.0, _recurrent(node, made, taken))
    return float(max(1, made))


def _elements(shape: Shape | None) -> int:
    return math.prod(shape) if shape is not None else 1


def _convolution(node: onnx.NodeProto, made: int, taken: Sequence[Shape | None]) -> float:
    """Each output element takes one kernel of (channels in / group); each *input* element when transposed."""
    index = _WEIGHT_INDEX.get(node.op_type, 1)
    weight = taken[index] if len(taken) > index else None
    if weight is None or len(weight) < 2:
        return float(made)
    base = _elements(taken[0]) if node.op_type == "ConvTranspose" else made
    return float(base) * math.prod(weight[1:])


def _product(node: onnx.NodeProto, made: int, taken: Sequence[Shape | None]) -> float:
    """Each output element takes the length of the contracted axis."""
    left = taken[0] if taken else None
    if not left:
        return float(made)
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return float(made) * left[0 if transposed and len(left) == 2 else -1]


def _recurrent(node: onnx.NodeProto, made: int, taken: Sequence[Shape | None]) -> float:
    """Steps x batch x (input weights + recurrent weights); the gates are in the weights' rows."""
    if len(taken) < 3 or taken[0] is None or len(taken[0]) < 2 or taken[1] is None or taken[2] is None:
        return float(made)
    return float(taken[0][0] * taken[0][1]) * (_elements(taken[1]) + _elements(taken[2]))
