"""The whole examination, in the order that keeps one part from disturbing the next: look, measure timers, look again."""

import os
from datetime import UTC, datetime
from pathlib import Path

from hedgerow.doctor.allowed import allowed
from hedgerow.doctor.company import company, moment
from hedgerow.doctor.evidence import evidence
from hedgerow.doctor.findings import Finding, Host, by_danger
from hedgerow.doctor.interpreter import interpreter
from hedgerow.doctor.processor import processor
from hedgerow.doctor.system import system
from hedgerow.doctor.timing import timing
from hedgerow.profiling import Profile
from hedgerow.profiling.host import machine, usable_cores

WAITS = 300


def examine(
    *, profile: str | Path | None = None, journal: Path = Path(), waits: int = WAITS, host: Host | None = None
) -> list[Finding]:
    """Every finding, the worst first; a few seconds. `journal`: the folder for journals. UsageError for a wrong profile."""
    known = Profile.load(profile) if profile is not None else None
    host = host or Host()
    looked = [*processor(host, usable_cores()), *system(host, journal)]  # before our own load counts as pressure
    before = moment(host)
    measured = list(timing(waits))
    found = [*measured, *company(before, moment(host), os.cpu_count() or 1), *looked, *interpreter(), *allowed()]
    if known is not None:
        found += evidence(known, machine(), datetime.now(UTC))
    return by_danger(found)
