"""The file: head, encoder, latent, decoder and tail hang together, at any scale, and what cannot be imitated is refused."""

import numpy as np
import pytest

from hedgerow.adaptation.bottleneck.graph import (
    LATENT,
    TRAINED_OPERATORS,
    Block,
    assemble,
    blocks_of,
    part,
    rescaled,
    scale_of,
    tail_of,
)
from hedgerow.adaptation.bottleneck.transform import Transform, fit, rounded
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.graph import Graph
from tests.adaptation.small_network import SIDE_PX, network

CHANCE = np.random.default_rng(0)
SAMPLES = CHANCE.normal(size=(20, 3, SIDE_PX, SIDE_PX)).astype(np.float32)


def exact_weights(
    transform: Transform, middle: int = 4
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Encoder and decoder that do nothing but the transform."""
    size, patch = len(transform.mean), transform.patch
    return {
        "encoder.latent.weight": transform.forward.reshape(size, -1, patch, patch),
        "encoder.latent.bias": -transform.forward @ transform.mean,
        "decoder.first.weight": np.zeros((middle, size, 3, 3), np.float32),
        "decoder.first.bias": np.zeros(middle, np.float32),
        "decoder.second.weight": np.zeros((middle, middle, 3, 3), np.float32),
        "decoder.second.bias": np.zeros(middle, np.float32),
        "decoder.third.weight": np.zeros((size, middle, 1, 1), np.float32),
        "decoder.third.bias": np.zeros(size, np.float32),
        "decoder.plain.weight": transform.backward[:, :, None, None],
        "decoder.plain.bias": transform.mean,
    }


def made(cut: str, target: str, *, scale: float, patch: int = 2) -> tuple[bytes, tuple[Block, ...]]:
    graph = Graph.open(network())
    with Chain.open(network(), joints=[target]) as chain:
        features = np.concatenate([chain.run({"input": x[None]}, 1, 1).tensors[target] for x in SAMPLES])
    transform = fit(features.astype(np.float32), CHANCE.normal(size=features.shape).astype(np.float32), patch)
    blocks = () if cut == target else blocks_of(part(graph, cut, target))
    data = assemble(
        part(graph, None, cut),
        part(graph, target, None),
        exact_weights(transform),
        patch=patch,
        blocks=blocks,
        scale=scale,
        origin="a test",
    )
    return data, blocks


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize(("cut", "target"), [("one.output", "one.output"), ("one.output", "two.output")])
def test_with_fine_steps_the_answers_are_the_models_own(cut: str, target: str, patch: int) -> None:
    data, blocks = made(cut, target, scale=0.1, patch=patch)
    assert [block.residual for block in blocks] == ([] if cut == target else [True])
    with Chain.open(network()) as whole, Chain.open(data, joints=[LATENT]) as chain:
        for x in SAMPLES:
            alive = chain.run({"input": x[None]}, 1, 1).tensors
            assert alive[LATENT].dtype == np.int8
            said = chain.run(alive, 2).tensors["logits"]
            right = whole.run({"input": x[None]}).tensors["logits"]
            assert np.abs(said.astype(float) - right.astype(float)).max() < 0.5


def test_the_latent_is_rounded_as_the_transform_says_and_its_scale_can_be_changed() -> None:
    data, _ = made("one.output", "one.output", scale=0.3)
    other = rescaled(data, 0.6)
    assert scale_of(data) == pytest.approx(0.3)
    assert scale_of(other) == pytest.approx(0.6)
    for each, scale in ((data, 0.3), (other, 0.6)):
        with Chain.open(each, joints=["encoder.latent", LATENT]) as chain:
            steps = chain.run({"input": SAMPLES[:1]}, 1, 1).tensors
            levels = chain.run(steps, 2, 2).tensors[LATENT]
            wanted = rounded(steps["encoder.latent"].astype(np.float32) * np.float32(1 / scale))
            assert (levels == wanted).all()
    with pytest.raises(UsageError, match="no bottleneck"):
        scale_of(network())


def test_what_lies_between_must_be_blocks() -> None:
    graph = Graph.open(network())
    with pytest.raises(UsageError, match="inverted residual blocks"):
        blocks_of(part(graph, "two.output", None))
    (block,) = blocks_of(part(graph, "one.output", "two.output"))
    assert (block.hidden, block.stride) == (24, 1)


def test_an_operator_that_is_not_trained_through_is_named() -> None:
    graph = Graph.open(network(odd_one="Sigmoid"))
    with pytest.raises(UsageError, match="not trained through 'Sigmoid'"):
        tail_of(part(graph, "two.output", None))
    assert "Conv" in TRAINED_OPERATORS


def test_the_tail_is_read_whole() -> None:
    tail = tail_of(part(Graph.open(network()), "one.output", None))
    assert (tail.source, tail.result) == ("one.output", "logits")
    kinds = [layer.operator for layer in tail.layers]
    assert kinds.count("Conv") == 4
    assert kinds[-1] == "Gemm"
