"""Reuse through the front door: what is given again, that it is the very same answer, and that the journal replays it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hedgerow.core.records import Source, Status
from hedgerow.device.reusing import Kept
from hedgerow.device.session import Session
from hedgerow.errors import UsageError
from hedgerow.journal.replaying import replay
from hedgerow.models.task import Interpretation, Task
from hedgerow.profiling import Profile
from tests.device.small import pair_task, profile_of

Frame = NDArray[np.uint8]
RANDOM = np.random.default_rng(5)
SCENE = RANDOM.integers(0, 256, (48, 64, 3), np.uint8)
OTHER = RANDOM.integers(0, 256, (48, 64, 3), np.uint8)


def noisy(frame: Frame, seed: int) -> Frame:
    noise = np.random.default_rng(seed).normal(0, 2, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def test_an_unchanged_scene_gets_its_answer_again_and_another_one_its_own(tmp_path: Path) -> None:
    task = pair_task(tmp_path)
    path = tmp_path / "journal"
    with Session(task, profile=profile_of(task, agreeing={"small": 15}), deadline_ms=800, journal=path) as session:
        session.open_stream("main", deadline_ms=800, reuse_below=0.05, reuse_age_max_ms=60_000)
        first, again, other, anew = (session.answer(each) for each in (SCENE, noisy(SCENE, 1), OTHER, noisy(SCENE, 2)))
    assert [each.source for each in (first, again, other, anew)] == [
        Source.LOCAL, Source.REUSED, Source.LOCAL, Source.LOCAL,
    ]  # fmt: skip
    assert (again.status, again.arm, again.model) == (Status.ANSWERED, "reuse", first.model)
    assert (again.label, again.confidence, again.agreement) == (first.label, first.confidence, first.agreement)
    np.testing.assert_array_equal(again.outputs["logits"], first.outputs["logits"])
    assert again.seen_age_ms is not None
    assert first.seen_age_ms is not None
    assert again.seen_age_ms > again.age_ms
    assert again.in_time
    assert replay(path).difference is None
    assert path.read_text().count('"Reused"') == 1


def test_without_it_nothing_is_compared(task: Task, profile: Profile) -> None:
    with Session(task, profile=profile, deadline_ms=800) as session:
        with pytest.raises(UsageError, match="only frames are compared"):
            session.open_stream("main", deadline_ms=100, reuse_below=0.1, reuse_age_max_ms=100)


def test_the_threshold_is_compared_with_the_models_own_confidence() -> None:
    pooled = Interpretation(0, "a", 0.99)
    assert Kept(1, 0, None, {}, 0.9, pooled, 0.6).sure == 0.6
    assert Kept(1, 0, None, {}, 0.9, pooled).sure == 1.0
