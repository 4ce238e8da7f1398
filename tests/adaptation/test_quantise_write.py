import numpy as np
import onnx
import pytest

from hedgerow.adaptation.quantise_layers import lay_out
from hedgerow.adaptation.quantise_ranges import WAYS, observe, ranges, touched
from hedgerow.adaptation.quantise_write import quantised_weights, scale_of, write
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.graph import Graph
from hedgerow.models.tensors import Array, Tensors
from tests.adaptation.small_network import JOINTS, network
from tests.models import graphs


def inputs(count: int) -> list[Tensors]:
    random = np.random.default_rng(3)
    return [{"input": random.normal(size=(1, 3, 16, 16)).astype(np.float32)} for _ in range(count)]


def copy_of(model: bytes, joints: tuple[str, ...] = JOINTS, way: str = "typical", kept: tuple[str, ...] = ()) -> bytes:
    layout = lay_out(Graph.open(model), joints)
    found = ranges(layout, observe(layout, inputs(12), 1), way)
    chosen = [layer.made for block in layout.blocks for layer in block.layers if block.name not in kept]
    return write(layout, found, chosen, joints)


def assert_near(found: Array, expected: Array) -> None:
    """Within a tenth of the largest magnitude."""
    one, other = found.astype(np.float64), expected.astype(np.float64)
    assert np.abs(one - other).max() < 0.1 * np.abs(other).max()


def operators(model: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(model).graph.node]


def test_the_copy_is_valid_smaller_and_answers_alike() -> None:
    whole = network()
    copy = copy_of(whole)
    onnx.checker.check_model(onnx.load_from_string(copy), full_check=True)
    assert "Clip" not in operators(copy)  # the ranges do its work
    with Chain.open(whole) as ours, Chain.open(copy) as theirs:
        for tensors in inputs(8):
            assert_near(theirs.run(tensors).tensors["logits"], ours.run(tensors).tensors["logits"])
    small = sum(
        len(t.raw_data)
        for t in onnx.load_from_string(copy).graph.initializer
        if ".weight" in t.name and "numbers" in t.name
    )
    large = sum(len(t.raw_data) for t in onnx.load_from_string(whole).graph.initializer if "weight" in t.name)
    assert 3.9 < large / small < 4.1


def test_a_cut_at_a_joint_loses_nothing() -> None:
    copy = copy_of(network())
    with Chain.open(copy) as whole, Chain.open(copy, joints=JOINTS) as cut:
        for tensors in inputs(12):
            expected = whole.run(tensors).tensors["logits"]
            for last in (1, 2):
                head = cut.run(tensors, last=last)
                assert list(head.tensors) == [JOINTS[last - 1]]
                assert head.tensors[JOINTS[last - 1]].dtype == np.float32
                tail = cut.run(head.tensors, first=last + 1)
                np.testing.assert_array_equal(tail.tensors["logits"], expected)


def test_precision_may_change_at_a_joint_either_way() -> None:
    whole = network()
    with Chain.open(whole, joints=JOINTS) as ours, Chain.open(copy_of(whole), joints=JOINTS) as theirs:
        assert [spec for i in (1, 2) for spec in ours.joint(i)] == [spec for i in (1, 2) for spec in theirs.joint(i)]
        for tensors in inputs(6):
            expected = ours.run(tensors).tensors["logits"]
            for head, tail in ((ours, theirs), (theirs, ours)):
                found = tail.run(head.run(tensors, last=1).tensors, first=2).tensors["logits"]
                assert_near(found, expected)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_ranges_within_the_activations(way: str) -> None:
    layout = lay_out(Graph.open(network()), JOINTS)
    found = ranges(layout, observe(layout, inputs(6), 1), way)
    assert set(found) == set(touched(layout))
    assert all(low <= 0.0 <= high for low, high in found.values())
    assert found["two.wide"][0] == 0.0
    assert found["two.wide"][1] <= 6.0


def test_a_block_may_stay_in_float32() -> None:
    copy = copy_of(network(), kept=("two.output",))
    assert operators(copy).count("Clip") == 2
    with Chain.open(copy) as chain:
        assert np.isfinite(chain.run(inputs(1)[0]).tensors["logits"]).all()


def test_an_operator_without_an_int8_form_stays_and_is_named() -> None:
    model = network(odd_one="Softplus")
    assert lay_out(Graph.open(model), JOINTS).left_out == {"Softplus": 1}
    assert "Softplus" in operators(copy_of(model))


def test_equal_settings_give_equal_bytes() -> None:
    assert copy_of(network()) == copy_of(network())


def test_blocks_lie_between_narrow_places_and_the_picture_is_first() -> None:
    layout = lay_out(Graph.open(network()), JOINTS)
    assert [(block.name, block.first) for block in layout.blocks] == [
        ("one.output", True),
        ("two.output", False),
        ("logits", False),
    ]
    assert sum(block.work_share for block in layout.blocks) == pytest.approx(1.0)


def test_what_is_quantised_or_half_already_is_refused() -> None:
    for model, message in ((graphs.quantised(), "quantised already"), (graphs.half_precision(), "16-bit")):
        with pytest.raises(UsageError, match=message):
            lay_out(Graph.open(model.SerializeToString()), ())
    with pytest.raises(UsageError, match="quantised already"):
        lay_out(Graph.open(copy_of(network())), JOINTS)
    with pytest.raises(UsageError, match="no layer that can be int8"):
        lay_out(Graph.open(graphs.two_inputs_two_outputs().SerializeToString()), ())


def test_scales_hold_zero_exactly_and_cover_their_range() -> None:
    for extent in ((0.0, 6.0), (-1.0, 3.0), (-2.0, 0.0), (0.0, 0.0), (0.5, 2.0)):
        found = scale_of(extent)
        low = (0 - int(found.zero)) * float(found.scale)
        high = (255 - int(found.zero)) * float(found.scale)
        step = float(found.scale)
        assert low <= min(0.0, extent[0]) + step
        assert high >= max(0.0, extent[1]) - step


def test_weights_are_rounded_by_channel_and_a_dead_channel_is_zero() -> None:
    weight = np.array([[0.5, -1.0], [0.0, 0.0], [100.0, 1.0]], np.float32)
    steps, scales = quantised_weights(weight, 0, np.zeros(3))
    assert steps.tolist() == [[64, -127], [0, 0], [127, 1]]
    np.testing.assert_allclose(steps * scales[:, None], weight, atol=0.5 * scales.max())
    _, wider = quantised_weights(weight, 0, np.array([0.0, 0.25, 0.0]))
    assert wider[1] == 0.25
