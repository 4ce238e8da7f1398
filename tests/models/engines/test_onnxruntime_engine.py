"""The engine against the rules of its protocol; the chain's tests run it further."""

import threading

import numpy as np
import pytest

from hedgerow.errors import EngineError, UsageError
from hedgerow.models.engines import Cancelled, get_engine
from hedgerow.models.tensors import Array, Tensors
from tests.models import graphs
from tests.models.graphs import model, node, value

ENGINE = get_engine("onnxruntime")


def test_outputs_come_by_name_in_the_files_order() -> None:
    program = ENGINE.load(graphs.two_inputs_two_outputs().SerializeToString(), threads=1)
    x = np.array([[-1, 0, 1, 2]], np.float32)
    outputs = program.run({"x": x, "late_input": x}, ENGINE.call())
    assert tuple(outputs) == program.outputs == ("early", "y")
    graphs.assert_close(outputs["y"], -np.exp(np.maximum(x, 0)) * x)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_a_setting(threads: int) -> None:
    assert ENGINE.load(graphs.perceptron().SerializeToString(), threads=threads).outputs == ("y",)


@pytest.mark.parametrize("threads", [0, -1, 10_000])
def test_threads_have_bounds(threads: int) -> None:
    with pytest.raises(UsageError, match="threads"):
        ENGINE.load(graphs.perceptron().SerializeToString(), threads=threads)


@pytest.mark.parametrize("data", [b"", b"no model at all", graphs.perceptron().SerializeToString()[:60]])
def test_what_does_not_load_is_one_line(data: bytes) -> None:
    with pytest.raises(EngineError, match="could not load") as caught:
        ENGINE.load(data, threads=1)
    assert "\n" not in str(caught.value)


def test_what_does_not_run_is_one_line_and_silent(capfd: pytest.CaptureFixture[str]) -> None:
    made = model([node("Reshape", "x shape", "y")], [value("x"), value("shape", (1,), 7)], [value("y", ("n",))])
    program = ENGINE.load(made.SerializeToString(), threads=1)
    x: Array = np.zeros((1, 4), np.float32)
    alone: Tensors = {"x": x}
    with pytest.raises(EngineError, match="could not run") as caught:
        program.run({"x": x, "shape": np.array([5], np.int64)}, ENGINE.call())
    assert "\n" not in str(caught.value)
    with pytest.raises(EngineError):
        program.run(alone, ENGINE.call())
    with pytest.raises(EngineError):
        program.run({"x": x.astype(np.float64), "shape": np.array([4], np.int64)}, ENGINE.call())
    assert program.run({"x": x, "shape": np.array([4], np.int64)}, ENGINE.call())["y"].shape == (4,)
    assert capfd.readouterr().err == ""


def test_a_cancelled_call_ends_silently_and_the_next_runs(capfd: pytest.CaptureFixture[str]) -> None:
    program = ENGINE.load(graphs.captured_by_loop().SerializeToString(), threads=1)
    inputs: Tensors = {"x": np.ones((1, 4), np.float32)}
    call = ENGINE.call()
    threading.Thread(target=call.cancel).start()
    while not call.cancelled:
        pass
    with pytest.raises(Cancelled):
        program.run(inputs, call)
    assert program.run(inputs, ENGINE.call())["y"].shape == (1, 4)
    assert capfd.readouterr().err == ""


def test_describe_gives_what_the_runtime_infers_and_leaves_out_the_rest() -> None:
    made = graphs.half_precision()
    assert [(spec.name, spec.dtype, spec.shape) for spec in ENGINE.describe(made.SerializeToString())] == [
        ("y", "float16", (1, 4))
    ]
    assert ENGINE.describe(graphs.sequence_output().SerializeToString()) == ()


def test_an_unknown_engine_is_the_callers_fault() -> None:
    with pytest.raises(UsageError, match="onnxruntime"):
        get_engine("abacus")
