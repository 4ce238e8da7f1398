"""What may hang at a joint: the rest of the model at half resolution, or a small classifier; both as files that run."""

import numpy as np
import pytest

from hedgerow.adaptation.exits.heads import heads_at, picture_shape, pooled, small_head, tail_head, work_of
from hedgerow.models.chain import Chain
from hedgerow.models.cuts import choose_cuts, find_cuts
from hedgerow.models.graph import Graph
from tests.adaptation.exits.small_model import model_bytes


def _graph() -> Graph:
    return Graph.open(model_bytes())


def test_a_tail_is_the_rest_of_the_model_on_the_halved_tensor() -> None:
    graph = _graph()
    (cut,) = choose_cuts(graph, ["two"])
    head = tail_head(graph, cut, (8, 12, 12))
    assert head is not None
    tensor = np.random.default_rng(0).random((1, 8, 12, 12)).astype(np.float32)
    with Chain.open(head.file("")) as asked:
        found = asked.run({"two": tensor}, 1).tensors["logits"]
    with Chain.open(
        model_bytes(), joints=["two"]
    ) as chain:  # the rest is convolutions: it takes any size where it is asked bare
        assert found.shape == chain.run({"two": tensor}, 2).tensors["logits"].shape
    weights = {name: array.astype(np.float64) for name, array in head.weights.items()}
    half = np.pad(pooled(tensor)[0], ((0, 0), (1, 1), (1, 1)))
    made = np.zeros((12, 3, 3))
    for row in range(3):
        for column in range(3):
            window = half[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            made[:, row, column] = (weights["three.weight"] * window).sum((1, 2, 3)) + weights["three.bias"]
    plain = weights["classifier.weight"] @ np.maximum(made, 0).mean((1, 2)) + weights["classifier.bias"]
    np.testing.assert_allclose(found[0], plain, rtol=1e-3, atol=1e-4)


def test_a_tail_costs_about_a_quarter_of_the_rest() -> None:
    graph = _graph()
    (cut,) = choose_cuts(graph, ["one"])
    head = heads_at(graph, cut, 5, seed=0)[0]
    assert head.kind == "tail"
    rest = graph.work * (1 - cut.work_before)
    assert 0.2 < work_of([head.file("")])[0] / rest < 0.45


def test_a_small_head_runs_at_odd_sides_and_names_what_is_trained() -> None:
    head = small_head("j", (4, 7, 5), 3, seed=1)
    assert head.pooled_shape == (4, 4, 3)
    assert set(head.trainable) == set(head.weights)
    with Chain.open(head.file("")) as chain:
        assert chain.run({"j": np.ones((2, 4, 7, 5), np.float32)}, 1).tensors["logits"].shape == (2, 3)


def test_new_weights_take_the_place_of_the_old_ones_and_equal_ones_give_equal_bytes() -> None:
    head = small_head("j", (4, 8, 8), 3, seed=1)
    again = head.with_weights({"exit.linear.bias": np.ones(3, np.float32)})
    assert again.file("x") != head.file("x")
    assert small_head("j", (4, 8, 8), 3, seed=1).file("x") == head.file("x")


def test_halving_is_the_mean_over_what_is_there() -> None:
    tensor = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    assert pooled(tensor)[0, 0].tolist() == [[2.0, 3.5], [6.5, 8.0]]


def test_a_joint_that_is_no_picture_gets_no_head() -> None:
    graph = _graph()
    flat = [cut for cut in find_cuts(graph) if len(cut.tensors[0].shape) == 2]
    assert flat
    assert all(picture_shape(cut) is None and heads_at(graph, cut, 5, seed=0) == [] for cut in flat)


@pytest.mark.parametrize("seed", [0, 1])
def test_half_resolution_at_an_odd_side_is_the_file_s_too(seed: int) -> None:
    head = small_head("j", (4, 5, 5), 3, seed=seed)
    tensor = np.random.default_rng(seed).random((1, 4, 5, 5)).astype(np.float32)
    even = small_head("j", (4, 6, 6), 3, seed=seed)
    padded = np.pad(tensor, ((0, 0), (0, 0), (0, 1), (0, 1)), mode="edge")
    with Chain.open(head.file("")) as odd_chain, Chain.open(even.file("")) as even_chain:
        one, other = (
            c.run({"j": t}, 1).tensors["logits"].astype(np.float64)
            for c, t in ((odd_chain, tensor), (even_chain, padded))
        )
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
