"""Declared and assumed shapes, against what ONNX Runtime makes of real inputs."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hedgerow.errors import EngineError
from hedgerow.models.chain import Chain
from hedgerow.models.engines import get_engine
from hedgerow.models.reading import read_model
from hedgerow.models.samples import generate_inputs
from hedgerow.models.shapes import (
    WEIGHT_ELEMENTS_KEPT_MAX,
    TensorFact,
    assumed_axes,
    assumed_shape,
    dynamic_inputs,
    infer_facts,
)
from tests.models import graphs
from tests.models.graphs import ZOO, model, node, value


def facts_of(made: onnx.ModelProto, axes: dict[str, int] | None = None) -> dict[str, TensorFact]:
    return infer_facts(made, axes or {})[0]


# Left out: nothing is made inside, or a length that depends on values (an unknown axis counts as one).
@pytest.mark.parametrize("name", sorted(set(ZOO) - {"no_nodes", "sequence_inside"}))
def test_assumed_shapes_and_types_are_those_of_a_run(name: str) -> None:
    made = ZOO[name]()
    facts = facts_of(made)
    known = [fact for fact in facts.values() if not fact.obstacle and fact.assumed_shape is not None]
    made_inside = {output for each in made.graph.node for output in each.output}
    wanted = [fact.spec.name for fact in known if fact.spec.name in made_inside]
    inputs = generate_inputs([facts[tensor.name].spec for tensor in dynamic_inputs(made)])
    probe = onnx.ModelProto()
    probe.CopyFrom(made)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in wanted)
    engine = get_engine("onnxruntime")
    arrays = engine.load(probe.SerializeToString(), threads=1).run(inputs, engine.call())
    for tensor, array in arrays.items():
        facts[tensor].spec.check(array)
        assert facts[tensor].assumed_shape == array.shape
        assert facts[tensor].assumed_bytes == array.nbytes


def test_symbols_stay_and_numbers_are_assumed() -> None:
    fact = facts_of(graphs.dynamic_axes(), {"side": 32})["relu"]
    assert fact.spec.shape[:2] == ("batch", 4)
    assert not any(isinstance(axis, int) for axis in fact.spec.shape[2:])
    assert fact.assumed_shape == (1, 4, 32, 32)


def test_defaults_depend_on_the_axis_and_one_symbol_has_one_size() -> None:
    shapes = [("image", ("n", 3, "h", "w")), ("ids", ("n", "length")), ("h_again", ("x", "h"))]
    assert assumed_axes(shapes) == {"n": 1, "h": 224, "w": 224, "length": 16, "x": 1}
    assert assumed_shape(("n", None, "length"), {"length": 5}) == (1, 16, 5)


def test_weights_too_large_to_be_shapes_are_not_needed_for_inference() -> None:
    side = WEIGHT_ELEMENTS_KEPT_MAX
    made = model(
        [node("MatMul", "x w", "a"), node("Reshape", "a shape", "y")],
        [value("x", (2, side))],
        [value("y", None)],
        {"w": np.zeros((side, 6), np.float32), "shape": np.array([3, 4], np.int64)},
    )
    assert facts_of(made)["y"].spec.shape == (3, 4)


@pytest.mark.parametrize(
    ("kind", "obstacle"),
    [
        (helper.make_tensor_type_proto(TensorProto.STRING, [1]), "strings"),
        (helper.make_tensor_type_proto(TensorProto.BFLOAT16, [1]), "bfloat16"),
        (helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [1])), "sequence"),
        (helper.make_tensor_type_proto(TensorProto.FLOAT, None), "number of axes"),
    ],
)
def test_what_cannot_be_sent_says_why(kind: onnx.TypeProto, obstacle: str) -> None:
    tensor = helper.make_value_info("x", kind)
    fact = facts_of(model([node("Identity", "x", "y")], [tensor], [helper.make_value_info("y", kind)]))["x"]
    assert obstacle in fact.obstacle
    assert fact.spec.static_bytes() >= 0


def test_the_runtime_is_asked_about_operators_that_only_it_knows() -> None:
    nodes = [node("Relu", "x", "a"), node("Gelu", "a", "b", domain="com.microsoft"), node("Neg", "b", "y")]
    made = model(nodes, [value("x", ("batch", 4))], [value("y", ("batch", 4))])
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    fact = facts_of(read_model(made.SerializeToString()).proto)["b"]
    assert (fact.spec.dtype, fact.spec.shape, fact.obstacle) == ("float32", ("batch", 4), "")


def test_an_operator_that_nobody_knows_has_no_type() -> None:
    nodes = [node("Mystery", "x", "a", domain="custom"), node("Neg", "a", "y")]
    facts = facts_of(model(nodes, [value("x")], [value("y")]))
    assert "a" not in facts or facts["a"].obstacle


def test_shapes_that_contradict_are_refused_or_left_to_the_runtime() -> None:
    made = model([node("MatMul", "x w", "y")], [value("x", (1, 4))], [value("y")], {"w": graphs.weight(5, 6)})
    with pytest.raises(EngineError):
        Chain.open(made.SerializeToString())
