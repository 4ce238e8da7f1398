"""Pictures are read or named, never skipped; generated inputs fit their task."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.profiling.samples import generated, quick_frames, read_folder, samples_of, shuffled
from tests.profiling.tasks import pictures, tensor_samples


def _write(folder: Path, count: int) -> None:
    for name, frame in pictures(count).items():
        Image.fromarray(frame).save(folder / f"{name}.png")


def test_a_folder_is_read_by_name_and_other_files_are_left_alone(tmp_path: Path) -> None:
    _write(tmp_path, 3)
    (tmp_path / "labels.csv").write_text("file,label\n")
    found = read_folder(tmp_path)
    assert list(found) == ["p0.png", "p1.png", "p2.png"]
    np.testing.assert_array_equal(found["p1.png"], pictures(3)["p1"])


def test_many_pictures_are_thinned_out_evenly(tmp_path: Path) -> None:
    _write(tmp_path, 9)
    assert list(read_folder(tmp_path, samples_max=3)) == ["p0.png", "p4.png", "p8.png"]


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    _write(tmp_path, 2)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"broken\.jpg"):
        read_folder(tmp_path)


def test_an_empty_folder_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no picture"):
        read_folder(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        read_folder(tmp_path / "missing")


def test_given_frames_are_checked_against_the_task(picture_task: Task, tensor_task: Task) -> None:
    assert [each.name for each in samples_of(picture_task, list(pictures(2).values()))] == ["sample 0", "sample 1"]
    assert [each.name for each in samples_of(tensor_task, tensor_samples(2))] == ["s0", "s1"]
    with pytest.raises(UsageError):
        samples_of(picture_task, [np.zeros((4, 4), np.uint8)])
    with pytest.raises(UsageError, match="NaN"):
        samples_of(tensor_task, [{"x": np.full((1, 64), np.nan, np.float32)}])


def test_generated_inputs_fit_and_are_the_same_each_time(picture_task: Task, tensor_task: Task) -> None:
    for task in (picture_task, tensor_task):
        one, two = generated(task, 3), generated(task, 3)
        for left, right in zip(one, two, strict=True):
            task.sample(left.tensors)
            for name, array in left.tensors.items():
                np.testing.assert_array_equal(array, right.tensors[name])
        first, second = (next(iter(each.tensors.values())) for each in one[:2])
        assert not np.array_equal(first, second)


def test_a_quick_profile_takes_the_fetched_photographs_where_they_serve(
    photographs: Sequence[tuple[Path, int]], picture_task: Task, tensor_task: Task
) -> None:
    assert set(quick_frames(picture_task)) == {path.name for path, _ in photographs}
    assert quick_frames(tensor_task) == {}


def test_shuffling_keeps_every_sample_and_its_order_is_fixed(tensor_task: Task) -> None:
    samples = samples_of(tensor_task, tensor_samples(20))
    mixed = shuffled(samples)
    assert [each.name for each in mixed] != [each.name for each in samples]
    assert [each.name for each in mixed] == [each.name for each in shuffled(samples)]
    assert sorted(each.name for each in mixed) == sorted(each.name for each in samples)
