"""Cut a model into pieces, each a valid ONNX model of its own.

Rules: a piece holds the nodes between two heads (`graph.py`), whole with their bodies, and a copy of the constants they
read: weights, and the chains of nodes that compute from weights alone. A weight that both sides read is in both;
any other is in one piece. What is alive before and after a piece and not read by it passes by: it is not in the piece.
The last piece also makes those outputs of the model that are constants.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx

from hedgerow.models.cuts import Cut, head_of
from hedgerow.models.graph import Graph, Node

IR_VERSION_MIN = 4  # from there on, weights need not be listed as inputs


@dataclass(frozen=True, slots=True)
class Piece:
    """What lies between two heads: the tensors it reads and makes, its share of the model's work, and its ONNX model.

    A piece that makes nothing (everything passes by) has no model.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    work_share: float
    model: bytes | None


def split(graph: Graph, cuts: Sequence[Cut]) -> Iterator[Piece]:
    """The pieces before, between and after the cuts, which are nested and by depth; one at a time, to save memory."""
    before = 0
    for cut in cuts:
        after = head_of(graph, cut)
        yield extract(graph, before, after)
        before = after
    yield extract(graph, before, graph.everything)


def extract(graph: Graph, before: int, after: int) -> Piece:
    """The piece that turns what is alive after head `before` into what is alive after head `after`."""
    nodes = list(graph.members(after & ~before))
    made = {name for node in nodes for name in node.makes}
    outputs = [name for name in graph.alive(after) if name in made]
    if after == graph.everything:
        outputs += [spec.name for spec in graph.outputs if graph.is_constant(spec.name)]
    read = {name for node in nodes for name in node.reads}
    inputs = graph.in_order(name for name in read - made if not graph.is_constant(name))
    work_share = sum(node.work for node in nodes) / (graph.work or 1.0)
    model = _model(graph, nodes, inputs, outputs).SerializeToString() if outputs else None
    return Piece(inputs=inputs, outputs=tuple(outputs), work_share=work_share, model=model)


def _model(graph: Graph, nodes: Sequence[Node], inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    wanted = [*outputs, *(name for node in nodes for name in node.reads)]
    chains, weights = _constants(graph, wanted)
    model = onnx.ModelProto(ir_version=max(graph.proto.ir_version, IR_VERSION_MIN))
    model.opset_import.extend(graph.proto.opset_import)
    model.functions.extend(graph.proto.functions)
    body = model.graph
    body.name = f"{graph.proto.graph.name or 'model'} (piece)"
    body.node.extend(node.proto for node in (*chains, *nodes))
    body.initializer.extend(graph.weights[name] for name in weights if name in graph.weights)
    body.sparse_initializer.extend(graph.sparse_weights[name] for name in weights if name in graph.sparse_weights)
    body.input.extend(_value(graph, name) for name in inputs)
    body.output.extend(_value(graph, name) for name in outputs)
    return model


def _constants(graph: Graph, names: Sequence[str]) -> tuple[list[Node], list[str]]:
    """Chains (in the file's order) and weights that these tensors, and those chains in turn, need."""
    weights: dict[str, None] = {}
    chains: dict[int, Node] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        node = graph.constant_nodes.get(name)
        if node is None:
            if graph.is_constant(name):
                weights[name] = None
        elif id(node) not in chains:
            chains[id(node)] = node
            waiting += node.reads
    kept = dict.fromkeys(id(node) for node in graph.constant_nodes.values())
    return [chains[key] for key in kept if key in chains], list(weights)


def _value(graph: Graph, name: str) -> onnx.ValueInfoProto:
    """The declaration of an input or output; without a type where none is known, which runtimes then infer."""
    value = onnx.ValueInfoProto(name=name)
    kind = graph.types.get(name)
    if kind is not None:
        value.type.CopyFrom(kind)
    return value
