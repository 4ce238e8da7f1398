"""What governs a session: margins and table as measured, or as a certificate has them, once it is read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hedgerow.assurance.certification import CertificateFile, load
from hedgerow.core.arms import ArmTable
from hedgerow.core.certificate import Certificate
from hedgerow.core.policies import ONLY, Policy, by_name
from hedgerow.core.records import Margins, Stream
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.planning import margins_of
from hedgerow.profiling import Profile


@dataclass(frozen=True, slots=True)
class Governed:
    """`certificate` None: only what was measured. `safe_values` by stream, None where it has none."""

    table: ArmTable
    margins: Margins
    certificate: Certificate | None = None
    safe_values: Mapping[str, object] = field(default_factory=dict)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The certified ones."""
        return self.certificate.streams if self.certificate is not None else ()


def governed(
    certificate: CertificateFile | str | Path | None,
    table: ArmTable,
    profile: Profile,
    task: Task,
    device_factor: float,
    threads: int,
    policy: Policy,
) -> Governed:
    """UsageError for a certificate that is damaged, holds for something else, or is emptied by a policy without reserves, and for
    the policy of one arm that the table lacks."""
    if policy.name.startswith(ONLY):
        by_name(policy.name, table)
    if certificate is None:
        return Governed(table, margins_of(profile))
    if not policy.uses_reserve:
        raise UsageError(f"policy '{policy.name}' holds no reserve, so nothing is certified under it; take another")
    proof = certificate if isinstance(certificate, CertificateFile) else load(certificate)
    scaled = proof.scale(table)
    proof.check(profile, task, device_factor, threads, scaled)
    governing = proof.governing()
    declared = {each.name: proof.safe_values.get(each.name) for each in governing.streams}
    return Governed(scaled, proof.margins, governing, declared)
