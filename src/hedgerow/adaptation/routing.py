"""Fits what decides which samples are unusual: a scorer on the answers of a small model to samples of the usual kind.

The part "train" fills the reservoir, "calibrate" gives the p-values, "judge" says how many false alarms there are, beside the
binomial bounds of the share that was asked for.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hedgerow.adaptation.keeping import Say
from hedgerow.adaptation.risk import binomial_tail
from hedgerow.adaptation.sources import enough, of_parts
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.frames import load_frame
from hedgerow.models.task import Task
from hedgerow.models.unusual import RESERVOIR_MAX, Floats, Scorer, calibrating_needed, direction, fit_axes
from hedgerow.profiling.host import usable_cores

FALSE_ALARM = 0.05
TRAIN_MIN = 40
_GROUP = 32


@dataclass(frozen=True, slots=True)
class Seen:
    """Scores (n, labels) and confidence (n,) of a model's answers."""

    scores: Floats
    confidence: Floats


@dataclass(frozen=True, slots=True)
class Alarms:
    """Of `samples`, `alarms` were called unusual; `lowest` to `highest` of them are within 99 % for the share asked for."""

    samples: int
    alarms: int
    lowest: int
    highest: int


def see(task: Task, model: str, paths: Sequence[Path], *, say: Say) -> Seen:
    """Let the model answer these pictures."""
    rows: list[tuple[Floats, float]] = []
    with task.open(model) as chain, ThreadPoolExecutor(usable_cores()) as pool:
        for at in range(0, len(paths), _GROUP):
            rows += pool.map(lambda path: _scores(task, chain, path), paths[at : at + _GROUP])
            say(f"{model}: {len(rows)} of {len(paths)}")
    return Seen(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]))


def _scores(task: Task, chain: Chain, path: Path) -> tuple[Floats, float]:
    outputs = chain.run(task.sample(load_frame(path))).tensors
    meaning = task.interpret(outputs)
    if meaning.confidence is None:
        raise UsageError(f"task '{task.name}' has no labels: only a classification can be routed by its scores")
    return np.asarray(task.scores(outputs), np.float64), meaning.confidence


def fit(task: Task, model: str, train: Seen, calibrate: Seen, *, seed: int = 0) -> Scorer:
    """A scorer; the reservoir holds at most RESERVOIR_MAX of `train`, drawn by `seed`."""
    seen = direction(train.scores)
    mean, axes = fit_axes(seen)
    places = np.random.default_rng(seed).permutation(len(seen))[:RESERVOIR_MAX]
    nothing = np.zeros(0)
    chosen = task.model(model)
    scorer = Scorer(model, chosen.model_id, task.task_id, mean, axes, (seen[places] - mean) @ axes, nothing, nothing)
    distances = np.sort([scorer.distance(each) for each in calibrate.scores])
    doubts = np.sort(1.0 - calibrate.confidence)
    return Scorer(model, chosen.model_id, task.task_id, mean, axes, scorer.reservoir, distances, doubts)


def check_enough(paths: Sequence[Path], false_alarm: float) -> None:
    """UsageError when there are too few pictures for the share asked for; before anything is computed."""
    if not 0 < false_alarm < 1:
        raise UsageError(f"the share of false alarms lies between 0 and 1; {false_alarm:g} does not")
    enough(len(of_parts(paths, "train")), TRAIN_MIN, "pictures to learn from (4 of 10 are)")
    needed, what = (
        calibrating_needed(false_alarm),
        f"pictures to calibrate {false_alarm:g} false alarms with (3 of 10 do)",
    )
    enough(len(of_parts(paths, "calibrate")), needed, what)


def make_scorer(
    task: Task, model: str, paths: Sequence[Path], *, false_alarm: float = FALSE_ALARM, seed: int = 0, say: Say
) -> Scorer:
    """Fit on pictures by their parts; UsageError when there are too few for the share asked for."""
    check_enough(paths, false_alarm)
    train, calibrate = of_parts(paths, "train"), of_parts(paths, "calibrate")
    return fit(task, model, see(task, model, train, say=say), see(task, model, calibrate, say=say), seed=seed)


def alarms(scorer: Scorer, seen: Seen, false_alarm: float) -> Alarms:
    """How many of these, which are of the usual kind, are called unusual."""
    verdicts = [scorer.judge(scores, sure) for scores, sure in zip(seen.scores, seen.confidence, strict=True)]
    count = sum(each.p_value <= false_alarm for each in verdicts)
    total = len(verdicts)
    lowest = next(k for k in range(total + 1) if binomial_tail(k, total, false_alarm) > 0.005)
    highest = next(k for k in range(total + 1) if binomial_tail(k, total, false_alarm) >= 0.995)
    return Alarms(total, count, lowest, highest)
