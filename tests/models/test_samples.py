"""Inputs that models accept, repeatable by seed; and files of inputs, good and bad."""

from pathlib import Path

import numpy as np
import pytest

from hedgerow.errors import EngineError, HostError, UsageError
from hedgerow.models.graph import Graph
from hedgerow.models.samples import generate_inputs, generate_working_inputs, load_inputs
from hedgerow.models.tensors import TensorSpec
from tests.models import graphs

SPECS = (TensorSpec("x", "float32", (1, 4)), TensorSpec("ids", "int64", ("batch", "length")))


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "bool", "uint8", "int8", "int32", "int64", "uint64"]
)
def test_every_type_has_its_range(dtype: str) -> None:
    array = generate_inputs([TensorSpec("x", dtype, (50, 3))])["x"]
    assert array.dtype.name == dtype
    assert array.shape == (50, 3)
    if array.dtype.kind == "f":
        assert np.isfinite(array).all()
    else:
        assert array.min() >= 0
        assert len(np.unique(array)) == 2 or dtype == "uint8"


def test_a_seed_repeats_and_another_differs() -> None:
    one, same, other = (generate_inputs(SPECS, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one["x"], same["x"])
    assert not np.array_equal(one["x"], other["x"])


def test_dynamic_axes_are_the_callers_or_the_defaults() -> None:
    assert generate_inputs(SPECS)["ids"].shape == (1, 16)
    assert generate_inputs(SPECS, axes={"length": 3, "batch": 2})["ids"].shape == (2, 3)


def test_what_cannot_be_generated_asks_for_a_file() -> None:
    with pytest.raises(UsageError, match="'words' cannot be generated"):
        generate_inputs([TensorSpec("words", "object", (1,))])


def test_sizes_are_tried_until_the_model_runs() -> None:
    pads = {"pads": np.array([0, 20, 0, 20], np.int64)}
    nodes = [graphs.node("Pad", "x pads", "a", mode="reflect"), graphs.node("Neg", "a", "y")]
    made = graphs.model(nodes, [graphs.value("x", ("batch", "length"))], [graphs.value("y", ("batch", None))], pads)
    graph = Graph.open(made.SerializeToString())
    assert generate_working_inputs(graph)["x"].shape == (1, 64)
    assert generate_working_inputs(graph, axes={"length": 40})["x"].shape == (1, 40)
    with pytest.raises(EngineError, match="--axis"):
        generate_working_inputs(graph, axes={"length": 3})


def test_a_file_gives_the_inputs_it_names(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    ids = np.ones((2, 3), np.int64)
    np.savez(path, ids=ids, x=np.zeros((1, 4), np.float32))
    loaded = load_inputs(path, SPECS)
    assert list(loaded) == ["x", "ids"]
    np.testing.assert_array_equal(loaded["ids"], ids)


def test_text_becomes_objects(tmp_path: Path) -> None:
    path = tmp_path / "words.npz"
    np.savez(path, words=np.array(["hedge", "row"]))
    assert load_inputs(path, [TensorSpec("words", "object", (2,))])["words"].dtype == np.object_


def test_files_that_do_not_fit_are_the_callers_fault(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    with pytest.raises(UsageError, match="no input file"):
        load_inputs(path, SPECS)
    with pytest.raises((UsageError, HostError)):
        load_inputs(tmp_path, SPECS)
    for content in (b"", b"not a zip", b"PK\x03\x04 broken"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"not an \.npz"):
            load_inputs(path, SPECS)
    np.savez(path, x=np.zeros((1, 4), np.float32))
    with pytest.raises(UsageError, match="lacks an input 'ids'"):
        load_inputs(path, SPECS)
    np.savez(path, x=np.zeros((1, 5), np.float32), ids=np.zeros((1, 1), np.int64))
    with pytest.raises(UsageError, match="must have shape"):
        load_inputs(path, SPECS)
    single = tmp_path / "single.npy"
    np.save(single, np.zeros(3))
    with pytest.raises(UsageError, match="one array"):
        load_inputs(single, SPECS)
    np.savez(path, x=np.array([{}], dtype=object), ids=np.zeros((1, 1), np.int64))
    with pytest.raises(UsageError, match="plain arrays"):
        load_inputs(path, SPECS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_the_callers_fault(tmp_path: Path, value: float) -> None:
    path = tmp_path / "inputs.npz"
    np.savez(path, x=np.array([[0, 0, value, 0]], np.float32), ids=np.zeros((1, 1), np.int64))
    with pytest.raises(UsageError, match="input 'x' holds NaN or infinite values"):
        load_inputs(path, SPECS)


def test_an_input_that_the_model_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    np.savez(path, x=np.zeros((1, 4), np.float32), ids=np.zeros((1, 1), np.int64), extra=np.zeros(1))
    with pytest.raises(UsageError, match="'extra'"):
        load_inputs(path, SPECS)
