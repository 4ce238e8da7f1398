"""The number of ways that share no tensor, against trying every set of tensors that could close them."""

from itertools import combinations

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.models.graph import Graph
from hedgerow.models.ways import Ways
from tests.models import graphs
from tests.models.test_cuts import small_graphs


def opened(made: onnx.ModelProto) -> Graph:
    return Graph.open(made.SerializeToString())


def reaches_an_output(graph: Graph, start: set[str], closed: set[str]) -> bool:
    reached = start - closed
    for node in graph.nodes:  # in order, so one pass is enough
        if reached.intersection(node.reads):
            reached |= set(node.makes) - closed
    return bool(reached & graph.output_names)


@settings(max_examples=150, deadline=None)
@given(small_graphs(), st.data())
def test_ways_are_as_many_as_tensors_needed_to_close_them(made: onnx.ModelProto, data: st.DataObject) -> None:
    graph = opened(made)
    head = 0
    for node_index in range(len(graph.nodes)):
        if data.draw(st.booleans()):
            head |= graph.head_of([graph.nodes[node_index].makes[0]])
    start = set(graph.alive(head))
    closed = set(data.draw(st.lists(st.sampled_from(sorted(start)), max_size=1))) if start else set()
    tensors = [*start, *(name for node in graph.nodes for name in node.makes if name not in start)]
    needed = next(
        count
        for count in range(len(tensors) + 1)
        if any(not reaches_an_output(graph, start, closed | set(more)) for more in combinations(tensors, count))
    )
    ways = Ways(graph)
    for limit in range(needed + 2):
        assert ways.more_than(limit, start, closed, ()) == (needed > limit)


@pytest.mark.parametrize(("limit", "more"), [(0, True), (1, True), (2, False)])
def test_branches_are_two_ways_up_to_where_they_join(limit: int, more: bool) -> None:
    graph = opened(graphs.branches())
    assert Ways(graph).more_than(limit, ["left1", "right1"], (), ["joined"]) == more


def test_past_the_join_there_is_one_way() -> None:
    ways = Ways(opened(graphs.branches()))
    assert not ways.more_than(1, ["left1", "right1"], (), ())
    assert ways.more_than(0, ["left1", "right1"], ["left2"], ())
    assert not ways.more_than(0, ["left1"], ["left2"], ["joined"])
