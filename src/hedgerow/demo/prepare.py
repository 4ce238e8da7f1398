"""Makes what every drive shares, in a process of its own: `python -m hedgerow.demo.prepare OUT [--task T] [--profile P] [--frames N]`.

Frames, their labels, the reference's answers on the uncompressed frames, and a quick profile (measured on other crops
than those driven) unless one is given. Says a line for each stage.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from hedgerow.demo.frames import FRAMES, PROFILE_FRAMES, PROFILE_SEED, Frames, cut_frames
from hedgerow.errors import HedgerowError
from hedgerow.models.fetch import fetch, read_index
from hedgerow.models.task import Task
from hedgerow.profiling import Profile
from hedgerow.profiling.measure import QUICK, make_profile

SLOW_SHARE = 1.15
"""The emulated device is as slow as makes the reference's median this many deadlines."""
PROFILE_SECONDS = 7.0
PROFILE_SECONDS_A_MODEL = 3.5
"""So long for the two models of the plain task; what is more of them gets as much each."""
EFFORT = replace(QUICK, samples_max=PROFILE_FRAMES, frame_codecs=("raw", "jpeg:75", "jpeg:90"), agreement_until=0.68)
"""A quick profile's, with as many frames for agreement as there is time for, and the finer of the JPEG qualities."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the drives and the scoring need; answers are ImageNet class indices, one for each frame."""

    task: str
    reference: str
    profile: str
    frames: str
    labels: list[int]
    reference_answers: list[int]
    reference_median_ms: float
    fastest_median_ms: float
    fastest_bound_ms: float

    @classmethod
    def load(cls, path: Path) -> "Prepared":
        return cls(**json.loads(path.read_text()))

    def busy(self, deadline_ms: float) -> bool:
        """Whether even the fastest model's bound, on the slower device, leaves no room for anything beside it."""
        bound_ms = self.fastest_bound_ms + (self.factor(deadline_ms) - 1) * self.fastest_median_ms
        return bound_ms > 0.9 * deadline_ms

    def factor(self, deadline_ms: float) -> float:
        """How much slower the emulated device is than this machine (never faster)."""
        return max(1.0, round(SLOW_SHARE * deadline_ms / self.reference_median_ms, 3))


def answers(task: Task, model: str, frames: Frames | Sequence[Frames]) -> list[int]:
    """The class that `model` gives each frame, computed on all usable cores."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chains = [task.open(model) for _ in range(workers)]

    def some(place: int) -> list[int]:
        found = []
        for frame in frames[place::workers]:
            index = task.interpret(chains[place].run(task.sample(frame)).tensors).label_index
            assert index is not None
            found.append(index)
        return found

    all_answers = np.empty(len(frames), np.int64)
    with ThreadPoolExecutor(workers) as pool:
        for place, found in enumerate(pool.map(some, range(workers))):
            all_answers[place::workers] = found
    for chain in chains:
        chain.close()
    return [int(each) for each in all_answers]


def prepare(out: Path, profile: Path | None, task_file: Path | None = None, count: int = FRAMES) -> Prepared:
    """Do it and write prepared.json, frames.npy (`count` frames) and profile.json into `out`; `task_file` None: the fetched task."""
    path = task_file or fetch("imagenet")
    task = Task.load(path)
    photographs = read_index(fetch("photographs"))
    frames, labels = cut_frames(photographs, count)
    np.save(out / "frames.npy", frames)
    say(f"asking {task.reference} what is on the {len(frames)} uncompressed frames, for comparison")
    right = answers(task, task.reference, frames)
    measured = _profile(task, photographs, out, profile)
    whole = {model.name: model.segments[0].tail for model in measured.models}
    fastest = min(whole.values(), key=lambda tail: tail.bound_ns)
    done = Prepared(
        task=str(path),
        reference=task.reference,
        profile=str(profile or out / "profile.json"),
        frames=str(out / "frames.npy"),
        labels=labels,
        reference_answers=right,
        reference_median_ms=whole[task.reference].median_ns / 1e6,
        fastest_median_ms=fastest.median_ns / 1e6,
        fastest_bound_ms=fastest.bound_ns / 1e6,
    )
    (out / "prepared.json").write_text(json.dumps(asdict(done)))
    return done


def _profile(task: Task, photographs: list[tuple[Path, int]], out: Path, given: Path | None) -> Profile:
    if given is not None:
        loaded = Profile.load(given)
        loaded.check(task)
        return loaded
    seconds = max(PROFILE_SECONDS, PROFILE_SECONDS_A_MODEL * len(task.models))
    say(f"measuring a quick profile ({seconds:g} s)")
    frames, _ = cut_frames(photographs, PROFILE_FRAMES, PROFILE_SEED)
    made = make_profile(task, list(frames), seconds=seconds, quick=True, effort=EFFORT)
    made.save(out / "profile.json")
    return made


def say(text: str) -> None:
    """One stage, for the screen."""
    print(text, flush=True)


def main(words: list[str]) -> int:
    """Run; an error of Hedgerow's is one line and its exit code."""
    parser = argparse.ArgumentParser(prog="hedgerow.demo.prepare")
    parser.add_argument("out", type=Path)
    for name in ("task", "profile"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--frames", type=int, default=FRAMES)
    told = parser.parse_args(words)
    started_s = time.monotonic()
    try:
        prepare(told.out, told.profile, told.task, told.frames)
    except HedgerowError as error:
        print(f"{error} [at fault: {error.at_fault}]", file=sys.stderr)
        return error.exit_code
    say(f"prepared in {time.monotonic() - started_s:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
