"""The written network and its exits against a plain computation, and their work against the table's."""

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.exits.architecture import RESNET
from hedgerow.adaptation.exits.network_file import exit_file, whole_file
from hedgerow.models.chain import Chain
from hedgerow.models.graph import Graph
from tests.adaptation.exits.small_network import SMALL, pictures, weights

Floats = NDArray[np.float64]


def _convolved(x: Floats, weight: NDArray[np.float32], stride: int) -> Floats:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    side = (x.shape[1] + stride - 1) // stride
    out = np.zeros((len(weight), side, side))
    for row in range(side):
        for column in range(side):
            window = padded[:, row * stride : row * stride + 3, column * stride : column * stride + 3]
            out[:, row, column] = (weight * window).sum((1, 2, 3))
    return out


def _plain(x: Floats) -> tuple[Floats, Floats]:
    """(logits of the first exit, logits of the whole), computed without any folding."""
    w = weights()

    def layer(key: str, x: Floats, stride: int, convolutions: int, residual: bool) -> Floats:
        y = x
        for index in range(convolutions):
            y = _convolved(y, w[f"{key}.convolutions.{index}.weight"], stride if index == 0 else 1)
            gamma, beta, mean, variance = (
                w[f"{key}.norms.{index}.{part}"][:, None, None]
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            y = (y - mean) / np.sqrt(variance + 1e-5) * gamma + beta
            y = np.maximum(y, 0) if index + 1 < convolutions else y
        return np.maximum(x + y if residual else y, 0)

    first = layer("stages.0.1", layer("stages.0.0", x, 1, 1, False), 1, 1, True)
    asked = layer("exits.0.0", first, 2, 1, False).mean((1, 2))
    whole = layer("stages.2.0", layer("stages.1.0", first, 2, 1, False), 1, 2, True).mean((1, 2))
    return (
        w["exit_linears.0.weight"] @ asked + w["exit_linears.0.bias"],
        w["linear.weight"] @ whole + w["linear.bias"],
    )


def test_files_compute_what_the_layers_say() -> None:
    sample = pictures(1)[0]
    asked, whole = _plain(sample["input"][0].astype(np.float64))
    with Chain.open(whole_file(weights(), SMALL, ""), joints=["stage1.output"]) as chain:
        first = chain.run(sample, 1, 1).tensors
        np.testing.assert_allclose(chain.run(first, 2).tensors["logits"][0], whole, rtol=1e-3, atol=1e-4)
    with Chain.open(exit_file(weights(), SMALL, 0, "")) as chain:
        np.testing.assert_allclose(chain.run(first, 1).tensors["logits"][0], asked, rtol=1e-3, atol=1e-4)


def test_equal_weights_give_equal_bytes() -> None:
    assert whole_file(weights(), SMALL, "x") == whole_file(weights(), SMALL, "x")
    assert exit_file(weights(), SMALL, 1, "x") != exit_file(weights(1), SMALL, 1, "x")


def test_the_table_s_multiply_adds_are_the_file_s() -> None:
    graph = Graph.open(whole_file(weights(), SMALL, ""))
    assert abs(graph.work - SMALL.multiply_adds(3)) < 0.05 * graph.work  # the file counts the elementwise too
    assert SMALL.multiply_adds(1, with_exit=True) > SMALL.multiply_adds(1)


def test_the_network_of_cifar_has_its_exits_early() -> None:
    whole = RESNET.multiply_adds(len(RESNET.stages))
    shares = [RESNET.multiply_adds(depth, with_exit=True) / whole for depth in (1, 2, 3)]
    assert shares == sorted(shares)
    assert shares[0] < 0.2
