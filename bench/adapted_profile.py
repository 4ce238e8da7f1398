"""Measure the shipped profile of adapted models: `python bench/adapted_profile.py --images DIR [--task FILE] [--seconds 200] [--force]`.

For a quiet machine, after `make adapt`. Agreement and confidence are read on the photographs of the part `judge`, on which nothing was
trained and no threshold was chosen. What is written holds figures and file names, and is refused if it held a path of this machine.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from hedgerow.adaptation.keeping import adapted
from hedgerow.adaptation.parts import part_of
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.models.task import Task
from hedgerow.planning import every_arm
from hedgerow.profiling import Profile, make_profile
from hedgerow.profiling.samples import SUFFIXES, read_folder

OUT = Path(__file__).parents[1] / "src/hedgerow/simulation/profiles/photographs-adapted.json"
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


def main() -> int:
    """Exit code 0, or that of the error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--task", type=Path, default=adapted("imagenet") / "task.toml")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--quick", action="store_true", help="to try the script: figures of no use")
    parser.add_argument("--force", action="store_true", help="overwrite --out; measure on a busy machine")
    given = parser.parse_args()
    try:
        if given.out.exists() and not given.force:
            raise UsageError(f"{given.out} is there: give --force to measure it anew")
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
        if load > BUSY_MAX and not given.force:
            raise UsageError(f"{load:.1f} processes a core are running here: wait until it is quiet, or give --force")
        task = Task.load(given.task)
        with tempfile.TemporaryDirectory() as folder:
            count = judged(given.images, Path(folder))
            print(f"{count} photographs, models {', '.join(model.name for model in task.models)}", file=sys.stderr)
            made = make_profile(
                task, read_folder(folder), seconds=given.seconds, quick=given.quick,
                progress=lambda line: print(line, file=sys.stderr, flush=True),
            )  # fmt: skip
        made.save(given.out)
        try:
            check_paths(given.out.read_text(encoding="utf-8"))
        except UsageError:
            given.out.unlink()
            raise
    except HedgerowError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(told(made))
    print(json.dumps({"wrote": str(given.out.name), "bytes": given.out.stat().st_size}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
