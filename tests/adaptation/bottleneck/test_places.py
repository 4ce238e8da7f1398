"""A linear code over all places gives the features back, tells nothing twice, and computes in ONNX what it computes here."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hedgerow.adaptation.bottleneck.graph import LATENT, STEPS
from hedgerow.adaptation.bottleneck.graph_places import assemble
from hedgerow.adaptation.bottleneck.places import Places, fewer, fit, folded, restrained
from hedgerow.adaptation.bottleneck.transform import LEVEL_MAX, rounded
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain

SHAPE = (6, 8, 8)
Floats = NDArray[np.float32]


def drawn(seed: int, count: int = 60) -> Floats:
    """Features whose neighbours are alike, the first channel far wider than the others."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, SHAPE[0], 4, 4)).repeat(2, axis=2).repeat(2, axis=3)
    fine = 0.3 * rng.normal(size=(count, *SHAPE))
    widths = np.array([30.0, 4.0, 2.0, 1.0, 0.5, 0.2])[:, None, None]
    found: Floats = ((coarse + fine) * widths + 3.0).astype(np.float32)
    return found


def fitted(patch: int = 1) -> Places:
    slopes = np.random.default_rng(9).normal(size=(60, *SHAPE)).astype(np.float32)
    return fit(drawn(0), slopes, patch)


def same(name: str) -> bytes:
    """A model that hands on what it is given."""
    shape: list[str | int | None] = ["n", *SHAPE]
    given, gives = (
        helper.make_tensor_value_info(each, TensorProto.FLOAT, shape) for each in (f"{name}.in", f"{name}.out")
    )
    graph = helper.make_graph([helper.make_node("Identity", [f"{name}.in"], [f"{name}.out"])], name, [given], [gives])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()


def crossed(places: Places, scale: float, features: Floats) -> tuple[Floats, NDArray[np.int8], Floats]:
    """(steps, latent, features that come out) of the written file."""
    data = assemble(same("head"), same("tail"), places, scale=scale, origin="test")
    onnx.checker.check_model(onnx.load_from_string(data))
    steps, levels, out = [], [], []
    with Chain.open(data, joints=[STEPS, LATENT]) as chain:
        for each in features:
            first = chain.run({"head.in": each[None]}, 0, 1).tensors
            steps.append(first[STEPS][0])
            second = chain.run(first, 2, 2).tensors
            levels.append(second[LATENT][0])
            out.append(chain.run(second, 3).tensors["tail.out"][0])
    return np.array(steps), np.array(levels), np.array(out)


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_the_file_computes_what_the_code_says_and_gives_the_features_back(patch: int) -> None:
    places, features = fitted(patch), drawn(1, 5)
    steps, levels, out = crossed(places, 1e-1, features)
    assert steps == pytest.approx(places.apply(features), rel=1e-3, abs=1e-2)
    assert levels.shape == (5, *places.shape)
    finer = crossed(restrained(places, drawn(0), most=30 * 1e-2), 1e-2, features)[2]
    assert np.abs(finer - features).mean() < np.abs(out - features).mean()
    assert np.abs(finer - features).max() < 0.05 * np.abs(features).max()


def test_elements_are_in_order_of_what_varies_in_them() -> None:
    places = fitted()
    varies = np.square(places.apply(drawn(0))).mean(axis=0).reshape(-1)
    assert np.all(np.diff(varies) <= 1e-3 * varies[0])


def test_fewer_keeps_those_that_vary_most_and_what_is_left_out_comes_back_as_its_mean() -> None:
    whole, features = fitted(), drawn(0)
    some = fewer(whole, features, elements=128, least=0.0)
    assert len(some.elements) <= 128 < len(whole.elements)
    kept, all_of = (np.square(each.apply(features)).sum() for each in (some, whole))
    assert kept > 0.8 * all_of
    none = np.zeros((1, *SHAPE), np.float32) + whole.mean.reshape(SHAPE)
    assert crossed(some, 1e-2, none)[2] == pytest.approx(none, abs=1e-2)


@pytest.mark.parametrize("elements", [64, 100, 200, 400])
def test_there_are_never_more_than_asked_for(elements: int) -> None:
    """However few: each of the bands keeps its first row, 64 elements in all."""
    some = fewer(fitted(), drawn(0), elements=elements, least=0.0)
    assert 64 <= len(some.elements) <= elements


def test_no_level_leaves_a_byte_where_the_widest_are_restrained() -> None:
    places, features = fitted(), drawn(0)
    scale = float(np.abs(places.apply(features)).max()) / (4 * LEVEL_MAX)
    assert np.abs(rounded(places.apply(features) / np.float32(scale))).max() == LEVEL_MAX  # it would be cut off
    held = restrained(places, features, most=100 * scale)
    assert held.gains is not None
    assert set(np.log2(held.gains).tolist()) <= {0.0, -1.0, -2.0, -3.0}
    assert held.gains.min() < 1
    assert np.abs(held.apply(features)).max() <= 100 * scale * (1 + 1e-5)
    _, levels, out = crossed(held, scale, features[:5])
    assert np.abs(levels.astype(int)).max() <= 101
    assert out == pytest.approx(features[:5], abs=0.1 * float(np.abs(features).max()))


def test_it_is_kept_and_read_back() -> None:
    places = fitted(2)
    again = Places.of_arrays(places.arrays())
    assert np.array_equal(again.apply(drawn(1, 3)), places.apply(drawn(1, 3)))


def test_folding_is_that_of_the_file_and_refuses_what_does_not_divide() -> None:
    x = np.arange(2 * 6 * 8 * 8, dtype=np.float32).reshape(2, *SHAPE)
    assert folded(x, 2).shape == (2, 24, 4, 4)
    assert folded(x, 2)[0, :6, 0, 0].tolist() == x[0, :, 0, 0].tolist()
    with pytest.raises(UsageError, match="choose a divisor"):
        folded(x, 3)


def test_a_cut_on_which_the_answer_does_not_depend_is_refused() -> None:
    with pytest.raises(UsageError, match="does not depend"):
        fit(drawn(0), np.zeros((60, *SHAPE), np.float32), 1)
