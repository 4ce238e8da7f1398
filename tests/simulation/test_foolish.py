"""The policies of a campaign that no one should use: whatever they do, by lot, the same again, and never the core's undoing."""

from collections import Counter

from hedgerow.core.policies.guarding import Guarded
from hedgerow.simulation.campaign import try_scene
from hedgerow.simulation.drawing import draw_scene
from hedgerow.simulation.foolish import POLICIES, Broken, Foolish, policy_of


def test_every_policy_is_drawn_and_holds() -> None:
    scenes = [draw_scene(seed, 40) for seed in range(120)]
    drawn = Counter(scene.policy for scene in scenes)
    assert set(drawn) == set(POLICIES)
    for name in drawn:
        scene = next(each for each in scenes if each.policy == name)
        assert try_scene(scene).violation is None


def test_a_broken_one_is_guarded_and_fails_often() -> None:
    made = policy_of("broken")
    assert isinstance(made, Guarded)
    assert isinstance(made.policy, Broken)
    scene = next(scene for scene in (draw_scene(seed, 60) for seed in range(100)) if scene.policy == "broken")
    failed: list[int] = []

    def plant(body: object) -> None:
        failed.append(0)
        held = body.core.policy  # type: ignore[attr-defined]
        held._tell = lambda problem: failed.append(1)

    assert try_scene(scene, plant=plant).violation is None
    assert failed == [0, 1]  # told once, however often it fails


def test_a_foolish_one_is_not_the_same_object_twice() -> None:
    assert isinstance(policy_of("foolish"), Foolish)
    assert policy_of("foolish") is not policy_of("foolish")
