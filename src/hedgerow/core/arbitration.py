"""One declared rule set for what is said when views differ: an exit, an int8 copy, a small model here, a big one elsewhere.

1. Versions come first: a view of another version of its model than was declared does not count.
2. Views are pooled: the weighted mean of their calibrated probabilities (the linear opinion pool of Stone 1961). A view's
   weight is its model's declared one, and falls in a straight line to nothing at `age_max_ns`. What a view leaves over is
   spread over the labels that it does not name, as the declared prior has them.
3. What is said is what costs least in expectation under the pool and the declared costs: a label, or a declared group. Equal
   costs (to nine digits of the largest) go to what the weightiest view says, then to the first label; a label before a group.
4. Where agreed labels are declared to stand, a label that all views say is not weighed.
5. The order of views does not matter. Nothing here keeps anything: memory of a track is a view like any other (tracks.py).

Arithmetic is elementwise multiplication, division and sums in a fixed order, so that a replay gives the same bits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.core.views import Aside, ModelView, Rule, Seen, Verdict, Weighed
from hedgerow.errors import UsageError

LABELS_MAX: Final = 2048  # the table of costs has labels x labels places
VIEWS_MAX: Final = 8  # of one sample; the first are kept
TOLERANCE: Final = 1e-3  # a view's probabilities may exceed 1 by this: they were rounded
EARLIER: Final = "(earlier)"
"""Who says what is remembered of a track."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Group:
    """Labels that belong together. `inside` is the cost of saying only the group when the truth is in it; None: it is never said.
    When the truth is elsewhere, the group costs as much as the dearest of its labels."""

    name: str
    labels: tuple[int, ...]
    inside: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """Saying one of `said` when it is another of `true` costs this; later ones overrule earlier ones. Right answers cost 0."""

    said: tuple[int, ...]
    true: tuple[int, ...]
    cost: float


@dataclass(frozen=True, slots=True)
class Arbitration:
    """What the user declares. `labels`: how many there are; `wrong`: a wrong label's cost unless `matrix` (said x true) or
    `costs` say otherwise; `weights` by model, 1 unless declared; `versions` by model: only this version of it counts (a model
    without one: any); `prior`: probability of each label where nothing is known, even if empty; `memory`: the weight of what a
    track showed before, 0 for none; `age_max_ns`: a length, from which a view weighs nothing; `streams`: which, all if empty."""

    labels: int
    wrong: float = 1.0
    matrix: tuple[tuple[float, ...], ...] = ()
    costs: tuple[Cost, ...] = ()
    groups: tuple[Group, ...] = ()
    weights: tuple[tuple[str, float], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    prior: tuple[float, ...] = ()
    agreed_stand: bool = False
    memory: float = 0.0
    age_max_ns: int = 1_000_000_000
    streams: tuple[str, ...] = ()

    def check(self) -> None:
        """UsageError, saying what is wrong and what would be right."""
        if not 2 <= self.labels <= LABELS_MAX:
            raise UsageError(f"arbitration needs 2 to {LABELS_MAX} labels, not {self.labels}")
        _check_matrix(self.matrix, self.labels)
        prices = [("wrong", self.wrong), *(("a cost", each.cost) for each in self.costs), ("memory", self.memory)]
        prices += [(f"group '{each.name}': inside", each.inside or 0.0) for each in self.groups]
        prices += [(f"the weight of '{model}'", weight) for model, weight in self.weights]
        for what, value in prices:
            if not _is_price(value):
                raise UsageError(f"{what} must be a number of 0 or more, not {value}")
        for labels in (labels for each in self.costs for labels in (each.said, each.true)):
            _check_labels("a cost", labels, self.labels)
        for group in self.groups:
            _check_labels(f"group '{group.name}'", group.labels, self.labels)
        names = [group.name for group in self.groups]
        if len(set(names)) < len(names):
            raise UsageError("two groups have the same name; give each its own")
        if self.prior and (
            len(self.prior) != self.labels or not all(map(_is_price, self.prior)) or not any(self.prior)
        ):
            raise UsageError(f"the prior must be {self.labels} numbers of 0 or more, one a label, not all 0")
        if self.age_max_ns <= 0:
            raise UsageError("age_max_ns must be more than 0")


class Arbiter:
    """The declared rules, made ready. UsageError when they contradict themselves."""

    def __init__(self, rules: Arbitration) -> None:
        rules.check()
        self.rules = rules
        self._weights, self._versions = dict(rules.weights), dict(rules.versions)
        prior = rules.prior or (1.0,) * rules.labels
        total = sum(prior)
        self._prior = [each / total for each in prior]
        self._said = [group for group in rules.groups if group.inside is not None]
        table = _with_groups(_table(rules), self._said)
        self._scale = float(table.max()) or 1.0
        self._by_truth: Floats = np.ascontiguousarray(
            (table / self._scale).T
        )  # row b: what each answer costs when it is b
        self._blind: Floats = np.zeros(len(table))  # what each costs under the prior
        for share, costs in zip(self._prior, self._by_truth, strict=True):
            self._blind += share * costs

    def cost(self, said: int, true: int) -> float:
        """What saying this label costs when it is that one."""
        return float(self._by_truth[true, said]) * self._scale

    def group_cost(self, said: str, true: int) -> float:
        """What saying only this group costs when it is that label; ValueError for a group that is never said."""
        place = [group.name for group in self._said].index(said)
        return float(self._by_truth[true, self.rules.labels + place]) * self._scale

    def weigh(self, views: Iterable[ModelView]) -> tuple[Weighed, ...]:
        """Each view with its weight, in the order in which they are summed."""
        ordered = sorted(views, key=lambda view: (view.model, view.tier, view.age_ns, view.seen.version, view.seen.labels,
                                                  view.seen.probabilities))  # fmt: skip
        return tuple(self._weighed(view) for view in ordered)

    def _weighed(self, view: ModelView) -> Weighed:
        weight = self.rules.memory if view.model == EARLIER else self._weights.get(view.model, 1.0)
        weight *= max(0.0, 1.0 - view.age_ns / self.rules.age_max_ns)
        declared = self._versions.get(view.model, view.seen.version)
        aside = None
        if view.seen.version != declared:
            aside = Aside.VERSION
        elif not _readable(view.seen, self.rules.labels):
            aside = Aside.UNREADABLE
        elif weight <= 0.0:
            aside = Aside.TOO_OLD if view.age_ns >= self.rules.age_max_ns else Aside.NO_WEIGHT
        shown = 0.0 if aside else round(weight, 9)
        return Weighed(view.model, view.tier, round(view.age_ns / 1e6, 3), view.seen, shown, aside)

    def decide(self, views: Iterable[ModelView]) -> Verdict:
        """What is said of one sample, and what others would have said."""
        weighed = self.weigh(views)
        counted = [view for view in weighed if view.aside is None]
        tops = {view.seen.labels[0] for view in weighed if view.seen.labels and view.model != EARLIER}
        others = _others(weighed)
        if not counted:
            return Verdict(Rule.NO_VIEW, -1, "", 0.0, Seen("", (), ()), weighed, others, len(tops) > 1)
        labels, shares, rest = self._pool(counted)
        pooled = Seen("", *_falling(labels, shares))
        expected = self._expected(labels, shares, rest)
        rule, place = self._choose(counted, expected)
        label, group = place, ""
        if place >= self.rules.labels:
            said = self._said[place - self.rules.labels]
            label, group = next((each for each in pooled.labels if each in said.labels), said.labels[0]), said.name
        cost = round(float(expected[place]) * self._scale, 6)
        return Verdict(rule, label, group, cost, pooled, weighed, others, len(tops) > 1)

    def _pool(self, counted: Sequence[Weighed]) -> tuple[list[int], list[float], float]:
        """(labels that any view names, their pooled probabilities, what is left for all others)."""
        labels = sorted({label for view in counted for label in view.seen.labels})
        shares, rest = [0.0] * len(labels), 0.0
        beyond = _left(self._prior[label] for label in labels)
        for view in counted:
            named = dict(zip(view.seen.labels, view.seen.probabilities, strict=True))
            left, unnamed = _left(named.values()), _left(self._prior[label] for label in named)
            spread = left / unnamed if unnamed > 0.0 else 0.0
            for place, label in enumerate(labels):
                share = named[label] if label in named else spread * self._prior[label]
                shares[place] += view.weight * share
            rest += view.weight * spread * beyond
        total = rest
        for share in shares:
            total += share
        if total <= 0.0:  # views that say nothing at all
            return labels, [1.0 / len(labels)] * len(labels), 0.0
        return labels, [share / total for share in shares], rest / total

    def _expected(self, labels: Sequence[int], shares: Sequence[float], rest: float) -> Floats:
        """What each answer, labels first and then groups, is expected to cost, as a share of the dearest mistake."""
        beyond = _left(self._prior[label] for label in labels)
        spread = rest / beyond if beyond > 0.0 else 0.0
        expected = spread * self._blind
        for label, share in zip(labels, shares, strict=True):
            expected += (share - spread * self._prior[label]) * self._by_truth[label]
        rounded: Floats = np.round(expected, 9) + 0.0  # no -0.0
        return rounded

    def _choose(self, counted: Sequence[Weighed], expected: Floats) -> tuple[Rule, int]:
        preferred = [view.seen.labels[0] for view in sorted(counted, key=lambda view: -view.weight)]
        if self.rules.agreed_stand and len(set(preferred)) == 1:
            return Rule.AGREED, preferred[0]
        least = expected == expected.min()
        first = int(np.argmax(least))
        if np.count_nonzero(least) > 1:
            return Rule.TIE, next((label for label in preferred if least[label]), first)
        return (Rule.LEAST_COST if first < self.rules.labels else Rule.GROUP), first


def _is_price(value: float) -> bool:
    return 0.0 <= value < float("inf")


def _check_labels(what: str, labels: Sequence[int], count: int) -> None:
    if not labels or len(set(labels)) < len(labels) or not all(0 <= label < count for label in labels):
        raise UsageError(f"{what} must name labels from 0 to {count - 1}, each once, not {list(labels)}")


def _check_matrix(matrix: Sequence[Sequence[float]], labels: int) -> None:
    if not matrix:
        return
    if len(matrix) != labels or any(len(row) != labels for row in matrix):
        widths = sorted({len(row) for row in matrix})
        raise UsageError(
            f"the matrix has {len(matrix)} rows of {widths} costs; with {labels} labels it is {labels} x {labels}"
        )
    for said, row in enumerate(matrix):
        for true, cost in enumerate(row):
            if not _is_price(cost) or (said == true and cost != 0.0):
                right = "0, as a right answer costs nothing" if said == true else "a number of 0 or more"
                raise UsageError(f"the matrix says {cost} in row {said}, column {true}; it must be {right}")


def _table(rules: Arbitration) -> Floats:
    """The cost of saying a (row) when it is b (column)."""
    table: Floats = np.full((rules.labels, rules.labels), rules.wrong)
    if rules.matrix:
        table = np.array(rules.matrix, dtype=np.float64)
    for each in rules.costs:
        table[np.ix_(each.said, each.true)] = each.cost
    np.fill_diagonal(table, 0.0)
    return table


def _with_groups(table: Floats, groups: Sequence[Group]) -> Floats:
    rows = [table]
    for group in groups:
        members = list(group.labels)
        row = table[members].max(axis=0)
        row[members] = group.inside
        rows.append(row[None])
    return np.concatenate(rows)


def _left(shares: Iterable[float]) -> float:
    """What these leave of 1, in their order."""
    left = 1.0
    for share in shares:
        left -= share
    return left if left > 1e-9 else 0.0


def _readable(seen: Seen, labels: int) -> bool:
    named, shares = seen.labels, seen.probabilities
    known = (
        0 < len(named) == len(shares) and len(set(named)) == len(named) and all(0 <= each < labels for each in named)
    )
    return known and all(0.0 <= each <= 1.0 for each in shares) and sum(shares) <= 1.0 + TOLERANCE


def _falling(labels: Sequence[int], shares: Sequence[float]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    pairs = sorted(
        zip((round(share, 6) for share in shares), labels, strict=True), key=lambda pair: (-pair[0], pair[1])
    )
    return tuple(label for _, label in pairs), tuple(share for share, _ in pairs)


def _others(weighed: Sequence[Weighed]) -> tuple[tuple[str, int], ...]:
    """What simpler rules would have said: the device alone, the cloud alone, the most confident, the majority of three or more."""
    now = [view for view in weighed if view.aside is None and view.model != EARLIER]
    found: list[tuple[str, int]] = []
    for name, side in (
        ("device", [v for v in now if v.tier == "device"]),
        ("cloud", [v for v in now if v.tier != "device"]),
    ):
        if side:
            found.append((name, max(side, key=lambda view: view.weight).seen.labels[0]))
    if now:
        found.append(("most_confident", max(now, key=lambda view: view.seen.probabilities[0]).seen.labels[0]))
    votes = [view.seen.labels[0] for view in now]
    most = max(set(votes), key=lambda label: (votes.count(label), -label), default=-1)
    if len(votes) > 2 and 2 * votes.count(most) > len(votes):
        found.append(("majority", most))
    return tuple(found)
