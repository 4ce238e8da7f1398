"""How much may a frame differ before the last answer no longer stands? A threshold for reuse that keeps a promise.

The promise: of all frames, those of the asked share at most are given a reused answer that differs from what the same model would
have said. A unit is a whole made sequence, or a second of a clip: frames next to each other are alike, so it is units, not
frames, that count as samples. A unit's loss is the share of its frames whose reused answer differs (the worst of the models), a
number between 0 and 1; a threshold passes if the mean loss is below what was asked for at the level, by a
betting test (Waudby-Smith and Ramdas 2024, J. R. Stat. Soc. B 86, arXiv:2010.09686), and a declared path of thresholds is tested from strict to
lax until one fails (Learn then Test, arXiv:2110.01052). Seconds of one clip are not independent either: where clips are few, the
promise rests on the sequences, and the clips only make it stricter.

Answers that differ seldom are not enough: where the models say the same of everything, or much is allowed, so lax a threshold would
pass that an answer stood for another scene. So none is taken above what tells the photographs themselves apart (`apart`).
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation import clips, sequences
from hedgerow.adaptation.keeping import Say
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.change import Looks, change, summary
from hedgerow.models.task import Interpretation, Task
from hedgerow.models.tensors import Tensors
from hedgerow.profiling.host import usable_cores

AT_MOST = 0.05
AGE_MAX_MS = 1000.0
PATH = tuple(round(0.01 * 2 ** (step / 2), 6) for step in range(17))  # 0.01 to 2.56, from strict to lax
CLIP_RATE = 25.0
ALIKE = 0.01  # share of pairs of different photographs that may pass for one scene
_PAIRS = 2000


@dataclass(frozen=True, slots=True)
class Track:
    """One stream of frames as it is judged: summaries, and each model's answers (label, confidence) to every frame.

    `units`: the first frame of each unit. `made`: it was made from a photograph, not filmed.
    """

    name: str
    made: bool
    rate: float
    looks: tuple[Looks, ...]
    labels: dict[str, NDArray[np.int64]]
    sure: dict[str, NDArray[np.float64]]
    units: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Played:
    """What reuse did to frames with one model: which were reused, and which of these differ from that model's own answer."""

    reused: NDArray[np.bool_]
    wrong: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Reusable:
    """A calibrated threshold and what is behind it."""

    reuse_below: float
    age_max_ms: float
    asked: float
    level: float
    units: int
    loss: float  # mean share of frames with a reused answer that differs, over the calibrating units
    reused: float  # share of their frames
    sources: dict[str, int] = field(default_factory=dict)  # frames by what they came from


class Watcher:
    """Answers frames by these models of the task, opened once. A context manager."""

    def __init__(self, task: Task, models: Sequence[str]) -> None:
        self._task, self._open = task, ExitStack()
        self._chains = {name: self._open.enter_context(task.open(name)) for name in models}
        self._pool = self._open.enter_context(ThreadPoolExecutor(usable_cores()))

    def track(self, name: str, frames: Sequence[NDArray[np.uint8]], *, made: bool) -> Track:
        """Answer every frame by every model. A clip is cut into units of a second; a made sequence is one."""
        samples = [self._task.sample(frame) for frame in frames]
        looks = [each for each in map(summary, samples) if each is not None]
        if len(looks) < len(samples):
            raise UsageError(f"{name}: the frames are too small to be compared; they need at least 32 x 24 pixels")
        labels, sure = {}, {}
        for model, chain in self._chains.items():
            found = list(self._pool.map(partial(self._meaning, chain), samples))
            if any(each.confidence is None for each in found):
                raise UsageError(
                    f"task '{self._task.name}' has no labels: reuse is calibrated on classes that stay the same"
                )
            labels[model] = np.array([each.label_index for each in found], np.int64)
            sure[model] = np.array([each.confidence for each in found], np.float64)
        rate = sequences.RATE if made else CLIP_RATE
        units = (0,) if made else tuple(range(0, len(frames), round(rate)))
        return Track(name, made, rate, tuple(looks), labels, sure, units)

    def _meaning(self, chain: Chain, sample: Tensors) -> Interpretation:
        return self._task.interpret(chain.run(sample).tensors)

    def made(self, paths: Sequence[Path], *, seed: int, say: Say) -> list[Track]:
        """One track from each photograph."""
        tracks = []
        for number, each in enumerate(sequences.made(paths, seed=seed), start=1):
            tracks.append(self.track(f"{each.motion} {each.name}", each.frames, made=True))
            if number % 20 == 0 or number == len(paths):
                say(f"sequences made from photographs: {number} of {len(paths)}")
        return tracks

    def filmed(self, names: tuple[str, ...], *, say: Say) -> list[Track]:
        """One track from each clip that can be had here."""
        found = []
        for name, frames in clips.frames_of(names, say).items():
            say(f"clip {name}: {len(frames)} frames")
            found.append(self.track(name, frames, made=False))
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def play(track: Track, model: str, below: float, age_max_ms: float) -> Played:
    """Go through the frames as a device would: an answer stands for frames that differ by at most `below`, for so long at most."""
    labels, sure, count = track.labels[model], track.sure[model], len(track.looks)
    reused, wrong = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    last = -1
    for now in range(count):
        young = last >= 0 and (now - last) * 1000.0 / track.rate <= age_max_ms
        if young and change(track.looks[last], track.looks[now], float(sure[last])) <= below:
            reused[now], wrong[now] = True, labels[now] != labels[last]
        else:
            last = now
    return Played(reused, wrong)


def losses(track: Track, below: float, age_max_ms: float) -> NDArray[np.float64]:
    """Each unit's share of frames whose reused answer differs, of the model that fares worst in it."""
    worst = np.zeros(len(track.units))
    for model in track.labels:
        wrong = play(track, model, below, age_max_ms).wrong.astype(np.float64)
        means = [float(part.mean()) for part in np.split(wrong, track.units[1:])]
        worst = np.maximum(worst, means)
    return worst


def p_value(losses: NDArray[np.float64], at_most: float, level: float = 0.95) -> float:
    """How likely losses (0 to 1) so low are if their true mean is above `at_most`: one over the most that a gambler who bets
    against that ever had, beginning with 1 and staking by the mean and variance so far. The order is drawn once and for all."""
    order = np.random.default_rng(0).permutation(len(losses))
    stake_max, aim = 0.9 / (1.0 - at_most), 2.0 * math.log(1.0 / (1.0 - level)) / max(1, len(losses))
    wealth = most = 1.0
    total, squares = 0.5, 0.25
    for count, loss in enumerate(losses[order].tolist(), start=1):
        wealth *= 1.0 - min(stake_max, math.sqrt(aim / (squares / count))) * (loss - at_most)
        most = max(most, wealth)
        total += loss
        squares += (loss - total / (count + 1)) ** 2
    return 1.0 / most


def units_needed(at_most: float, level: float) -> int:
    """The fewest units that prove it if none of their reused answers differs."""
    low, high = 1, 2
    while p_value(np.zeros(high), at_most, level) > 1 - level:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if p_value(np.zeros(middle), at_most, level) > 1 - level else (low, middle)
    return high


def apart(tracks: Sequence[Track]) -> NDArray[np.float64]:
    """What a device would find between the first frames of two different photographs, for seeded pairs and each model's confidence in
    the first; empty where there are no two made sequences."""
    made = [each for each in tracks if each.made]
    if len({each.name for each in made}) < 2:
        return np.zeros(0)
    pairs = np.random.default_rng(0).integers(0, len(made), (_PAIRS, 2)).tolist()
    chosen = [(made[one], made[other]) for one, other in pairs if made[one].name != made[other].name]
    return np.array(
        [change(one.looks[0], other.looks[0], float(sure[0])) for one, other in chosen for sure in one.sure.values()]
    )


def _scenes_end(tracks: Sequence[Track]) -> float:
    """The greatest threshold that still tells scenes apart; UsageError where none of PATH does."""
    found = apart(tracks)
    end = float(np.quantile(found, ALIKE)) if found.size else math.inf
    if end < PATH[0]:
        raise UsageError(
            f"more than {ALIKE:.0%} of pairs of different pictures look alike to reuse (below {PATH[0]:g}): are there copies among"
            " them? Give pictures of different scenes"
        )
    return end


def check_asked(at_most: float, level: float, age_max_ms: float) -> None:
    """UsageError for a promise that nobody can make."""
    if not 0 < at_most < 1 or not 0 < level < 1 or not age_max_ms > 0:
        raise UsageError(
            f"asked for {at_most:g} at level {level:g}: both lie between 0 and 1, and the age is above 0 ms"
        )


def check_units(units: int, at_most: float, level: float) -> None:
    """UsageError, with how many would be enough, for a number of units that can show nothing; a made sequence is one."""
    needed = units_needed(at_most, level)
    if units < needed:
        raise UsageError(
            f"{units} sequences and seconds of clips cannot show that at most {at_most:g} differ at {level:g}, even if none does:"
            f" {needed} without a difference would be enough; give more photographs or clips"
        )


def calibrate(
    tracks: Sequence[Track], *, at_most: float = AT_MOST, level: float = 0.95, age_max_ms: float = AGE_MAX_MS
) -> Reusable:
    """The laxest threshold of PATH that keeps the promise and tells scenes apart; UsageError when there are too few units, or when
    none does."""
    check_asked(at_most, level, age_max_ms)
    units = sum(len(track.units) for track in tracks)
    check_units(units, at_most, level)
    passed, loss = 0.0, 0.0
    end = _scenes_end(tracks)
    for below in (each for each in PATH if each <= end):
        found = np.concatenate([losses(track, below, age_max_ms) for track in tracks])
        if p_value(found, at_most, level) > 1 - level:
            break
        passed, loss = below, float(found.mean())
    if not passed:
        raise UsageError(
            f"no threshold keeps reused answers within {at_most:g}: these scenes change too much, or the models waver; ask for less"
        )
    shares = [play(track, model, passed, age_max_ms).reused for track in tracks for model in track.labels]
    sources = {kind: sum(len(each.looks) for each in tracks if each.made is made) for kind, made in _KINDS.items()}
    return Reusable(passed, age_max_ms, at_most, level, units, loss, float(np.concatenate(shares).mean()), sources)


_KINDS = {"made": True, "filmed": False}


def judge(tracks: Sequence[Track], model: str, below: float, age_max_ms: float) -> dict[str, float]:
    """Shares of all frames: reused, answered as the model would have answered each; and of those reused, so answered."""
    played = [play(track, model, below, age_max_ms) for track in tracks]
    reused = np.concatenate([each.reused for each in played])
    wrong = np.concatenate([each.wrong for each in played])
    among = 1.0 - float(wrong.sum()) / max(1, int(reused.sum()))
    return {"reused": float(reused.mean()), "agreement": 1.0 - float(wrong.mean()), "agreement_of_reused": among}
