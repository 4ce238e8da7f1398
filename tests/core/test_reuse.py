"""Reuse: when the last answer of a stream stands for its next sample, and when it does not."""

from dataclasses import replace

import pytest

from hedgerow.core import Criticality, Stream
from hedgerow.core import records as r
from hedgerow.errors import UsageError
from tests.core.world import MS, World, world

STILL = Stream("camera", 150 * MS, period_ns=100 * MS, reuse_below=0.1, reuse_age_max_ns=500 * MS)
FIXED = replace(STILL, name="fixed", reuse_below=None, reuse_age_max_ns=0)


def arrive(w: World, number: int, moment_ms: float, change: float | None, of: int, stream: str = "camera") -> None:
    w.arrived[number] = int(moment_ms * MS)
    w.at(w.arrived[number], r.RequestArrived(number, stream, w.arrived[number], None, change, of))


def sources(w: World) -> list[str]:
    return [w.delivered[number][1].source.value for number in sorted(w.delivered)]


def still(stream: Stream = STILL, answer_ns: int | None = None) -> World:
    """A world in which request 0, without anything to compare with, is answered first."""
    w = world(stream, answer_ns=lambda now: answer_ns)
    arrive(w, 0, 0, None, -1, stream.name)
    return w


def test_an_unchanged_scene_is_answered_at_once_with_what_is_noted() -> None:
    w = still()
    arrive(w, 1, 100, 0.1, 0)
    w.run(1000 * MS)
    assert sources(w) == ["local", "reused"]
    moment, deliver = w.delivered[1]
    assert moment == 100 * MS
    assert (deliver.status, deliver.reason) == (r.Status.ANSWERED, r.Reason.SCENE_UNCHANGED)
    assert (deliver.arm, deliver.model, deliver.reusable) == ("reuse", "small", False)
    assert w.delivered[0][1].reusable
    assert [each for each in w.records if isinstance(each, r.Reused)] == [r.Reused(1, 0, 0.1, 0.1, 100.0)]
    assert not [each for each in w.records if isinstance(each, r.Decision) and each.request == 1]
    assert w.forgotten == {0, 1}
    ended = next(each for each in w.records if isinstance(each, r.Delivered) and each.request == 1)
    assert (ended.energy_mj, ended.uplink_bytes) == (0.0, 0)


@pytest.mark.parametrize(
    ("change", "of", "moment_ms"),
    [
        (0.11, 0, 100),  # it has changed
        (float("nan"), 0, 100),
        (-0.1, 0, 100),
        (None, 0, 100),  # nobody looked
        (0.0, -1, 100),  # compared with another sample
        (0.0, 7, 100),
        (0.0, 0, 501),  # too old
    ],
)
def test_it_is_answered_anew(change: float | None, of: int, moment_ms: float) -> None:
    w = still()
    arrive(w, 1, moment_ms, change, of)
    w.run(2000 * MS)
    assert sources(w) == ["local", "local"]


def test_age_counts_from_what_a_model_saw_however_often_it_is_reused() -> None:
    w = still()
    for number in range(1, 8):
        arrive(w, number, 100 * number, 0.0, 0 if number < 7 else 6)
    w.run(2000 * MS)
    assert sources(w) == ["local", *["reused"] * 5, "local", "reused"]


def test_a_stream_that_does_not_declare_it_is_always_answered_anew() -> None:
    w = still(FIXED)
    arrive(w, 1, 100, 0.0, 0, "fixed")
    w.run(1000 * MS)
    assert sources(w) == ["local", "local"]
    assert not any(deliver.reusable for _, deliver in w.delivered.values())


def test_one_stream_s_answer_is_not_another_s() -> None:
    other = replace(STILL, name="other")
    w = world(STILL, other, answer_ns=lambda now: None)
    arrive(w, 0, 0, None, -1)
    arrive(w, 1, 100, 0.0, 0, "other")
    w.run(1000 * MS)
    assert sources(w) == ["local", "local"]


@pytest.mark.parametrize("kind", [Criticality.SAFETY, Criticality.MISSION, Criticality.BACKGROUND])
def test_every_criticality_may_declare_it(kind: Criticality) -> None:
    w = still(replace(STILL, criticality=kind), answer_ns=40 * MS)
    arrive(w, 1, 100, 0.0, 0)
    w.run(1000 * MS)
    assert sources(w)[1] == "reused"


def test_never_after_an_answer_that_was_late() -> None:
    w = still(replace(STILL, deadline_ns=20 * MS))  # the quickest model takes 31 ms
    arrive(w, 1, 100, 0.0, 0)
    w.run(1000 * MS)
    assert [w.delivered[number][1].status for number in (0, 1)] == [r.Status.LATE, r.Status.LATE]


def test_never_after_a_safe_value_even_if_an_older_answer_is_young() -> None:
    w = still(replace(STILL, has_safe_value=True, deadline_ns=80 * MS))
    arrive(w, 1, 100, 1.0, 0)
    arrive(w, 2, 400, 0.0, 0)
    w.run(90 * MS)
    w.lane_factor = 10.0  # the next does not come in time
    w.run(390 * MS)
    w.lane_factor = 1.0
    w.run(1000 * MS)
    assert sources(w) == ["local", "safe_value", "local"]


def test_an_overtaken_answer_does_not_take_the_newer_one_s_place() -> None:
    w = world(STILL, answer_ns=lambda now: None)
    arrive(w, 0, 100, None, -1)
    w.arrived[1] = 60 * MS
    w.at(140 * MS, r.RequestArrived(1, "camera", 60 * MS, 400 * MS))  # captured before, here later
    arrive(w, 2, 300, 0.0, 0)
    w.run(2000 * MS)
    assert not w.delivered[1][1].reusable
    assert w.delivered[2][1].source is r.Source.REUSED


def test_a_sample_from_before_the_answered_one_is_looked_at() -> None:
    w = still()
    w.arrived[1] = 0
    w.run(90 * MS)
    arrive(w, 1, 100, None, -1)
    w.run(190 * MS)
    w.arrived[2] = 99 * MS
    w.at(200 * MS, r.RequestArrived(2, "camera", 99 * MS, 300 * MS, 0.0, 1))
    w.run(1000 * MS)
    assert sources(w) == ["local", "local", "local"]


@pytest.mark.parametrize("trusted", [True, False])
def test_an_answer_of_a_link_stands_while_the_link_is_trusted(trusted: bool) -> None:
    w = world(STILL, answer_ns=lambda now: 40 * MS)
    w.at(0, r.LinkUp("cloud"))
    arrive(w, 0, 100, None, -1)
    arrive(w, 1, 200, 0.05, 0)
    w.run(190 * MS)
    assert sources(w) == ["remote"]
    for link in w.core._links.values():
        link.trusted = trusted
    w.run(1000 * MS)
    assert sources(w) == ["remote", "reused" if trusted else "local"]
    assert w.delivered[1][1].model == ("big" if trusted else "small")


def test_a_sample_that_arrives_when_its_time_is_up_is_not_called_answered() -> None:
    w = still()
    w.arrived[1] = 100 * MS
    w.at(251 * MS, r.RequestArrived(1, "camera", 100 * MS, None, 0.0, 0))
    w.run(1000 * MS)
    assert w.delivered[1][1].status is not r.Status.ANSWERED


def test_lane_and_link_are_not_touched() -> None:
    w = still(answer_ns=40 * MS)
    w.run(90 * MS)
    arrive(w, 1, 100, 0.0, 0)
    w.run(100 * MS)
    _, _, outcome = w.steps[-1]
    assert [type(each).__name__ for each in outcome.actions] == ["Deliver", "Forget"]
    assert w.core.in_flight == 0


def test_settings_that_make_no_sense_are_refused() -> None:
    from hedgerow.device.session import checked_stream

    for reuse in ((0.1, None), (None, 100.0), (float("nan"), 100.0), (-1.0, 100.0), (0.1, 0.0)):
        with pytest.raises(UsageError):
            checked_stream("camera", 100, "mission", None, None, reuse=reuse)
    assert checked_stream("camera", 100, "mission", None, None, reuse=(0.1, 100.0)).reuse_age_max_ns == 100 * MS
