"""Every event of a journal put through a fresh core made of its header; outcomes are compared byte for byte."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from hedgerow.core import records as r
from hedgerow.core.policies import Policy
from hedgerow.journal.format import read_steps, recorded_versions, said, versions


@dataclass(frozen=True, slots=True)
class Replayed:
    """`difference` is None when every step came out equal; else the first that did not, told in words."""

    steps: int
    decisions: int
    difference: str | None


def replay(path: str | Path, policy: Policy | None = None) -> Replayed:
    """Put every event of a journal through a fresh core and compare what it says. `policy`: the fresh one of a session that was
    given its own (behind `Guarded`, as it was there); None: the one that has the name in the header."""
    header, steps = read_steps(path)
    core, recorded = header.core(policy), recorded_versions(path)
    count = decisions = 0
    for number, now_ns, event, before in steps:
        outcome = core.step(event, now_ns=now_ns)
        now = msgspec.json.encode(said(outcome))
        if now != before:
            others = "" if recorded == versions() else f" (recorded with {recorded}, replayed with {versions()})"
            return Replayed(count, decisions, f"step {number}: was {before.decode()}, is {now.decode()}{others}")
        count += 1
        decisions += sum(isinstance(each, r.Decision) for each in outcome.records)
    return Replayed(count, decisions, None)
