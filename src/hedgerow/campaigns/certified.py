"""The certificate on trial: three certified streams, and blackout or server death at the worst phase, many times.

A profile is measured here and now, three streams are certified by it, and a device runs under that certificate while the link
falls silent or the server dies: at the moment a request has just been sent, while its input is being encoded, or while the
lane has just been taken, by turns. Rules: what is late is late by the consumer's clock; it may only be so where a bound of
the device was exceeded, on its own way or by who had the lane before it; and the journal must show that the proof was withdrawn
between its capture and 1 s after its lateness, or that none stood when it was captured. Anything else is a violation, but for one
thing that is told apart: late while a bound was exceeded that does not explain it.
"""

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hedgerow.assurance import Cause, Evidence, Late, late_requests
from hedgerow.assurance.certification import CertificateFile, load
from hedgerow.assurance.certification.inputs import inputs_of
from hedgerow.assurance.certification.proving import prove
from hedgerow.assurance.rows import Timed, rows_from_text
from hedgerow.campaigns.judging import examine
from hedgerow.campaigns.small_task import make_given
from hedgerow.campaigns.world import CLEAR, Device, World
from hedgerow.core import records as r
from hedgerow.core.records import Source
from hedgerow.device.journal import read_steps
from hedgerow.errors import HostError
from hedgerow.profiling import Profile

FAULTS: Final = ("blackout", "server death")
PHASES: Final = ("send", "encode", "run")
PHASE_PATIENCE_S: Final = 3.0
SPELL_S: Final = 0.8
RECOVERY_S: Final = 4.0
SPARE: Final = 1.3
# up to far: a quick reserve is less than what is the same for all
FACTORS: Final = (2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
CAPTURE_DELAY_MS: Final = 15


@dataclass(slots=True)
class Found:
    """What the trials came to. `late_unexcused`: late with no bound exceeded while it was open; `late_unwithdrawn`: with one,
    but the proof that stood at its capture was not withdrawn by 1 s after. Both, and `unanswered` and `wrong`, must be empty.
    `late_beside_excess`: a bound was exceeded while it was open, but not so that it explains the lateness; told, and no violation.
    """

    trials: int = 0
    requests: int = 0
    remote: int = 0
    late: int = 0
    late_unexcused: list[str] = field(default_factory=list)
    late_unwithdrawn: list[str] = field(default_factory=list)
    late_beside_excess: list[str] = field(default_factory=list)
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)
    exceedances: dict[str, int] = field(default_factory=dict)
    withdrawals: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    safe_values: int = 0
    by_mode_ms: dict[str, float] = field(default_factory=dict)

    @property
    def violated(self) -> bool:
        return bool(self.late_unexcused or self.late_unwithdrawn or self.unanswered or self.wrong)


@dataclass(slots=True)
class Proofs:
    """When proofs were withdrawn, and whether one stood, as a journal's replay shows it; moments of time.monotonic_ns()."""

    withdrawn_ns: list[int] = field(default_factory=list)
    changed_ns: list[int] = field(default_factory=list)
    stands: list[bool] = field(default_factory=lambda: [True])
    """Before the first change, then after each."""

    def now(self, at_ns: int, stands: bool) -> None:
        """One stood from then on, or none did; moments must not fall."""
        if stands != self.stands[-1]:
            self.changed_ns.append(at_ns)
            self.stands.append(stands)

    def stood(self, at_ns: int) -> bool:
        return self.stands[bisect_right(self.changed_ns, at_ns)]

    def given_up(self, row: Timed) -> bool:
        """Whether this late request was promised nothing, or what was promised was withdrawn because of it, or meanwhile."""
        until_ns = row.told_ns + r.SECOND
        return not self.stood(row.captured_ns) or any(row.captured_ns <= at <= until_ns for at in self.withdrawn_ns)


def streams_text(profile: Profile, reserve: str, factor: float) -> str:
    """Three streams whose deadlines are `factor` times what the reserve and the longest other segment take by their bounds."""
    model = profile.model(reserve)
    cost_ms = max(segment.tail.bound_ns for segment in model.segments) / 1e6
    unit_ms = cost_ms * SPARE * factor
    lines = ["format = 1"]
    for name, share, criticality in (("front", 1.0, "safety"), ("side", 1.25, "mission"), ("rear", 1.6, "mission")):
        deadline_ms, period_ms = max(CAPTURE_DELAY_MS + 1, round(unit_ms * share)), round(unit_ms * share * 1.5)
        lines += ["[[stream]]", f'name = "{name}"', f"period_ms = {period_ms}", f"deadline_ms = {deadline_ms}"]
        lines += [
            f"capture_delay_ms = {CAPTURE_DELAY_MS}",
            f'criticality = "{criticality}"',
            f'reserves = ["{reserve}"]',
        ]
        lines += ["safe_value = 'stop'"]
    lines += ["[[mode]]", 'name = "nominal"', "[[mode]]", 'name = "half rate"']
    lines += [f"streams.{name} = {{ keep_every = 2 }}" for name in ("side", "rear")]
    lines += [
        "[[mode]]",
        'name = "stop"',
        *(f"streams.{name} = {{ reserves = [] }}" for name in ("front", "side", "rear")),
    ]
    lines += ["[rule]", "exceedances_max = 3", "window_s = 10", "return_after_s = 2", "return_after_max_s = 60"]
    return "\n".join(lines) + "\n"


def certify(profile: Profile, folder: Path, reserve: str) -> CertificateFile:
    """The tightest of a few sets of three streams that the profile bears; HostError when it bears none."""
    for factor in FACTORS:
        document = prove(inputs_of(streams_text(profile, reserve, factor), profile)).document
        if document is not None:
            document.save(folder / "certificate.json")
            return load(folder / "certificate.json")
    raise HostError("three streams cannot be certified with what was measured: the machine is too busy; try again")


class Trials:
    """Runs the trials in one world: `each` of them in a session of its own."""

    def __init__(self, world: World, certificate: Path) -> None:
        self._world, self._certificate = world, certificate
        self.found = Found()

    def session(self, numbers: Sequence[int]) -> None:
        """One session, one fault for each number, then everything judged."""
        world = self._world
        assert world.device is not None
        files = {name: world.folder / f"certified.{name}" for name in ("journal", "rows")}
        order = {name: str(file) for name, file in files.items()}
        world.device.order("open", seed=numbers[0], certificate=str(self._certificate), **order)
        _await(world.device, "ready")
        world.device.order("go")
        _await(world.device, "going")
        for number in numbers:
            self._attack(FAULTS[number % 2], PHASES[number // 2 % len(PHASES)], world.device)
            self.found.trials += 1
        world.device.order("end")
        ended = _await(world.device, "ended")
        self.found.wrong += ended["wrong"]
        judge(self.found, rows_from_text(files["rows"].read_text()), files["journal"])

    def _attack(self, fault: str, phase: str, device: Device) -> None:
        """Wait for the phase, let the fault begin at once, end it, wait for the cloud to be used again."""
        world = self._world
        device.forget()
        device.order("tell", of=phase)
        reached = device.await_said("act", PHASE_PATIENCE_S) is not None
        name = f"{fault}, {phase if reached else 'at any time'}"
        self.found.phases[name] = self.found.phases.get(name, 0) + 1
        if fault == "blackout":
            world.shape("blackout on")
            time.sleep(SPELL_S)
            world.shape("blackout off")
        else:
            world.kill_server()
            time.sleep(SPELL_S)
            world.start_server()
            world.await_server()
        device.order("mark", since_ns=time.monotonic_ns())
        device.await_said("remote", RECOVERY_S)


def judge(found: Found, rows: Sequence[Timed], journal: Path) -> None:
    """Add to `found` what one session's rows and journal show."""
    examined = examine(journal)
    if examined.cut or examined.difference:
        found.late_unexcused.append(f"the journal does not replay: {examined.cut or examined.difference}")
    proofs = proofs_of(journal, found)
    found.requests += len(rows)
    found.remote += sum(row.source is Source.REMOTE for row in rows)
    found.safe_values += sum(row.source is Source.SAFE_VALUE for row in rows)
    found.unanswered += sum(not row.answered and row.reason != r.Reason.LOWER_RATE for row in rows)
    known = {row.index: row for row in rows}
    for late in late_requests([row for row in rows if row.answered], examined.evidence):
        judge_late(found, late, known[late.index], examined.evidence, proofs, str(journal))


def judge_late(found: Found, late: Late, row: Timed, evidence: Evidence, proofs: Proofs, session: str) -> None:
    """Add one late request to `found`. What `late` blames on the device excuses it; another bound that was exceeded while it
    was open only makes it one to be told. Neither saves it from asking for the withdrawal."""
    found.late += 1
    words = f"request {late.request} of session {session}, {late.by_ms:.1f} ms late {late.because}".rstrip()
    if late.cause is Cause.LINK:
        beside = [each for each in evidence.excesses if row.captured_ns <= each.at_ns <= row.told_ns]
        if not beside:
            found.late_unexcused.append(words)
            return
        most = max(beside, key=lambda each: each.by_ns)
        found.late_beside_excess.append(
            f"{words} beside {most.what} of request {most.request}, {most.by_ns / 1e6:.1f} ms"
        )
    if not proofs.given_up(row):
        found.late_unwithdrawn.append(words)


def proofs_of(journal: Path, found: Found) -> Proofs:
    """The proofs' fate; counts withdrawals, excesses and the time spent in each mode on the way."""
    header, steps = read_steps(journal)
    core = header.core()
    proofs = Proofs(stands=[bool(core.mode)])
    mode, since_ns = "", 0
    for _, now_ns, event, _ in steps:
        outcome = core.step(event, now_ns=now_ns)
        for record in outcome.records:
            if isinstance(record, r.CertificateWithdrawn):
                found.withdrawals += 1
                proofs.withdrawn_ns.append(now_ns)
            elif isinstance(record, r.BoundExceeded):
                what = record.what.partition(" ")[0]
                found.exceedances[what] = found.exceedances.get(what, 0) + 1
        if since_ns:
            spent = found.by_mode_ms.get(mode or "not certified", 0.0)
            found.by_mode_ms[mode or "not certified"] = round(spent + (now_ns - since_ns) / 1e6, 3)
        mode, since_ns = core.mode, now_ns
        proofs.now(now_ns, bool(mode))
    return proofs


def _await(device: Device, word: str, timeout_s: float = 60.0) -> dict[str, Any]:
    said = device.await_said(word, timeout_s)
    if said is None:
        raise HostError(f"the device did not say '{word}' within {timeout_s:g} s")
    return said


def run_certified(
    folder: Path, *, trials: int, task: Path | None = None, reserve: str | None = None, seconds: float = 30.0,
    a_session: int = 20,
) -> tuple[CertificateFile, Found]:  # fmt: skip
    """Measure, certify, attack. `task` None: the campaign's own small models; `reserve`: the model that stands in reserve."""
    folder.mkdir(parents=True, exist_ok=True)
    given = make_given(folder, task_file=task, seconds=seconds)
    profile = Profile.load(given.profile)
    quickest = min(profile.models, key=lambda model: model.segments[0].tail.median_ns).name
    certificate = certify(profile, folder, reserve or quickest)
    world = World(given, folder, factor=1.0)
    try:
        world.start()
        world.shape(CLEAR)
        world.start_device()
        run = Trials(world, Path(certificate.path))
        for first in range(0, trials, a_session):
            run.session(range(first, min(first + a_session, trials)))
    finally:
        world.close()
    return certificate, run.found
