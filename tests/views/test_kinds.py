"""Who gave an answer, from its source and arm."""

import pytest

from hedgerow.views.kinds import LOOKS, Kind, kind_of


@pytest.mark.parametrize(
    ("source", "arm", "kind"),
    [
        ("local", "local:small", Kind.DEVICE),
        ("local", "small", Kind.DEVICE),
        ("local", "cloud:big:jpeg:75", Kind.RESERVE),
        ("local", "split:big@2:q4", Kind.RESERVE),
        ("remote", "cloud:big:raw", Kind.CLOUD),
        ("remote", "split:big@2:q4", Kind.SPLIT),
        ("safe_value", "cloud:big:raw", Kind.NONE),
        ("none", "", Kind.NONE),
    ],
)
def test_kind_of(source: str, arm: str, kind: Kind) -> None:
    assert kind_of(source, arm) is kind


def test_every_kind_looks_different() -> None:
    for part in ("terminal", "picture", "marker", "letter"):
        assert len({getattr(look, part) for look in LOOKS.values()}) == len(Kind)
