"""What a task must know of a model file before the model is opened: identity, inputs, outputs, joints; read once per file."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hedgerow.errors import UsageError
from hedgerow.models.cuts import choose_cuts
from hedgerow.models.graph import Graph
from hedgerow.models.tensors import TensorSpec


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """SHA-256 (hex) of the model's bytes, and its own inputs and outputs in file order."""

    model_id: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def model_facts(path: Path) -> ModelFacts:
    """Facts of the model at `path`, remembered until the file's size or modification time changes.

    Errors: UsageError (no such file, not an ONNX model), HostError (unreadable), EngineError (an invalid graph).
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(f"cannot read the model {path}: {error.strerror or error}") from error
    return _read(str(path.absolute()), status.st_mtime_ns, status.st_size)


def joint_facts(path: Path, joints: tuple[str, ...]) -> tuple[tuple[str, tuple[TensorSpec, ...]], ...]:
    """(name, tensors alive there) of each of these joints, by depth; remembered likewise. Errors: also UsageError for no cut."""
    status = path.stat()
    return _joints(str(path.absolute()), joints, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _joints(
    path: str, joints: tuple[str, ...], _mtime_ns: int, _size_bytes: int
) -> tuple[tuple[str, tuple[TensorSpec, ...]], ...]:
    return tuple((cut.name, cut.tensors) for cut in choose_cuts(Graph.open(path), joints))


@lru_cache(maxsize=256)
def _read(path: str, _mtime_ns: int, _size_bytes: int) -> ModelFacts:
    graph = Graph.open(path)
    return ModelFacts(graph.model_id, graph.inputs, graph.outputs)
