"""Types and shapes of every tensor of a model: as declared, with symbols, and as assumed, in numbers.

Shapes must be known before a graph is cut (a piece declares its inputs). Inference runs on a skeleton: weights of
more than a few elements are replaced by inputs of the same type, so its cost does not grow with the model. Where an
axis is dynamic, bytes and work need a number: the caller's, else the declared default of `assumed_axes`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from hedgerow.errors import EngineError
from hedgerow.models.engines import get_engine
from hedgerow.models.reading import one_line
from hedgerow.models.tensors import TensorSpec

WEIGHT_ELEMENTS_KEPT_MAX = 1024  # a larger constant is no shape, axis or index that inference would read
DEFAULT_FIRST_AXIS = 1  # a batch
DEFAULT_SPATIAL_AXIS = 224  # the others of a tensor with four or more axes
DEFAULT_OTHER_AXIS = 16  # a sequence, say
# What NumPy and ONNX Runtime's Python interface can both carry.
_SENDABLE = {"float16", "float32", "float64", "bool"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}

_STANDARD = {"", "ai.onnx", "ai.onnx.ml"}  # domains whose operators ONNX itself infers

Axes = tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class TensorFact:
    """What is known of a tensor: spec, assumed shape in numbers (None: unknown), and why it cannot be sent ("" if it can)."""

    spec: TensorSpec
    assumed_shape: tuple[int, ...] | None
    obstacle: str

    @property
    def assumed_bytes(self) -> int:
        """Bytes of such a tensor with every dynamic axis as assumed."""
        if self.assumed_shape is None:
            return self.spec.static_bytes()
        return math.prod(self.assumed_shape) * np.dtype(self.spec.dtype).itemsize


def infer_facts(
    proto: onnx.ModelProto, axes: Mapping[str, int]
) -> tuple[dict[str, TensorFact], dict[str, onnx.TypeProto]]:
    """Facts and types of every tensor outside bodies that is not a weight; EngineError if inference refuses."""
    skeleton = _skeleton(proto)
    types = _infer(skeleton)
    types |= _ask_runtime(proto, types)
    assumed = assumed_axes((value.name, type_axes(value.type)) for value in dynamic_inputs(proto))
    assumed |= axes
    sized = _infer(_sized(skeleton, assumed)) if assumed or _has_unknown(skeleton) else types
    facts = {}
    for name, kind in types.items():
        spec, obstacle = _spec(name, kind)
        facts[name] = TensorFact(spec, _numbers(type_axes(sized.get(name, kind)), spec.shape, assumed), obstacle)
    return facts, types


def dynamic_inputs(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The graph's inputs that are not weights (old files list their weights as inputs too)."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    weights |= {tensor.values.name for tensor in proto.graph.sparse_initializer}
    return [value for value in proto.graph.input if value.name not in weights]


def type_axes(kind: onnx.TypeProto) -> Axes | None:
    """The axes of a dense tensor type; None where even their number is unknown."""
    if kind.WhichOneof("value") != "tensor_type" or not kind.tensor_type.HasField("shape"):
        return None
    return tuple(_axis(axis) for axis in kind.tensor_type.shape.dim)


def assumed_axes(inputs: Iterable[tuple[str, Axes | None]]) -> dict[str, int]:
    """A number for each symbolic axis of the inputs: 1 if it comes first, else 224 (four axes or more) or 16."""
    assumed: dict[str, int] = {}
    for _, axes in inputs:
        for position, axis in enumerate(axes or ()):
            if isinstance(axis, str):
                assumed.setdefault(axis, _default(position, len(axes or ())))
    return assumed


def assumed_shape(axes: Axes, assumed: Mapping[str, int]) -> tuple[int, ...]:
    """An input's shape in numbers: symbols as assumed, unnamed axes by the same defaults."""
    return tuple(
        axis if isinstance(axis, int) else assumed.get(axis or "", _default(position, len(axes)))
        for position, axis in enumerate(axes)
    )


def _default(position: int, rank: int) -> int:
    if position == 0:
        return DEFAULT_FIRST_AXIS
    return DEFAULT_SPATIAL_AXIS if rank >= 4 else DEFAULT_OTHER_AXIS


def _axis(axis: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if axis.HasField("dim_value"):
        return int(axis.dim_value) if axis.dim_value >= 0 else None
    return axis.dim_param or None


def _ask_runtime(proto: onnx.ModelProto, types: Mapping[str, onnx.TypeProto]) -> dict[str, onnx.TypeProto]:
    """Types of what ONNX's own inference knows nothing of: made by operators that only the runtime has, and after."""
    made = [name for node in proto.graph.node for name in node.output if name]
    unknown = [name for name in made if name not in types or type_axes(types[name]) is None]
    if all(node.domain in _STANDARD for node in proto.graph.node) or not unknown:
        return {}
    asking = onnx.ModelProto()
    asking.CopyFrom(proto)
    del asking.graph.output[:]
    asking.graph.output.extend(onnx.ValueInfoProto(name=name) for name in unknown)
    try:
        specs = get_engine("onnxruntime").describe(asking.SerializeToString())
    except EngineError:  # the runtime lacks the operator too: loading the model will say so
        return {}
    make_type = onnx.helper.make_tensor_type_proto
    element = onnx.helper.np_dtype_to_tensor_dtype
    return {spec.name: make_type(element(np.dtype(spec.dtype)), spec.shape) for spec in specs}


def _numbers(sized: Axes | None, symbols: Axes, assumed: Mapping[str, int]) -> tuple[int, ...] | None:
    """The assumed shape: what sized inference found, else the symbols' numbers, else 1 for an axis."""
    if sized is None or len(sized) != len(symbols):
        return None
    return tuple(
        axis if isinstance(axis, int) else assumed.get(symbol, 1) if isinstance(symbol, str) else 1
        for axis, symbol in zip(sized, symbols, strict=True)
    )


def _spec(name: str, kind: onnx.TypeProto) -> tuple[TensorSpec, str]:
    """The spec, and what keeps such a value from being sent between two pieces."""
    which = kind.WhichOneof("value")
    if which != "tensor_type":
        label = (which or "unknown type").removesuffix("_type").replace("_", " ")
        return TensorSpec(
            name, "object", ()
        ), f"is of {label}" if which is None else f"is of type {label}, not a tensor"
    element = kind.tensor_type.elem_type
    if not element:
        return TensorSpec(name, "object", ()), "has an unknown type"
    shape = type_axes(kind)
    if element == onnx.TensorProto.STRING:
        return TensorSpec(name, "object", shape or ()), "holds strings"
    dtype = onnx.helper.tensor_dtype_to_np_dtype(element).name
    if dtype not in _SENDABLE:
        return TensorSpec(name, "object", shape or ()), f"holds {dtype}, which NumPy cannot carry"
    return TensorSpec(name, dtype, shape or ()), "" if shape is not None else "has an unknown number of axes"


def _skeleton(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its large weights turned into inputs and those small enough to be shapes kept."""
    skeleton = onnx.ModelProto(ir_version=max(proto.ir_version, 4))
    skeleton.opset_import.extend(proto.opset_import)
    skeleton.functions.extend(proto.functions)
    graph = skeleton.graph
    graph.name = proto.graph.name
    graph.node.extend(proto.graph.node)
    graph.input.extend(dynamic_inputs(proto))
    graph.output.extend(proto.graph.output)
    graph.value_info.extend(proto.graph.value_info)
    for tensor in proto.graph.initializer:
        if math.prod(tensor.dims) <= WEIGHT_ELEMENTS_KEPT_MAX:
            graph.initializer.append(tensor)
        else:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    for sparse in proto.graph.sparse_initializer:
        values = sparse.values
        graph.input.append(onnx.helper.make_tensor_value_info(values.name, values.data_type, list(sparse.dims)))
    return skeleton


def _has_unknown(skeleton: onnx.ModelProto) -> bool:
    """Whether any input has an axis without a number."""
    return any(not isinstance(axis, int) for value in skeleton.graph.input for axis in type_axes(value.type) or ())


def _sized(skeleton: onnx.ModelProto, assumed: Mapping[str, int]) -> onnx.ModelProto:
    """A copy whose inputs have numbers for axes, and whose other declared shapes are forgotten."""
    sized = onnx.ModelProto()
    sized.CopyFrom(skeleton)
    del sized.graph.value_info[:]
    for value in sized.graph.input:
        axes = type_axes(value.type)
        if axes is not None:
            for axis, number in zip(value.type.tensor_type.shape.dim, assumed_shape(axes, assumed), strict=True):
                axis.Clear()
                axis.dim_value = number
    for value in sized.graph.output:
        if value.type.WhichOneof("value") == "tensor_type":
            value.type.tensor_type.ClearField("shape")
    return sized


def _infer(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """The type of each input, output and inner tensor that inference finds."""
    try:
        graph = onnx.shape_inference.infer_shapes(model, check_type=False, strict_mode=False, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise EngineError(f"the model's shapes do not fit together: {one_line(error)}") from error
    return {value.name: value.type for value in (*graph.value_info, *graph.output, *graph.input)}
