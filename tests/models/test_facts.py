"""What is known of a model file before it is opened."""

import os
from pathlib import Path

import pytest

from hedgerow.errors import UsageError
from hedgerow.models.facts import model_facts
from hedgerow.models.graph import Graph
from hedgerow.models.tensors import TensorSpec
from tests.models.fetch.wheels import sha256
from tests.models.small_models import write_classifier


def test_identity_inputs_and_outputs(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "m.onnx")
    found = model_facts(path)
    assert found.model_id == sha256(path.read_bytes())
    assert found.inputs == (TensorSpec("input", "float32", ("batch", 3, 4, 4)),)
    assert found.outputs == (TensorSpec("logits", "float32", ("batch", 3)),)


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_classifier(tmp_path / "m.onnx")
    first = model_facts(path)
    with monkeypatch.context() as patch:
        patch.delattr(Graph, "open")  # a second reading would fail
        assert model_facts(path) is first
    write_classifier(path, seed=1)
    os.utime(path, ns=(1, 1))
    assert model_facts(path).model_id != first.model_id


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the model .*none\.onnx: No such file"):
        model_facts(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(UsageError, match=r"text\.onnx"):
        model_facts(tmp_path / "text.onnx")
