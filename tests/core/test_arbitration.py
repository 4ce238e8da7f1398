"""The rules of arbitration against brute force, and the properties that they promise."""

from dataclasses import replace
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.core.arbitration import EARLIER, LABELS_MAX, Arbiter, Arbitration, Cost, Group
from hedgerow.core.views import Aside, ModelView, Rule, Seen
from hedgerow.errors import UsageError

LABELS = 5


def view(model: str, *named: tuple[int, float], tier: str = "device", version: str = "1", age_ms: int = 0) -> ModelView:
    """A view that names these (label, probability)."""
    labels, shares = tuple(label for label, _ in named), tuple(share for _, share in named)
    return ModelView(model, tier, Seen(version, labels, shares), age_ms * 1_000_000)


@st.composite
def views(draw: st.DrawFn, labels: int = LABELS) -> ModelView:
    """What any model may say of one sample: its likeliest labels, the rest left over."""
    weights = draw(st.lists(st.integers(1, 1000), min_size=labels, max_size=labels))
    shares = sorted(((w / sum(weights), label) for label, w in enumerate(weights)), reverse=True)
    kept = shares[: draw(st.integers(1, labels))]
    model, tier = draw(st.sampled_from("abcd")), draw(st.sampled_from(["device", "cloud"]))
    seen = Seen("1", tuple(label for _, label in kept), tuple(round(share, 6) for share, _ in kept))
    return ModelView(model, tier, seen, draw(st.sampled_from([0, 0, 100_000_000])))


@st.composite
def rules(draw: st.DrawFn) -> Arbitration:
    """Any costs, weights, prior and groups over five labels."""
    cost = st.floats(0.0, 100.0, allow_nan=False)
    matrix = tuple(
        tuple(0.0 if said == true else draw(cost) for true in range(LABELS)) for said in range(LABELS)
    )  # fmt: skip
    weights = tuple((model, draw(st.sampled_from([0.5, 1.0, 2.0]))) for model in "abcd")
    prior = tuple(draw(st.lists(st.floats(0.1, 1.0), min_size=LABELS, max_size=LABELS))) if draw(st.booleans()) else ()
    groups = (Group("low", (0, 1), draw(st.none() | cost)), Group("high", (2, 3, 4), draw(st.none() | cost)))
    return Arbitration(LABELS, matrix=matrix, weights=weights, prior=prior, groups=groups)


def expected_by_hand(declared: Arbitration, seen: list[ModelView]) -> list[Fraction]:
    """Each label's expected cost, then each sayable group's, in exact fractions and the definition's own order."""
    prior = [Fraction(each) for each in declared.prior or [1.0] * declared.labels]
    prior = [each / sum(prior) for each in prior]
    pooled = [Fraction(0)] * declared.labels
    for each in seen:
        named = {label: Fraction(p) for label, p in zip(each.seen.labels, each.seen.probabilities, strict=True)}
        unnamed = [label for label in range(declared.labels) if label not in named]
        left = max(Fraction(0), 1 - sum(named.values()))
        beyond = sum(prior[label] for label in unnamed)
        weight = Fraction(dict(declared.weights).get(each.model, 1.0)) * (
            1 - Fraction(each.age_ns, declared.age_max_ns)
        )
        for label in range(declared.labels):
            pooled[label] += weight * (named[label] if label in named else left * prior[label] / beyond)
    total = sum(pooled)

    def cost(said: int, true: int) -> Fraction:
        return Fraction(declared.matrix[said][true]) if declared.matrix else Fraction(said != true)

    rows = [[cost(said, true) for true in range(declared.labels)] for said in range(declared.labels)]
    for group in declared.groups:
        if group.inside is not None:
            rows.append(
                [Fraction(group.inside) if true in group.labels else max(cost(m, true) for m in group.labels)
                 for true in range(declared.labels)]
            )  # fmt: skip
    return [sum((p * c for p, c in zip(pooled, row, strict=True)), Fraction(0)) / total for row in rows]


@given(rules(), st.lists(views(), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_what_is_said_costs_the_least_by_brute_force(declared: Arbitration, seen: list[ModelView]) -> None:
    verdict = Arbiter(declared).decide(seen)
    expected = expected_by_hand(declared, seen)
    sayable = [group.name for group in declared.groups if group.inside is not None]
    place = declared.labels + sayable.index(verdict.group) if verdict.group else verdict.label
    dearest = max(max(map(max, declared.matrix)), *(g.inside or 0.0 for g in declared.groups), 1e-9)
    assert float(expected[place] - min(expected)) <= 1e-8 * dearest + 1e-5
    assert verdict.cost == pytest.approx(float(expected[place]), abs=1e-5 * max(1.0, dearest))


@given(rules(), st.lists(views(), min_size=2, max_size=4))
@settings(max_examples=100, deadline=None)
def test_the_order_of_views_does_not_matter(declared: Arbitration, seen: list[ModelView]) -> None:
    arbiter = Arbiter(declared)
    first = arbiter.decide(seen)
    assert all(arbiter.decide(order) == first for order in permutations(seen))


@given(views())
def test_one_view_and_plain_costs_say_its_top_label(seen: ModelView) -> None:
    verdict = Arbiter(Arbitration(LABELS)).decide([seen])
    assert verdict.label == seen.seen.labels[0]
    assert not verdict.conflict


@given(st.integers(0, LABELS - 1), st.lists(views(), min_size=1, max_size=4))
def test_under_plain_costs_a_label_that_all_say_stands(label: int, seen: list[ModelView]) -> None:
    agreeing = [replace(each, seen=Seen("1", (label,), (0.6,))) for each in seen]
    assert Arbiter(Arbitration(LABELS)).decide(agreeing).label == label


@given(rules(), st.integers(0, LABELS - 1), st.lists(views(), min_size=1, max_size=4))
def test_agreed_labels_stand_whatever_they_cost_where_that_is_declared(
    declared: Arbitration, label: int, seen: list[ModelView]
) -> None:
    agreeing = [replace(each, seen=Seen("1", (label,), (0.3,))) for each in seen]
    verdict = Arbiter(replace(declared, agreed_stand=True)).decide(agreeing)
    assert (verdict.label, verdict.rule, verdict.group) == (label, Rule.AGREED, "")


@given(rules(), st.lists(views(), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_a_label_that_is_worse_whatever_is_true_is_never_said(declared: Arbitration, seen: list[ModelView]) -> None:
    dearer = [list(row) for row in declared.matrix]
    dearer[4] = [0.0 if true == 4 else dearer[0][true] + 1.0 for true in range(LABELS)]
    certain_not = [each for each in seen if 4 not in each.seen.labels and sum(each.seen.probabilities) >= 1.0]
    verdict = Arbiter(replace(declared, matrix=tuple(map(tuple, dearer)), groups=())).decide(certain_not)
    assert verdict.label != 4


def test_a_dear_mistake_outweighs_the_likelier_label() -> None:
    dear = (Cost((0,), (1,), 50.0),)  # saying car when it is a pedestrian
    seen = [view("small", (0, 0.7), (1, 0.3)), view("big", (0, 0.6), (1, 0.4), tier="cloud")]
    assert Arbiter(Arbitration(2)).decide(seen).label == 0
    verdict = Arbiter(Arbitration(2, costs=dear)).decide(seen)
    assert (verdict.label, verdict.rule, verdict.conflict) == (1, Rule.LEAST_COST, False)
    assert verdict.cost == pytest.approx(0.65)


def test_the_group_is_said_where_no_label_in_it_is_good_enough() -> None:
    users = Group("vulnerable road user", (1, 2), inside=0.1)
    seen = [view("small", (1, 0.55), (2, 0.4)), view("big", (2, 0.6), (1, 0.35), tier="cloud")]
    verdict = Arbiter(Arbitration(3, groups=(users,))).decide(seen)
    assert (verdict.rule, verdict.group, verdict.label) == (Rule.GROUP, "vulnerable road user", 2)
    assert verdict.conflict
    assert dict(verdict.others) == {"device": 1, "cloud": 2, "most_confident": 2}
    assert Arbiter(Arbitration(3, groups=(replace(users, inside=None),))).decide(seen).label == 2


def test_another_version_of_the_model_does_not_count_and_is_told() -> None:
    declared = Arbitration(3, versions=(("big", "7"),))
    seen = [view("small", (0, 0.6)), view("big", (1, 0.99), version="8", tier="cloud")]
    verdict = Arbiter(declared).decide(seen)
    assert verdict.label == 0
    assert [each.aside for each in verdict.views] == [Aside.VERSION, None]
    assert verdict.conflict
    assert Arbiter(replace(declared, versions=(("big", "8"),))).decide(seen).label == 1


@pytest.mark.parametrize(
    "wrong",
    [
        Seen("1", (), ()),
        Seen("1", (0, 9), (0.5, 0.2)),
        Seen("1", (0, 0), (0.5, 0.2)),
        Seen("1", (0,), (1.2,)),
        Seen("1", (0, 1), (0.9, 0.9)),
        Seen("1", (0,), (float("nan"),)),
        Seen("1", (0, 1), (0.5,)),
    ],
)
def test_what_cannot_be_a_view_is_set_aside(wrong: Seen) -> None:
    verdict = Arbiter(Arbitration(3)).decide([ModelView("bad", "cloud", wrong), view("small", (2, 0.5))])
    assert verdict.label == 2
    assert verdict.views[0].aside is Aside.UNREADABLE
    nothing = Arbiter(Arbitration(3)).decide([ModelView("bad", "cloud", wrong)])
    assert (nothing.rule, nothing.label) == (Rule.NO_VIEW, -1)


def test_weights_and_age_count() -> None:
    arbiter = Arbiter(Arbitration(3, weights=(("a", 3.0), ("none", 0.0)), memory=2.0, age_max_ns=10**9))
    seen = [view("a", (0, 0.9)), view("b", (1, 0.99)), view("none", (2, 1.0))]
    verdict = arbiter.decide(seen)
    assert verdict.label == 0
    assert [each.aside for each in verdict.views] == [None, None, Aside.NO_WEIGHT]
    older = [view("a", (0, 0.9), age_ms=800), view("b", (1, 0.99)), view(EARLIER, (2, 1.0), age_ms=1000)]
    verdict = arbiter.decide(older)
    assert verdict.label == 1
    assert [(each.weight, each.aside) for each in verdict.views] == [(0.0, Aside.TOO_OLD), (0.6, None), (1.0, None)]


def test_equal_costs_go_to_the_weightiest_view() -> None:
    seen = [view("a", (1, 0.5), (0, 0.5)), view("b", (0, 0.5), (1, 0.5))]
    assert Arbiter(Arbitration(2, weights=(("a", 2.0),))).decide(seen).label == 1
    verdict = Arbiter(Arbitration(2, weights=(("b", 2.0),))).decide(seen)
    assert (verdict.label, verdict.rule) == (0, Rule.TIE)


def test_three_views_have_a_majority() -> None:
    seen = [view("a", (1, 0.4)), view("b", (1, 0.4)), view("c", (0, 0.9), tier="cloud")]
    assert dict(Arbiter(Arbitration(3)).decide(seen).others)["majority"] == 1
    split = [view("a", (1, 0.4)), view("b", (2, 0.4)), view("c", (0, 0.9), tier="cloud")]
    assert "majority" not in dict(Arbiter(Arbitration(3)).decide(split).others)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (Arbitration(1), "2 to 2048 labels"),
        (Arbitration(LABELS_MAX + 1), "2 to 2048 labels"),
        (Arbitration(2, matrix=((0.0, 1.0),)), "2 x 2"),
        (Arbitration(2, matrix=((0.0, 1.0), (1.0,))), "2 x 2"),
        (Arbitration(2, matrix=((0.0, float("nan")), (1.0, 0.0))), "0 or more"),
        (Arbitration(2, matrix=((0.0, -1.0), (1.0, 0.0))), "0 or more"),
        (Arbitration(2, matrix=((2.0, 1.0), (1.0, 0.0))), "costs nothing"),
        (Arbitration(2, costs=(Cost((0,), (5,), 1.0),)), "labels from 0 to 1"),
        (Arbitration(2, costs=(Cost((0,), (1,), -1.0),)), "0 or more"),
        (Arbitration(2, groups=(Group("g", ()),)), "group 'g'"),
        (Arbitration(2, groups=(Group("g", (0,)), Group("g", (1,)))), "same name"),
        (Arbitration(2, weights=(("a", float("inf")),)), "weight of 'a'"),
        (Arbitration(2, prior=(1.0,)), "prior"),
        (Arbitration(2, prior=(0.0, 0.0)), "prior"),
        (Arbitration(2, age_max_ns=0), "age_max_ns"),
        (Arbitration(2, wrong=float("inf")), "wrong"),
    ],
)
def test_what_is_declared_wrongly_is_refused(rules: Arbitration, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Arbiter(rules)
