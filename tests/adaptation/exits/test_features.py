"""What is gathered is what the model makes, again the same after a stop, and each picture's own chance."""

from pathlib import Path

import numpy as np

from hedgerow.adaptation.exits.features import Gathered, gather, preparing, view
from hedgerow.adaptation.exits.heads import pooled
from hedgerow.adaptation.keeping import Checkpoint
from hedgerow.models.chain import Chain
from hedgerow.models.preparation import Preparation
from tests.adaptation.exits.small_model import PREPARATION, model_bytes

PREPARE = preparing(Preparation.from_table(PREPARATION, where="test"))


def _frames(count: int) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(0)
    return {f"p{number:03d}": chance.integers(0, 256, (30, 40, 3), dtype=np.uint8) for number in range(count)}


def _gather(folder: Path, count: int) -> Gathered:
    with Chain.open(model_bytes(), joints=["one", "two"]) as chain:
        return gather(
            chain,
            ["one", "two"],
            PREPARE,
            None,
            _frames(count),
            views=3,
            seed=1,
            checkpoint=Checkpoint(folder),
            progress=lambda done: None,
        )


def test_the_first_view_is_the_picture_as_it_is(tmp_path: Path) -> None:
    seen = _gather(tmp_path, 4)
    assert seen.picture.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    with Chain.open(model_bytes(), joints=["two"]) as chain:
        made = chain.run(PREPARE(_frames(4)["p001"]), 1, 1).tensors
        scores = chain.run(made, 2).tensors["logits"]
    np.testing.assert_allclose(seen.joints["two"][3].astype(np.float64), pooled(made["two"])[0], rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(
        seen.whole["two"][1].astype(np.float64), made["two"][0].astype(np.float64), rtol=2e-3, atol=1e-3
    )
    np.testing.assert_allclose(seen.teacher[3].astype(np.float64), scores[0].astype(np.float64), rtol=1e-5)


def test_what_was_kept_is_read_and_what_was_lost_is_gathered_the_same(tmp_path: Path) -> None:
    first = _gather(tmp_path / "a", 60)
    (tmp_path / "a" / "views-50.npz").unlink()
    again = _gather(tmp_path / "a", 60)
    assert np.array_equal(first.joints["one"], again.joints["one"])
    assert np.array_equal(first.teacher, again.teacher)


def test_views_are_squares_of_the_picture() -> None:
    frame = np.arange(30 * 40 * 3, dtype=np.uint32).astype(np.uint8).reshape(30, 40, 3)
    for seed in range(20):
        height, width, _ = view(frame, np.random.default_rng(seed)).shape
        assert height == width
        assert 17 <= height <= 30
