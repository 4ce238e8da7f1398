"""Settles which exits stay and from which confidence each may answer: chosen on some samples, calibrated on others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hedgerow.adaptation.exits.choosing import Costs, best_dealing, path_of
from hedgerow.adaptation.exits.running import Answers
from hedgerow.adaptation.risk import Calibrated, Floats, row_for

EXITS_MAX = 3
GAIN_MIN = 0.01
UNREACHABLE = 2.0  # a threshold that no probability reaches, and a number in JSON
WIDER = 3.0  # the path goes on to so many times the disagreement asked for, on the samples that chose it


@dataclass(frozen=True, slots=True)
class Promise:
    """What is asked: at most this share stops and disagrees, at this level; `unseen` as in `risk`."""

    at_most: float
    level: float = 0.95
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """`exits` that stay (columns of the answers), a gate for each, the path that was tested, of these exits alone."""

    exits: list[int]
    gates: Floats
    path: Floats
    calibrated: Calibrated | None
    why_not: str = ""


def settle(
    choosing: Answers, calibrating: Answers, costs: Costs, promise: Promise, exits_max: int = EXITS_MAX
) -> Settled:
    """No exit stays where none saves work; `why_not` says so. UsageError for too few calibrating samples."""
    shares, paid = best_dealing(
        choosing.confidence, choosing.agrees, costs, at_most=promise.at_most, exits_max=exits_max
    )
    kept = [int(number) for number in np.flatnonzero(shares)]
    if paid > (1.0 - GAIN_MIN) * costs.whole:
        return _nothing("no exit saves a hundredth of the work at the disagreement asked for")
    path = path_of(
        choosing.confidence[:, kept], choosing.agrees[:, kept], shares[kept], wrong_max=WIDER * promise.at_most
    )
    found, stopping = calibrate(calibrating, kept, path, promise)
    final = [kept[number] for number in stopping]
    gates = path[found.row][stopping]
    if not final or costs.of(final).paid(calibrating.confidence[:, final], gates).mean() >= costs.whole:
        return _nothing(f"what {found.samples} samples can prove lets too few stop to pay for asking")
    return Settled(final, gates, np.minimum(path[:, stopping], UNREACHABLE), found)


def calibrate(answers: Answers, exits: Sequence[int], path: Floats, promise: Promise) -> tuple[Calibrated, list[int]]:
    """The row of the path that these samples prove, and which columns of it anything may stop at."""
    columns = list(exits)
    found = row_for(
        answers.confidence[:, columns],
        answers.agrees[:, columns],
        path,
        at_most=promise.at_most,
        level=promise.level,
        unseen=promise.unseen,
    )
    if found.row < 0:
        return found, []
    return found, [number for number, gate in enumerate(path[found.row]) if gate <= 1.0]


def judged(answers: Answers, labels: np.ndarray | None, gates: Floats, costs: Costs) -> dict[str, Any]:
    """What these gates do on these samples; accuracies where there are labels."""
    given = answers.given(gates)
    figures: dict[str, Any] = {
        "samples_judged": len(given),
        "disagreement_got": float((given != answers.whole).mean()),
        "agreement_alone": answers.agrees.mean(axis=0).tolist(),
        "stop_shares": stop_shares(answers, gates),
        "work_saved": 1.0 - float(costs.paid(answers.confidence, gates).mean()) / costs.whole,
    }
    if labels is not None:
        figures |= {
            "accuracy_full": float((answers.whole == labels).mean()),
            "accuracy_exits": float((given == labels).mean()),
            "accuracy_alone": (answers.labels == labels[:, None]).mean(axis=0).tolist(),
        }
    return figures


def stop_shares(answers: Answers, gates: Floats) -> list[float]:
    """The share of samples that each exit answers."""
    reached = answers.confidence >= gates
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), len(gates))
    return [float((first == number).mean()) for number in range(len(gates))]


def summary(found: Calibrated) -> str:
    """One sentence for people."""
    return (
        f"at most {found.asked:.3g} disagree, at {found.level:.3g}: {found.stop_share:.3f} of {found.samples} calibrating samples "
        f"stop, {found.disagreement:.4f} disagree (upper bound {found.bound:.4f})"
    )


def _nothing(why: str) -> Settled:
    return Settled([], np.empty(0), np.empty((0, 0)), None, why)
