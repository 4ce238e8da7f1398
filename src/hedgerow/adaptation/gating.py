"""From which confidence may a small model's answer stand, and as what is the rest sent? The two figures of a cascade.

Rules: the gate is calibrated by adaptation/risk.py on samples in whose judgement it has no part; agreement beyond the gate is measured
through the real codec, encoded and decoded; nothing is trained, so all samples but the judging ones calibrate. A refusal says how
many samples would be enough.
"""

import json
import math
import os
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hedgerow import codecs
from hedgerow.adaptation.keeping import Checkpoint, Say
from hedgerow.adaptation.recipes import merged, task_text
from hedgerow.adaptation.risk import Calibrated, threshold_for
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.frames import load_frame
from hedgerow.models.home import write_whole
from hedgerow.models.task import Task
from hedgerow.profiling.crossings import LIMITS
from hedgerow.profiling.host import usable_cores

AT_MOST = 0.03
CODECS = ("jpeg:75,292", "jpeg:85,292", "jpeg:90,292", "jpeg:95,292")
KEEPS = 0.99  # of its answers the bigger model must keep through the codec
_GROUP = 32  # pictures between two notes of how far it has come


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's top class and confidence for each sample; `payload_bytes` where they crossed in a codec (else 0)."""

    label: NDArray[np.int64]
    confidence: NDArray[np.float64]
    payload_bytes: NDArray[np.int64]

    def of(self, places: Sequence[int]) -> "Answers":
        """Those to these samples."""
        at = np.asarray(places, np.int64)
        return Answers(self.label[at], self.confidence[at], self.payload_bytes[at])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cascade does with samples: shares of all of them, bytes beside sending every sample in the same codec."""

    samples: int
    escalated: float
    agreement: float
    bytes_saved: float


def answers(
    task: Task, model: str, paths: Sequence[Path], *, codec: str = "", say: Say, kept: Checkpoint | None = None
) -> Answers:
    """The model's answers to these pictures; `codec`: as they come out of it. UsageError names a picture that cannot be read."""
    name = f"{model}.{codec or 'raw'}.json".replace(":", "_").replace(",", "_")
    found = kept.load(name) if kept else None
    rows: list[list[float]] = json.loads(found) if found else []
    with task.open(model) as chain, ThreadPoolExecutor(usable_cores()) as pool:
        while len(rows) < len(paths):
            group = paths[len(rows) : len(rows) + _GROUP]
            rows += pool.map(lambda path: _answer(task, chain, path, codec), group)
            if kept is not None:
                kept.save(name, json.dumps(rows).encode())
            say(f"{model}{' through ' + codec if codec else ''}: {len(rows)} of {len(paths)}")
    table = np.array(rows, np.float64).reshape(-1, 3)
    return Answers(table[:, 0].astype(np.int64), table[:, 1], table[:, 2].astype(np.int64))


def _answer(task: Task, chain: Chain, path: Path, codec: str) -> list[float]:
    sample, size = task.sample(load_frame(path)), 0
    if codec:
        chosen = codecs.get(codec)
        payload = chosen.encode(sample)
        sample, size = chosen.decode(payload, limits=LIMITS), len(payload)
    meaning = task.interpret(chain.run(sample).tensors)
    if meaning.label_index is None or meaning.confidence is None:
        raise UsageError(f"task '{task.name}' has no labels: only a classification has a confidence to calibrate")
    return [meaning.label_index, meaning.confidence, size]


def smallest_codec(
    task: Task, paths: Sequence[Path], wanted: Answers, *, say: Say, kept: Checkpoint | None = None
) -> tuple[str, dict[str, dict[str, float]]]:
    """The smallest of CODECS through which the reference keeps KEEPS of its own answers, and what was measured of each tried;
    the largest where none does."""
    tried: dict[str, dict[str, float]] = {}
    for codec in CODECS:
        got = answers(task, task.reference, paths, codec=codec, say=say, kept=kept)
        agreement = float((got.label == wanted.label).mean())
        tried[codec] = {"agreement": agreement, "bytes": float(got.payload_bytes.mean())}
        if agreement >= KEEPS:
            return codec, tried
    return CODECS[-1], tried


def check_enough(samples: int, at_most: float, level: float = 0.95) -> None:
    """UsageError, with how many would be enough, for a number of samples that can show nothing; before anything is computed."""
    threshold_for(np.ones(samples), np.ones(samples, np.bool_), at_most=at_most, level=level)


def gate_for(small: Answers, reference: Answers, *, at_most: float, level: float = 0.95) -> Calibrated:
    """The least confidence from which the small model's answer may stand; UsageError when none is low enough to help."""
    found = threshold_for(small.confidence, small.label == reference.label, at_most=at_most, level=level)
    if not math.isfinite(found.threshold):
        raise UsageError(
            f"even its surest answers differ too often: no gate keeps disagreement at {at_most:g}; ask for less, or take a better model"
        )
    return found


def outcome(gate: float, small: Answers, reference: Answers, sent: Answers, every_byte: int) -> Outcome:
    """What the cascade answers: `sent` holds the bigger model's answers to the samples below the gate, in their order, as they
    came out of the codec; `every_byte` is what all samples take in it."""
    escalated = small.confidence < gate
    label = small.label.copy()
    label[escalated] = sent.label
    saved = 1.0 - float(sent.payload_bytes.sum()) / max(1, every_byte)
    return Outcome(len(label), float(escalated.mean()), float((label == reference.label).mean()), saved)


def payload_bytes(task: Task, paths: Sequence[Path], codec: str) -> int:
    """What all these pictures take in the codec."""
    chosen = codecs.get(codec)
    return sum(len(chosen.encode(task.sample(load_frame(path)))) for path in paths)


def play(task: Task, model: str, gate: float, codec: str, paths: Sequence[Path], *, say: Say) -> Outcome:
    """Put pictures through the cascade: the small model answers all, the reference what is below the gate, through the codec."""
    small, reference = (answers(task, name, paths, say=say) for name in (model, task.reference))
    below = [path for path, sure in zip(paths, small.confidence, strict=True) if sure < gate]
    sent = answers(task, task.reference, below, codec=codec, say=say)
    return outcome(gate, small, reference, sent, payload_bytes(task, paths, codec))


def with_gate(path: Path, model: str, gate: float, out: Path) -> None:
    """Write the task file again with this model's gate; UsageError for a name that it does not have, or where `out` is there."""
    if out.exists():
        raise UsageError(f"{out} is there and is not overwritten; name another")
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    models, head = table["model"], dict(table["task"])
    if model not in [each["name"] for each in models]:
        raise UsageError(f"the task has no model '{model}'; it has {', '.join(each['name'] for each in models)}")
    for each in (*models, head):
        for key in ("file", "labels"):
            if key in each:
                each[key] = os.path.relpath(path.parent / each[key], out.parent).replace(os.sep, "/")
    entries = merged(models, [{"name": model, "gate": round(gate, 6)}])
    write_whole(out, task_text(head, entries, "hedgerow adapt gate").encode())
