"""The live demo beside the simulator: `python bench/live_against_simulated.py [--seconds 15] [--runs N] [--seeds N] [--json FILE]`.

Each run drives `hedgerow demo` for real (processes, an emulated link, its own quick profile), then the same drive in the
virtual world from that profile and the journals' headers, under several seeds, and scores both by the same code. Journals are
replayed. `--read DIR` compares a demo that was driven before. Real clocks: run it on a quiet machine. What the simulator does
not know stands in docs/simulation.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from hedgerow.assurance import Timed, rows_from_text
from hedgerow.core import records as r
from hedgerow.demo.course import Course
from hedgerow.demo.frames import PROFILE_FRAMES, PROFILE_SEED, cut_frames
from hedgerow.demo.prepare import EFFORT, Prepared
from hedgerow.demo.runner import STRATEGIES
from hedgerow.demo.score import score
from hedgerow.demo.virtual import Around, drive, drive_setup, heard_again_s
from hedgerow.journal import Header, read_steps, replay
from hedgerow.models.fetch import fetch, read_index
from hedgerow.models.task import Task
from hedgerow.profiling import Profile, make_profile

FIGURES = ("in_time_percent", "cost_mj", "energy_mj", "kilobytes", "remote_percent", "p50_ms", "p99_ms")
IN_TIME_POINTS, COST_SHARE = 2.0, 0.10


@dataclass(frozen=True)
class Side:
    """One strategy's figures on one side: means over its drives, and how far those are from each other."""

    mean: dict[str, float]
    deviation: dict[str, float]


def reserves(journal: Path) -> set[int]:
    """The requests whose remote arm was chosen and whose reserve had to start."""
    header, steps = read_steps(journal)
    core, remote, found = header.core(), set[int](), set[int]()
    places = {arm.name: bool(each) for arm, each in zip(header.table.arms, header.table.is_remote, strict=True)}
    for _, now_ns, event, _ in steps:
        for told in core.step(event, now_ns=now_ns).records:
            if isinstance(told, r.Decision) and places.get(told.arm, False):
                remote.add(told.request)
            elif isinstance(told, r.ReserveStarted) and told.request in remote:
                found.add(told.request)
    return found


def figures(name: str, rows: Sequence[Timed], journal: Path, header: Header) -> dict[str, float]:
    """By the demo's own scoring, and the cost by DESIGN.md's sum with the journal's prices and its table's qualities."""
    scored = score(name, rows, journal, [0], [0]).figures  # what the pictures show is no matter of the simulator
    arms = {arm.name: arm.quality for arm in header.table.arms}
    models = {model.name: model.quality for model in header.table.locals}

    def quality(row: Timed) -> float:
        if not row.in_time:
            return 0.0
        return arms[row.arm] if row.source is r.Source.REMOTE else models[row.model]

    count, begun = len(rows), reserves(journal)
    wrong = sum(1.0 - quality(row) for row in rows)
    needed = sum(row.request in begun for row in rows)
    cost = scored["energy_mj"] + header.prices.disagreement_mj * wrong + header.prices.reserve_mj * needed
    return {
        "in_time_percent": 100 * scored["in_time"] / count,
        "cost_mj": cost / count,
        "energy_mj": scored["energy_mj"] / count,
        "kilobytes": scored["uplink_bytes"] / 1e3,
        "remote_percent": 100 * sum(row.source is r.Source.REMOTE for row in rows) / count,
        "p50_ms": scored["p50_ms"],
        "p99_ms": scored["p99_ms"],
    }


def side(drives: Sequence[dict[str, float]]) -> Side:
    """Mean and standard deviation of each figure."""
    every = {name: [each[name] for each in drives] for name in FIGURES}
    return Side(
        {name: fmean(values) for name, values in every.items()},
        {name: stdev(values) if len(values) > 1 else 0.0 for name, values in every.items()},
    )


def live(out: Path, seconds: float, profile: Path | None) -> None:
    """One demo, as a user starts it."""
    words = [sys.executable, "-m", "hedgerow.cli.main", "demo", "--out", str(out), "--json", "--seconds", str(seconds)]
    words += [] if profile is None else ["--profile", str(profile)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def longer_profile(path: Path, seconds: float) -> Path:
    """As the demo makes its own, of the same crops and codecs, with more time: more samples of every length."""
    task, photographs = Task.load(fetch("imagenet")), read_index(fetch("photographs"))
    frames, _ = cut_frames(photographs, PROFILE_FRAMES, PROFILE_SEED)
    made = make_profile(task, list(frames), seconds=seconds, quick=True, effort=EFFORT)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(path)
    return path


def compare(out: Path, seeds: int) -> dict[str, Any]:
    """Every strategy of one demo's folder on both sides."""
    about = json.loads((out / "result.json").read_text())["about"]
    deadline_ms = float(json.loads((out / "result.json").read_text())["deadline_ms"])
    prepared, course = Prepared.load(out / "prepared.json"), Course(about["seconds_of_each_drive"])
    profile, factor = Profile.load(prepared.profile), prepared.factor(deadline_ms)
    found: dict[str, Any] = {"warning": about["warning"], "factor": factor, "strategies": {}}
    for name in STRATEGIES:
        journal = out / f"{name}.journal"
        header, _ = read_steps(journal)
        rows = rows_from_text((out / f"{name}.rows.jsonl").read_text())
        bands = about["course"][name]
        back_s = bands[-1]["from_s"] if bands[-1]["name"] == "good" else course.seconds + 10.0
        asked = {"factor": factor, "deadline_ms": deadline_ms}
        heard_s = heard_again_s(journal, course, back_s)
        told = Around.of_journal(journal, profile, course)
        seen: dict[str, Any] = {"replay": replayed(journal), "around": asdict(told)}
        seen["around"] |= {"server_back_s": back_s, "heard_again_s": heard_s}
        seen["live"] = figures(name, rows, journal, header)
        for word, around, up_s in (("blind", Around(), back_s), ("told", told, heard_s)):
            drives = []
            for seed in range(seeds):
                setup = drive_setup(course, profile, header, seed=seed, around=around, back_s=up_s, **asked)
                kept = out / f"{name}.{word}-{seed}.journal"
                drives.append(figures(name, drive(setup, header, kept), kept, header))
            seen[word] = asdict(side(drives))
        found["strategies"][name] = seen
    return found


def replayed(journal: Path) -> str:
    """Whether a fresh core says the same to every event of it."""
    found = replay(journal)
    return f"equal in {found.steps} steps" if found.difference is None else found.difference


def show(number: int, found: dict[str, Any]) -> None:
    """One demo's table. Two simulated rows: blind, from the profile alone; told, how its server and round trips were live."""
    print(f"run {number}: device x {found['factor']:g}, emulated link. {found['warning']}")
    print(f"  {'':11} {'':6}  in time %  cost mJ  energy mJ  uplink kB  remote %  p50 ms  p99 ms   (mJ a request)")
    for name, each in found["strategies"].items():
        mine, around = each["live"], each["around"]
        print(f"  {name:11} live   {line(mine)}   journal {each['replay']}")
        for word in ("blind", "told"):
            theirs = each[word]["mean"]
            off = theirs["in_time_percent"] - mine["in_time_percent"]
            cost = theirs["cost_mj"] / mine["cost_mj"] - 1
            good = abs(off) <= IN_TIME_POINTS and abs(cost) <= COST_SHARE
            verdict = f"{off:+.1f} points, {100 * cost:+.1f} %: {'agrees' if good else 'DOES NOT AGREE'}"
            print(f"  {'':11} {word:6} {line(theirs)}   {verdict}")
        told = f"server x {around['cloud_factor']:.2f}, round trip + {around['added_rtt_ms']:.1f} ms and {around['jitter_ms']:.1f} on average"
        print(
            f"  {'':11} told: {told}; back at {around['server_back_s']:.1f} s, reached at {around['heard_again_s']:.1f} s"
        )


def line(values: dict[str, float]) -> str:
    return (
        f"{values['in_time_percent']:8.1f}  {values['cost_mj']:7.0f}  {values['energy_mj']:9.1f}  {values['kilobytes']:9.0f}"
        f"  {values['remote_percent']:8.1f}  {values['p50_ms']:6.1f}  {values['p99_ms']:6.1f}"
    )


def main() -> None:
    """Drive or read, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each drive")
    parser.add_argument("--runs", type=int, default=1, help="how many demos")
    parser.add_argument("--profile-seconds", type=float, help="measure for so long instead of the demo's own 7 s")
    parser.add_argument("--seeds", type=int, default=10, help="how many simulated drives beside each live one")
    parser.add_argument("--out", type=Path, help="keep the demos' folders here")
    parser.add_argument("--read", type=Path, nargs="+", default=[], help="folders of demos that were driven before")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = list(options.read)
        for number in range(0 if folders else options.runs):
            folders.append((options.out or Path(scratch)) / f"run-{number + 1}")
            profile = None
            if options.profile_seconds:
                profile = longer_profile(folders[-1].with_suffix(".profile.json"), options.profile_seconds)
            live(folders[-1], options.seconds, profile)
        every = []
        for number, folder in enumerate(folders, start=1):
            every.append(compare(folder, options.seeds))
            show(number, every[-1])
    if options.json:
        options.json.write_text(json.dumps({"runs": every, "emulated": True}, indent=1) + "\n")


if __name__ == "__main__":
    main()
