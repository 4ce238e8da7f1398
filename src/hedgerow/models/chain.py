"""A model opened for life: a chain of segments that can be started and left at any joint.

Segment 0 is the preparation (identity for a model used alone), segments 1..n are the pieces between the kept cuts.
Joint i lies after segment i: joint 0 is the prepared input, joint n the outputs. Device and cloud open the same file
with the same joints; `chain_id` tells whether they did.

Rules: each weight is held once (unless two segments read it); the file is not kept in memory beside the segments; a
chain may run in several threads at once; `cancel` ends every run in flight and spoils none that starts later.

A branch (`open_branch`) is another chain that shares the first segments of a trunk's, the loaded programs themselves, and goes
on with a file of its own: an exit, or a bottleneck with all that follows it. Closing one of them leaves the other whole.
"""

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from hedgerow.errors import EngineError, UsageError
from hedgerow.models.cuts import Cut, choose_cuts
from hedgerow.models.engines import Call, Cancelled, Engine, Program, get_engine
from hedgerow.models.graph import Graph
from hedgerow.models.shapes import assumed_axes, assumed_shape
from hedgerow.models.split import Piece, extract, split
from hedgerow.models.tensors import Tensors, TensorSpec


class Preparing(Protocol):
    """What a chain needs of a model's preparation: raw sample to the model's inputs, versioned."""

    @property
    def version_id(self) -> str:
        """Changes whenever the same sample would be prepared differently."""

    @property
    def input_spec(self) -> tuple[TensorSpec, ...]:
        """The raw sample."""

    def prepare(self, tensors: Tensors) -> Tensors:
        """The model's inputs."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: what it reads and makes (what passes by is in neither) and its estimated share of work (0..1)."""

    index: int
    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    work_share: float


@dataclass(frozen=True, slots=True)
class Run:
    """What is alive after segment `last`, the last one that ran; after segment n these are the model's outputs."""

    tensors: Tensors
    last: int


@dataclass(frozen=True, slots=True)
class _Step:
    """A loaded piece: what it is fed, what passes by, and the names alive after it, in the joint's order."""

    program: Program | None
    reads: tuple[str, ...]
    alive: tuple[str, ...]

    def run(self, tensors: Tensors, call: Call) -> Tensors:
        if self.program is None:
            return {name: tensors[name] for name in self.alive}
        made = self.program.run({name: tensors[name] for name in self.reads}, call)
        return {name: made[name] if name in made else tensors[name] for name in self.alive}


@dataclass(frozen=True, slots=True)
class Stem:
    """What a branch takes over of its trunk: the loaded segments up to a joint, and what they compute (multiply-adds)."""

    chain_id: str  # of the whole trunk
    model_id: str
    inputs: tuple[TensorSpec, ...]
    joints: tuple[tuple[TensorSpec, ...], ...]
    steps: tuple[_Step, ...]
    segments: tuple[Segment, ...]
    work: float

    def rescaled(self, work: float) -> list[Segment]:
        """Its segments, with their shares of so much work in all."""
        own = sum(segment.work_share for segment in self.segments)
        factor = self.work / (work * own) if work and own else 0.0
        return [replace(segment, work_share=segment.work_share * factor) for segment in self.segments]

    @property
    def agreed(self) -> list[object]:
        """What both sides must agree on beside the branch itself."""
        return [self.model_id, [segment.name for segment in self.segments[1:]]]


class Chain:
    """See the module's docstring. Made by `open`; a context manager that closes itself."""

    def __init__(
        self,
        graph: Graph,
        cuts: Sequence[Cut],
        pieces: Iterable[Piece] | None = None,
        *,
        preparation: Preparing | None = None,
        threads: int = 1,
        engine: Engine | None = None,
        stem: "Stem | None" = None,
    ) -> None:
        self._engine = engine or get_engine("onnxruntime")
        self._preparation = preparation
        self.model_id = graph.model_id
        self.chain_id = _chain_id(graph.model_id, cuts, preparation, stem)
        self.outputs = graph.outputs
        self.inputs = preparation.input_spec if preparation else stem.inputs if stem else graph.inputs
        before = stem.joints if stem else (graph.inputs,)
        self._trunk = stem.chain_id if stem else ""
        self._joints = (*before, *(cut.tensors for cut in cuts), graph.outputs)
        self.shared = len(before) - 1 if stem else -1  # the last segment that is the trunk's; -1: none is
        self.work = (stem.work if stem else 0.0) + graph.work  # estimated multiply-adds of the whole chain
        steps = list(stem.steps) if stem else []
        segments = stem.rescaled(self.work) if stem else [Segment(0, "preparation", self.inputs, graph.inputs, 0.0)]
        for index, piece in enumerate(pieces if pieces is not None else _pieces(graph, cuts)):
            program = self._engine.load(piece.model, threads=threads) if piece.model is not None else None
            alive = tuple(spec.name for spec in self._joints[len(before) + index])
            steps.append(_Step(program, piece.inputs, alive))
            name = cuts[index].name if index < len(cuts) else "outputs"
            reads, makes = (tuple(graph.spec(each) for each in names) for names in (piece.inputs, piece.outputs))
            share = piece.work_share * graph.work / (self.work or 1.0) if stem else piece.work_share
            segments.append(Segment(len(segments), name, reads, makes, share))
        self.segments = tuple(segments)
        self._steps = tuple(steps)
        self._lock = threading.Lock()
        self._calls: set[Call] = set()

    @classmethod
    def open(
        cls,
        source: str | Path | bytes,
        *,
        joints: Sequence[str | int] = (),
        preparation: Preparing | None = None,
        threads: int = 1,
        engine: str = "onnxruntime",
    ) -> Self:
        """Open a model file (or its bytes), keeping these candidate cuts, by name or index, as joints.

        UsageError for a wrong file, joint or setting; EngineError if the model is invalid or does not load.
        """
        graph = Graph.open(source)
        loaded = get_engine(engine)
        return cls(graph, choose_cuts(graph, joints), preparation=preparation, threads=threads, engine=loaded)

    @classmethod
    def open_branch(
        cls,
        source: str | Path | bytes,
        trunk: "Chain",
        after: str,
        *,
        joints: Sequence[str | int] = (),
        threads: int = 1,
    ) -> Self:
        """Open a file that goes on from what is alive in `trunk` after its joint `after`, with joints of its own.

        UsageError where the trunk has no such joint, or the file takes something else than what is alive there.
        """
        graph = Graph.open(source)
        stem = trunk.stem(after)
        check_branch(graph.inputs, stem.joints[-1], after)
        cuts = choose_cuts(graph, joints)
        return cls(graph, cuts, preparation=trunk._preparation, threads=threads, engine=trunk._engine, stem=stem)

    def stem(self, after: str) -> "Stem":
        """The first segments, up to and including joint `after` (its tensors' names, in any order); UsageError if it is none."""
        names = [segment.name for segment in self.segments[1:-1]]
        found = [index for index, name in enumerate(names, start=1) if set(name.split("+")) == set(after.split("+"))]
        if not found or not self._steps:
            raise UsageError(f"the trunk keeps no joint '{after}'; it keeps {', '.join(names) or 'none'}")
        last = found[0]
        done = self.segments[: last + 1]
        work = self.work * sum(segment.work_share for segment in done)
        parts = (self._joints[: last + 1], self._steps[:last], done)
        return Stem(self.chain_id, self.model_id, self.inputs, *parts, work)

    def shares(self, trunk: "Chain") -> bool:
        """Whether this is a branch of that chain."""
        return self._trunk == trunk.chain_id

    def joint(self, index: int) -> tuple[TensorSpec, ...]:
        """The tensors alive after segment `index`, 0..n."""
        if not 0 <= index < len(self._joints):
            raise UsageError(f"no joint {index}: this chain has joints 0 to {len(self._joints) - 1}")
        return self._joints[index]

    def run(
        self,
        tensors: Tensors,
        first: int = 0,
        last: int | None = None,
        *,
        should_stop: Callable[[], bool] | None = None,
        segment_done: Callable[[int, int], None] | None = None,
    ) -> Run:
        """Run segments first..last (both included; all by default) on what is alive before `first`.

        `segment_done(index, duration_ns)` is told of each segment; `should_stop()` is asked between two, and if it
        says so `Run.last` is less than asked. UsageError for tensors or segments that do not fit, EngineError if the
        model fails, Cancelled (an EngineError) after `cancel`.
        """
        steps = self._steps  # a closed chain lets go of its own reference, not of this one
        last = len(self._joints) - 1 if last is None else last
        self._check(tensors, first, last)
        call = self._engine.call()
        with self._lock:
            self._calls.add(call)
        try:
            for index in range(first, last + 1):
                started_ns = time.perf_counter_ns()
                tensors = steps[index - 1].run(tensors, call) if index else self._prepare(tensors)
                if call.cancelled:
                    raise Cancelled("the run was cancelled")
                if segment_done is not None:
                    segment_done(index, time.perf_counter_ns() - started_ns)
                if should_stop is not None and index < last and should_stop():
                    return Run(tensors, index)
            return Run(tensors, last)
        finally:
            with self._lock:
                self._calls.discard(call)

    def cancel(self) -> None:
        """End every run in flight soon, from any thread; each raises Cancelled. Without one, nothing happens."""
        with self._lock:
            for call in self._calls:
                call.cancel()

    def warm_up(self) -> None:
        """Run the pieces once on zeros, dynamic axes as assumed, so that the first real run finds memory in place.

        A kindness, not a check: inputs that no rule can make (strings) or that the model refuses are passed over.
        """
        specs = self._joints[0]
        if any(spec.dtype == "object" for spec in specs):
            return
        assumed = assumed_axes((spec.name, spec.shape) for spec in specs)
        zeros = {spec.name: np.zeros(assumed_shape(spec.shape, assumed), spec.dtype) for spec in specs}
        with contextlib.suppress(EngineError):
            self.run(zeros, first=1)

    def close(self) -> None:
        """Cancel what runs and let go of the segments; running afterwards is a UsageError."""
        self._steps = ()
        self.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, tensors: Tensors) -> Tensors:
        return self._preparation.prepare(tensors) if self._preparation else dict(tensors)

    def _check(self, tensors: Tensors, first: int, last: int) -> None:
        """Raise UsageError unless the segments exist and the tensors are what is alive before the first one."""
        if not self._steps:
            raise UsageError("this chain is closed; open it again")
        if not 0 <= first <= last < len(self._joints):
            raise UsageError(
                f"cannot run segments {first} to {last}: this chain has segments 0 to {len(self._joints) - 1}"
            )
        expected = self._joints[first - 1] if first else self.inputs
        for spec in expected:
            if spec.name not in tensors:
                raise UsageError(f"tensor '{spec.name}' is missing before segment {first}")
            if spec.dtype != "object":
                spec.check(tensors[spec.name])
        if len(tensors) != len(expected):
            unknown = sorted(set(tensors) - {spec.name for spec in expected})
            raise UsageError(f"tensor '{unknown[0]}' is not alive before segment {first}")


def _pieces(graph: Graph, cuts: Sequence[Cut]) -> Iterable[Piece]:
    """Without cuts the file itself, as it is; with cuts a piece for each segment."""
    if cuts:
        return split(graph, cuts)
    whole = extract(graph, 0, graph.everything)
    inputs = tuple(spec.name for spec in graph.inputs)
    return [Piece(inputs, tuple(spec.name for spec in graph.outputs), whole.work_share, graph.whole)]


def check_branch(takes: Sequence[TensorSpec], alive: Sequence[TensorSpec], after: str) -> None:
    """UsageError unless what a branch's file takes is what is alive after its trunk's joint `after`, exactly."""
    there = {spec.name: spec for spec in alive}
    if {spec.name for spec in takes} != there.keys():
        raise UsageError(f"it takes {_listing(takes)}, but after '{after}' the trunk has {_listing(alive)}")
    for spec in takes:
        if not alike(spec, there[spec.name]):
            raise UsageError(f"it takes {_listing([spec])}, but after '{after}' that is {_listing([there[spec.name]])}")


def alike(one: TensorSpec, other: TensorSpec) -> bool:
    """Equal dtype and rank, and no axis of two different fixed sizes."""
    fixed = [(a, b) for a, b in zip(one.shape, other.shape, strict=False) if isinstance(a, int) and isinstance(b, int)]
    return one.dtype == other.dtype and len(one.shape) == len(other.shape) and all(a == b for a, b in fixed)


def _listing(specs: Sequence[TensorSpec]) -> str:
    def shape(spec: TensorSpec) -> str:
        return ", ".join("?" if axis is None else str(axis) for axis in spec.shape)

    return ", ".join(f"'{spec.name}' {spec.dtype} ({shape(spec)})" for spec in specs) or "nothing"


def _chain_id(model_id: str, cuts: Sequence[Cut], preparation: Preparing | None, stem: Stem | None = None) -> str:
    """SHA-256 over what both sides must agree on."""
    agreed: list[object] = [model_id, [cut.name for cut in cuts], preparation.version_id if preparation else ""]
    agreed += stem.agreed if stem else []
    return hashlib.sha256(json.dumps(agreed).encode()).hexdigest()
