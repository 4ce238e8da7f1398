"""MiniLM's writer: the file computes what a plain NumPy encoder does, can be cut after each layer, and wants all its weights."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hedgerow.errors import PeerError
from hedgerow.models.chain import Chain
from hedgerow.models.fetch import minilm
from hedgerow.models.tensors import Array, Tensors
from tests.adaptation.text import small

CLASSES = 5
Doubles = NDArray[np.float64]


def weights() -> dict[str, Array]:
    random = np.random.default_rng(1)
    head = {
        "classifier.weight": random.standard_normal((CLASSES, small.WIDTH)),
        "classifier.bias": random.standard_normal(CLASSES),
    }
    return small.state() | {name: array.astype(np.float32) for name, array in head.items()}


def inputs() -> Tensors:
    ids = np.random.default_rng(2).integers(0, 12, (3, 8))
    mask = np.ones((3, 8), np.int64)
    mask[1, 5:] = 0
    mask[2, 2:] = 0
    return {minilm.IDS: ids, minilm.MASK: mask}


def plain(state: dict[str, Array], tensors: Tensors) -> Doubles:
    """A BERT encoder, head by head and in double precision."""
    w = {name: array.astype(np.float64) for name, array in state.items()}

    def linear(x: Doubles, name: str) -> Doubles:
        return np.asarray(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])

    def norm(x: Doubles, name: str) -> Doubles:
        centred = x - x.mean(-1, keepdims=True)
        return np.asarray(
            centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * w[f"{name}.weight"] + w[f"{name}.bias"]
        )

    ids, mask = tensors[minilm.IDS], tensors[minilm.MASK].astype(np.float64)
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    erf = np.vectorize(math.erf)
    for layer in range(small.LAYERS):
        keys = f"encoder.layer.{layer}"
        q, k, v = (linear(x, f"{keys}.attention.self.{part}") for part in ("query", "key", "value"))
        mixed = np.zeros_like(x)
        for head in range(0, small.WIDTH, 32):
            part = slice(head, head + 32)
            scores = q[..., part] @ k[..., part].transpose(0, 2, 1) / math.sqrt(32)
            scores = np.where(mask[:, None, :] == 1, scores, -np.inf)
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            mixed[..., part] = shares / shares.sum(-1, keepdims=True) @ v[..., part]
        x = norm(x + linear(mixed, f"{keys}.attention.output.dense"), f"{keys}.attention.output.LayerNorm")
        wide = linear(x, f"{keys}.intermediate.dense")
        wide = wide / 2 * (1 + erf(wide / math.sqrt(2)))
        x = norm(x + linear(wide, f"{keys}.output.dense"), f"{keys}.output.LayerNorm")
    pooled = (x * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return linear(pooled, "classifier")


def test_it_computes_what_a_plain_encoder_does() -> None:
    tensors = inputs()
    with Chain.open(minilm.build(weights(), name="small", tokens=8, source="a test")) as chain:
        made: Any = chain.run(tensors).tensors["logits"]
    np.testing.assert_allclose(made, plain(weights(), tensors), atol=2e-4)


def test_it_is_cut_after_each_layer_and_an_exit_takes_what_is_alive_there() -> None:
    model = minilm.build(weights(), name="small", tokens=8, source="a test")
    joints = [minilm.joint(layer) for layer in (1, 2)]
    head = {"classifier.weight": weights()["classifier.weight"], "classifier.bias": weights()["classifier.bias"]}
    exit_ = minilm.build_exit(head, layer=2, tokens=8, name="exit", source="a test")
    with Chain.open(model, joints=joints) as chain, Chain.open(model) as whole, Chain.open(exit_) as branch:
        tensors = inputs()
        run = chain.run(tensors, last=2)
        assert {spec.name for spec in branch.inputs} == set(run.tensors)
        mask = tensors[minilm.MASK].astype(np.float64)
        mean = (run.tensors["layer2.output"].astype(np.float64) * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        wanted: Any = mean @ weights()["classifier.weight"].T + weights()["classifier.bias"]
        asked: Any = branch.run(run.tensors).tensors["logits"]
        np.testing.assert_allclose(asked, wanted, atol=1e-5)
        tail: Any = chain.run(run.tensors, first=3).tensors["logits"]
        np.testing.assert_allclose(tail, whole.run(tensors).tensors["logits"].astype(np.float64), atol=1e-5)


def test_equal_weights_give_equal_bytes() -> None:
    one, other = (minilm.build(weights(), name="small", tokens=8, source="a test") for _ in range(2))
    assert one == other


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoder.layer.1.output.dense.bias": None}, "lack 'encoder.layer.1.output.dense.bias'"),
        ({"encoder.layer.1.output.dense.bias": np.zeros((2, 2), np.float32)}, "expected 1 of float"),
        ({"encoder.layer.0.attention.self.key.bias": np.zeros(3, np.float32)}, "do not fit its architecture"),
        ({"left.over": np.zeros(3, np.float32)}, "unknown tensors, such as left.over"),
    ],
)
def test_other_weights_are_refused(change: dict[str, Array | None], said: str) -> None:
    changed = {name: array for name, array in (weights() | change).items() if array is not None}
    with pytest.raises(PeerError, match=said):
        minilm.build(changed, name="small", tokens=8, source="a test")


def test_more_tokens_than_places_are_refused() -> None:
    with pytest.raises(PeerError, match="know 32 places"):
        minilm.build(weights(), name="small", tokens=33, source="a test")
