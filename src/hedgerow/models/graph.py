"""An ONNX model opened for cutting: what each node reads and makes, and which tensors are alive where.

Rules:
- A node with a body (If, Loop, Scan) is one piece; the outer tensors that its body captures are among what it reads.
- Weights, and what is computed from weights alone (constant chains), are constants: never alive at a cut, copied to
  the side that reads them. A node that draws random numbers is no constant.
- Nodes from which no output can be reached are left out.
- A *head* is a set of nodes closed under "whoever made what I read", as a bit mask over `nodes`. Alive after a head
  are the tensors that exist by then (model inputs, or made in the head) and are still needed (read by a node outside
  the head, or an output of the model).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from hedgerow.errors import UsageError
from hedgerow.models.reading import read_model
from hedgerow.models.shapes import TensorFact, assumed_axes, dynamic_inputs, infer_facts, type_axes
from hedgerow.models.tensors import TensorSpec
from hedgerow.models.work import node_work

_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}


@dataclass(frozen=True, slots=True)
class Node:
    """One node outside bodies: the distinct tensors it reads (captured ones too) and makes, and its estimated work."""

    proto: onnx.NodeProto
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    work: float


class Graph:
    """A checked model with inferred shapes. Built once by `open`, then only read."""

    def __init__(self, proto: onnx.ModelProto, model_id: str, whole: bytes, axes: Mapping[str, int]) -> None:
        self.proto = proto
        self.model_id = model_id
        self.whole = whole
        self.facts, self.types = infer_facts(proto, axes)
        self.assumed_axes = _sizes(proto, self.facts, axes)
        self.weights = {tensor.name: tensor for tensor in proto.graph.initializer}
        self.sparse_weights = {tensor.values.name: tensor for tensor in proto.graph.sparse_initializer}
        self.inputs = tuple(self.facts[value.name].spec for value in dynamic_inputs(proto))
        self.outputs = tuple(self._output_spec(value.name) for value in proto.graph.output)
        self.constant_nodes: dict[str, Node] = {}
        self.random_operators: tuple[str, ...] = ()
        self.nodes = self._order()
        self._link()

    @classmethod
    def open(cls, source: str | Path | bytes, *, axes: Mapping[str, int] | None = None) -> "Graph":
        """Read, check and infer; `axes` gives symbolic axes the sizes used for bytes and work.

        Raises as `read_model`, and UsageError for an axis that no tensor has.
        """
        file = read_model(source)
        return cls(file.proto, file.model_id, file.whole, axes or {})

    @property
    def everything(self) -> int:
        """The head that holds every node."""
        return (1 << len(self.nodes)) - 1

    @property
    def work(self) -> float:
        """Estimated multiply-adds of the whole model."""
        return sum(node.work for node in self.nodes)

    def spec(self, name: str) -> TensorSpec:
        """The spec of a tensor that is not a weight."""
        return self._fact(name).spec

    def obstacle(self, name: str) -> str:
        """Why the tensor cannot be sent from one piece to the next; "" if it can."""
        return self._fact(name).obstacle

    def assumed_bytes(self, name: str) -> int:
        """Bytes of the tensor, dynamic axes as assumed."""
        return self._fact(name).assumed_bytes

    def knows(self, name: str) -> bool:
        """Whether `name` can be alive: a model input, or made by a node."""
        return name in self._position

    def head_of(self, names: Iterable[str]) -> int:
        """The smallest head in which every one of these tensors exists."""
        head = 0
        for name in names:
            maker = self._maker.get(name)
            if maker is not None:
                head |= self._ancestors[maker]
        return head

    def head_that_reads(self, name: str) -> int:
        """The smallest head with every reader of the tensor in it."""
        return self._absorbed[name]

    def is_alive(self, name: str, head: int) -> bool:
        """Whether the tensor, made in `head` or a model input, is still needed after it."""
        return name in self.output_names or bool(self._readers[name] & ~head)

    def alive(self, head: int) -> tuple[str, ...]:
        """Names alive after the head: model inputs in file order, then in the order they are made."""
        existing = (*(spec.name for spec in self.inputs), *(name for node in self.members(head) for name in node.makes))
        return tuple(name for name in existing if self.is_alive(name, head))

    def in_order(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names in the order of `alive`."""
        return tuple(sorted(names, key=self._position.__getitem__))

    def first(self, names: Iterable[str]) -> str:
        """The first of the names in the order of `alive`."""
        return min(names, key=self._position.__getitem__)

    def members(self, head: int) -> Iterator[Node]:
        """The nodes of a mask, in the file's order."""
        while head:
            lowest = head & -head
            yield self.nodes[lowest.bit_length() - 1]
            head ^= lowest

    def head_work(self, head: int) -> float:
        """Estimated multiply-adds of the nodes of a mask."""
        return sum(node.work for node in self.members(head))

    def is_constant(self, name: str) -> bool:
        """A weight, or computed from weights alone."""
        return name in self.weights or name in self.sparse_weights or name in self.constant_nodes

    def _fact(self, name: str) -> TensorFact:
        fact = self.facts.get(name)
        return fact or TensorFact(TensorSpec(name, "object", ()), None, "has an unknown type")

    def _output_spec(self, name: str) -> TensorSpec:
        return self._fact(name).spec

    def _shape(self, name: str) -> tuple[int, ...] | None:
        tensor = self.weights.get(name)
        if tensor is not None:
            return tuple(tensor.dims)
        fact = self.facts.get(name)
        return fact.assumed_shape if fact else None

    def _order(self) -> tuple[Node, ...]:
        """Tell constants from the rest, and drop what no output needs."""
        dynamic: list[Node] = []
        random_functions = _random_functions(self.proto)
        drawn: list[str] = []
        for proto in self.proto.graph.node:
            reads = tuple(dict.fromkeys((*(name for name in proto.input if name), *_captured(proto))))
            node = Node(proto, reads, tuple(name for name in proto.output if name), node_work(proto, self._shape))
            is_random = _draws(proto, random_functions)
            if is_random:
                drawn.append(proto.op_type)
            if is_random or not all(self.is_constant(name) for name in reads):
                dynamic.append(node)
            else:
                self.constant_nodes |= dict.fromkeys(node.makes, node)
        self.random_operators = tuple(dict.fromkeys(drawn))
        needed = {value.name for value in self.proto.graph.output}
        kept: list[Node] = []
        for node in reversed(dynamic):
            if needed.intersection(node.makes):
                needed.update(node.reads)
                kept.append(node)
        return tuple(reversed(kept))

    def _link(self) -> None:
        """Who makes and reads each tensor, and what lies above each node, as masks."""
        self.output_names = frozenset(value.name for value in self.proto.graph.output)
        names = [spec.name for spec in self.inputs] + [name for node in self.nodes for name in node.makes]
        self._position = {name: position for position, name in enumerate(names)}
        self._maker = {name: index for index, node in enumerate(self.nodes) for name in node.makes}
        self._readers = dict.fromkeys(names, 0)
        self._absorbed = dict.fromkeys(names, 0)
        self._ancestors: list[int] = []
        for index, node in enumerate(self.nodes):
            above = self.head_of(node.reads) | 1 << index
            self._ancestors.append(above)
            for name in node.reads:
                if name in self._readers:
                    self._readers[name] |= 1 << index
                    self._absorbed[name] |= above


def _sizes(proto: onnx.ModelProto, facts: Mapping[str, TensorFact], axes: Mapping[str, int]) -> dict[str, int]:
    """The size of each symbolic axis of the inputs, given or else assumed; UsageError for one that no tensor has."""
    assumed = assumed_axes((value.name, type_axes(value.type)) for value in dynamic_inputs(proto))
    known = {axis for fact in facts.values() for axis in fact.spec.shape} | assumed.keys()
    for name in axes:
        if name not in known:
            raise UsageError(f"no dynamic axis '{name}'; there are: {', '.join(assumed) or 'none'}")
    return assumed | dict(axes)


def _captured(node: onnx.NodeProto) -> Iterator[str]:
    """Outer tensors that the node's bodies read."""
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            yield from _free_names(body)


def _free_names(body: onnx.GraphProto) -> Iterator[str]:
    """Names that a body uses and does not define: read by its nodes, its nodes' bodies, or returned as they are."""
    own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
    own |= {tensor.values.name for tensor in body.sparse_initializer}
    own |= {name for node in body.node for name in node.output}
    used = [name for node in body.node for name in (*node.input, *_captured(node))]
    used += [value.name for value in body.output]
    yield from (name for name in used if name and name not in own)


def _draws(node: onnx.NodeProto, random_functions: set[tuple[str, str]]) -> bool:
    """Whether the node, or one in its bodies, draws random numbers."""
    if node.op_type in _RANDOM and node.domain in ("", "ai.onnx"):
        return True
    if (node.domain, node.op_type) in random_functions:
        return True
    bodies = (body for attribute in node.attribute for body in (attribute.g, *attribute.graphs))
    return any(_draws(inner, random_functions) for body in bodies for inner in body.node)


def _random_functions(proto: onnx.ModelProto) -> set[tuple[str, str]]:
    """Functions of the model that draw random numbers, directly or through another."""
    found: set[tuple[str, str]] = set()
    while True:
        more = {
            (function.domain, function.name)
            for function in proto.functions
            if any(_draws(node, found) for node in function.node)
        }
        if more == found:
            return found
        found = more
