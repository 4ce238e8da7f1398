import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hedgerow.adaptation.quantise_equalise import LARGEST, MARGINS, Peaks, equalised, pairs, spread
from hedgerow.adaptation.quantise_layers import lay_out
from hedgerow.adaptation.quantise_ranges import observe
from hedgerow.models.chain import Chain
from hedgerow.models.graph import Graph
from hedgerow.models.tensors import Tensors
from tests.adaptation.small_network import JOINTS, network


def pictures(count: int) -> list[Tensors]:
    random = np.random.default_rng(5)
    return [{"input": random.normal(size=(1, 3, 16, 16)).astype(np.float32)} for _ in range(count)]


def uneven() -> bytes:
    """The small network with quiet and loud channels between its second block's layers."""
    model = onnx.load_from_string(network())
    scale = np.geomspace(0.05, 1.0, 24).astype(np.float32)
    for tensor in model.graph.initializer:
        if tensor.name in ("two.wide.weight", "two.wide.bias"):
            array = numpy_helper.to_array(tensor)
            tensor.CopyFrom(
                numpy_helper.from_array(array * scale.reshape((-1,) + (1,) * (array.ndim - 1)), tensor.name)
            )
    return model.SerializeToString()


def test_pairs_are_neighbours_outside_the_block_that_reads_the_picture() -> None:
    found = pairs(lay_out(Graph.open(network()), JOINTS))
    assert [(pair.first.result, pair.second.made, pair.depthwise) for pair in found] == [
        ("two.wide", "two.deep.linear", True),
        ("two.deep", "two.narrow", False),
    ]


def test_answers_stay_and_channels_become_even() -> None:
    model = uneven()
    layout = lay_out(Graph.open(model), JOINTS)
    seen = pictures(12)
    peaks = Peaks(layout)
    observe(layout, seen, 1, look=peaks.add)
    scales = peaks.scales(1.0)
    assert all((each >= 1.0).all() and (each <= LARGEST).all() for each in scales.values())
    assert scales["two.wide"][0] > 4 * scales["two.wide"][-1]
    data = equalised(layout, scales)
    with Chain.open(model, joints=JOINTS) as ours, Chain.open(data, joints=JOINTS) as theirs:
        for tensors in seen:
            for last in (1, 2, 3):  # joints included: they are where precision may change
                one, other = ours.run(tensors, last=last).tensors, theirs.run(tensors, last=last).tensors
                for name in one:
                    np.testing.assert_allclose(other[name], one[name], rtol=1e-3, atol=1e-4)  # type: ignore[arg-type]
    again = Peaks(lay_out(Graph.open(data), JOINTS))
    observe(lay_out(Graph.open(data), JOINTS), seen, 1, look=again.add)
    spread = [
        float(np.log(each._rows["two.wide"][0].max() / np.median(each._rows["two.wide"][0]))) for each in (peaks, again)
    ]
    assert spread[1] < spread[0]


def test_the_least_margin_that_keeps_the_answers_is_taken() -> None:
    layout = lay_out(Graph.open(uneven()), JOINTS)
    peaks = Peaks(layout)
    observe(layout, pictures(4), 1, look=peaks.add)
    narrow, wide = peaks.scales(1.0)["two.wide"], peaks.scales(4.0)["two.wide"]
    assert (wide <= narrow).all()
    assert (wide >= 1.0).all()
    asked: list[bytes] = []

    def divergence(model: bytes) -> float:
        asked.append(model)
        return 0.0 if len(asked) == 2 else 1.0

    data, margin = spread(layout, peaks, divergence)
    assert (data, margin) == (equalised(layout, peaks.scales(MARGINS[1])), MARGINS[1])
    assert spread(layout, peaks, lambda _model: 1.0) == (layout.graph.whole, 0.0)


@pytest.mark.parametrize("shared", ["two.wide.weight", "two.deep.weight"])
def test_weights_that_others_read_too_are_left_alone(shared: str) -> None:
    model = onnx.load_from_string(network())
    model.graph.node.append(onnx.helper.make_node("ReduceMax", [shared], ["peak"], keepdims=0))
    model.graph.node.append(onnx.helper.make_node("Add", ["logits", "peak"], ["more"]))
    model.graph.output[0].name = "more"
    layout = lay_out(Graph.open(model.SerializeToString()), JOINTS)
    names = [name for pair in pairs(layout) for each in (pair.first, pair.second) for name in each.node.proto.input[1:]]
    assert shared not in names
