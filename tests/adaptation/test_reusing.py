"""Reuse's threshold: what is played is what a device does, the promise holds on unseen sequences, and what cannot be shown is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hedgerow.adaptation import sequences
from hedgerow.adaptation.reusing import (
    ALIKE,
    PATH,
    Track,
    Watcher,
    apart,
    calibrate,
    judge,
    losses,
    p_value,
    play,
    units_needed,
)
from hedgerow.errors import UsageError
from hedgerow.models.change import COLUMNS, ROWS, change
from tests.device.small import pair_task

GROUND = np.random.default_rng(0).uniform(0, 255, (ROWS, COLUMNS)).astype(np.float32)


def track(random: np.random.Generator, jump: float, flip: float) -> Track:
    """Twelve frames that drift by `jump` each; the label flips with the drift's probability times `flip`."""
    looks, labels, place, label = [], [], 0.0, 0
    for _ in range(12):
        step = float(random.exponential(jump))
        place += step
        label += int(random.random() < min(1.0, step * flip))
        looks.append((GROUND + np.roll(GROUND, 3, axis=1) * place).astype(np.float32))
        labels.append(label)
    return Track("t", True, 8.0, tuple(looks), {"m": np.array(labels)}, {"m": np.full(12, 0.8)})


def tracks(seed: int, count: int, flip: float = 2.0) -> list[Track]:
    random = np.random.default_rng(seed)
    return [track(random, 0.03, flip) for _ in range(count)]


def test_playing_by_hand() -> None:
    looks = tuple(
        (GROUND + np.roll(GROUND, 3, axis=1) * each).astype(np.float32) for each in (0, 0.01, 0.5, 0.5, 0.5, 0.5)
    )
    hand = Track("t", True, 4.0, looks, {"m": np.array([1, 2, 3, 3, 4, 3])}, {"m": np.ones(6)})
    below = change(looks[0], looks[1]) * 1.01
    found = play(hand, "m", below, 500.0)  # two frames at most
    assert found.reused.tolist() == [False, True, False, True, True, False]
    assert found.wrong.tolist() == [False, True, False, False, True, False]
    assert losses(hand, below, 500.0).tolist() == [2 / 6]


def test_a_clip_is_cut_into_units() -> None:
    looks = (GROUND,) * 6
    filmed = Track("t", False, 3.0, looks, {"m": np.array([1, 1, 1, 2, 1, 1])}, {"m": np.ones(6)}, (0, 3))
    assert losses(filmed, 0.1, 9e9).tolist() == [0.0, pytest.approx(1 / 3)]


def test_the_betting_test_is_no_worse_than_it_says() -> None:
    random = np.random.default_rng(1)
    wrong = [p_value((random.random(120) < 0.05).astype(float), 0.05) <= 0.05 for _ in range(400)]
    assert np.mean(wrong) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert p_value(np.zeros(120), 0.05) < 0.01
    needed = units_needed(0.05, 0.95)
    assert p_value(np.zeros(needed), 0.05) <= 0.05 < p_value(np.zeros(needed - 1), 0.05)


def photographs(count: int, alike: float) -> list[Track]:
    """Sequences that stand still, of different photographs; each model says the same of all, so that answers never differ."""
    random = np.random.default_rng(5)
    found = []
    for number in range(count):
        own = random.uniform(0, 255, (ROWS, COLUMNS))
        look = (alike * GROUND + (1 - alike) * own).astype(np.float32)
        found.append(
            Track(f"t{number}", True, 8.0, (look,) * 12, {"m": np.zeros(12, np.int64)}, {"m": np.full(12, 0.8)})
        )
    return found


def test_no_threshold_is_taken_that_takes_one_photograph_for_another() -> None:
    still = photographs(120, 0.5)
    found = calibrate(still, at_most=0.3)
    scores = apart(still)
    assert found.reuse_below in PATH[:-1]
    assert np.mean(scores <= found.reuse_below) <= ALIKE < np.mean(scores <= PATH[-1])
    assert np.array_equal(scores, apart(still))
    assert apart(still[:1]).size == 0
    with pytest.raises(UsageError, match="different pictures look alike"):
        calibrate(photographs(120, 1.0), at_most=0.3)


def test_what_was_asked_for_holds_on_unseen_sequences() -> None:
    broken = 0
    for seed in range(4):
        found = calibrate(tracks(seed, 90), at_most=0.05)
        assert found.reuse_below in PATH
        unseen = judge(tracks(1000 + seed, 200), "m", found.reuse_below, 1000.0)
        broken += unseen["agreement"] < 0.95
    assert broken <= 1


def test_what_cannot_be_shown_is_refused_with_what_would_be_enough() -> None:
    with pytest.raises(UsageError, match=f"{units_needed(0.05, 0.95)} without a difference would be enough"):
        calibrate(tracks(0, 30))
    with pytest.raises(UsageError, match="no threshold keeps"):
        calibrate(tracks(0, 200, flip=1000.0), at_most=0.02)
    with pytest.raises(UsageError, match="between 0 and 1"):
        calibrate(tracks(0, 100), at_most=0.0)


def test_sequences_are_made_alike_from_the_same_photographs(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for number in range(20):
        ground = random.integers(0, 256, (6, 8, 3), np.uint8).repeat(20, axis=0).repeat(20, axis=1)
        Image.fromarray(ground).save(tmp_path / f"{number}.png")
    paths = sorted(tmp_path.glob("*.png"))
    once, again = list(sequences.made(paths)), list(sequences.made(paths))
    assert {each.motion for each in once} == set(sequences.MOTIONS)
    for one, other in zip(once, again, strict=True):
        assert len(one.frames) == sequences.FRAMES
        assert all(np.array_equal(a, b) for a, b in zip(one.frames, other.frames, strict=True))
    task = pair_task(tmp_path)
    with Watcher(task, ("small", "big")) as watcher:
        made = watcher.made(paths, seed=0, say=lambda _text: None)
    by_motion: dict[str, list[float]] = {}
    for each in made:
        by_motion.setdefault(each.name.split()[0], []).append(max(change(each.looks[0], look) for look in each.looks))
    assert np.mean(by_motion["hold"]) < np.mean(by_motion["pan"]) < np.mean(by_motion["scene"])
    assert set(made[0].labels) == {"small", "big"}
