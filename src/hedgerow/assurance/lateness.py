"""Why a request was late: the device's side only where the journal shows it, else the link.

The rule. A late request counts as `device` if

1. no local arm fitted it when it was decided (or it was dropped for want of room), or
2. a bound of the device was exceeded on its own way: one of its jobs, the handing over of its lane, its cancellation, or its
   delivery (from the core's decision to the consumer) beyond the stated margin, or
3. that happened to the timer, or to a job that held a lane, between its capture and the last start of its own jobs (until
   it was told, if its reserve never began), or to the timer that had to end its hold.

2 and 3 count only for an answer, and only if the excesses together are at least as long as it was late: an encoder 1 ms over
its bound does not excuse a blackout. A request without an answer is `device` only by 1, or if the engine failed. All else
is `link`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from hedgerow.assurance.evidence import Evidence, Excess
from hedgerow.assurance.rows import Timed
from hedgerow.core.records import Reason

TIMER = -1  # the request under which the timer's excesses stand
ENDED_BY_TIMER = (Reason.HOLD_ENDED, Reason.DEADLINE_PASSED, Reason.EXPIRED)


class Cause(StrEnum):
    """The second column of lateness."""

    LINK = "link"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Late:
    """One late request: `because` says in words what the journal shows, empty for the link."""

    index: int
    request: int
    by_ms: float
    cause: Cause
    because: str = ""


def late_requests(rows: Iterable[Timed], evidence: Evidence) -> list[Late]:
    """Every late row with its cause; `late == late_link + late_device` by construction."""
    found = []
    for row in rows:
        by_ns = row.late_by_ns
        if by_ns is not None:
            because = device_side(row, by_ns, evidence)
            cause = Cause.DEVICE if because else Cause.LINK
            found.append(Late(row.index, row.request, by_ns / 1e6, cause, because))
    return found


def device_side(row: Timed, by_ns: int, evidence: Evidence) -> str:
    """What of the device's side made this row late, in words; empty if nothing did."""
    if row.request in evidence.unfit:
        return "no local arm fits"
    if not row.answered:
        return "the engine failed" if row.reason == Reason.ENGINE_FAILED else ""
    own = [each for each in _own(row, evidence) if each.by_ns > 0]
    blocking = list(_blocking(row, evidence))
    if _total_ns((*own, *blocking)) < by_ns:
        return ""
    worst = max((*own, *blocking), key=lambda each: each.by_ns)
    whose = "" if worst.request in (row.request, -1) else f" of request {worst.request} before it"
    return f"{worst.what}{whose} {worst.by_ns / 1e6:.1f} ms over its bound"


def _total_ns(excesses: Iterable[Excess]) -> int:
    """Their sum; of a run and of its segments, which are the same time twice, the larger."""
    runs = segments = others = 0
    for each in excesses:
        if each.what.startswith("run "):
            runs += each.by_ns
        elif each.what.startswith("segment "):
            segments += each.by_ns
        else:
            others += each.by_ns
    return max(runs, segments) + others


def _own(row: Timed, evidence: Evidence) -> Iterable[Excess]:
    begun = [hold for hold in evidence.holds if hold.request == row.request and hold.started_ns < row.told_ns]
    until_ns = max(
        (hold.ended_ns for hold in begun), default=row.told_ns
    )  # what still ran when it was told is known later
    yield from (each for each in evidence.excesses if each.request == row.request and each.at_ns <= until_ns)
    delivered_ns = evidence.delivered_ns.get(row.request)
    if delivered_ns is not None:
        over_ns = row.told_ns - delivered_ns - evidence.margins.deliver_ns
        yield Excess(row.request, row.told_ns, "delivery", over_ns)


def _blocking(row: Timed, evidence: Evidence) -> Iterable[Excess]:
    """Excesses of others while this request could have been waiting for the lane, as far as they came before it was told."""
    waiting = evidence.waits_for_lane(row.request, row.told_ns)
    until_ns = row.told_ns if waiting else evidence.last_start_ns(row.request)
    ended_ns = row.told_ns if row.reason in ENDED_BY_TIMER else until_ns
    for each in evidence.excesses:
        waited_ns = ended_ns if each.request == TIMER else until_ns
        if each.request == row.request or waited_ns is None or each.at_ns <= row.captured_ns:
            continue
        if each.at_ns <= waited_ns:
            yield each
        elif waiting and each.at_ns - each.by_ns < row.told_ns and _held(each, row.told_ns, evidence):
            yield replace(each, by_ns=each.by_ns - (each.at_ns - row.told_ns))


def _held(excess: Excess, told_ns: int, evidence: Evidence) -> bool:
    """Whether the job that was beyond its bound held the lane at this moment; how far is known only at its end."""
    return any(
        hold.request == excess.request and hold.started_ns < told_ns < hold.ended_ns == excess.at_ns
        for hold in evidence.holds
    )


def late_above_device_only(rows: Sequence[Timed], evidence: Evidence, device_only: Sequence[Timed]) -> int:
    """How many were late with no bound exceeded while the device-only twin (the row of the same index) was in time."""
    in_time = {row.index for row in device_only if row.in_time}
    return sum(late.cause is Cause.LINK and late.index in in_time for late in late_requests(rows, evidence))
