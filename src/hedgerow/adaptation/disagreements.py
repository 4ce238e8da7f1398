"""Which labels two models confuse with one another, how often, who was right, and what it costs under declared rules.

A table for a person: it shows where a cost or a group is worth declaring, and what that does.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hedgerow.adaptation.witnesses import Labels
from hedgerow.core.arbitration import Arbiter
from hedgerow.core.views import ModelView, Verdict


@dataclass(frozen=True, slots=True)
class Pair:
    """One model said `first` where another said `second`, so many `times`. Of those whose right label is known: how often each was
    right and the mean cost of either and of what the rules said (None where no right label is known)."""

    first: int
    second: int
    times: int
    first_right: int | None
    second_right: int | None
    rules_right: int | None
    cost_first: float | None
    cost_second: float | None
    cost_rules: float | None


@dataclass(frozen=True, slots=True)
class Disagreements:
    """All pairs, the most frequent first, of `samples` samples of which `differing` differ."""

    samples: int
    differing: int
    pairs: tuple[Pair, ...]


def disagreements(
    arbiter: Arbiter, first: Sequence[ModelView], second: Sequence[ModelView], labels: Labels | None
) -> Disagreements:
    """Compare two models' views of the same samples under these rules; `labels` (n,) the right ones, or None."""
    verdicts = [arbiter.decide(pair) for pair in zip(first, second, strict=True)]
    found: dict[tuple[int, int], list[int]] = {}
    for place, (one, other) in enumerate(zip(first, second, strict=True)):
        pair = (one.seen.labels[0], other.seen.labels[0])
        if pair[0] != pair[1]:
            found.setdefault(pair, []).append(place)
    rows = [_pair(arbiter, pair, places, verdicts, labels) for pair, places in found.items()]
    rows.sort(key=lambda row: (-row.times, row.first, row.second))
    return Disagreements(len(verdicts), sum(row.times for row in rows), tuple(rows))


def cost_of(arbiter: Arbiter, verdict: Verdict, true: int) -> float:
    """What this verdict costs when that label is right; a group costs what was declared for it."""
    return arbiter.cost(verdict.label, true) if not verdict.group else arbiter.group_cost(verdict.group, true)


def _pair(
    arbiter: Arbiter, pair: tuple[int, int], places: Sequence[int], verdicts: Sequence[Verdict], labels: Labels | None
) -> Pair:
    if labels is None:
        return Pair(pair[0], pair[1], len(places), None, None, None, None, None, None)
    true = [int(labels[place]) for place in places]
    said = [verdicts[place] for place in places]
    right = [sum(label == each for each in true) for label in pair]
    ours = sum(v.label == t and not v.group for v, t in zip(said, true, strict=True))
    costs = [float(np.mean([arbiter.cost(label, each) for each in true])) for label in pair]
    rules = float(np.mean([cost_of(arbiter, v, t) for v, t in zip(said, true, strict=True)]))
    return Pair(pair[0], pair[1], len(places), right[0], right[1], ours, costs[0], costs[1], rules)


def as_rows(found: Disagreements, names: Sequence[str], first: str, second: str) -> list[dict[str, str | float | None]]:
    """The table, a row a pair: the label (by name) that each of the two models said, how often, and where right labels are known
    who was right how often and what each way costs in the mean."""
    rows: list[dict[str, str | float | None]] = []
    for pair in found.pairs:
        told = (names[pair.first], names[pair.second], pair.times)
        right = (pair.first_right, pair.second_right, pair.rules_right)
        costs = (
            None if cost is None else round(cost, 4) for cost in (pair.cost_first, pair.cost_second, pair.cost_rules)
        )
        rows.append(dict(zip(_headings(first, second), (*told, *right, *costs), strict=True)))
    return rows


def _headings(first: str, second: str) -> list[str]:
    ways = (first, second, "rules")
    return [first, second, "times", *(f"{way}_right" for way in ways), *(f"{way}_mean_cost" for way in ways)]


def as_csv(found: Disagreements, names: Sequence[str], first: str, second: str) -> str:
    """The same as comma-separated values."""
    out = io.StringIO()
    write = csv.DictWriter(out, _headings(first, second), lineterminator="\n")
    write.writeheader()
    write.writerows(as_rows(found, names, first, second))
    return out.getvalue()
