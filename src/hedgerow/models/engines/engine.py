"""What a runtime must offer to run a segment: the one seam between a chain and ONNX Runtime, LiteRT or another.

Rules: one file per engine in this package, and only that file imports the runtime, when it is asked for. An engine
raises EngineError (one line) and nothing of its own. A cancelled call never spoils the program: the next one runs.
"""

import importlib
from typing import Protocol

from hedgerow.errors import EngineError, UsageError
from hedgerow.models.tensors import Tensors, TensorSpec

ENGINES = {"onnxruntime": "hedgerow.models.engines.onnxruntime_engine"}


class Cancelled(EngineError):
    """The run was cancelled by `cancel()`; the program stays usable."""


class Call(Protocol):
    """One run through one or more programs; `cancel` may come from any thread and holds for the rest of the run."""

    @property
    def cancelled(self) -> bool:
        """True once `cancel` was called."""

    def cancel(self) -> None:
        """End the running program soon and let no further one start within this call."""


class Program(Protocol):
    """A loaded piece of a model; safe to run from several threads at once."""

    outputs: tuple[str, ...]

    def run(self, tensors: Tensors, call: Call) -> Tensors:
        """Take exactly the piece's inputs, return its outputs in order; raise EngineError, or Cancelled."""


class Engine(Protocol):
    """Loads pieces of models and makes the calls that run them."""

    name: str
    version: str

    def load(self, model: bytes, *, threads: int) -> Program:
        """Load a serialised model that computes with `threads` threads; raise EngineError if it cannot."""

    def call(self) -> Call:
        """A fresh call, for one run."""

    def describe(self, model: bytes) -> tuple[TensorSpec, ...]:
        """Outputs of known type and rank as the runtime infers them, operators of its own included; may load slowly."""


def get_engine(name: str) -> Engine:
    """The engine of that name; UsageError for an unknown one, HostError where its runtime is not installed."""
    module_name = ENGINES.get(name)
    if module_name is None:
        raise UsageError(f"no engine '{name}'; choose one of: {', '.join(sorted(ENGINES))}")
    engine: Engine = importlib.import_module(module_name).engine()
    return engine
