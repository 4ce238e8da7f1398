"""Branches and copies in another precision: read from a task file, checked, and opened so that each weight is there once."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from tests.models.branches import PREPARATION, frame, write_exit, write_trunk, written


def task_of(folder: Path, *entries: str) -> Task:
    return Task.load(written(folder, *entries))


TRUNK = f'name = "trunk"\nfile = "trunk.onnx"\njoints = ["second", "first"]\n{PREPARATION}'
EXIT = 'name = "exit"\nfile = "exit.onnx"\ntrunk = "trunk"\nafter = "first"\n'


def test_a_branch_shares_its_trunks_segments_and_goes_on_by_itself(tmp_path: Path) -> None:
    task = task_of(tmp_path, TRUNK, EXIT + 'joints = ["middle"]\ngate = 0.83\ntemperature = 1.3\n')
    assert (task.model("exit").gate, task.model("exit").temperature) == (0.83, 1.3)
    assert task.joints("trunk") == ("first", "second")
    assert task.joints("exit") == ("first", "middle")
    chains = task.open_all()
    assert list(chains) == ["trunk", "exit"]
    trunk, branch = chains["trunk"], chains["exit"]
    assert [segment.name for segment in branch.segments] == ["preparation", "first", "middle", "outputs"]
    assert branch.shared == 1
    assert branch._steps[0] is trunk._steps[0]
    sample = task.sample(frame())
    kept = trunk.run(sample, 0, 1).tensors
    from_joint, whole = branch.run(kept, 2).tensors, branch.run(sample).tensors
    np.testing.assert_array_equal(from_joint["exit_logits"], whole["exit_logits"])
    alone = task.open("exit")
    np.testing.assert_array_equal(alone.run(sample).tensors["exit_logits"], whole["exit_logits"])
    assert alone.chain_id == branch.chain_id != trunk.chain_id
    assert sum(segment.work_share for segment in branch.segments) == pytest.approx(1.0)
    trunk.close()
    branch.run(sample)
    branch.close()
    with pytest.raises(UsageError, match="closed"):
        branch.run(sample)


def test_a_branchs_identity_is_its_trunks_as_well(tmp_path: Path) -> None:
    first = task_of(tmp_path, TRUNK, EXIT)
    ids = {name: chain.chain_id for name, chain in first.open_all().items()}
    write_trunk(tmp_path / "trunk.onnx", seed=9)
    second = task_of(tmp_path, TRUNK, EXIT)
    others = {name: chain.chain_id for name, chain in second.open_all().items()}
    assert ids["exit"] != others["exit"]
    assert first.task_id != second.task_id


def test_a_task_without_kin_is_known_by_the_same_name_as_ever(tmp_path: Path) -> None:
    task = task_of(tmp_path, TRUNK)
    assert task.task_id == task_of(tmp_path, TRUNK + "", "").task_id
    gated = task_of(tmp_path, TRUNK.replace("joints", "gate = 0.5\ntemperature = 2.0\njoints"))
    assert gated.task_id == task.task_id  # when an answer may stand decides no answer


def test_another_precision_keeps_the_same_joints(tmp_path: Path) -> None:
    write_trunk(tmp_path / "copy.onnx", seed=3)
    copy = (
        TRUNK.replace('"trunk"', '"copy"')
        .replace("trunk.onnx", "copy.onnx")
        .replace("joints", 'precision_of = "trunk"\njoints')
    )
    task = task_of(tmp_path, TRUNK, copy)
    chains = task.open_all()
    kept = chains["copy"].run(task.sample(frame()), 0, 1).tensors
    assert chains["trunk"].run(kept, 2).tensors["logits"].shape == (1, 4)
    with pytest.raises(UsageError, match=r"'precision_of' names 'trunk', but keeps other joints \(first\)"):
        task_of(tmp_path, TRUNK, copy.replace('"second", "first"', '"first"'))
    write_trunk(tmp_path / "copy.onnx", width=7)
    with pytest.raises(UsageError, match="but has other tensors at joint 'first'"):
        task_of(tmp_path, TRUNK, copy)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (EXIT.replace('"trunk"', '"nobody"'), "model 'exit': 'trunk' names 'nobody', which is no other model of the task"),
        (EXIT.replace('"first"', '"logits"'), "'after' names 'logits', but 'trunk' keeps the joints second, first"),
        (EXIT.replace('after = "first"\n', ""), "'after' is missing"),
        (EXIT.replace('"first"', '"second"'), "'file' does not go on from 'trunk': it takes 'first'"),
        (EXIT + "gate = 0.0\n", "model 'exit': 'gate' must be above 0 and at most 1, not 0"),
        (EXIT + "gate = 1.2\n", "'gate' must be above 0 and at most 1, not 1.2"),
        (EXIT + 'gate = "high"\n', "model 'exit': 'gate' must be a number, not 'high'"),
        (EXIT + "temperature = -1\n", "model 'exit': 'temperature' must be above 0, not -1"),
        (EXIT + 'precision_of = "trunk"\n', "neither may be a branch"),
        (EXIT + PREPARATION.replace("crop = 8", "crop = 6"), "no 'preparation' of its own"),
        (EXIT + 'trunks = "x"\n', "unknown key 'trunks'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_file_and_key(tmp_path: Path, entry: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        task_of(tmp_path, TRUNK, entry)
    assert says in str(raised.value)
    assert "task.toml" in str(raised.value)


def test_a_branch_of_a_branch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which is a branch itself; name its trunk 'trunk'"):
        task_of(tmp_path, TRUNK, EXIT, EXIT.replace('"exit"', '"twig"').replace('trunk = "trunk"', 'trunk = "exit"'))


def test_a_branch_that_takes_another_shape_or_kind_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, TRUNK, EXIT)
    write_exit(tmp_path / "exit.onnx", width=9)
    with pytest.raises(
        UsageError, match=r"it takes 'first' float32 \(batch, 9\), but after 'first' that is 'first' float32"
    ):
        Task.load(path)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["first"], ["exit_logits"])], "wrong",
        [helper.make_tensor_value_info("first", TensorProto.FLOAT16, ["batch", 16])],
        [helper.make_tensor_value_info("exit_logits", TensorProto.FLOAT16, ["batch", 16])],
        [numpy_helper.from_array(np.zeros(1, np.float32), "unused")],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "exit.onnx"
    )
    with pytest.raises(UsageError, match="float16"):
        Task.load(path)


def test_what_was_opened_is_closed_when_another_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(tmp_path, TRUNK, EXIT)
    opened: list[str] = []
    assert list(task.open_all(opened=lambda name, seconds: opened.append(name))) == opened
    (tmp_path / "exit.onnx").write_bytes(b"no model")
    with pytest.raises(UsageError):
        task.open_all()
