"""Measure the shipped profile of adapted models, after `make adapt`, in two passes:

    python bench/adapted_profile.py --images DIR --answers FILE     what is answered, how surely, in how many bytes: at any time
    python bench/adapted_profile.py --images DIR --timed-with FILE  how long everything takes: on a quiet machine, some two minutes

Agreement and confidence are read on the photographs of the part `judge`, on which nothing was trained and no threshold was chosen.
What is written holds figures and file names, and is refused if it held a path of this machine.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from msgspec.structs import replace

from hedgerow.adaptation.keeping import adapted
from hedgerow.adaptation.parts import part_of
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.models.task import Task
from hedgerow.planning import every_arm
from hedgerow.profiling import Profile, make_profile
from hedgerow.profiling.measure import FULL, Effort
from hedgerow.profiling.samples import SUFFIXES, read_folder

OUT = Path(__file__).parents[1] / "src/hedgerow/simulation/profiles/photographs-adapted.json"
SAMPLES_MIN = 100
# most of the time for answers; and next to none for them
ANSWERS = dataclasses.replace(
    FULL, joints_until=0.25, agreement_until=0.96, idle_until=0.97, loaded_until=0.98, runs_min=5, encodings_loaded=6,
    timer_waits=60, cancellations=5,
)  # fmt: skip
TIMES = dataclasses.replace(
    FULL, samples_max=24, samples_min=12, joints_until=0.02, agreement_until=0.05, idle_until=0.40
)
BUSY_MAX = 0.5  # load average of the last minute a core, above which the machine is not quiet


def judged(images: Path, into: Path) -> int:
    """Link the photographs of the part `judge` into a folder; how many there are. UsageError for none."""
    found = [path for path in sorted(images.iterdir()) if path.suffix.lower() in SUFFIXES]
    chosen = [path for path in found if part_of(path.stem) == "judge"]
    if not chosen:
        raise UsageError(
            f"{images} holds no photograph of the part 'judge' ({len(found)} pictures): give a larger folder"
        )
    for path in chosen:
        (into / path.name).symlink_to(path.resolve())
    return len(chosen)


def check_paths(text: str) -> None:
    """UsageError where the profile names a place on this machine."""
    for place in ("/home/", "/tmp/", "/work/", "/root/", str(Path.home()), str(Path.cwd())):
        if place in text:
            raise UsageError(f"the profile names '{place}': it must not be shipped")


def told(profile: Profile) -> str:
    """What is in it, in lines."""
    table = every_arm(profile)
    kinds = Counter(arm.name.partition(":")[0] for arm in table.arms)
    rows = [
        f"{len(profile.samples)} photographs; arms: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    ]
    for model in profile.models:
        agreement = profile.agreement[f"local:{model.name}"].mean
        first = model.segments[0].tail
        rows.append(
            f"{model.name:<40} {first.median_ns / 1e6:7.2f} ms (bound {first.bound_ns / 1e6:6.2f}), agrees {agreement:.3f},"
            f" gate {model.gate}"
        )
    return "\n".join(rows)


def made(task: Task, images: Path, effort: Effort, seconds: float) -> Profile:
    """A profile on the photographs of the part `judge`."""
    with tempfile.TemporaryDirectory() as folder:
        count = judged(images, Path(folder))
        print(f"{count} photographs, models {', '.join(model.name for model in task.models)}", file=sys.stderr)
        return make_profile(
            task, read_folder(folder), seconds=seconds, effort=effort,
            progress=lambda line: print(line, file=sys.stderr, flush=True),
        )  # fmt: skip


def together(answers: Profile, timed: Profile) -> Profile:
    """The times of one, all else of the other; UsageError where they are of different tasks or crossings."""
    keys = [{(each.model, each.joint, each.codec): each for each in one.crossings} for one in (answers, timed)]
    if answers.task_id != timed.task_id or keys[0].keys() != keys[1].keys():
        raise UsageError("the answers are of another task, or of other crossings: make them anew with --answers")
    models = tuple(replace(each, confidence=answers.model(each.name).confidence) for each in timed.models)
    crossings = tuple(
        replace(keys[1][key], bytes_median=each.bytes_median, bytes_p90=each.bytes_p90, calibration=each.calibration)
        for key, each in keys[0].items()
    )
    return replace(
        timed, models=models, crossings=crossings, agreement=answers.agreement, samples=answers.samples
    )  # fmt: skip


def measured(given: argparse.Namespace) -> Path:
    """Do what was asked for; where it was written."""
    out: Path = given.answers or given.out
    if out.exists() and not given.force:
        raise UsageError(f"{out} is there: give --force to measure it anew")
    task = Task.load(given.task)
    if given.answers:
        profile = made(task, given.images, ANSWERS, given.seconds or 900.0)
        if len(profile.samples) < SAMPLES_MIN:
            raise UsageError(f"there was time for {len(profile.samples)} photographs alone: give more --seconds")
    else:
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
        if load > BUSY_MAX and not given.force:
            raise UsageError(f"{load:.1f} processes a core are running here: wait until it is quiet, or give --force")
        profile = together(Profile.load(given.timed_with), made(task, given.images, TIMES, given.seconds or 120.0))
    profile.save(out)
    try:
        check_paths(out.read_text(encoding="utf-8"))
    except UsageError:
        out.unlink()
        raise
    print(told(profile))
    return out


def main() -> int:
    """Exit code 0, or that of the error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--task", type=Path, default=adapted("imagenet") / "task.toml")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--answers", type=Path, metavar="FILE", help="write answers here; its times mean nothing")
    which.add_argument("--timed-with", type=Path, metavar="FILE", help="these answers, and times measured now")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--force", action="store_true", help="overwrite; measure on a busy machine")
    try:
        out = measured(parser.parse_args())
    except HedgerowError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"wrote {out} ({out.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
