"""What is served: opened, measured, found by the right names and hashes only."""

import statistics
from pathlib import Path

import pytest

from hedgerow.cloud.catalogue import SAMPLES_PER_SEGMENT, Catalogue, SegmentTimes
from hedgerow.errors import HedgerowError, UsageError
from hedgerow.models.task import Task
from hedgerow.wire.faults import FaultError, FaultKind
from tests.wire.serving import Device, write_task


def test_medians_follow_the_last_samples() -> None:
    times = SegmentTimes(2)
    assert times.expected_ns(0, 1) == 0
    samples = [(7 * number) % 101 for number in range(3 * SAMPLES_PER_SEGMENT)]
    for sample in samples:
        times.note(1, sample)
    assert times.expected_ns(0, 1) == int(statistics.median(samples[-SAMPLES_PER_SEGMENT:]))
    times.note(0, 10)
    assert times.expected_ns(0, 0) == 10
    assert times.runs == (1, 3 * SAMPLES_PER_SEGMENT)


def test_warming_up_measures_every_segment(tiny_task: Path) -> None:
    catalogue = Catalogue.load([tiny_task])
    served = catalogue.named("tiny")
    assert served.times.expected_ns(0, served.last) == 0
    catalogue.warm_up()
    assert all(served.times.expected_ns(segment, segment) > 0 for segment in range(1, served.last + 1))
    catalogue.close()


def test_a_model_file_alone_is_a_task_of_one(tiny_task: Path) -> None:
    catalogue = Catalogue.load([tiny_task.with_suffix(".onnx")])
    assert catalogue.named("tiny").last == 1
    catalogue.close()


def test_both_sides_agree_when_they_have_the_same_files(tiny_task: Path, device: Device) -> None:
    catalogue = Catalogue.load([tiny_task])
    served = catalogue.find(device.task.task_id, "tiny", device.chain.chain_id)
    assert served.chain.model_id == device.chain.model_id
    assert served.specs_after(-1) == served.chain.inputs
    assert served.specs_after(2) == device.chain.joint(2)
    (info,) = catalogue.info()
    assert info.task_id == device.task.task_id
    assert info.models[0].chain_id == device.chain.chain_id
    assert info.models[0].segments == ("preparation", "h0", "h1", "h2", "outputs")
    catalogue.close()


def test_other_tasks_models_and_hashes_are_refused(tiny_task: Path, tmp_path: Path, device: Device) -> None:
    catalogue = Catalogue.load([tiny_task])
    other = Device(write_task(tmp_path, seed=1))
    fewer_joints = Task.of_model(tiny_task.with_suffix(".onnx")).open("tiny")
    task_id, chain_id = device.task.task_id, device.chain.chain_id
    wrong = [
        ((other.task.task_id, "tiny", chain_id), FaultKind.WRONG_TASK),
        ((task_id, "other", chain_id), FaultKind.WRONG_MODEL),
        ((task_id, "tiny", other.chain.chain_id), FaultKind.WRONG_MODEL),
        ((task_id, "tiny", fewer_joints.chain_id), FaultKind.WRONG_MODEL),
        ((task_id, "tiny", ""), FaultKind.WRONG_MODEL),
    ]
    for (task, name, chain), kind in wrong:
        with pytest.raises(FaultError) as caught:
            catalogue.find(task, name, chain)
        assert caught.value.fault.kind is kind
    with pytest.raises(FaultError):
        catalogue.named("other")
    catalogue.close()


def test_two_different_models_of_one_name_are_a_mistake(tiny_task: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two tasks name different models 'tiny'"):
        Catalogue.load([tiny_task, write_task(tmp_path, seed=1)])


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"garbage")
    for path in (tmp_path / "missing.toml", tmp_path / "missing.onnx", broken):
        with pytest.raises(HedgerowError, match=path.stem):
            Catalogue.load([path])
    with pytest.raises(UsageError, match="at least one"):
        Catalogue.load([])
