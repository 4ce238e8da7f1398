"""What one trial is worth: the rows that the device's harness kept, and the journal, which is replayed and questioned.

Rules: `unanswered` is a request that got no answer, safe value or declared ending; `late_link` is late with no bound of the
device's exceeded in the journal (assurance.lateness); a background request has kept its promise if it was answered, or
handed back as spooled, by its expiry (the timer's and the delivery's margins on top, for the expiry itself starts them). Nothing is left out because it is awkward: a dead device leaves all of its requests unanswered.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from hedgerow.assurance import Cause, Evidence, Late, Timed, late_requests
from hedgerow.assurance.evidence import Step
from hedgerow.core.records import Source, Status
from hedgerow.device.journal import read_steps, said
from hedgerow.errors import UsageError

UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Examined:
    """A journal, read once. `cut`: why it ends before its time, empty if it is whole; `difference`: the first step whose
    replay came out otherwise, empty if none did."""

    evidence: Evidence
    steps: int
    cut: str
    difference: str


def examine(path: Path) -> Examined:
    """Replay a journal and take from it what bears on lateness. UsageError when it does not even have a header."""
    header, steps = read_steps(path)
    core = header.core()
    count, cut, difference = 0, "", ""

    def outcomes() -> Iterator[Step]:
        nonlocal count, cut, difference
        try:
            for number, now_ns, event, before in steps:
                outcome = core.step(event, now_ns=now_ns)
                if not difference and msgspec.json.encode(said(outcome)) != before:
                    difference = f"step {number}"
                count += 1
                yield now_ns, event, outcome
        except UsageError as error:
            cut = str(error)

    evidence = Evidence.of(outcomes(), margins=header.margins, energy=header.table.energy)
    return Examined(evidence, count, cut, difference)


@dataclass(slots=True)
class Verdict:
    """Of one trial; the four judged counts are lists of words, so that a violation tells what it is."""

    requests: int = 0
    unanswered: list[str] = field(default_factory=list)
    late_link: list[str] = field(default_factory=list)
    late_device: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    remote: int = 0

    @property
    def violated(self) -> bool:
        return bool(self.unanswered or self.late_link or self.wrong or self.leaks)

    @property
    def safe_values(self) -> int:
        return self.statuses.get(Status.SAFE_VALUE, 0)


def judge(rows: Sequence[Timed], evidence: Evidence) -> Verdict:
    """Rows and evidence; what was wrong or left behind is added by whoever saw it."""
    verdict = Verdict(requests=len(rows), statuses=dict(Counter(row.status.value for row in rows)))
    verdict.remote = sum(row.source is Source.REMOTE for row in rows)
    silent = [row for row in rows if row.reason == UNANSWERED]
    verdict.unanswered = [f"request {row.index}: nothing came" for row in silent]
    margin_ns = evidence.margins.timer_ns + evidence.margins.deliver_ns
    heard = [_handed_back(row, margin_ns) for row in rows if row.reason != UNANSWERED]
    for late in late_requests(heard, evidence):
        (verdict.late_device if late.cause is Cause.DEVICE else verdict.late_link).append(_words(late, rows))
    return verdict


def _handed_back(row: Timed, margin_ns: int) -> Timed:
    """A spooled request as one that was answered when it was handed back; any other as it is."""
    if row.status is not Status.SPOOLED:
        return row
    return replace(row, status=Status.ANSWERED, deadline_ns=row.deadline_ns + margin_ns)


def _words(late: Late, rows: Sequence[Timed]) -> str:
    row = next(each for each in rows if each.index == late.index)
    how = f"{row.status.value} by {row.source.value} ({row.reason})"
    why = f": {late.because}" if late.because else ""
    return f"request {late.index} (journal: {late.request}), {late.by_ms:.1f} ms late, {how}{why}"
