"""Candidates against a brute force over every closed set of nodes, and names that stand for cuts."""

from itertools import pairwise

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.errors import UsageError
from hedgerow.models import cuts as cuts_module
from hedgerow.models.cuts import blocked_places, choose_cuts, find_cuts, head_of, named_cut
from hedgerow.models.graph import Graph
from tests.models import graphs
from tests.models.graphs import FORK, model, node, value


def opened(made: onnx.ModelProto) -> Graph:
    return Graph.open(made.SerializeToString())


def names(graph: Graph, k: int = 1) -> list[str]:
    return [cut.name for cut in find_cuts(graph, k)]


@st.composite
def small_graphs(draw: st.DrawFn) -> onnx.ModelProto:
    """Up to nine nodes over up to three inputs: any wiring, two-output functions, random sources, dead ends."""
    existing = [f"x{index}" for index in range(draw(st.integers(1, 3)))]
    inputs = [value(name) for name in existing]
    nodes = []
    for index in range(draw(st.integers(1, 9))):
        operator = draw(st.sampled_from(["Relu", "Add", "Add", "Sum", "Fork", "RandomNormal"]))
        count = {"Relu": 1, "Add": 2, "Sum": 3, "Fork": 1, "RandomNormal": 0}[operator]
        # Near tensors more often than far ones, so that chains and blocks appear beside tangles.
        recent = existing[-draw(st.integers(1, len(existing))) :]
        reads = " ".join(draw(st.sampled_from(recent)) for _ in range(count))
        makes = [f"t{index}", f"u{index}"] if operator == "Fork" else [f"t{index}"]
        if operator == "RandomNormal":
            nodes.append(node(operator, "", makes[0], shape=[1, 4]))
        else:
            nodes.append(node(operator, reads, " ".join(makes), domain="local" if operator == "Fork" else ""))
        existing += makes
    outputs = draw(st.lists(st.sampled_from(existing), min_size=1, max_size=3, unique=True))
    if draw(st.booleans()):
        outputs = [existing[-1]]
    return model(nodes, inputs, [value(name) for name in outputs], functions=[FORK])


@settings(max_examples=300, deadline=None)
@given(small_graphs(), st.integers(1, 4))
def test_candidates_are_those_of_brute_force(made: onnx.ModelProto, k: int) -> None:
    found = find_cuts(opened(made), k)
    sets = [frozenset(tensor.name for tensor in cut.tensors) for cut in found]
    assert len(sets) == len(set(sets))
    assert set(sets) == graphs.minimal_cuts(made, k)


@pytest.mark.parametrize(
    "name",
    [
        "branches",
        "read_twice",
        "two_inputs_two_outputs",
        "local_function",
        "input_is_output",
        "unused_input",
        "several_outputs_of_a_node",
    ],
)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_named_graphs_against_brute_force(name: str, k: int) -> None:
    found = {frozenset(tensor.name for tensor in cut.tensors) for cut in find_cuts(opened(graphs.ZOO[name]()), k)}
    assert found == graphs.minimal_cuts(graphs.ZOO[name](), k)


def test_cuts_are_by_depth_with_growing_work() -> None:
    found = find_cuts(opened(graphs.convolutions()))
    assert [cut.name for cut in found] == ["conv", "normal", "relu", "sum", "pool", "flat"]
    assert [cut.index for cut in found] == list(range(6))
    assert all(one.work_before < other.work_before for one, other in pairwise(found))
    assert 0 < found[0].work_before < found[-1].work_before < 1


def test_bytes_count_every_tensor_that_crosses() -> None:
    by_name = {cut.name: cut for cut in find_cuts(opened(graphs.several_outputs_of_a_node()), 2)}
    assert by_name["dropped"].bytes == 4 * 4
    assert by_name["left+right"].bytes == 2 * 4 + 2 * 4


def test_bytes_of_dynamic_axes_are_as_assumed_and_specs_keep_the_symbols() -> None:
    data = graphs.dynamic_axes().SerializeToString()
    relu = {cut.name: cut for cut in find_cuts(Graph.open(data, axes={"batch": 2, "side": 10}))}["relu"]
    assert relu.bytes == 2 * 4 * 10 * 10 * 4
    assert relu.tensors[0].shape[0] == "batch"
    default = {cut.name: cut for cut in find_cuts(Graph.open(data))}["relu"]
    assert default.bytes == 1 * 4 * 224 * 224 * 4


def test_constants_never_cross() -> None:
    assert names(opened(graphs.constant_chain()), 3) == ["a", "b", "c"]
    assert names(opened(graphs.weights_listed_as_inputs()), 3) == ["a", "b", "c"]


def test_what_a_body_captures_is_alive_until_there() -> None:
    graph = opened(graphs.captured_by_if())
    assert names(graph) == ["b", "c"]
    assert set(graph.alive(graph.head_of(["total"]))) == {"x", "early", "total"}


def test_what_cannot_be_sent_is_no_candidate_and_says_why() -> None:
    graph = opened(graphs.sequence_inside())
    assert names(graph) == ["a", "b"]
    assert blocked_places(graph) == ["tensor 'parts' is of type sequence, not a tensor"]
    assert "optional" in blocked_places(opened(graphs.optional_inside()))[0]
    assert "unknown number of axes" in blocked_places(opened(graphs.captured_by_loop()))[0]


@pytest.mark.parametrize("name", ["no_nodes", "input_is_output"])
def test_a_model_that_cannot_be_cut_has_no_candidates(name: str) -> None:
    assert names(opened(graphs.ZOO[name]()), 4) == []


def test_a_model_without_inputs_has_no_candidates() -> None:
    made = model([node("RandomNormal", "", "a", shape=[1, 4]), node("Relu", "a", "y")], [], [value("y")])
    assert names(opened(made), 2) == []


@pytest.mark.parametrize("k", [0, -1, cuts_module.TENSORS_MAX + 1])
def test_k_has_bounds(k: int) -> None:
    with pytest.raises(UsageError, match=r"1 to 8 tensors"):
        find_cuts(opened(graphs.perceptron()), k)


def test_the_search_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts_module, "STEPS_MAX", 10)
    with pytest.raises(UsageError, match="too many ways"):
        find_cuts(opened(graphs.branches()), 2)


def test_a_deep_model_is_searched_without_recursion() -> None:
    depth = 3000
    nodes = [node("Relu", f"t{index}", f"t{index + 1}") for index in range(depth)]
    graph = opened(model(nodes, [value("t0")], [value(f"t{depth}")]))
    assert len(find_cuts(graph, 2)) == depth - 1


def test_a_name_finds_any_cut_whatever_the_order_of_its_tensors() -> None:
    graph = opened(graphs.branches())
    assert named_cut(graph, "left1+right2").name == named_cut(graph, "right2+left1").name == "left1+right2"


def test_a_cut_that_is_not_minimal_may_be_named() -> None:
    graph = opened(graphs.convolutions())
    assert "relu+depthwise" not in names(graph, 2)
    assert named_cut(graph, "relu+depthwise").bytes == 2 * 4 * 8 * 8 * 4


def test_names_may_hold_the_separator() -> None:
    nodes = [node("Relu", "x", "a+b"), node("Exp", "a+b", "c+"), node("Mul", "c+ x", "y")]
    graph = opened(model(nodes, [value("x"), value("a")], [value("y")]))
    assert named_cut(graph, "x+a+b").name == "x+a+b"
    assert named_cut(graph, "x+c+").name == "x+c+"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nonsense", "no such tensor"),
        ("", "no such tensor"),
        ("left1", "'right1' must cross|'top' must cross"),
        ("x", "nothing is left on one side"),
        ("y", "nothing is left on one side"),
        ("top+joined", "is no cut"),
    ],
)
def test_a_name_that_is_no_cut_is_the_callers_fault(name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        named_cut(opened(graphs.branches()), name)


def test_naming_what_cannot_be_sent_says_why() -> None:
    with pytest.raises(UsageError, match="sequence"):
        named_cut(opened(graphs.sequence_inside()), "parts")


def test_joints_are_chosen_by_name_or_index_and_put_in_order() -> None:
    graph = opened(graphs.convolutions())
    assert [cut.name for cut in choose_cuts(graph, ["flat", 0, "relu"])] == ["conv", "relu", "flat"]
    heads = [head_of(graph, cut) for cut in choose_cuts(graph, ["sum", "conv"])]
    assert heads[0] & ~heads[1] == 0


@pytest.mark.parametrize(
    ("joints", "why"),
    [
        ([99], "no cut 99"),
        ([-1], "no cut -1"),
        (["top", "top"], "named twice"),
        (["left2+right1", "left1+right2"], "cross"),
    ],
)
def test_joints_that_do_not_fit_are_refused(joints: list[str | int], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        choose_cuts(opened(graphs.branches()), joints)
