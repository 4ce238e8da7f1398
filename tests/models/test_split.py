"""Every piece is a valid model; weights go where they are read; head + tail gives what the whole gives."""

from itertools import combinations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings

from hedgerow.models.chain import Chain
from hedgerow.models.cuts import Cut, find_cuts, head_of
from hedgerow.models.graph import Graph
from hedgerow.models.samples import generate_inputs
from hedgerow.models.split import Piece, extract, split
from tests.models import graphs
from tests.models.graphs import ZOO
from tests.models.test_cuts import small_graphs


def opened(made: onnx.ModelProto) -> Graph:
    return Graph.open(made.SerializeToString())


def parsed(piece: Piece) -> onnx.GraphProto:
    assert piece.model is not None
    made = onnx.load_model_from_string(piece.model)
    onnx.checker.check_model(made)
    return made.graph


def nested(graph: Graph, k: int) -> list[Cut]:
    """As many of the candidates as can be kept together."""
    kept: list[Cut] = []
    for cut in find_cuts(graph, k):
        if not kept or not head_of(graph, kept[-1]) & ~head_of(graph, cut):
            kept.append(cut)
    return kept


@pytest.mark.parametrize("name", sorted(ZOO))
def test_pieces_are_valid_and_their_work_adds_up(name: str) -> None:
    graph = opened(ZOO[name]())
    pieces = list(split(graph, nested(graph, 3)))
    for piece in pieces:
        if piece.model is not None:
            body = parsed(piece)
            assert tuple(tensor.name for tensor in body.input) == piece.inputs
            assert tuple(tensor.name for tensor in body.output) == piece.outputs
    assert sum(piece.work_share for piece in pieces) == pytest.approx(1.0 if graph.nodes else 0.0)


@pytest.mark.parametrize("name", sorted(set(ZOO) - {"sequence_output"}))
def test_every_stretch_between_two_cuts_gives_what_the_whole_gives(name: str) -> None:
    graph = opened(ZOO[name]())
    inputs = generate_inputs(graph.inputs)
    with Chain(graph, ()) as chain:
        whole = chain.run(inputs).tensors
    cuts = nested(graph, 3)
    for count in (1, 2, len(cuts)):
        for chosen in list(combinations(cuts, count))[:20]:
            with Chain(graph, chosen) as chain:
                pieced = chain.run(inputs).tensors
            assert list(pieced) == list(whole)
            for output, array in whole.items():
                graphs.assert_close(pieced[output], array)


@settings(max_examples=40, deadline=None)
@given(small_graphs())
def test_any_graph_of_any_wiring_splits_bit_equal(made: onnx.ModelProto) -> None:
    graph = opened(made)
    if graph.random_operators:
        return
    inputs = generate_inputs(graph.inputs)
    with Chain(graph, ()) as chain:
        whole = chain.run(inputs).tensors
    for cut in find_cuts(graph, 3)[:6]:
        with Chain(graph, (cut,)) as chain:
            pieced = chain.run(inputs).tensors
        for name, array in whole.items():
            np.testing.assert_array_equal(pieced[name], array)


def test_a_weight_is_held_by_those_that_read_it_alone() -> None:
    graph = opened(graphs.perceptron())
    held = [[tensor.name for tensor in parsed(piece).initializer] for piece in split(graph, find_cuts(graph))]
    assert held == [["w1"], [], ["w2"], []]
    graph = opened(graphs.shared_weight())
    held = [[tensor.name for tensor in parsed(piece).initializer] for piece in split(graph, find_cuts(graph))]
    assert held == [["w"], [], ["w"]]


def test_a_constant_chain_is_copied_to_the_sides_that_read_it() -> None:
    graph = opened(graphs.constant_chain())
    pieces = [parsed(piece) for piece in split(graph, find_cuts(graph))]
    operators = [[each.op_type for each in piece.node] for piece in pieces]
    assert operators == [
        ["ConstantOfShape", "Mul", "Mul"],
        ["Relu"],
        ["Constant", "Add"],
        ["ConstantOfShape", "Mul", "Sub"],
    ]


def test_outputs_that_are_constants_are_made_by_the_last_piece() -> None:
    graph = opened(graphs.constant_outputs())
    pieces = list(split(graph, find_cuts(graph)))
    assert [set(piece.outputs) for piece in pieces] == [{"a"}, {"y", "w", "positive"}]


def test_what_passes_by_is_not_in_the_piece() -> None:
    graph = opened(graphs.two_inputs_two_outputs())
    pieces = list(split(graph, find_cuts(graph, 2)))
    assert [(piece.inputs, piece.outputs) for piece in pieces] == [
        (("x",), ("early",)),
        (("late_input", "early"), ("mixed",)),
        (("mixed",), ("y",)),
    ]


def test_a_piece_that_makes_nothing_has_no_model() -> None:
    graph = opened(graphs.no_nodes())
    assert extract(graph, 0, graph.everything) == Piece((), (), 0.0, None)


def test_bodies_functions_and_old_files_keep_what_they_need() -> None:
    graph = opened(graphs.local_function())
    assert all(onnx.load_model_from_string(piece.model or b"").functions for piece in split(graph, find_cuts(graph)))
    graph = opened(graphs.weights_listed_as_inputs())
    assert onnx.load_model_from_string(extract(graph, 0, graph.everything).model or b"").ir_version == 4
