"""Constants, captured tensors, what is alive, and what is left out."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from hedgerow.models.graph import Graph
from tests.models import graphs
from tests.models.graphs import model, node, value


def opened(made: onnx.ModelProto) -> Graph:
    return Graph.open(made.SerializeToString())


def test_inputs_and_outputs_are_in_the_files_order_without_weights() -> None:
    graph = opened(graphs.weights_listed_as_inputs())
    assert [spec.name for spec in graph.inputs] == ["x"]
    graph = opened(graphs.input_is_output())
    assert [spec.name for spec in graph.inputs] == ["x", "z"]
    assert [spec.name for spec in graph.outputs] == ["z", "y", "x"]


def test_constant_chains_are_constants() -> None:
    graph = opened(graphs.constant_chain())
    assert all(graph.is_constant(name) for name in ("shape", "half", "filled", "scale", "shift"))
    assert not any(graph.is_constant(name) for name in ("x", "a", "b", "c", "y"))
    assert [made.proto.op_type for made in graph.nodes] == ["Mul", "Relu", "Add", "Sub"]


def test_random_numbers_are_no_constant_even_inside_functions_and_bodies() -> None:
    opset = [helper.make_opsetid("", graphs.OPSET)]
    draw = helper.make_function("local", "Draw", [], ["d"], [node("RandomNormal", "", "d", shape=[1, 4])], opset)
    twice = [*opset, helper.make_opsetid("local", 1)]
    outer = helper.make_function("local", "Outer", [], ["d"], [node("Draw", "", "d", domain="local")], twice)
    body = helper.make_graph([node("RandomUniform", "", "r", shape=[1, 4])], "body", [], [value("r")])
    nodes = [
        node("Outer", "", "a", domain="local"),
        node("If", "flag", "b", then_branch=body, else_branch=body),
        node("Add", "a b", "c"),
        node("Add", "c x", "y"),
    ]
    graph = opened(model(nodes, [value("x")], [value("y")], {"flag": np.array(True)}, functions=[draw, outer]))
    assert not any(graph.is_constant(name) for name in "abc")
    assert graph.random_operators == ("Outer", "If")


def test_what_bodies_capture_is_read_and_their_own_names_are_not() -> None:
    reads = {made.makes[0]: set(made.reads) for made in opened(graphs.captured_by_if()).nodes}
    assert reads["b"] == {"flag", "early", "x", "w"}
    reads = {made.makes[0]: set(made.reads) for made in opened(graphs.captured_by_loop()).nodes}
    assert reads["a"] == {"turns", "start", "early"}
    scan = next(made for made in opened(graphs.captured_by_scan()).nodes if made.proto.op_type == "Scan")
    assert set(scan.reads) == {"zero", "rows", "gain"}


def test_a_body_that_returns_an_outer_tensor_captures_it() -> None:
    then = helper.make_graph([], "then", [], [value("a")])
    other = helper.make_graph([node("Neg", "x", "n")], "else", [], [value("n")])
    nodes = [node("Relu", "x", "a"), node("If", "flag", "y", then_branch=then, else_branch=other)]
    made = model(nodes, [value("x"), value("flag", (), onnx.TensorProto.BOOL)], [value("y")])
    graph = Graph(made, "", b"", {})  # today's checker refuses such a body, older files have them
    assert set(graph.nodes[1].reads) == {"flag", "a", "x"}


def test_what_no_output_needs_is_left_out() -> None:
    graph = opened(graphs.several_outputs_of_a_node())
    assert "dead" not in {name for made in graph.nodes for name in made.makes}
    assert graph.alive(graph.head_of(["dropped"])) == ("dropped",)


def test_alive_counts_inputs_still_needed_and_outputs_already_made() -> None:
    graph = opened(graphs.two_inputs_two_outputs())
    assert graph.alive(0) == ("x", "late_input")
    assert graph.alive(graph.head_of(["early"])) == ("late_input", "early")
    assert graph.alive(graph.head_of(["middle"])) == ("late_input", "early", "middle")
    assert graph.alive(graph.everything) == ("early", "y")
    assert opened(graphs.unused_input()).alive(0) == ("x",)


def test_work_adds_up_over_a_head_and_the_rest() -> None:
    graph = opened(graphs.convolutions())
    head = graph.head_of(["sum"])
    rest = graph.everything & ~head
    assert graph.head_work(head) + graph.head_work(rest) == pytest.approx(graph.work)


def test_an_optional_input_left_out_is_not_read() -> None:
    clip = opened(graphs.optional_inputs()).nodes[1]
    assert clip.reads == ("a", "top")


def test_the_same_file_opens_the_same_from_a_path(tmp_path: Path) -> None:
    data = graphs.convolutions().SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    assert Graph.open(path).model_id == Graph.open(data).model_id
