"""Photographs seen again: always another crop, and always the same ones for the same seed."""

from pathlib import Path

import numpy as np

from hedgerow.adaptation.bottleneck.pictures import see, varied, versions
from hedgerow.models.chain import Chain
from hedgerow.models.preparation import FRAME, Preparation
from hedgerow.models.task import Task
from tests.adaptation.small_network import JOINTS, network, write_pictures, write_task


def preparation_of(folder: Path) -> Preparation:
    found = Task.load(write_task(folder, small=network())).model("small").preparation
    assert found is not None
    return found


def test_the_same_seed_shows_the_same_and_another_one_does_not(tmp_path: Path) -> None:
    paths, preparation = write_pictures(tmp_path / "images", 3), preparation_of(tmp_path)
    first, again, other = (list(versions(paths, preparation, count=3, seed=seed)) for seed in (1, 1, 2))
    assert len(first) == 9
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert all((a == b).all() for a, b in zip(first[:3], other[:3], strict=True))  # as they are
    assert not all((a == b).all() for a, b in zip(first[3:], other[3:], strict=True))


def test_any_frame_becomes_a_square_of_bytes() -> None:
    chance = np.random.default_rng(0)
    for shape in ((1, 1, 3), (5, 300, 3), (300, 5, 3), (64, 48, 3)):
        frame = chance.integers(0, 256, shape).astype(np.uint8)
        for _ in range(10):
            found = varied(frame, 24, chance)
            assert found.shape == (24, 24, 3)
            assert found.dtype == np.uint8


def test_what_is_seen_is_what_the_model_makes(tmp_path: Path) -> None:
    paths, preparation = write_pictures(tmp_path / "images", 4), preparation_of(tmp_path)
    said: list[str] = []
    with Chain.open(network(), joints=JOINTS, preparation=preparation) as chain:
        seen = see(chain, (1, 2), versions(paths, preparation, count=2, seed=0), 8, said.append)
        (frame,) = versions(paths[:1], preparation, count=1, seed=0)
        alive = chain.run({FRAME: frame}, 0, 1).tensors
        assert np.allclose(seen.source[0], alive[JOINTS[0]][0], atol=1e-2)
        assert np.allclose(seen.logits[0], chain.run(alive, 2).tensors["logits"][0])
    assert (len(seen.source), len(seen.target), len(seen.logits)) == (8, 8, 8)
    assert said
