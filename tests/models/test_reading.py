"""Good files, files with weights beside them, and everything that is not a model."""

import hashlib
from pathlib import Path

import onnx
import pytest

from hedgerow.errors import EngineError, HostError, UsageError
from hedgerow.models import reading
from hedgerow.models.reading import one_line, read_model
from tests.models import graphs
from tests.models.graphs import model, node, value


def saved_outside(folder: Path) -> Path:
    """The perceptron with its weights in `weights.bin` beside it."""
    path = folder / "model.onnx"
    onnx.save_model(
        graphs.perceptron(), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    return path


def test_the_identity_is_the_hash_of_the_bytes() -> None:
    data = graphs.perceptron().SerializeToString()
    file = read_model(data)
    assert file.model_id == hashlib.sha256(data).hexdigest()
    assert file.whole == data


def test_weights_beside_the_model_are_read_in_and_count_for_its_identity(tmp_path: Path) -> None:
    path = saved_outside(tmp_path)
    file = read_model(path)
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in file.proto.graph.initializer}
    assert (stored["w1"] == graphs.weight(4, 6)).all()
    assert read_model(file.whole).proto == file.proto
    weights = bytearray((tmp_path / "weights.bin").read_bytes())
    weights[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(weights)
    assert read_model(path).model_id != file.model_id


def test_weights_beside_the_model_need_its_path(tmp_path: Path) -> None:
    data = saved_outside(tmp_path).read_bytes()
    with pytest.raises(UsageError, match="by its path"):
        read_model(data)


def test_weights_that_are_not_there_or_too_short(tmp_path: Path) -> None:
    path = saved_outside(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"12")
    with pytest.raises(EngineError, match="weights"):
        read_model(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(UsageError, match="not there"):
        read_model(path)


def test_weights_outside_the_models_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = saved_outside(tmp_path / "inner")
    made = onnx.load(str(path), load_external_data=False)
    (tmp_path / "inner" / "weights.bin").rename(tmp_path / "weights.bin")
    for tensor in made.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../weights.bin"
    path.write_bytes(made.SerializeToString())
    with pytest.raises((EngineError, UsageError)):
        read_model(path)


def test_what_is_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved_outside(tmp_path)
    (tmp_path / "weights.bin").write_bytes(bytes(10_000))
    monkeypatch.setattr(reading, "MODEL_BYTES_MAX", 5_000)
    with pytest.raises(EngineError, match="weights beside the model"):
        read_model(path)
    monkeypatch.setattr(reading, "MODEL_BYTES_MAX", 100)
    with pytest.raises(EngineError, match="at most 100"):
        read_model(path)


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x00" * 64, b"{}", b"GIF89a"])
def test_bytes_that_are_no_model(data: bytes) -> None:
    with pytest.raises(UsageError, match="not an ONNX model"):
        read_model(data)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9, 0.99])
def test_a_file_cut_short(share: float, tmp_path: Path) -> None:
    data = graphs.convolutions().SerializeToString()
    path = tmp_path / "short.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises((UsageError, EngineError), match=r"short\.onnx") as caught:
        read_model(path)
    assert "\n" not in str(caught.value)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model file"):
        read_model(tmp_path / "missing.onnx")
    with pytest.raises(UsageError, match="is a directory"):
        read_model(tmp_path)


def test_a_file_that_may_not_be_read_is_this_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(HostError, match="Permission denied"):
        read_model(path)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (model([node("Neg", "a", "y"), node("Relu", "x", "a")], [value("x")], [value("y")]), "sorted"),
        (model([node("Relu", "nowhere", "y")], [value("x")], [value("y")]), "nowhere"),
        (model([node("NoSuchOperator", "x", "y")], [value("x")], [value("y")]), "NoSuchOperator"),
        (model([node("Relu", "x", "a"), node("Neg", "x", "a")], [value("x")], [value("a")]), "SSA"),
    ],
)
def test_an_invalid_graph_is_the_models_fault_in_one_line(broken: onnx.ModelProto, why: str) -> None:
    with pytest.raises(EngineError, match=why) as caught:
        read_model(broken.SerializeToString())
    assert "\n" not in str(caught.value)


def test_one_line_keeps_the_first_that_says_something() -> None:
    assert one_line(ValueError("\n  first \nsecond")) == "first"
    assert one_line(ValueError("")) == "ValueError"
    assert len(one_line(ValueError("x" * 1000))) == 300
