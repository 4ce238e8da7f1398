"""Every event of a journal put through a fresh core made of its header; outcomes are compared byte for byte."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hedgerow.core import Core
from hedgerow.core import records as r
from hedgerow.core.policies import Policy
from hedgerow.core.views import Arbitrated
from hedgerow.errors import UsageError
from hedgerow.journal.format import Header, read_steps, recorded_versions, said, versions

Step = tuple[int, r.Event, r.Outcome]


@dataclass(frozen=True, slots=True)
class Replayed:
    """`difference` is None when every step came out equal; else the first that did not, told in words."""

    steps: int
    decisions: int
    difference: str | None
    arbitrated: int = 0  # records of views that differed


def replay(path: str | Path, policy: Policy | None = None) -> Replayed:
    """Put every event of a journal through a fresh core and compare what it says. `policy`: the fresh one of a session that was
    given its own (behind `Guarded`, as it was there); None: the one that has the name in the header."""
    header, steps = read_steps(path)
    core, recorded = header.core(policy), recorded_versions(path)
    count = decisions = arbitrated = 0
    for number, now_ns, event, before in steps:
        outcome = core.step(event, now_ns=now_ns)
        now = msgspec.json.encode(said(outcome))
        if now != before:
            others = "" if recorded == versions() else f" (recorded with {recorded}, replayed with {versions()})"
            return Replayed(
                count, decisions, f"step {number}: was {before.decode()}, is {now.decode()}{others}", arbitrated
            )
        count += 1
        decisions += sum(isinstance(each, r.Decision) for each in outcome.records)
        arbitrated += sum(isinstance(each, Arbitrated) for each in outcome.records)
    return Replayed(count, decisions, None, arbitrated)


def replayed_steps(path: str | Path, under: Callable[[Header], Policy]) -> tuple[Header, Iterator[Step]]:
    """Header and steps (now_ns, event, outcome) of a journal as a fresh core takes them again under the policy that `under` gives;
    UsageError, naming the step, where that is not what was recorded."""
    header, steps = read_steps(path)
    return header, _held_to(Path(path), header.core(under(header)), steps)


def _held_to(file: Path, core: Core, steps: Iterable[tuple[int, int, r.Event, bytes]]) -> Iterator[Step]:
    for number, now_ns, event, before in steps:
        outcome = core.step(event, now_ns=now_ns)
        if msgspec.json.encode(said(outcome)) != before:
            if b'"Decision"' in before and b'"propensity"' not in before:
                why = "its decisions state no propensities: an older version wrote it; log again with this one"
            else:
                why = f"step {number} does not replay as it was recorded; `hedgerow replay` shows the difference"
            raise UsageError(f"{file}: {why}")
        yield now_ns, event, outcome
