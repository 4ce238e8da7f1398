"""Runs the demo: prepares, drives the course once a strategy, scores, draws, and writes what it found.

This process keeps the script's time and the screen; the device, the server and the relay are others. Everything that is
found lies in the output folder: result.json, timeline.png, and rows, journal and log of each drive.
"""

import json
import os
import select
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hedgerow.assurance import Timed, late_above_device_only, rows_from_text
from hedgerow.demo.course import KILL, RESTART, Course, Happening
from hedgerow.demo.frames import FRAMES
from hedgerow.demo.prepare import Prepared
from hedgerow.demo.processes import Child, Cloud, settle_on, two_cores
from hedgerow.demo.score import Scored, journal_evidence, score
from hedgerow.emulation.slow_device import SlowDevice
from hedgerow.errors import HostError, UsageError
from hedgerow.models.home import write_whole
from hedgerow.views.drives import Drives, DrivesScreen
from hedgerow.views.feed import parse
from hedgerow.views.kinds import kind_of
from hedgerow.views.state import ViewState
from hedgerow.views.timeline import Band, Dot, draw_timeline

STRATEGIES = {"device-only": "device-only", "cloud-only": "cloud-only", "hedgerow": "ours"}
DEADLINE_MS = 150.0
START_AFTER_NS = 300_000_000
READY_TIMEOUT_S = 60.0
END_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asks for. `profile` None: a quick one is measured. `task` None: the fetched one of two models."""

    out: Path
    seconds: float = 15.0
    deadline_ms: float = DEADLINE_MS
    profile: Path | None = None
    task: Path | None = None

    def check(self) -> None:
        """UsageError for what cannot be driven, before anything starts."""
        self.course()
        if self.profile is not None and not self.profile.is_file():
            raise UsageError(f"there is no profile {self.profile}; make one with `hedgerow profile`, or leave it out")
        if self.task is not None and not self.task.is_file():
            raise UsageError(f"there is no {self.task}: run `make adapt` first, or leave --adapted out")

    def course(self) -> Course:
        """UsageError for a course that makes no sense."""
        if not 1.0 <= self.seconds <= 600.0:
            raise UsageError(f"a drive takes 1 to 600 s, not {self.seconds:g}")
        return Course(self.seconds)


@dataclass(frozen=True, slots=True)
class Drive:
    """What one strategy's drive left."""

    rows: list[Timed]
    scored: Scored
    bands: list[Band]


class Demo:
    """One run of everything; `result` is complete after `run`."""

    def __init__(self, settings: Settings, screen: DrivesScreen) -> None:
        self._settings, self._screen, self._course = settings, screen, settings.course()
        self._device_core, self._other_core = two_cores()
        self._drives: dict[str, Drive] = {}
        self._busy = ""

    def run(self) -> dict[str, Any]:
        """Prepare, drive thrice, write; returns what result.json holds."""
        began_s = time.monotonic()
        prepared = self._prepare()
        settle_on(self._other_core)
        slow = SlowDevice(prepared.factor(self._settings.deadline_ms))
        self._screen.drives.footer = slow.label
        if prepared.busy(self._settings.deadline_ms):
            self._busy = (
                "WARNING: this machine is busy: the device's bounds leave no room in the deadline; figures mean little"
            )
            self._screen.drives.footer += f"   {self._busy}"
            self._screen.say(self._busy)
        cloud = Cloud(Path(prepared.task), self._settings.out, self._other_core)
        try:
            self._screen.say("starting the server and the emulated link")
            address = cloud.start()
            for name in STRATEGIES:
                self._drives[name] = self._drive(name, prepared, slow, cloud, address)
        finally:
            cloud.close()
        self._screen.drives.present = ""
        self._screen.say("drawing the picture")
        result = self._write(prepared, slow, began_s)
        self._screen.drives.saying = ""
        return result

    # ------------------------------------------------------------------------------------------------------- before

    def _prepare(self) -> Prepared:
        out = self._settings.out
        words = ["hedgerow.demo.prepare", str(out), "--frames", str(min(FRAMES, self._course.requests))]
        if self._settings.profile is not None:
            words += ["--profile", str(self._settings.profile.absolute())]
        if self._settings.task is not None:
            words += ["--task", str(self._settings.task)]
        self._screen.say("fetching models and photographs, where they are not here yet")
        child = Child("preparation", words, core=None, log=out / "prepare.log")
        try:
            child.await_line("prepared", timeout_s=300.0, also=self._screen.say)
            child.ended(END_TIMEOUT_S)
        except BaseException:
            child.kill()
            raise
        return Prepared.load(out / "prepared.json")

    # -------------------------------------------------------------------------------------------------------- one drive

    def _drive(self, name: str, prepared: Prepared, slow: SlowDevice, cloud: Cloud, address: str) -> Drive:
        out, course = self._settings.out, self._course
        self._screen.say(f"{name}: starting the device")
        cloud.await_ready()
        cloud.shape("clear")
        for order in course.happenings[0].orders:
            cloud.shape(order)
        rows, journal = out / f"{name}.rows.jsonl", out / f"{name}.journal"
        device = Child(
            f"device ({name})",
            [
                "hedgerow.demo.device",
                *("--task", prepared.task, "--profile", prepared.profile, "--policy", STRATEGIES[name]),
                *("--frames", prepared.frames, "--journal", str(journal), "--rows", str(rows)),
                *("--factor", str(slow.factor), "--deadline-ms", str(self._settings.deadline_ms)),
                *("--period-ns", str(course.period_ns), "--requests", str(course.requests)),
                *(() if name == "device-only" else ("--server", address)),
            ],
            core=self._device_core,
            log=out / f"{name}.device.log",
        )
        try:
            device.await_line("ready", timeout_s=READY_TIMEOUT_S)
            back_s = self._follow(name, device, cloud)
            device.ended(END_TIMEOUT_S)
        except BaseException:
            device.kill()
            raise
        timed = rows_from_text(rows.read_text())
        scored = score(name, timed, journal, prepared.reference_answers, prepared.labels)
        return Drive(timed, scored, course.bands(back_s))

    def _follow(self, name: str, device: Child, cloud: Cloud) -> float | None:
        """Start the device, bring about what the course says, show what the device tells; until it has nothing more to
        say. Returns when the server served again (seconds of the drive), None if it did not."""
        drives, course = self._screen.drives, self._course
        state = drives.states[name] = ViewState(deadline_ms=self._settings.deadline_ms)
        drives.present, drives.saying = name, ""
        start_ns = time.monotonic_ns() + START_AFTER_NS
        device.order(f"start {start_ns}")
        due = list(course.happenings)
        back_s: float | None = None
        restarted = False
        patience_s = course.seconds + END_TIMEOUT_S
        while not device.at_end:
            now_s = (time.monotonic_ns() - start_ns) / 1e9
            if now_s > patience_s:
                raise HostError(f"the device ({name}) does not end; see {device.log}")
            while due and now_s >= due[0].at_s:
                restarted = _bring_about(due.pop(0), cloud) or restarted
            cloud.look()
            if restarted and back_s is None and cloud.ready:
                back_s = now_s
            for line in device.lines():
                message = parse(line)
                if message is not None:
                    state.take(message)
            drives.at_s = now_s
            self._screen.draw()
            next_s = due[0].at_s - now_s if due else 0.1
            select.select([device.fd, *cloud.fds], [], [], min(0.1, max(0.0, next_s)))
        return back_s

    # ------------------------------------------------------------------------------------------------------------ after

    def _write(self, prepared: Prepared, slow: SlowDevice, began_s: float) -> dict[str, Any]:
        out, settings = self._settings.out, self._settings
        strategies = [drive.scored.figures for drive in self._drives.values()]
        result: dict[str, Any] = {"deadline_ms": settings.deadline_ms, "strategies": strategies}
        title = f"The same drive three times, deadline {settings.deadline_ms:g} ms   (emulated link; {slow.label})"
        picture = draw_timeline(
            out / "timeline.png",
            {name: _dots(drive.rows) for name, drive in self._drives.items()},
            {name: drive.bands for name, drive in self._drives.items()},
            deadline_ms=settings.deadline_ms,
            seconds=self._course.seconds,
            title=title,
            captions={name: _caption(drive.scored.figures) for name, drive in self._drives.items()},
        )
        ours, twin = self._drives["hedgerow"], self._drives["device-only"]
        evidence = journal_evidence(out / "hedgerow.journal")
        about = {
            "late_above_device_only": late_above_device_only(ours.rows, evidence, twin.rows),
            "late": {name: [asdict(each) for each in drive.scored.late] for name, drive in self._drives.items()},
            "journals_replayed": {name: drive.scored.replayed for name, drive in self._drives.items()},
            "warning": self._busy,
            "emulated": {"link": True, "device": slow.label},
            "energy": "modelled: busy time and radio time by the arm table's powers, probes and cancelled work included",
            "rate_hz": self._course.rate_hz,
            "seconds_of_each_drive": self._course.seconds,
            "seconds_in_all": round(time.monotonic() - began_s, 1),
            "cores": {"device": self._device_core, "server_relay_and_screen": self._other_core},
            "course": {name: [asdict(band) for band in drive.bands] for name, drive in self._drives.items()},
            "profile": prepared.profile,
            "picture": str(picture),
        }
        write_whole(out / "result.json", (json.dumps({**result, "about": about}, indent=1) + "\n").encode())
        return {**result, "about": about}


def _bring_about(happening: Happening, cloud: Cloud) -> bool:
    """Carry out what the script says; True if the server was told to start again."""
    for order in happening.orders:
        if order == KILL:
            cloud.kill()
        elif order == RESTART:
            cloud.restart()
        else:
            cloud.shape(order)
    return RESTART in happening.orders


def _dots(rows: Sequence[Timed]) -> list[Dot]:
    start_ns = rows[0].captured_ns
    return [
        Dot(
            (row.captured_ns - start_ns) / 1e9,
            row.latency_ms,
            kind_of(row.source, row.arm, row.reason),
            not row.in_time,
        )
        for row in rows
    ]


def _caption(figures: dict[str, Any]) -> str:
    return (
        f"{figures['in_time']} of {figures['requests']} in time,   agreement {figures['agreement']:.3f},   "
        f"p99 {figures['p99_ms']:.0f} ms"
    )


def make_folder(out: Path) -> None:
    """The output folder, without what an earlier run left; HostError when it cannot be had."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in out.iterdir():
            if old.suffix in (".log", ".journal", ".jsonl", ".png", ".npy") or old.name in (
                "result.json",
                "prepared.json",
            ):
                old.unlink()
    except OSError as error:
        raise HostError(f"cannot use the folder {out}: {error.strerror or error}; give another with --out") from None
    if not os.access(out, os.W_OK):
        raise HostError(f"no permission to write in {out}; give another folder with --out")


def run_demo(settings: Settings, screen: DrivesScreen) -> dict[str, Any]:
    """Run it all, on Linux, macOS or another POSIX system; HostError on what cannot run it."""
    if os.name != "posix":
        raise HostError(f"the demo needs a POSIX system for its processes, not {sys.platform}")
    settings.check()
    make_folder(settings.out)
    return Demo(settings, screen).run()


def drives_of(settings: Settings) -> Drives:
    """What the screen begins with."""
    course = settings.course()
    title = f"hedgerow demo: the same drive three times   deadline {settings.deadline_ms:g} ms, {course.rate_hz:g} frames/s, emulated link"
    return Drives(title, "", list(STRATEGIES), course.bands(), course.seconds)
