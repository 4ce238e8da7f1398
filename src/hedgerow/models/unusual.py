"""How unusual is a sample, told from what a small model answers to it anyway: a score that costs microseconds, and its p-value.

Two views of the model's scores (its logits) are taken. *Features*: their direction, drawn into the DIMENSIONS in which what was seen
varies most, and how far that lies from the NEIGHBOURS-th nearest of a bounded reservoir of what was seen (Sun, Ming, Zhu, Li
2022, arXiv:2204.06507). *Confidence*: how little the model is sure (Hendrycks and Gimpel 2017, arXiv:1610.02136). Each is turned
into a conformal p-value: the share of calibrating samples, seen by no other part of the fit, that are as unusual. The smaller of the
two, doubled, is the sample's (Bonferroni): of samples like those that calibrated, at most the share a is below a, whatever the
model. It says nothing of how many unusual ones are found.
"""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import UsageError
from hedgerow.models.home import read_whole, write_whole

Floats = NDArray[np.float64]
FORMAT: Final = 1
DIMENSIONS: Final = 32
NEIGHBOURS: Final = 5
RESERVOIR_MAX: Final = 512
FILE_BYTES_MAX: Final = 64 * 2**20
_ARRAYS: Final = ("mean", "axes", "reservoir", "distances", "doubts")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`p_value`: of what was seen, at most this share is as unusual; `because`: "features" or "confidence"."""

    p_value: float
    because: str
    distance: float
    doubt: float


@dataclass(frozen=True, slots=True)
class Scorer:
    """`mean` (scores,), `axes` (scores, dimensions), `reservoir` (n, dimensions); `distances` and `doubts`: those of the
    calibrating samples, ascending. `model_id` and `task_id` say whose scores they are."""

    model: str
    model_id: str
    task_id: str
    mean: Floats
    axes: Floats
    reservoir: Floats
    distances: Floats
    doubts: Floats

    def judge(self, scores: NDArray[np.floating], confidence: float) -> Verdict:
        """The verdict on one sample by the model's scores (any shape of the right size) and its confidence (0 to 1).

        UsageError for scores of another size; what is not finite is as unusual as can be.
        """
        flat = np.asarray(scores, np.float64).reshape(-1)
        if flat.size != self.mean.size:
            raise UsageError(f"the router was made for {self.mean.size} scores of '{self.model}', not {flat.size}")
        if not np.isfinite(flat).all() or not np.isfinite(confidence):
            return Verdict(1.0 / (len(self.distances) + 1), "features", float("inf"), 1.0)
        distance, doubt = self.distance(flat), 1.0 - float(confidence)
        far, unsure = p_value(self.distances, distance), p_value(self.doubts, doubt)
        because = "features" if far < unsure else "confidence"
        return Verdict(min(1.0, 2.0 * min(far, unsure)), because, distance, doubt)

    def distance(self, scores: Floats) -> float:
        """From the NEIGHBOURS-th nearest of what was seen."""
        place = (direction(scores) - self.mean) @ self.axes
        squares = np.square(self.reservoir - place).sum(axis=1)
        nearest = min(NEIGHBOURS, len(squares)) - 1
        return float(np.sqrt(np.partition(squares, nearest)[nearest]))

    def save(self, path: Path) -> None:
        """Write it whole."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"format": FORMAT}
        for name in ("model", "model_id", "task_id", *_ARRAYS):
            arrays[name] = np.array(getattr(self, name))
        np.savez_compressed(buffer, **arrays)
        write_whole(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Scorer":
        """Read it; UsageError for a file that is none, of another version, or damaged."""
        data = read_whole(path, "router", bytes_max=FILE_BYTES_MAX, made_by="hedgerow adapt route")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                if int(file["format"]) != FORMAT:
                    raise UsageError(f"{path} has format {int(file['format'])}; this version reads {FORMAT}")
                arrays = {name: np.asarray(file[name], np.float64) for name in _ARRAYS}
                found = cls(str(file["model"]), str(file["model_id"]), str(file["task_id"]), **arrays)
        except (ValueError, KeyError, EOFError, OSError, BadZipFile, TypeError, AttributeError):
            raise UsageError(f"{path} is no router; make one with `hedgerow adapt route`") from None
        whole = found.axes.ndim == 2 and found.axes.shape == (found.mean.size, found.reservoir.shape[-1])
        if not whole or not len(found.distances) or not all(np.isfinite(each).all() for each in arrays.values()):
            raise UsageError(f"{path} is no whole router; make it again with `hedgerow adapt route`")
        return found


def direction(scores: Floats) -> Floats:
    """The scores at unit length: what they say, not how loudly. (n, scores) or (scores,)."""
    length = np.linalg.norm(scores, axis=-1, keepdims=True)
    found: Floats = scores / np.maximum(length, 1e-12)
    return found


def calibrating_needed(share: float) -> int:
    """So many calibrating samples can give a p-value as small as half of this share, to which two views are held."""
    return math.ceil(2.0 / share) - 1


def p_value(ascending: Floats, value: float) -> float:
    """The share of these, and of itself, that are at least `value`: never 0."""
    return float(len(ascending) - np.searchsorted(ascending, value, side="left") + 1) / (len(ascending) + 1)


def fit_axes(seen: Floats) -> tuple[Floats, Floats]:
    """Mean and main axes of directions (n, scores), as many as n - 1 and DIMENSIONS allow."""
    mean = seen.mean(axis=0)
    _, _, rows = np.linalg.svd(seen - mean, full_matrices=False)
    return mean, np.ascontiguousarray(rows[: min(DIMENSIONS, len(seen) - 1)].T)
