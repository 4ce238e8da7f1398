"""Models: opened, cut, split, prepared, fetched and verified.

The names below are imported when first used: who needs only `hedgerow.models.tensors` does not wait for ONNX.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hedgerow.models.chain import Chain, Run, Segment
    from hedgerow.models.cuts import Cut, find_cuts
    from hedgerow.models.engines import Cancelled
    from hedgerow.models.frames import load_frame
    from hedgerow.models.graph import Graph
    from hedgerow.models.preparation import Preparation
    from hedgerow.models.task import Interpretation, Task, TaskModel
    from hedgerow.models.tensors import Array, Tensors, TensorSpec

_HOMES = {
    "Array": "tensors",
    "Cancelled": "engines",
    "Chain": "chain",
    "Cut": "cuts",
    "Graph": "graph",
    "Interpretation": "task",
    "Preparation": "preparation",
    "Run": "chain",
    "Segment": "chain",
    "Task": "task",
    "TaskModel": "task",
    "TensorSpec": "tensors",
    "Tensors": "tensors",
    "find_cuts": "cuts",
    "load_frame": "frames",
}

__all__ = [
    "Array",
    "Cancelled",
    "Chain",
    "Cut",
    "Graph",
    "Interpretation",
    "Preparation",
    "Run",
    "Segment",
    "Task",
    "TaskModel",
    "TensorSpec",
    "Tensors",
    "find_cuts",
    "load_frame",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
