"""Small ONNX models, one for each thing that makes cutting hard, and a naive oracle of where a model can be cut."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hedgerow.models.tensors import Array

Axes = Sequence[int | str | None]
FLOAT = TensorProto.FLOAT
OPSET = 17
IR_VERSION = 8


def node(operator: str, reads: str, makes: str, domain: str = "", **attributes: object) -> onnx.NodeProto:
    """A node; names are separated by spaces and "-" stands for an optional input left out."""
    names = ["" if name == "-" else name for name in reads.split()]
    made = helper.make_node(operator, names, makes.split(), domain=domain)
    made.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    return made


def value(name: str, shape: Axes | None = (1, 4), element: int = FLOAT) -> onnx.ValueInfoProto:
    """A declared tensor."""
    return helper.make_tensor_value_info(name, element, None if shape is None else list(shape))


def model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Iterable[onnx.ValueInfoProto],
    outputs: Iterable[onnx.ValueInfoProto],
    weights: Mapping[str, Array] | None = None,
    *,
    functions: Sequence[onnx.FunctionProto] = (),
    ir_version: int = IR_VERSION,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """A model of one graph."""
    stored = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), stored)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1), helper.make_opsetid("custom", 1)]
    made = helper.make_model(graph, opset_imports=domains, functions=list(functions), ir_version=ir_version)
    return made


def weight(*shape: int, seed: int = 0) -> Array:
    """Random float32 weights."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def assert_close(one: Array, other: Array) -> None:
    """Equal up to the rounding of float32."""
    np.testing.assert_allclose(one.astype(np.float64), other.astype(np.float64), rtol=1e-5, atol=1e-6)


def perceptron() -> onnx.ModelProto:
    nodes = [
        node("MatMul", "x w1", "a"),
        node("Relu", "a", "b"),
        node("MatMul", "b w2", "c"),
        node("Softmax", "c", "y", axis=-1),
    ]
    return model(nodes, [value("x")], [value("y", (1, 3))], {"w1": weight(4, 6), "w2": weight(6, 3, seed=1)})


def convolutions(batch: int | str = 1, side: int | str = 8) -> onnx.ModelProto:
    """Convolution, normalisation, activation, a depthwise one with a skip connection, pooling, a classifier."""
    ones = np.ones(4, np.float32)
    weights = {"w1": weight(4, 3, 3, 3), "w2": weight(4, 1, 3, 3, seed=1), "w3": weight(4, 5, seed=2)}
    weights |= {"scale": ones, "shift": ones / 2, "mean": ones / 3, "variance": ones}
    nodes = [
        node("Conv", "x w1", "conv", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "conv scale shift mean variance", "normal"),
        node("Relu", "normal", "relu"),
        node("Conv", "relu w2", "depthwise", group=4, pads=[1, 1, 1, 1]),
        node("Add", "relu depthwise", "sum"),
        node("GlobalAveragePool", "sum", "pool"),
        node("Flatten", "pool", "flat"),
        node("MatMul", "flat w3", "y"),
    ]
    return model(nodes, [value("x", (batch, 3, side, side))], [value("y", (batch, 5))], weights)


def dynamic_axes() -> onnx.ModelProto:
    return convolutions("batch", "side")


def branches() -> onnx.ModelProto:
    """Two arms that join: no single cut between."""
    nodes = [
        node("Relu", "x", "top"),
        node("Sigmoid", "top", "left1"),
        node("Exp", "left1", "left2"),
        node("Tanh", "top", "right1"),
        node("Neg", "right1", "right2"),
        node("Sub", "left2 right2", "joined"),
        node("Tanh", "joined", "y"),
    ]
    return model(nodes, [value("x")], [value("y")])


def two_inputs_two_outputs() -> onnx.ModelProto:
    """One input is needed only late, one output is made early and read on."""
    nodes = [
        node("Relu", "x", "early"),
        node("Exp", "early", "middle"),
        node("Mul", "middle late_input", "mixed"),
        node("Neg", "mixed", "y"),
    ]
    return model(nodes, [value("x"), value("late_input")], [value("early"), value("y")])


def shared_weight() -> onnx.ModelProto:
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("MatMul", "b w", "y")]
    return model(nodes, [value("x")], [value("y")], {"w": weight(4, 4)})


def constant_chain() -> onnx.ModelProto:
    """A scale computed from constants, read on both sides; a Constant node too."""
    nodes = [
        node("ConstantOfShape", "shape", "filled", value=numpy_helper.from_array(np.array([2], np.float32))),
        node("Mul", "filled half", "scale"),
        node("Constant", "", "shift", value=numpy_helper.from_array(weight(1, 4))),
        node("Mul", "x scale", "a"),
        node("Relu", "a", "b"),
        node("Add", "b shift", "c"),
        node("Sub", "c scale", "y"),
    ]
    weights: dict[str, Array] = {"shape": np.array([1, 4], np.int64), "half": np.array([0.25], np.float32)}
    return model(nodes, [value("x")], [value("y")], weights)


def _branch(name: str, nodes: Sequence[onnx.NodeProto], output: onnx.ValueInfoProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), name, [], [output])


def captured_by_if() -> onnx.ModelProto:
    """Bodies read `early` (made long before), a weight, and, one level deeper, the input."""
    inner_then = _branch("inner_then", [node("Sub", "early x", "inner1")], value("inner1"))
    inner_else = _branch("inner_else", [node("Mul", "early w", "inner2")], value("inner2"))
    then = _branch(
        "then", [node("If", "flag", "nested", then_branch=inner_then, else_branch=inner_else)], value("nested")
    )
    other = _branch("else", [node("Add", "early w", "added")], value("added"))
    nodes = [
        node("Relu", "x", "early"),
        node("Exp", "early", "a"),
        node("ReduceSum", "a", "total", keepdims=0),
        node("Greater", "total zero", "flag"),
        node("If", "flag", "b", then_branch=then, else_branch=other),
        node("Neg", "b", "c"),
        node("Tanh", "c", "y"),
    ]
    weights = {"w": weight(1, 4), "zero": np.array(0, np.float32)}
    return model(nodes, [value("x")], [value("y")], weights)


def captured_by_loop() -> onnx.ModelProto:
    """The body adds a captured tensor to its state, twice."""
    body = helper.make_graph(
        [node("Identity", "go", "go_on"), node("Add", "state early", "next")],
        "body",
        [value("turn", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("state")],
        [value("go_on", (), TensorProto.BOOL), value("next")],
    )
    nodes = [
        node("Relu", "x", "early"),
        node("Exp", "early", "start"),
        node("Loop", "turns - start", "a", body=body),
        node("Neg", "a", "y"),
    ]
    return model(nodes, [value("x")], [value("y")], {"turns": np.array(2, np.int64)})


def captured_by_scan() -> onnx.ModelProto:
    """A running sum over the first axis, scaled by a captured tensor."""
    body = helper.make_graph(
        [node("Mul", "row gain", "scaled"), node("Add", "state scaled", "next"), node("Identity", "next", "out")],
        "body",
        [value("state", (4,)), value("row", (4,))],
        [value("next", (4,)), value("out", (4,))],
    )
    nodes = [
        node("ReduceMax", "x", "gain", axes=[0], keepdims=0),
        node("Relu", "x", "rows"),
        node("Scan", "zero rows", "last all", body=body, num_scan_inputs=1),
        node("Neg", "all", "y"),
    ]
    return model(nodes, [value("x", (3, 4))], [value("y", (3, 4))], {"zero": np.zeros(4, np.float32)})


def input_is_output() -> onnx.ModelProto:
    nodes = [node("Relu", "x", "a"), node("Neg", "a", "y")]
    return model(nodes, [value("x"), value("z")], [value("z"), value("y"), value("x")])


def constant_outputs() -> onnx.ModelProto:
    """A weight and a constant chain are outputs beside a computed one."""
    nodes = [node("Relu", "x", "a"), node("Neg", "a", "y"), node("Abs", "w", "positive")]
    return model(nodes, [value("x")], [value("w"), value("y"), value("positive")], {"w": weight(1, 4)})


def no_nodes() -> onnx.ModelProto:
    return model([], [value("x")], [value("x")])


def unused_input() -> onnx.ModelProto:
    nodes = [node("Relu", "x", "a"), node("Neg", "a", "y")]
    return model(nodes, [value("x"), value("ignored")], [value("y")])


def read_twice() -> onnx.ModelProto:
    nodes = [node("Relu", "x", "a"), node("Add", "a a", "b"), node("Mul", "b a", "c"), node("Neg", "c", "y")]
    return model(nodes, [value("x")], [value("y")])


def optional_inputs() -> onnx.ModelProto:
    nodes = [node("Neg", "x", "a"), node("Clip", "a - top", "b"), node("Exp", "b", "y")]
    return model(nodes, [value("x")], [value("y")], {"top": np.array(0.5, np.float32)})


def several_outputs_of_a_node() -> onnx.ModelProto:
    """Split makes two; Dropout's mask and one node's result are never read."""
    nodes = [
        node("Dropout", "x", "dropped mask"),
        node("Split", "dropped", "left right", axis=1),
        node("Exp", "dropped", "dead"),
        node("Relu", "left", "a"),
        node("Mul", "a right", "b"),
        node("Neg", "b", "y"),
    ]
    return model(nodes, [value("x")], [value("y", (1, 2))])


def sequence_inside() -> onnx.ModelProto:
    nodes = [
        node("Relu", "x", "a"),
        node("SplitToSequence", "a", "parts", axis=1),
        node("ConcatFromSequence", "parts", "b", axis=1),
        node("Neg", "b", "y"),
    ]
    return model(nodes, [value("x")], [value("y")])


def sequence_output() -> onnx.ModelProto:
    nodes = [node("Relu", "x", "a"), node("Neg", "a", "b"), node("SplitToSequence", "b", "parts", axis=1)]
    return model(nodes, [value("x")], [helper.make_tensor_sequence_value_info("parts", FLOAT, None)])


def optional_inside() -> onnx.ModelProto:
    nodes = [
        node("Relu", "x", "a"),
        node("Optional", "a", "perhaps"),
        node("OptionalGetElement", "perhaps", "b"),
        node("Neg", "b", "y"),
    ]
    return model(nodes, [value("x")], [value("y")])


FORK = helper.make_function(
    "local",
    "Fork",
    ["a"],
    ["b", "c"],
    [node("Relu", "a", "b"), node("Neg", "a", "c")],
    [helper.make_opsetid("", OPSET)],
)


def local_function() -> onnx.ModelProto:
    nodes = [
        node("Exp", "x", "a"),
        node("Fork", "a", "b c", domain="local"),
        node("Add", "b c", "d"),
        node("Tanh", "d", "y"),
    ]
    return model(nodes, [value("x")], [value("y")], functions=[FORK])


def weights_listed_as_inputs() -> onnx.ModelProto:
    """As files of IR version 3 must."""
    made = perceptron()
    made.ir_version = 3
    made.opset_import[0].version = 9
    made.graph.input.extend([value("w1", (4, 6)), value("w2", (6, 3))])
    return made


def token_ids() -> onnx.ModelProto:
    """Embeddings by index, with a mask, as a text encoder has them; two of its axes are dynamic."""
    nodes = [
        node("Gather", "table ids", "embedded"),
        node("Cast", "mask", "weights", to=FLOAT),
        node("Unsqueeze", "weights last", "column"),
        node("Mul", "embedded column", "masked"),
        node("MatMul", "masked w", "hidden"),
        node("Relu", "hidden", "active"),
        node("ReduceMean", "active", "y", axes=[1], keepdims=0),
    ]
    ids = value("ids", ("batch", "length"), TensorProto.INT64)
    mask = value("mask", ("batch", "length"), TensorProto.BOOL)
    weights: dict[str, Array] = {"table": weight(2, 6), "w": weight(6, 6, seed=1), "last": np.array([2], np.int64)}
    return model(nodes, [ids, mask], [value("y", ("batch", 6))], weights)


def half_precision() -> onnx.ModelProto:
    nodes = [node("Add", "x w", "a"), node("Relu", "a", "b"), node("Neg", "b", "y")]
    half = TensorProto.FLOAT16
    return model(nodes, [value("x", element=half)], [value("y", element=half)], {"w": weight(1, 4).astype(np.float16)})


def integers_and_flags() -> onnx.ModelProto:
    """uint8 in, int32 inside, a flag out."""
    nodes = [node("Cast", "x", "a", to=TensorProto.INT32), node("Add", "a one", "b"), node("Greater", "b limit", "y")]
    weights: dict[str, Array] = {"one": np.array(1, np.int32), "limit": np.array(100, np.int32)}
    return model(nodes, [value("x", (2, 3), TensorProto.UINT8)], [value("y", (2, 3), TensorProto.BOOL)], weights)


def unknown_rank() -> onnx.ModelProto:
    """A reshape to a shape that only a run knows, and back."""
    nodes = [
        node("Relu", "x", "a"),
        node("Reshape", "a shape", "b"),
        node("Neg", "b", "c"),
        node("Reshape", "c back", "y"),
    ]
    inputs = [value("x"), value("shape", ("rank",), TensorProto.INT64)]
    return model(nodes, inputs, [value("y")], {"back": np.array([1, 4], np.int64)})


def sparse_weight() -> onnx.ModelProto:
    made = model(
        [node("Relu", "x", "a"), node("Add", "a w", "b"), node("Neg", "b", "y")],
        [value("x")],
        [value("y")],
        ir_version=8,
    )
    values = numpy_helper.from_array(np.array([2.0], np.float32), "w")
    indices = numpy_helper.from_array(np.array([2], np.int64), "w_indices")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1, 4]))
    return made


def quantised() -> onnx.ModelProto:
    """QuantizeLinear, an integer convolution and back, with int8 crossing."""
    weights: dict[str, Array] = {
        "scale": np.array(0.1, np.float32),
        "zero": np.array(128, np.uint8),
        "w": np.random.default_rng(0).integers(-100, 100, (2, 3, 3, 3)).astype(np.int8),
        "w_scale": np.array(0.02, np.float32),
        "w_zero": np.array(0, np.int8),
    }
    nodes = [
        node("QuantizeLinear", "x scale zero", "q"),
        node("QLinearConv", "q scale zero w w_scale w_zero scale zero", "r"),
        node("DequantizeLinear", "r scale zero", "y"),
    ]
    return model(nodes, [value("x", (1, 3, 6, 6))], [value("y", (1, 2, 4, 4))], weights)


# Models whose inputs can be generated and that run whole: verification must find nothing wrong in any of them.
ZOO: dict[str, Callable[[], onnx.ModelProto]] = {
    make.__name__: make
    for make in (
        perceptron,
        convolutions,
        dynamic_axes,
        branches,
        two_inputs_two_outputs,
        shared_weight,
        constant_chain,
        captured_by_if,
        captured_by_loop,
        captured_by_scan,
        input_is_output,
        constant_outputs,
        no_nodes,
        unused_input,
        read_twice,
        optional_inputs,
        several_outputs_of_a_node,
        sequence_inside,
        sequence_output,
        optional_inside,
        local_function,
        weights_listed_as_inputs,
        token_ids,
        half_precision,
        integers_and_flags,
        sparse_weight,
        quantised,
    )
}


def minimal_cuts(made: onnx.ModelProto, k: int) -> set[frozenset[str]]:
    """The oracle: every closed set of nodes is tried. For models without bodies, weights and constant nodes."""
    nodes = list(made.graph.node)
    inputs = {tensor.name for tensor in made.graph.input}
    outputs = {tensor.name for tensor in made.graph.output}
    useful = _useful(nodes, outputs)
    alive_sets: dict[frozenset[str], frozenset[int]] = {}
    for size in range(len(useful) + 1):
        for chosen in combinations(useful, size):
            made_inside = inputs | {name for index in chosen for name in nodes[index].output}
            if all(name in made_inside for index in chosen for name in nodes[index].input):
                wanted = outputs | {name for index in useful if index not in chosen for name in nodes[index].input}
                alive_sets[frozenset(made_inside & wanted)] = frozenset(chosen)
    if not alive_sets or not any(not chosen and alive for alive, chosen in alive_sets.items()):
        return set()
    proper = {alive for alive, chosen in alive_sets.items() if 0 < len(chosen) < len(useful) and len(alive) <= k}
    return {alive for alive in proper if not any(other and other < alive for other in alive_sets)}


def _useful(nodes: Sequence[onnx.NodeProto], outputs: set[str]) -> list[int]:
    """Indices of the nodes that lead to an output."""
    wanted = set(outputs)
    useful = []
    for index in reversed(range(len(nodes))):
        if wanted.intersection(nodes[index].output):
            wanted.update(nodes[index].input)
            useful.append(index)
    return useful[::-1]
