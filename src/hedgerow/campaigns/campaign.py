"""The whole campaign: every kind, so many trials each, one result.

Rules: kinds that cannot run here are named with the reason and counted as not run; each trial's record is kept as a line of
JSON, and the files of a violated one beside it; memory is judged over the trials of a kind, since one trial shows little.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

from hedgerow.assurance.deadlines import quantile
from hedgerow.campaigns.black_channel import Tally, attack
from hedgerow.campaigns.faults import KINDS, Kind, clock_environment, faketime_library
from hedgerow.campaigns.small_task import PROFILE_SECONDS, make_given
from hedgerow.campaigns.trial import Runner, Trial
from hedgerow.campaigns.world import World
from hedgerow.errors import HostError, UsageError

TRIALS: Final = 20
FACTOR: Final = 4.0
RSS_GROWTH_BYTES_MAX: Final = 32 << 20
RSS_TRIALS_MIN: Final = 10
PROFILE_SECONDS_QUICK: Final = 2.0
WARM_UP = -1
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What is run. `trial`: this one alone of each kind, else `trials` of them; `attacks`: on the black channel, afterwards."""

    out: Path
    kinds: tuple[str, ...] = tuple(KINDS)
    trials: int = TRIALS
    seed: int = 0
    trial: int | None = None
    task: Path | None = None
    attacks: int = 0

    def numbers(self) -> Sequence[int]:
        """The trials of each kind."""
        return range(self.trials) if self.trial is None else (self.trial,)

    def check(self) -> None:
        """UsageError for a kind that there is not."""
        unknown = [name for name in self.kinds if name not in KINDS]
        if unknown:
            raise UsageError(f"there is no kind of fault '{unknown[0]}'; there are: {', '.join(KINDS)}")


@dataclass(slots=True)
class Ran:
    """One kind's trials; `skipped` says why there are none."""

    kind: Kind
    trials: list[Trial] = field(default_factory=list)
    skipped: str = ""


def run_campaign(settings: Settings, say: Say) -> dict[str, Any]:
    """Run it; the result's first six fields are what is judged (see docs/safety/fault-campaign.md)."""
    settings.check()
    began_s = time.monotonic()
    _make_folder(settings.out)
    say("making the task and measuring its profile")
    seconds = PROFILE_SECONDS if len(settings.numbers()) > 2 else PROFILE_SECONDS_QUICK
    given = make_given(settings.out, task_file=settings.task, seconds=seconds)
    world = World(given, settings.out, factor=FACTOR if settings.task is None else 1.0)
    ran = []
    try:
        world.start()
        with (settings.out / "trials.jsonl").open("w", encoding="utf-8") as lines:
            for name in settings.kinds:
                ran.append(_run_kind(world, KINDS[name], settings, lines, say))
    finally:
        world.close()
    leftover = [f"port {world.port} still answers"] if world.listens(world.port) else []
    result = summary(ran, leftover)
    if settings.attacks:
        say(f"attacking the black channel {settings.attacks} times")
        add_attacks(result, attack(settings.attacks, seed=settings.seed))
    result["seconds"], result["seed"] = round(time.monotonic() - began_s, 1), settings.seed
    (settings.out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def _run_kind(world: World, kind: Kind, settings: Settings, lines: TextIO, say: Say) -> Ran:
    ran = Ran(kind)
    clock = settings.out / "clock"
    clock.write_text("+0\n")
    environment: dict[str, str] = {}
    if kind.clock:
        library = faketime_library()
        if library is None:
            ran.skipped = "libfaketime is not installed (Debian and Ubuntu: apt install faketime)"
            say(f"{kind.name}: NOT RUN: {ran.skipped}")
            return ran
        environment = clock_environment(library, clock)
    runner = Runner(world, settings.out)
    for number in settings.numbers():
        if world.need_device(environment):
            runner.run(kind, WARM_UP, settings.seed)  # libraries open what they keep
            world.server_level = None
        trial = runner.run(kind, number, settings.seed)
        ran.trials.append(trial)
        if number == settings.numbers()[-1]:
            trial.verdict.leaks += memory_leaks([each.rss_bytes for each in ran.trials])
        lines.write(json.dumps(asdict(trial)) + "\n")
        lines.flush()
        _tell(trial, settings.out, say)
        if trial.verdict.leaks:
            world.stop_device()  # what it still holds must not be counted again
    return ran


def memory_leaks(rss_bytes: Sequence[int]) -> list[str]:
    """What the process grew by between the thirds of its trials, if that is more than allowed."""
    if len(rss_bytes) < RSS_TRIALS_MIN:
        return []
    third = len(rss_bytes) // 3
    grown = statistics.median(rss_bytes[-third:]) - statistics.median(rss_bytes[:third])
    return (
        [f"memory: {grown / 2**20:.1f} MiB more at the end than at the beginning"]
        if grown > RSS_GROWTH_BYTES_MAX
        else []
    )


def _tell(trial: Trial, out: Path, say: Say) -> None:
    """A line for a violated trial, and its files kept."""
    verdict = trial.verdict
    if not verdict.violated:
        return
    words = [*verdict.unanswered, *verdict.late_link, *verdict.wrong, *verdict.leaks]
    say(f"VIOLATED {trial.kind} {trial.stage}: {words[0]}{f' and {len(words) - 1} more' if words[1:] else ''}")
    say(f"  again: {trial.again}")
    kept = out / "violated" / f"{trial.kind}-{trial.number}"
    kept.mkdir(parents=True, exist_ok=True)
    for file in out.glob("trial.*"):
        (kept / file.name).write_bytes(file.read_bytes())


def summary(ran: Sequence[Ran], leftover: Sequence[str] = ()) -> dict[str, Any]:
    """The judged object and each kind's figures."""
    trials = [trial for each in ran for trial in each.trials]
    return {
        "kinds": sum(bool(each.trials) for each in ran),
        "trials": len(trials),
        "unanswered": sum(len(trial.verdict.unanswered) for trial in trials),
        "late_link": sum(len(trial.verdict.late_link) for trial in trials),
        "wrong_accepted": sum(len(trial.verdict.wrong) for trial in trials),
        "leaks": sum(bool(trial.verdict.leaks) for trial in trials) + bool(leftover),
        "late_device": sum(len(trial.verdict.late_device) for trial in trials),
        "requests": sum(trial.verdict.requests for trial in trials),
        "not_replayed": sum(bool(trial.replay) for trial in trials),
        "not_run": {each.kind.name: each.skipped for each in ran if each.skipped},
        "left_over": list(leftover),
        "violations": [trial.again for trial in trials if trial.verdict.violated],
        "by_kind": [figures(each) for each in ran],
    }


def add_attacks(result: dict[str, Any], tally: Tally) -> None:
    """What the attack on the safety layer alone gave; what it got accepted counts with the rest."""
    result["black_channel"] = {"tried": tally.tried, "wrong_accepted": tally.wrong_accepted, **tally.by_measure}
    result["wrong_accepted"] += tally.wrong_accepted


def violated(result: dict[str, Any]) -> bool:
    """Whether anything that must be nought is not."""
    return any(result[name] for name in ("unanswered", "late_link", "wrong_accepted", "leaks", "not_replayed"))


def figures(ran: Ran) -> dict[str, Any]:
    """One kind's row."""
    trials, verdicts = ran.trials, [trial.verdict for trial in ran.trials]
    recoveries = sorted(trial.recovery_ms for trial in trials if trial.recovery_ms is not None)
    awaited = sum(not trial.inside for trial in trials)
    landings = [f"{trial.stage}: {trial.landed or 'no crossing failed'}" for trial in trials if trial.kind == "reset"]
    return {
        "kind": ran.kind.name,
        "where": ran.kind.where,
        "trials": len(trials),
        "requests": sum(each.requests for each in verdicts),
        "remote": sum(each.remote for each in verdicts),
        "unanswered": sum(len(each.unanswered) for each in verdicts),
        "late_link": sum(len(each.late_link) for each in verdicts),
        "late_device": sum(len(each.late_device) for each in verdicts),
        "safe_values": sum(each.safe_values for each in verdicts),
        "wrong_accepted": sum(len(each.wrong) for each in verdicts),
        "leaks": sum(bool(each.leaks) for each in verdicts),
        "recovery_p50_ms": quantile(recoveries, 0.5),
        "recovery_max_ms": quantile(recoveries, 1.0),
        "recovered": len(recoveries),
        "awaited": awaited,
        "closing_max_s": max((trial.closing_s for trial in trials), default=None),
        "rss_mib": [round(trial.rss_bytes / 2**20, 1) for trial in trials[:1] + trials[-1:]],
        "landed": {each: landings.count(each) for each in sorted(set(landings))},
        "seconds": round(sum(trial.seconds for trial in trials), 1),
        "not_run": ran.skipped,
    }


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in out.glob("*.log"):
            old.unlink()
    except OSError as error:
        raise HostError(f"cannot use the folder {out}: {error.strerror or error}; give another with --out") from None
