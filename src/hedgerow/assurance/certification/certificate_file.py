"""A certificate as the run time takes it: loaded, checked, and turned into what governs the core.

Rules: what was altered, cut short, infeasible or does not check is refused before anything runs; so is a certificate for
another task, profile, machine or emulated device, or a table whose bounds are above the certified ones.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hedgerow.assurance.certification import checker
from hedgerow.assurance.certification import document as d
from hedgerow.assurance.certification.inputs import profile_digest
from hedgerow.assurance.certification.streams import Declared, DeclaredStream, parse_streams
from hedgerow.core.arms import Arm, ArmTable, CrossStep, LocalModel, RunStep
from hedgerow.core.certificate import Allowance, Blocking, Certificate, Mode
from hedgerow.core.records import Margins, Stream
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.planning.composing import encoder_of
from hedgerow.profiling.agreement import local_name
from hedgerow.profiling.host import processor
from hedgerow.profiling.profile import Profile

_AGAIN = "certify again with `hedgerow certify`"


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """One checked certificate."""

    path: str
    document: d.Document
    declared: Declared

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the whole certificate."""
        return self.document.digest

    @property
    def safe_values(self) -> dict[str, Any]:
        """By stream: the declared value to fall back to, of those that have one."""
        return {each.name: each.safe_value for each in self.declared.streams if each.has_safe_value}

    @property
    def margins(self) -> Margins:
        """What the calendar must count with."""
        found = self.document.margins
        return Margins(timer_ns=found.timer_ns, cancel_ns=found.cancel_ns, deliver_ns=found.deliver_ns)

    @property
    def device_factor(self) -> float:
        """How many times slower the emulated device is; 1: this machine as it is."""
        return self.declared.device_factor

    def governing(self) -> Certificate:
        """What the core is governed by."""
        modes = tuple(
            Mode(each.name, self._allowances(each), tuple(Blocking(lane.lane, lane.blocking_ns) for lane in each.lanes))
            for each in self.document.modes
        )
        return Certificate(self.digest, tuple(map(_stream, self.declared.streams)), modes, self.declared.rule)

    def _allowances(self, mode: d.ModeClaim) -> tuple[Allowance, ...]:
        """One for each stream: its admitted reserves, cheapest first; none for a background stream."""
        reserves = {each.stream: each.reserves for lane in mode.lanes for each in lane.streams}
        changes = next(each for each in self.declared.modes if each.name == mode.name)
        return tuple(
            Allowance(each.name, reserves.get(each.name, ()), changes.change(each.name).keep_every)
            for each in self.declared.streams
        )

    def scale(self, table: ArmTable) -> ArmTable:
        """The table with the declared margin shares on all bounds of the device."""
        locals_ = tuple(self._scaled_model(each) for each in table.locals)
        arms = tuple(self._scaled_arm(each) for each in table.arms)
        return ArmTable(arms, locals_, table.energy, table.money_per_mb, table.money_per_cloud_s)

    def _more(self, bound_ns: int, lane: str) -> int:
        return math.ceil(bound_ns * (1 + self.declared.lane(lane).margin_share))

    def _scaled_model(self, model: LocalModel) -> LocalModel:
        segments, tails = (
            tuple(self._more(each, model.lane) for each in bounds)
            for bounds in (model.segment_bound_ns, model.tail_bound_ns)
        )
        return replace(model, segment_bound_ns=segments, tail_bound_ns=tails)

    def _scaled_arm(self, arm: Arm) -> Arm:
        steps = tuple(
            replace(each, encode_bound_ns=self._more(each.encode_bound_ns, each.lane))
            if isinstance(each, CrossStep)
            else each
            for each in arm.steps
        )
        return replace(arm, steps=steps)

    def check(self, profile: Profile, task: Task | None, device_factor: float, threads: int, table: ArmTable) -> None:
        """UsageError unless the certificate was made of this profile, on this machine, for this task and device, at as many
        `threads` a model as were profiled, and none of the bounds in `table` (already scaled) is above the certified one."""
        found = self.document.inputs.profile
        if task is not None and task.task_id != found.task_id:
            raise UsageError(
                f"{self.path} certifies task '{found.task_name}' ({found.task_id[:12]}), not '{task.name}'"
                f" ({task.task_id[:12]}); {_AGAIN}"
            )
        if profile_digest(profile) != found.sha256:
            raise UsageError(
                f"{self.path} was made from the profile of {found.made}, not from this one of {profile.made}; {_AGAIN}"
            )
        here = processor()
        if here != found.processor:
            raise UsageError(f"{self.path} holds on {found.processor}, not on this {here}; profile here and {_AGAIN}")
        if device_factor != self.device_factor:
            raise UsageError(
                f"{self.path} holds for device_factor {self.device_factor:g}, not {device_factor:g}; declare it in [[lane]]"
                f" and {_AGAIN}"
            )
        if threads != profile.threads:
            raise UsageError(
                f"{self.path} rests on a profile of {profile.threads} threads a model, not of the session's {threads}; run"
                f" with threads={profile.threads}, or profile with {threads} and {_AGAIN}"
            )
        self._check_bounds(table)

    def _check_bounds(self, table: ArmTable) -> None:
        certified = {(each.model, each.lane): each for each in self.document.bounds}
        for model in table.locals:
            bounds = certified.get((model.name, model.lane))
            if bounds is None or len(bounds.segment_ns) != len(model.segment_bound_ns):
                raise UsageError(f"{self.path} has no bounds for model '{model.name}' as it is now; {_AGAIN}")
            pairs = (
                *zip(model.segment_bound_ns, bounds.segment_ns, strict=True),
                *zip(model.tail_bound_ns, bounds.tail_ns, strict=True),
            )
            if any(now > then for now, then in pairs):
                raise UsageError(f"model '{model.name}' has bounds above those that {self.path} certifies; {_AGAIN}")
        holds = {each.arm: each.hold_ns for each in self.document.holds}
        for arm in table.arms:  # one with gates is made of certified models and a certified crossing, or of none
            name = encoder_of(arm.name) or next(
                local_name(each.model) for each in arm.steps if isinstance(each, RunStep)
            )
            encode = max((each.encode_bound_ns for each in arm.steps if isinstance(each, CrossStep)), default=0)
            if name not in holds or encode > holds[name]:
                raise UsageError(f"arm '{arm.name}' is not among those that {self.path} certifies; {_AGAIN}")


def _stream(declared: DeclaredStream) -> Stream:
    return Stream(
        declared.name,
        declared.deadline_ns,
        declared.criticality,
        period_ns=declared.period_ns,
        has_safe_value=declared.has_safe_value,
        expiry_ns=declared.expiry_ns,
        capture_delay_ns=declared.latest_arrival_ns,
        reuse_below=declared.reuse_below,
        reuse_age_max_ns=declared.reuse_age_max_ns,
    )


def load(path: str | Path) -> CertificateFile:
    """Read and check a certificate; UsageError in one line for one that is missing, damaged, altered or wrong."""
    document = d.load_document(path)
    found = checker.check(document)
    if found:
        raise UsageError(f"{path} claims what does not hold: {found[0]}; {_AGAIN}")
    return CertificateFile(str(path), document, parse_streams(document.inputs.streams))
