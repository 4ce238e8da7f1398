"""One trial: a session, three streams, one fault at a random phase, and the questions asked when all is over.

Everything random comes from (seed, kind, number), so that one line repeats it:
`hedgerow faults --kind KIND --seed SEED --trial NUMBER`.
"""

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from hedgerow.assurance.rows import rows_from_text
from hedgerow.campaigns.faults import Kind, Scene
from hedgerow.campaigns.footprint import Footprint, settled, wait_until
from hedgerow.campaigns.judging import Verdict, examine, judge
from hedgerow.campaigns.world import Device, DeviceLost, World
from hedgerow.core import records as r
from hedgerow.device.journal import read_steps

PHASE_S = (0.3, 1.0)
INSIDE_SHARE = 0.25
RECOVERY_S = 4.0
AFTERWARDS_S = 0.3
OPEN_S = 30.0
END_S = 40.0
STEPPED_NS = 1_000_000_000_000
FULL_DEVICE = Path("/dev/full")


@dataclass(slots=True)
class Trial:
    """What was done and what came of it."""

    kind: str
    number: int
    seed: int
    stage: str
    phase_s: float
    spell_s: float
    inside: bool
    verdict: Verdict = field(default_factory=Verdict)
    recovery_ms: float | None = None
    landed: str = ""
    steps: int = 0
    replay: str = ""
    journal_ended: str = ""
    closing_s: float = 0.0
    rss_bytes: int = 0
    native_threads: int = 0
    seconds: float = 0.0

    @property
    def again(self) -> str:
        """The command that repeats it."""
        return f"hedgerow faults --kind {self.kind} --seed {self.seed} --trial {self.number}"


def plan(kind: Kind, number: int, seed: int) -> tuple[Trial, random.Random]:
    """What trial `number` of a kind is, and the random numbers that the fault goes on with."""
    chance = random.Random(f"{seed}/{kind.name}/{number}")
    phase_s, spell_s = chance.uniform(*PHASE_S), chance.uniform(*kind.spell_s)
    inside = kind.inside and chance.random() < INSIDE_SHARE
    stage = kind.stages[number % len(kind.stages)]
    return Trial(kind.name, number, seed, stage, round(phase_s, 3), round(spell_s, 3), inside), chance


class Runner:
    """Runs trials in a world; files of a trial lie in `folder` until the next one."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world, self._folder = world, folder

    def run(self, kind: Kind, number: int, seed: int) -> Trial:
        """One trial, judged. A device that dies is a finding, not an error."""
        trial, chance = plan(kind, number, seed)
        began_s = time.monotonic()
        world = self._world
        files = {name: self._folder / f"trial.{name}" for name in ("journal", "rows")}
        for file in files.values():
            file.unlink(missing_ok=True)
        journal = FULL_DEVICE if (kind.name, trial.stage) == ("disk-full", "device") else files["journal"]
        scene = Scene(world, chance, trial.stage, trial.spell_s, journal, self._folder / "clock")
        world.shape(kind.link)
        if world.server_level is None and world.server is not None:
            world.server_level = Footprint.now(world.server.pid)
        assert world.device is not None
        try:
            self._act(trial, kind, scene, world.device, files)
        except DeviceLost as error:
            world.stop_device()
            trial.verdict.unanswered.append(f"the device is lost, and with it all that it was asked: {error}")
        else:
            self._examine(trial, kind, files)
        trial.verdict.leaks += self._left_outside()
        trial.seconds = round(time.monotonic() - began_s, 2)
        return trial

    # ----------------------------------------------------------------------------------------------------------- acting

    def _act(self, trial: Trial, kind: Kind, scene: Scene, device: Device, files: dict[str, Path]) -> None:
        order = {"journal": str(scene.journal), "rows": str(files["rows"]), "witness": kind.witness}
        device.forget()
        device.order("open", seed=scene.random.randrange(1 << 30), tell_acks=trial.stage == "waiting", **order)
        _await(device, "ready", OPEN_S)
        device.order("go")
        _await(device, "going", OPEN_S)
        time.sleep(trial.phase_s)
        ahead_ns = _ahead_ns(device) if kind.clock else 0
        begun_ns = time.monotonic_ns()
        ended: dict[str, Any] | None = None
        with kind.fault(scene):
            if kind.clock and abs(_ahead_ns(device) - ahead_ns) < STEPPED_NS:
                trial.verdict.leaks.append("the wall clock did not step: the trial shows nothing")
            time.sleep(trial.spell_s)
            if trial.inside:
                ended = self._end(device)
        over_ns = time.monotonic_ns()
        if ended is None:
            device.order("mark", since_ns=over_ns)
            remote = device.await_said("remote", RECOVERY_S)
            trial.recovery_ms = None if remote is None else round((remote["at_ns"] - over_ns) / 1e6, 1)
            time.sleep(AFTERWARDS_S)
            ended = self._end(device)
        if ended["judged"]:
            trial.verdict = Verdict(**ended["judged"])
        trial.verdict.wrong, trial.verdict.leaks = ended["wrong"], trial.verdict.leaks + ended["leaks"]
        trial.closing_s, trial.rss_bytes = ended["closing_s"], ended["rss_bytes"]
        trial.native_threads, trial.journal_ended = ended["native_threads"], ended["journal_failure"] or ""
        if kind.name == "reset":
            trial.landed = landed(scene.journal, begun_ns, over_ns)

    def _end(self, device: Device) -> dict[str, Any]:
        device.order("end")
        return _await(device, "ended", END_S)

    # ---------------------------------------------------------------------------------------------------------- judging

    def _examine(self, trial: Trial, kind: Kind, files: dict[str, Path]) -> None:
        verdict = trial.verdict
        if files["journal"].exists():
            examined = examine(files["journal"])
            trial.steps, trial.replay, cut = examined.steps, examined.difference, examined.cut
            if not kind.witness:
                judged = judge(rows_from_text(files["rows"].read_text()), examined.evidence)
                judged.wrong, judged.leaks = verdict.wrong, verdict.leaks
                trial.verdict = judged
            if cut and not kind.witness:
                judged.leaks.append(f"the journal is cut short: {cut}")
        if kind.witness and not trial.journal_ended:
            verdict.leaks.append("the disk was full and the journal did not say so")

    def _left_outside(self) -> list[str]:
        """What the session left at the link, at the server and among this process's children."""
        world, left = self._world, []
        if not wait_until(lambda: world.link_stats()["connections"] == 0, 2.0):
            left.append(f"{world.link_stats()['connections']} connections through the link")
        if world.server is not None and world.server_level is not None:
            left += [f"server: {each}" for each in settled(world.server_level, world.server.pid)[1]]
        strangers = {child.pid for child in psutil.Process().children()} - world.pids()
        return left + [f"process {pid}" for pid in sorted(strangers)]


def landed(journal: Path, begun_ns: int, over_ns: int) -> str:
    """How far the first crossing that failed between these moments had come, as the device knew; empty if none failed."""
    acked: dict[tuple[int, int], int] = {}
    payload_bytes = 0
    for _, now_ns, event, _ in read_steps(journal)[1]:
        match event:
            case r.ChunkAcked():
                acked[event.request, event.attempt] = event.bytes_received
            case r.EncodeDone():
                payload_bytes = event.payload_bytes
            case r.RemoteFailed() if event.link_at_fault and begun_ns <= now_ns <= over_ns:
                crossed = acked.get((event.request, event.attempt), 0)
                return (
                    "all acknowledged"
                    if crossed >= payload_bytes
                    else "some acknowledged"
                    if crossed
                    else "no answer yet"
                )
            case _:
                pass
    return ""


def _await(device: Device, word: str, timeout_s: float) -> dict[str, Any]:
    said = device.await_said(word, timeout_s)
    if said is None:
        raise DeviceLost(f"the device did not say '{word}' within {timeout_s:g} s")
    return said


def _ahead_ns(device: Device) -> int:
    device.order("clock")
    return int(_await(device, "clock", OPEN_S)["ahead_ns"])
