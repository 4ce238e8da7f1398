"""What an answer to one frame must be: every model on every frame in plain ONNX Runtime, outside everything under test.

The rule. An answer is right if it has the outputs of the model it names for that very frame: equal but for rounding where
nothing lossy lay between, else nearer to them than to those of any other frame of the campaign, and no farther than
LOSSY_SHARE of the distance to the nearest other. `separation` says how far frames lie apart, in units of that rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hedgerow.errors import UsageError
from hedgerow.models.task import Task

EXACT = 1e-3
"""Largest distance that rounding makes, as a share of the outputs' own length."""
LOSSY_SHARE = 0.5
Outputs = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Said:
    """One answer to judge: who is said to have computed it, over which codec ("" none, "raw" or another), and what."""

    frame: int
    model: str
    codec: str
    outputs: Mapping[str, NDArray[Any]]


class Oracle:
    """Computes all outputs once: `task`'s models on `frames` ((count, height, width, 3) uint8). UsageError when two frames
    have outputs too alike to tell a wrong frame by."""

    def __init__(self, task: Task, frames: NDArray[np.uint8]) -> None:
        self._rows: dict[str, Outputs] = {}
        self._names: dict[str, str] = {}
        for model in task.models:
            if model.preparation is None:
                raise UsageError(
                    f"the campaign shows frames, and model '{model.name}' takes none: give a task of pictures"
                )
            session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
            self._names[model.name] = session.get_outputs()[0].name
            rows = [
                session.run([self._names[model.name]], model.preparation.prepare({"frame": frame}))[0].reshape(-1)
                for frame in frames
            ]
            self._rows[model.name] = np.stack(rows).astype(np.float32)
            self._check_apart(model.name)

    def nearest_other(self, model: str, frame: int) -> float:
        """Distance from a frame's outputs to those of the nearest other frame."""
        rows = self._rows[model]
        away = np.linalg.norm(rows - rows[frame], axis=1)
        away[frame] = np.inf
        return float(away.min())

    def wrong(self, said: Said) -> str:
        """Why this answer is wrong, in words; empty if it is right."""
        rows = self._rows.get(said.model)
        if rows is None:
            return f"model '{said.model}' is none of the task's"
        found = said.outputs.get(self._names[said.model])
        if found is None or found.size != rows.shape[1]:
            return f"it has not the outputs of '{said.model}'"
        away = np.linalg.norm(rows - np.asarray(found, np.float32).reshape(-1), axis=1)
        own, length = float(away[said.frame]), float(np.linalg.norm(rows[said.frame]))
        nearest = int(np.argmin(away))
        if not np.isfinite(own):
            return "its outputs are not finite"
        if nearest != said.frame:
            return f"it is the answer to frame {nearest}, not to {said.frame}"
        limit = EXACT * length
        if said.codec not in ("", "raw"):
            limit = LOSSY_SHARE * self.nearest_other(said.model, said.frame)
        return (
            f"it is {own:.3g} from what '{said.model}' says of frame {said.frame}; {limit:.3g} is allowed"
            if own > limit
            else ""
        )

    def _check_apart(self, model: str) -> None:
        rows = self._rows[model]
        for frame in range(len(rows)):
            if self.nearest_other(model, frame) < 4 * EXACT * float(np.linalg.norm(rows[frame])):
                raise UsageError(f"model '{model}' answers frame {frame} like another: a wrong frame could not be told")
