"""Records that are made quickly are the same frozen dataclasses as before: against one that was left as `dataclass` made it."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, fields, make_dataclass
from inspect import signature
from typing import Any, get_args

import pytest

from hedgerow.core import records as r
from hedgerow.core.policies import Choice
from hedgerow.core.quick import quicken

KINDS = (*get_args(r.Event), *get_args(r.Action), *get_args(r.Record), r.Outcome, Choice)


def plain(kind: Any) -> Any:
    """The class as it would be without `quicken`."""
    given = [(each.name, each.type, each) for each in fields(kind)]
    return make_dataclass(kind.__name__, [(name, Any, copy.copy(each)) for name, _, each in given], frozen=True, slots=True)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_is_made_shown_compared_kept_and_refused_as_a_plain_one(kind: Any) -> None:
    values = {each.name: (place, each.name) for place, each in enumerate(fields(kind))}
    made, other = kind(**values), plain(kind)(**values)
    assert type(made) is kind
    assert made == kind(*values.values())
    assert repr(made).partition("(")[2] == repr(other).partition("(")[2]
    assert hash(made) == hash(kind(**values))
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made
    assert list(signature(kind).parameters) == list(values)
    for name in values:
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, 1)
    with pytest.raises(TypeError):
        kind(**values, more=1)


def test_what_is_left_out_has_its_default_and_what_has_none_is_asked_for() -> None:
    assert r.Deliver(1, r.Status.LATE, r.Source.NONE, "", "", r.Reason.EXPIRED).promised is False
    assert r.RequestArrived(1, "camera", 5).deadline_ns is None
    with pytest.raises(TypeError, match="captured_ns"):
        r.RequestArrived(1, "camera")  # type: ignore[call-arg]


def test_many_fields_and_few_take_two_ways_to_the_same() -> None:
    @dataclass(frozen=True, slots=True)
    class Few:
        a: int
        b: int = 2

    @dataclass(frozen=True, slots=True)
    class Many:
        a: int
        b: int = 2
        c: int = 3
        d: int = 4
        e: int = 5

    quicken(Few)
    quicken(Many)
    assert (Few(1), Few(1, b=7).b) == (Few(1, 2), 7)
    assert Many(1, e=9) == Many(1, 2, 3, 4, 9)
