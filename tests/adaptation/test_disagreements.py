"""Who differs from whom, counted by hand; and where labels of pictures come from."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hedgerow.adaptation.disagreements import as_csv, cost_of, disagreements
from hedgerow.adaptation.witnesses import labels_of, scores, seen
from hedgerow.core.arbitration import Arbiter, Arbitration, Cost, Group
from hedgerow.core.views import ModelView, Seen
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from tests.device.small import pair_task

NAMES = ("car", "pedestrian", "cyclist")


def view(model: str, label: int, share: float = 0.8) -> ModelView:
    return ModelView(model, "device" if model == "small" else "cloud", Seen("1", (label,), (share,)))


def test_pairs_are_counted_with_who_was_right_and_what_it_cost() -> None:
    said = [(0, 1, 1), (0, 1, 0), (2, 1, 2), (1, 1, 1), (0, 1, 1)]  # small, big, right
    first = [view("small", one, 0.6) for one, _, _ in said]
    second = [view("big", other) for _, other, _ in said]
    arbiter = Arbiter(Arbitration(3, costs=(Cost((0,), (1,), 10.0),)))
    found = disagreements(arbiter, first, second, np.array([right for _, _, right in said]))
    assert (found.samples, found.differing) == (5, 4)
    most = found.pairs[0]
    assert (most.first, most.second, most.times, most.first_right, most.second_right) == (0, 1, 3, 1, 2)
    assert [most.cost_first, most.cost_second, most.cost_rules] == pytest.approx([20 / 3, 1 / 3, 1 / 3])
    assert most.rules_right == 2
    table = as_csv(found, NAMES, "small", "big").splitlines()
    assert table[0] == "small,big,times,small_right,big_right,rules_right,small_mean_cost,big_mean_cost,rules_mean_cost"
    assert table[1] == "car,pedestrian,3,1,2,2,6.6667,0.3333,0.3333"
    assert len(table) == 3


def test_without_right_labels_pairs_are_counted_alone() -> None:
    found = disagreements(Arbiter(Arbitration(3)), [view("small", 0)], [view("big", 1)], None)
    assert as_csv(found, NAMES, "small", "big").splitlines()[1] == "car,pedestrian,1,,,,,,"


def test_a_group_costs_what_was_declared_for_it() -> None:
    arbiter = Arbiter(Arbitration(3, groups=(Group("user", (1, 2), 0.1),), costs=(Cost((1,), (0,), 4.0),)))
    verdict = arbiter.decide([view("small", 1, 0.99), view("big", 2, 0.99)])
    assert verdict.group == "user"
    assert [cost_of(arbiter, verdict, true) for true in range(3)] == pytest.approx([4.0, 0.1, 0.1])


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "images" / name for name in ("0003.jpg", "0001-a.jpg", "0004_b.jpg")]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        Image.fromarray(np.full((20, 24, 3), number * 60, np.uint8)).save(path)
    return paths


def test_labels_come_from_names_or_a_table(pictures: list[Path], tmp_path: Path) -> None:
    task = pair_task(tmp_path)
    assert labels_of(pictures, task) is not None
    found = labels_of(pictures, task)
    assert found is not None
    assert found.tolist() == [3, 1, 4]
    assert labels_of([tmp_path / "images" / "holiday.jpg"], task) is None
    assert labels_of([tmp_path / "images" / "0009.jpg"], task) is None  # no such label here
    table = pictures[0].parent / "labels.csv"
    table.write_text("file,label\n0003.jpg,label2\n0001-a.jpg,0\n0004_b.jpg,4\n")
    again = labels_of(pictures, task)
    assert again is not None
    assert again.tolist() == [2, 0, 4]
    for text, words in (
        ("file,label\n0003.jpg,label9\n", "line 2: 'label9' is no label"),
        ("file,label\n0003.jpg,1\n", "no row for 0001-a.jpg"),
        ("name,class\n", "columns file,label"),
    ):
        table.write_text(text)
        with pytest.raises(UsageError, match=words):
            labels_of(pictures, task)


def test_scores_are_the_models_own_and_views_are_cut(pictures: list[Path], tmp_path: Path) -> None:
    task = pair_task(tmp_path)
    found = scores(task, "small", pictures, say=lambda text: None)
    assert found.shape == (3, 5)
    views = seen(task, "small", "device", np.full((2, 5), 0.2))
    assert [each.seen.labels for each in views] == [(0, 1, 2, 3, 4)] * 2
    bare = Task("pair", "classification", task.models, "big")
    with pytest.raises(UsageError, match="has no labels"):
        scores(bare, "small", pictures, say=lambda text: None)
