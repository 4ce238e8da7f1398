"""Runs a model with its exits as a device would: to a joint, ask the exit there, stop or go on; and all of them at once to judge.

Without PyTorch. The model is open once for both: whole (one piece, as a device without exits would run it) and as a chain with
the exits' joints. Times are of single samples on one thread, from the prepared input to the answer, softmax included.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.risk import Flags, Floats
from hedgerow.errors import EngineError
from hedgerow.models.chain import Chain
from hedgerow.models.tensors import Array, Tensors

BATCH = 100


@dataclass(frozen=True, slots=True)
class Answers:
    """What the exits and the whole model say of n samples."""

    confidence: Floats  # (n, exits): the highest softmax probability
    labels: NDArray[np.int64]  # (n, exits)
    whole: NDArray[np.int64]  # (n,): the whole model's label

    @property
    def agrees(self) -> Flags:
        """(n, exits): whether each exit's label is the whole model's."""
        return np.asarray(self.labels == self.whole[:, None], dtype=np.bool_)

    def of(self, samples: NDArray[np.generic] | Sequence[int], exits: Sequence[int] | None = None) -> "Answers":
        """Of these samples, and these exits."""
        columns = list(range(self.labels.shape[1])) if exits is None else list(exits)
        return Answers(self.confidence[samples][:, columns], self.labels[samples][:, columns], self.whole[samples])

    def given(self, thresholds: Floats) -> NDArray[np.int64]:
        """(n,): the label of the first exit that is sure enough, else the whole model's."""
        reached = self.confidence >= thresholds
        first = reached.argmax(axis=1)
        return np.where(reached.any(axis=1), self.labels[np.arange(len(first)), first], self.whole)


class WithExits:
    """A model file and exit files, each at one joint; `joints` in the model's order."""

    def __init__(
        self, model: Path | bytes, exits: Sequence[Path | bytes], joints: Sequence[str], *, threads: int = 1
    ) -> None:
        self._whole = Chain.open(model, threads=threads)
        self._chain = Chain.open(model, joints=joints, threads=threads)
        self._exits = [Chain.open(each, threads=threads) for each in exits]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._whole, self._chain, *self._exits):
            each.close()

    def answers(self, inputs: Sequence[Tensors], *, progress: Callable[[int], None] = lambda done: None) -> Answers:
        """All exits' and the model's answers; `inputs` are prepared tensors with a batch axis in front, stacked here."""
        parts: list[list[Array]] = []
        for start in range(0, len(inputs), BATCH):
            some = inputs[start : start + BATCH]
            batch = {name: np.concatenate([each[name] for each in some]) for name in some[0]}
            parts.append(self._scores(batch))
            progress(len(some))
        *exits, whole = (np.concatenate(each) for each in zip(*parts, strict=True))
        probabilities = [softmax(each) for each in exits]
        return Answers(
            np.stack([each.max(axis=1) for each in probabilities], axis=1),
            np.stack([each.argmax(axis=1) for each in exits], axis=1),
            whole.argmax(axis=1),
        )

    def run_whole(self, tensors: Tensors) -> int:
        """The whole model's label of one sample."""
        return int(_scores_of(self._whole.run(tensors, 1).tensors).argmax())

    def run(self, tensors: Tensors, thresholds: Sequence[float]) -> tuple[int, int]:
        """(label, exit that gave it, or the number of exits for the whole model) of one sample."""
        for number, (asked, threshold) in enumerate(zip(self._exits, thresholds, strict=True)):
            tensors = self._chain.run(tensors, number + 1, number + 1).tensors
            scores = _scores_of(asked.run(tensors, 1).tensors)
            probabilities = softmax(scores)
            if float(probabilities.max()) >= threshold:
                return int(scores.argmax()), number
        last = len(self._exits) + 1
        return int(_scores_of(self._chain.run(tensors, last, last).tensors).argmax()), len(self._exits)

    def times(self, inputs: Sequence[Tensors]) -> tuple[Floats, Floats, float]:
        """(before (exits,), asking (exits,), whole) in microseconds: medians over `inputs`."""
        count = len(self._exits)
        taken = np.empty((len(inputs), 2 * count + 1))
        for row, sample in zip(taken, inputs, strict=True):
            tensors = sample
            for number in range(count):
                row[number], tensors = _timed(self._chain, tensors, number + 1)
                row[count + number], _ = _timed(self._exits[number], tensors, 1)
            row[-1], _ = _timed(self._whole, sample, 1)
        medians = np.median(taken, axis=0)
        return np.cumsum(medians[:count]), medians[count : 2 * count], float(medians[-1])

    def _scores(self, batch: Tensors) -> list[Array]:
        found, tensors = [], batch
        for number, asked in enumerate(self._exits):
            tensors = self._chain.run(tensors, number + 1, number + 1).tensors
            found.append(_scores_of(asked.run(tensors, 1).tensors))
        last = len(self._exits) + 1
        return [*found, _scores_of(self._chain.run(tensors, last, last).tensors)]


def speedup(
    model: WithExits, inputs: Sequence[Tensors], thresholds: Sequence[float], *, turn: int = 50
) -> tuple[float, Floats, Floats]:
    """(mean time whole / mean time with exits, the times with, the times without, in seconds), by turns of `turn` samples, the order
    within each pair of turns changing. (Sample by sample each would run on what the other left in the processor's caches,
    which in use neither does.)"""
    taken = np.empty((len(inputs), 2))
    for sample in inputs[:turn]:
        model.run_whole(sample)
        model.run(sample, thresholds)
    for begin in range(0, len(inputs), turn):
        for which in (0, 1) if begin // turn % 2 else (1, 0):
            for number in range(begin, min(begin + turn, len(inputs))):
                started_ns = time.perf_counter_ns()
                if which:
                    model.run_whole(inputs[number])
                else:
                    model.run(inputs[number], thresholds)
                taken[number, which] = (time.perf_counter_ns() - started_ns) / 1e9
    return float(taken[:, 1].sum() / taken[:, 0].sum()), taken[:, 0], taken[:, 1]


def softmax(scores: Array) -> Floats:
    """Probabilities along the last axis."""
    values = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    return np.asarray(values / values.sum(axis=-1, keepdims=True))


def _scores_of(outputs: Tensors) -> Array:
    """(n, labels) scores; EngineError for NaN."""
    (scores,) = outputs.values()
    if not np.isfinite(scores).all():
        raise EngineError("a model gave scores that are not finite numbers; its file or its input is broken")
    return scores


def _timed(chain: Chain, tensors: Tensors, segment: int) -> tuple[float, Tensors]:
    started_ns = time.perf_counter_ns()
    made = chain.run(tensors, segment, segment).tensors
    return (time.perf_counter_ns() - started_ns) / 1e3, made
