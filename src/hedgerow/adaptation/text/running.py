"""Runs MiniLM with its exits as ONNX chains: all scores of many texts, or one text at a time until an exit is sure enough."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from hedgerow.adaptation.keeping import Say
from hedgerow.adaptation.text.exits import RULES, Floats
from hedgerow.models.chain import Chain
from hedgerow.models.fetch.minilm import IDS, joint
from hedgerow.models.fetch.network import OUTPUT_NAME
from hedgerow.models.tensors import Tensors

BATCH = 32
SAID_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds a text, by turns on the same texts: the whole chain, and the chain that is left at an exit.

    Of each text the quickest of some rounds, so that other processes count little, and of the texts the mean, as it is their
    sum that a processor has to do.
    """

    full_ms: float
    exits_ms: float
    full_cpu_ms: float  # the same in time of the processor, which waiting for it is no part of
    exits_cpu_ms: float
    texts: int

    @property
    def speedup(self) -> float:
        """By the clock."""
        return self.full_ms / self.exits_ms

    @property
    def speedup_cpu(self) -> float:
        """In time of the processor."""
        return self.full_cpu_ms / self.exits_cpu_ms


class Exiting:
    """The encoder's chain with a joint after each layer but the last, and the exit that hangs at each; beside it the encoder in
    one piece, which is what exits are compared with."""

    def __init__(self, encoder: bytes, exits: Sequence[bytes], *, threads: int = 1) -> None:
        self._trunk = Chain.open(encoder, joints=[joint(i + 1) for i in range(len(exits))], threads=threads)
        self._exits = [Chain.open(each, threads=threads) for each in exits]
        self._whole = Chain.open(encoder, threads=threads)

    def scores(self, tensors: Tensors, say: Say = lambda _text: None) -> Floats:
        """(exits + 1, texts, classes) of all these texts."""
        count = len(tensors[IDS])
        found, said_s = [], time.monotonic()
        for start in range(0, count, BATCH):
            found.append(self._scores({name: array[start : start + BATCH] for name, array in tensors.items()}))
            if time.monotonic() - said_s > SAID_EVERY_S:
                said_s = time.monotonic()
                say(f"answered {start + BATCH} of {count} texts")
        return np.concatenate(found, axis=1)

    def whole(self, tensors: Tensors) -> int:
        """The class of one text by all layers, in one piece."""
        return int(self._whole.run(tensors).tensors[OUTPUT_NAME].argmax())

    def answer(self, tensors: Tensors, thresholds: Sequence[float], rule: str = RULES[0]) -> tuple[int, int]:
        """(class, layers that ran) of one text: it stops at the first exit that is as sure as its threshold asks."""
        alive, run, before = tensors, 0, -1
        for number, (exit_, threshold) in enumerate(zip(self._exits, thresholds, strict=True), start=1):
            alive = self._trunk.run(alive, first=0 if number == 1 else number, last=number).tensors
            if threshold == np.inf:
                continue
            scores = exit_.run(alive).tensors[OUTPUT_NAME][0].astype(np.float64)
            top = int(scores.argmax())
            run = run + 1 if top == before else 1
            before = top
            if _sure(scores, run, rule) >= threshold:
                return top, number
        last = len(self._exits) + 1
        return int(self._trunk.run(alive, first=last).tensors[OUTPUT_NAME].argmax()), last

    def times(
        self, tensors: Tensors, thresholds: Sequence[float], *, count: int, rounds: int = 5, rule: str = RULES[0]
    ) -> Times:
        """Time `count` of the texts one at a time, the two ways by turns and in turned order; chains of one thread only."""
        places = spread(len(tensors[IDS]), count)
        rows = [{name: array[place : place + 1] for name, array in tensors.items()} for place in places]
        count = len(rows)
        kept = np.zeros((2, 2, rounds, count))  # clock or processor, whole or exits
        for number in range(-5, rounds * count):  # the first five only find memory in place
            row = rows[number % count]
            ways = (lambda row=row: self.whole(row), lambda row=row: self.answer(row, thresholds, rule))
            for way in (0, 1) if number % 2 else (1, 0):
                begun_ns, begun_cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
                ways[way]()
                took_ns = (time.perf_counter_ns() - begun_ns, time.thread_time_ns() - begun_cpu_ns)
                kept[:, way, max(0, number) // count, number % count] = took_ns
        clock, processor = kept.min(axis=2).mean(axis=2) / 1e6
        return Times(float(clock[0]), float(clock[1]), float(processor[0]), float(processor[1]), count)

    def close(self) -> None:
        """Let go of all chains."""
        for chain in (self._trunk, self._whole, *self._exits):
            chain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _scores(self, tensors: Tensors) -> Floats:
        alive, found = tensors, []
        for number, exit_ in enumerate(self._exits, start=1):
            alive = self._trunk.run(alive, first=0 if number == 1 else number, last=number).tensors
            found.append(exit_.run(alive).tensors[OUTPUT_NAME])
        found.append(self._trunk.run(alive, first=len(self._exits) + 1).tensors[OUTPUT_NAME])
        return np.stack(found).astype(np.float64)


def spread(whole: int, count: int) -> list[int]:
    """Places of at most `count` of `whole` things, evenly: texts are often sorted by class, and the first ones are all of one."""
    return [int(place) for place in np.unique(np.linspace(0, whole - 1, min(count, whole)).round())]


def _sure(scores: Floats, run: int, rule: str) -> float:
    """What the rule compares with a threshold, of one text's scores (classes,); `run` exits in a row were of one opinion."""
    if rule == RULES[2]:
        return float(run)
    raised = np.exp(scores - scores.max())
    whole = float(raised.sum())
    if rule == RULES[0]:
        return 1.0 / whole
    shares = raised / whole
    return float((shares * np.log(np.maximum(shares, 1e-300))).sum())
