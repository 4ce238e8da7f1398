"""Turns one drive's rows and journal into the figures of the table, by the rules of honest figures.

Rules: `requests` counts frames offered; `in_time + late == requests`; `late == late_link + late_device`; `agreement` (with
the reference on the uncompressed frame) and `correct` (with the photograph's label) are shares of `requests` in which a
late answer counts as wrong. Uplink and energy include probes and the work that went on after an answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hedgerow.assurance import Cause, Evidence, Late, Timed, deadline_figures, late_requests
from hedgerow.assurance.evidence import Step
from hedgerow.device.journal import read_steps, replay


@dataclass(frozen=True, slots=True)
class Scored:
    """`figures` is the strategy's object in the result; `replayed` says how its journal's replay went."""

    figures: dict[str, Any]
    late: list[Late]
    replayed: str


def journal_evidence(path: Path) -> Evidence:
    """What the journal shows: its events put through a core made of its header, as `replay` does."""
    header, steps = read_steps(path)
    core = header.core()

    def outcomes() -> Iterator[Step]:
        for _, now_ns, event, _ in steps:
            yield now_ns, event, core.step(event, now_ns=now_ns)

    return Evidence.of(outcomes(), margins=header.margins, energy=header.table.energy)


def score(
    name: str, rows: Sequence[Timed], journal: Path, reference_answers: Sequence[int], labels: Sequence[int]
) -> Scored:
    """The figures of one strategy; frame i of the drive is frame i modulo their number."""
    evidence = journal_evidence(journal)
    replayed = replay(journal)
    late = late_requests(rows, evidence)
    times = deadline_figures(rows)
    requests = {row.request for row in rows}
    begun_ns, ended_ns = min(row.captured_ns for row in rows), max(row.told_ns for row in rows)
    probes = [each for each in evidence.probes if begun_ns <= each.sent_ns <= ended_ns]
    afterwards = sum(energy for request, energy in evidence.energy_after_mj.items() if request in requests)
    energy = sum(row.energy_mj for row in rows) + afterwards + sum(each.energy_mj for each in probes)
    figures: dict[str, Any] = {
        "name": name,
        "requests": times.requests,
        "in_time": times.in_time,
        "late": times.late,
        "late_link": sum(each.cause is Cause.LINK for each in late),
        "late_device": sum(each.cause is Cause.DEVICE for each in late),
        "p50_ms": _rounded(times.p50_ms),
        "p99_ms": _rounded(times.p99_ms),
        "max_ms": _rounded(times.max_ms),
        "uplink_bytes": sum(row.uplink_bytes for row in rows) + sum(each.uplink_bytes for each in probes),
        "energy_mj": round(energy, 1),
        "agreement": _share(rows, reference_answers),
        "correct": _share(rows, labels),
    }
    equal = f"equal in {replayed.steps} steps" if replayed.difference is None else replayed.difference
    return Scored(figures, late, equal)


def _share(rows: Sequence[Timed], wanted: Sequence[int]) -> float:
    """How many rows are in time and have the wanted class, as a share of all."""
    right = sum(row.in_time and row.label_index == wanted[row.index % len(wanted)] for row in rows)
    return round(right / len(rows), 4) if rows else 0.0


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
