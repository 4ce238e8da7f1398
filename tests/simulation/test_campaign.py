"""A campaign: what it counts, that it does not depend on who did the work, and the line that repeats a violation."""

from typing import Any

import pytest

from hedgerow.core import records as r
from hedgerow.errors import UsageError
from hedgerow.simulation import campaign
from hedgerow.simulation.campaign import Only, line_of, run_campaign, scene_of, try_scene, try_seed
from hedgerow.simulation.drawing import draw_scene

TIMES = ("requests_per_s", "wall_s", "workers")


def test_it_counts_what_it_did() -> None:
    told = run_campaign(first=3, seeds=6, requests=50, workers=1)
    assert (told["requests"], told["seeds"], told["violations"], told["first"]) == (300, 6, 0, 3)
    assert (
        told["faults_drawn"]
        == sum(told["kinds"].values())
        == sum(len(scene_of(seed, 50).faults) for seed in range(3, 9))
    )
    assert told["requests_per_s"] > 0
    assert told["reserves_used"] <= told["remote"]


def test_two_workers_find_what_one_finds() -> None:
    one, two = (run_campaign(first=0, seeds=6, requests=40, workers=workers) for workers in (1, 2))
    assert {name: value for name, value in one.items() if name not in TIMES} == {
        name: value for name, value in two.items() if name not in TIMES
    }


def test_a_world_does_not_depend_on_how_many_requests_are_left_of_it() -> None:
    whole = draw_scene(5, 60)
    cut = whole.only((), frozenset({3, 17, 40}))
    assert [each.request for each in cut.samples] == [3, 17, 40]
    assert cut.times_ns is whole.times_ns
    assert cut.courses is whole.courses
    assert cut.faults == ()


@pytest.mark.parametrize("text", ["*/*", "/*", "0,2/17,40-44", "1/0-59"])
def test_what_is_kept_is_written_and_read_alike(text: str) -> None:
    assert str(Only.parse(text)) == text


@pytest.mark.parametrize("text", ["", "1", "a/1", "1/", "1/2-x"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="as a shrunk campaign prints it"):
        Only.parse(text)


def test_what_is_not_there_cannot_be_kept() -> None:
    with pytest.raises(UsageError, match="faults: no number 999"):
        scene_of(1, 20, Only((999,), None))
    with pytest.raises(UsageError, match="no request is left"):
        scene_of(1, 20, Only(None, frozenset({999})))


@pytest.mark.parametrize("bad", [{"first": -1}, {"seeds": 0}, {"requests": 0}])
def test_an_impossible_campaign_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="a campaign needs"):
        run_campaign(**{"workers": 1, **bad})  # type: ignore[arg-type]


def test_a_violation_prints_the_line_that_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(body: Any) -> None:
        body.core._decide = lambda flight: None  # nothing is ever chosen

    def planted(*given: Any, **named: Any) -> Any:
        return try_scene(*given, **named, plant=broken)

    monkeypatch.setattr(campaign, "try_scene", planted)
    told = run_campaign(first=0, seeds=4, requests=30, workers=1)
    assert told["violations"] == len(told["violated"]) > 0
    shown = told["violated"][0]
    assert shown["repeat"] == line_of(shown["seed"], 30)
    assert shown["repeat"].startswith("hedgerow simulate --campaign --seed ")
    again = try_seed(shown["seed"], 30).violation
    assert again is not None
    assert again.what == shown["what"]


def test_a_late_request_is_judged_by_a_device_alone() -> None:
    told = [try_seed(seed, 100) for seed in range(25)]
    assert sum(each.late for each in told) > 20  # too busy, badly measured or badly behaved worlds are among them
    assert all(each.violation is None for each in told)


def test_the_foolish_policy_takes_every_kind_of_arm_and_sometimes_none() -> None:
    chosen: set[str] = set()
    for seed in range(80):
        scene = draw_scene(seed, 40)
        if scene.policy == "foolish":

            def plant(body: Any) -> None:
                step = body.core.step

                def stepped(event: r.Event, *, now_ns: int) -> r.Outcome:
                    outcome: r.Outcome = step(event, now_ns=now_ns)
                    chosen.update(one.arm for one in outcome.records if type(one) is r.Decision)
                    return outcome

                body.core.step = stepped

            try_scene(scene, plant=plant)
    kinds = {name.partition(":")[2].partition(":")[0] if ":" in name else name for name in chosen}
    assert any("split" in name for name in chosen)
    assert any("cascade" in name for name in chosen)
    assert any("local:" in name for name in chosen)
    assert kinds
