"""The certificate on trial: three certified streams, and blackout or server death at the worst phase, many times.

A profile is measured here and now, three streams are certified by it, and a device runs under that certificate while the link
falls silent or the server dies: at the moment a request has just been sent, while its input is being encoded, or while the
lane has just been taken, by turns. Rules: what is late is late by the consumer's clock; it may only be so where a bound of
the device was exceeded, and then the journal must show that the certificate was withdrawn; anything else is a violation.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hedgerow.assurance import Cause, Evidence, late_requests
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
FACTORS: Final = (2.0, 2.5, 3.0, 4.0, 6.0, 8.0)


@dataclass(slots=True)
class Found:
    """What the trials came to. `late_unexcused`: late with no bound exceeded; `late_unwithdrawn`: with one, but the journal
    shows no withdrawal by then. Both, and `unanswered` and `wrong`, must be empty."""

    trials: int = 0
    requests: int = 0
    remote: int = 0
    late: int = 0
    late_unexcused: list[str] = field(default_factory=list)
    late_unwithdrawn: list[str] = field(default_factory=list)
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


def streams_text(profile: Profile, reserve: str, factor: float) -> str:
    """Three streams whose deadlines are `factor` times what the reserve and the longest other segment take by their bounds."""
    model = profile.model(reserve)
    cost_ms = max(segment.tail.bound_ns for segment in model.segments) / 1e6
    unit_ms = cost_ms * SPARE * factor
    lines = ["format = 1"]
    for name, share, criticality in (("front", 1.0, "safety"), ("side", 1.25, "mission"), ("rear", 1.6, "mission")):
        deadline_ms, period_ms = round(unit_ms * share), round(unit_ms * share * 1.5)
        lines += ["[[stream]]", f'name = "{name}"', f"period_ms = {period_ms}", f"deadline_ms = {deadline_ms}"]
        lines += ["capture_delay_ms = 5", f'criticality = "{criticality}"', f'reserves = ["{reserve}"]']
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
    withdrawn = list(_withdrawals(journal, found))
    found.requests += len(rows)
    found.remote += sum(row.source is Source.REMOTE for row in rows)
    found.safe_values += sum(row.source is Source.SAFE_VALUE for row in rows)
    found.unanswered += sum(not row.answered and row.reason != r.Reason.LOWER_RATE for row in rows)
    known = {row.index: row for row in rows}
    for late in late_requests([row for row in rows if row.answered], examined.evidence):
        found.late += 1
        words = f"request {late.request} of session {journal}, {late.by_ms:.1f} ms late {late.because}"
        told_ns = known[late.index].told_ns
        if late.cause is Cause.LINK and not _exceeded_before(examined.evidence, known[late.index]):
            found.late_unexcused.append(words)
        elif not any(at_ns <= told_ns + r.SECOND for at_ns in withdrawn):
            found.late_unwithdrawn.append(words)


def _exceeded_before(evidence: Evidence, row: Timed) -> bool:
    """Whether any bound was exceeded while this request was open."""
    return any(row.captured_ns <= each.at_ns <= row.told_ns for each in evidence.excesses)


def _withdrawals(journal: Path, found: Found) -> Iterator[int]:
    """When certificates were withdrawn; counts excesses and the time spent in each mode on the way."""
    header, steps = read_steps(journal)
    core = header.core()
    mode, since_ns = "", 0
    for _, now_ns, event, _ in steps:
        outcome = core.step(event, now_ns=now_ns)
        for record in outcome.records:
            if isinstance(record, r.CertificateWithdrawn):
                found.withdrawals += 1
                yield now_ns
            elif isinstance(record, r.BoundExceeded):
                what = record.what.partition(" ")[0]
                found.exceedances[what] = found.exceedances.get(what, 0) + 1
        if since_ns:
            spent = found.by_mode_ms.get(mode or "not certified", 0.0)
            found.by_mode_ms[mode or "not certified"] = round(spent + (now_ns - since_ns) / 1e6, 3)
        mode, since_ns = core.mode, now_ns


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
