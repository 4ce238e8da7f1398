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


@pytest.mark.parametrize(
    ("source", "arm", "reason", "kind"),
    [
        ("local", "cascade:small>cloud:big:jpeg:75", "confident_at_gate", Kind.CASCADE),
        ("local", "cascade:small>cloud:big:jpeg:75", "hold_ended", Kind.RESERVE),
        ("remote", "cascade:small>cloud:big:jpeg:75", "remote_in_time", Kind.CLOUD),
        ("local", "exit:net@net.exit1", "confident_at_gate", Kind.EXIT),
        ("local", "exit:net@net.exit1", "local_done", Kind.DEVICE),
        ("remote", "cascade:net.exit1>split:net@3:q4", "remote_in_time", Kind.SPLIT),
        ("local", "cascade:net.exit1>split:net@3:q4", "deadline", Kind.RESERVE),
        ("remote", "split:net.int8>net@3:q4", "remote_in_time", Kind.SPLIT),
        ("local", "split:net.int8>net@3:q4", "hold_ended", Kind.RESERVE),
        ("reused", "reuse", "scene_unchanged", Kind.REUSED),
    ],
)
def test_an_arm_with_gates_is_called_by_where_it_stopped(source: str, arm: str, reason: str, kind: Kind) -> None:
    assert kind_of(source, arm, reason) is kind


def test_every_kind_looks_different() -> None:
    for part in ("terminal", "picture", "marker", "letter"):
        assert len({getattr(look, part) for look in LOOKS.values()}) == len(Kind)
