"""CIFAR-10's step: who sees what, what its tables say, and that it is refused clearly without data."""

from pathlib import Path

import numpy as np
import pytest

from hedgerow.adaptation.exits.architecture import RECIPE, RESNET
from hedgerow.adaptation.exits.cifar import NAME, PREPARATION, calibrating, costs_of, entries, make, prepared
from hedgerow.adaptation.parts import part_of
from hedgerow.adaptation.sources import Labelled
from hedgerow.errors import UsageError


def _labelled(count: int) -> Labelled:
    names = tuple(f"test-{number:05d}" for number in range(count))
    pictures = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return Labelled(names, pictures, np.zeros(count, np.int64), ("a", "b"))


def test_without_the_file_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cifar10_jpeg"):
        make(tmp_path, tmp_path, seed=0, say=lambda text: None)


def test_no_sample_both_calibrates_and_judges() -> None:
    data = _labelled(300)
    here, there = calibrating(data)
    assert sorted([*here, *there]) == list(range(300))
    assert all(part_of(data.names[index]) == "judge" for index in there)
    assert 60 < len(there) < 120


def test_pictures_are_prepared_as_they_were_trained() -> None:
    data = _labelled(2)
    mean, std = (np.array(value) * 255.0 for value in (PREPARATION.mean, PREPARATION.std))
    plain = ((data.pictures[1] - mean) / std).transpose(2, 0, 1)
    np.testing.assert_allclose(prepared(data)[1]["input"][0].astype(np.float64), plain, rtol=1e-4, atol=1e-5)


def test_costs_grow_with_depth_and_asking_costs() -> None:
    costs = costs_of(RESNET)
    assert (np.diff(costs.before) > 0).all()
    assert (costs.asking > 0).all()
    assert costs.before[-1] < costs.whole


def test_tables_name_the_whole_first_and_each_exit_s_joint() -> None:
    figures = {"exits": [f"{NAME}-exit2"], "after": ["stage2.output"], "gates": [0.7]}
    whole, one = entries({"figures": figures})
    assert (whole["name"], one["trunk"], one["after"], one["gate"]) == (NAME, NAME, "stage2.output", 0.7)
    assert one["after"] in whole["joints"]


def test_the_recipe_s_cycles_are_its_epochs() -> None:
    assert sum(epochs for epochs, _ in RECIPE.cycles) == len(RECIPE.sides_px)
