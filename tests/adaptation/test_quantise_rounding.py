import numpy as np
import pytest

from hedgerow.adaptation.quantise_layers import lay_out, weight_of
from hedgerow.adaptation.quantise_ranges import observe
from hedgerow.adaptation.quantise_rounding import Moments, rounded
from hedgerow.adaptation.quantise_write import quantised_weights
from hedgerow.models.graph import Graph
from hedgerow.models.tensors import Tensors
from tests.adaptation.small_network import JOINTS, network


def errors(groups: int, channels: int, inputs: int, seed: int) -> tuple[float, float]:
    """Mean squared error of the sums, weights rounded together and one by one, on inputs that go together."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(groups, inputs, inputs)) * np.linspace(2, 0.05, inputs)
    seen = np.abs(np.einsum("gpi,gij->gpj", random.normal(size=(groups, 4000, inputs)), mixing))
    weights = random.normal(size=(groups, channels, inputs))
    scales = (np.abs(weights).max(2) / 7).astype(np.float32)  # coarse steps, to see a difference
    sums = np.einsum("gpi,gpj->gij", seen, seen)
    together = rounded(weights, scales, sums)
    alone = np.clip(np.rint(weights / scales[:, :, None]), -127, 127)

    def error(steps: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
        off = np.einsum("gpi,gci->gpc", seen, steps * scales[:, :, None] - weights)
        return float((off**2).mean())

    return error(together), error(alone)


@pytest.mark.parametrize("shape", [(1, 8, 24), (12, 1, 9), (3, 4, 10)])
def test_sums_of_weights_rounded_together_are_nearer(shape: tuple[int, int, int]) -> None:
    for seed in range(4):
        together, alone = errors(*shape, seed)
        assert together < alone


def test_a_group_that_saw_nothing_is_rounded_plainly() -> None:
    weights = np.random.default_rng(0).normal(size=(2, 3, 9))
    scales = (np.abs(weights).max(2) / 127).astype(np.float32)
    sums = np.zeros((2, 9, 9))
    sums[1] = np.eye(9) * 5
    found = rounded(weights, scales, sums)
    np.testing.assert_array_equal(found, np.rint(weights / scales[:, :, None]))


def test_moments_are_those_of_what_the_layer_sums_up() -> None:
    """Against the convolution itself: with every position looked at, the mean square of its sums is w' M w."""
    layout = lay_out(Graph.open(network()), JOINTS)
    moments = Moments(layout, 0)
    picture: Tensors = {"input": np.random.default_rng(1).normal(size=(1, 3, 16, 16)).astype(np.float32)}
    made: Tensors = {}
    observe(layout, [picture], 1, look=lambda tensors: made.update(tensors))
    moments.add(made)
    moments.weights(layout)
    for name, groups in (("two.narrow", 1), ("two.deep.linear", 24)):
        weight = weight_of(layout.graph, layout.layers[name].node.proto.input[1]).astype(np.float64)
        bias = weight_of(layout.graph, layout.layers[name].node.proto.input[2]).astype(np.float64)
        sums = moments._sums[name]
        rows = weight.reshape(groups, -1, sums.shape[1])
        expected = np.einsum("gci,gij,gcj->gc", rows, sums, rows).reshape(-1)
        if name == "two.narrow":
            found = made[name][0].astype(np.float64) - bias[:, None, None]
            np.testing.assert_allclose((found**2).sum((1, 2)), expected, rtol=1e-3)
        assert (expected > 0).all()


def test_rounded_weights_use_the_same_scales() -> None:
    layout = lay_out(Graph.open(network()), JOINTS)
    moments = Moments(layout, 0)
    random = np.random.default_rng(1)
    pictures: list[Tensors] = [{"input": random.normal(size=(1, 3, 16, 16)).astype(np.float32)} for _ in range(8)]
    observe(layout, pictures, 1, look=moments.add)
    found = moments.weights(layout)
    assert set(found) == {made for made, layer in layout.layers.items() if layer.kind == "Conv"}
    for made, (steps, scales) in found.items():
        weight = weight_of(layout.graph, layout.layers[made].node.proto.input[1]).astype(np.float32)
        plain, same = quantised_weights(weight, 0, np.zeros(len(weight)))
        np.testing.assert_array_equal(scales, same)
        assert steps.shape == plain.shape
        assert np.abs(steps.astype(int) - plain.astype(int)).max() < 40
