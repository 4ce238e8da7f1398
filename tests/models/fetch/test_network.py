"""The ONNX writer: readable names, equal bytes for equal weights, and refusal of weights that do not fit."""

import numpy as np
import onnx
import pytest

from hedgerow.errors import PeerError
from hedgerow.models.fetch import mobilenet_v2
from tests.models.fetch.oracle import State
from tests.models.fetch.small_networks import SIDE_PX, small_mobilenet_v2


def build(state: State) -> bytes:
    return mobilenet_v2.build(state, name="small", size_px=SIDE_PX, source="random", strides=(1, 2, 1))


def test_equal_weights_give_equal_bytes() -> None:
    assert build(small_mobilenet_v2().state) == build(small_mobilenet_v2().state)
    assert build(small_mobilenet_v2(1).state) != build(small_mobilenet_v2(2).state)


def test_names_are_stable_the_batch_is_symbolic_and_no_normalisation_is_left() -> None:
    graph = onnx.load_from_string(build(small_mobilenet_v2().state)).graph
    made = [name for node in graph.node for name in node.output]
    assert [name for name in made if name.endswith(".output")] == [
        "stem.output",
        "block1.output",
        "block2.output",
        "block3.output",
        "head.output",
    ]
    assert {node.op_type for node in graph.node} == {"Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Gemm"}
    for value in (graph.input[0], graph.output[0]):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert (graph.input[0].name, graph.output[0].name) == ("input", "logits")
    assert len({node.name for node in graph.node}) == len(graph.node)


def test_a_missing_weight_is_named() -> None:
    state = small_mobilenet_v2().state
    del state["features.2.conv.1.1.running_var"]
    with pytest.raises(PeerError, match=r"features\.2\.conv\.1\.1\.running_var"):
        build(state)


def test_a_left_over_weight_is_named() -> None:
    state = small_mobilenet_v2().state
    state["features.9.surprise"] = np.zeros(3, np.float32)
    with pytest.raises(PeerError, match=r"1 unknown tensors, such as features.9.surprise"):
        build(state)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("features.0.0.weight", np.zeros((4, 3, 3), np.float32), "3 axes"),
        ("features.0.0.weight", np.zeros((4, 3, 3, 3), np.int64), "int64"),
        ("features.0.1.weight", np.zeros(5, np.float32), "one value per channel"),
        ("features.2.conv.0.0.weight", np.zeros((6, 2, 1, 1), np.float32), "takes 2 channels, but .* has 3"),
        ("features.2.conv.1.0.weight", np.zeros((6, 2, 3, 3), np.float32), "takes 12 channels, but .* has 6"),
        ("classifier.1.weight", np.zeros((7, 9), np.float32), "takes 9 channels, but .* has 8"),
        ("classifier.1.bias", np.zeros(6, np.float32), "do not fit its architecture"),
    ],
)
def test_weights_of_a_wrong_shape_or_kind_are_refused(name: str, array: np.ndarray, said: str) -> None:
    state = small_mobilenet_v2().state
    state[name] = array
    with pytest.raises(PeerError, match=said):
        build(state)
