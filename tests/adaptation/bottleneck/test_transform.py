"""The axes: what matters to the answer comes first, in units in which every direction matters alike."""

import numpy as np
import pytest

from hedgerow.adaptation.bottleneck.transform import Transform, expected_bytes, fit, patches, rounded, step_for
from hedgerow.errors import UsageError

CHANCE = np.random.default_rng(0)
FEATURES = CHANCE.normal(size=(40, 3, 4, 6)).astype(np.float32) * np.array([1, 5, 1], np.float32)[:, None, None]
GRADIENTS = CHANCE.normal(size=FEATURES.shape).astype(np.float32) * np.array([2, 0.4, 0.5], np.float32)[:, None, None]


def test_patches_take_the_channel_slowest() -> None:
    array = np.arange(2 * 4 * 4, dtype=np.float32).reshape(1, 2, 4, 4)
    found = patches(array, 2)
    assert found.shape == (1, 8, 2, 2)
    assert found[0, :, 0, 1].tolist() == [2, 3, 6, 7, 18, 19, 22, 23]
    with pytest.raises(UsageError, match="divisor"):
        patches(array, 3)


def test_forward_and_backward_undo_each_other_and_variances_fall() -> None:
    transform = fit(FEATURES, GRADIENTS, 2)
    assert np.allclose(transform.backward @ transform.forward, np.eye(12), atol=1e-4)
    assert (np.diff(transform.variances) <= 1e-6).all()
    z = transform.apply(FEATURES)
    assert np.allclose(z.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    assert np.allclose(z.var(axis=(0, 2, 3)), transform.variances, rtol=1e-3)


def test_the_answers_sensitivity_is_the_measure() -> None:
    """An error of one length in z changes what the gradients see by the same, whatever its direction."""
    transform = fit(FEATURES, GRADIENTS, 1)
    slopes = np.moveaxis(GRADIENTS, 1, 0).reshape(3, -1)
    seen = np.square(slopes.T @ transform.backward).mean(axis=0)
    assert np.allclose(seen, 1, rtol=0.03)
    first = np.abs(transform.forward[0])
    assert first.argmax() == 0  # it varies least but matters most


def test_a_model_that_does_not_listen_is_refused() -> None:
    with pytest.raises(UsageError, match="does not depend"):
        fit(FEATURES, np.zeros_like(GRADIENTS), 1)


def test_a_transform_comes_back_from_its_arrays() -> None:
    transform = fit(FEATURES, GRADIENTS, 2)
    again = Transform.of_arrays(transform.arrays())
    assert again.patch == 2
    assert (again.forward == transform.forward).all()


def test_rounding_stays_in_a_byte() -> None:
    values = np.array([-0.6, -0.49, 0.0, 0.49, 0.51, 1.0, 300.0, -300.0], np.float32)
    assert rounded(values).tolist() == [-1, 0, 0, 0, 1, 1, 127, -127]


def test_the_step_is_the_one_that_costs_what_was_asked() -> None:
    values = CHANCE.laplace(size=(50, 4, 8, 8)).astype(np.float32)
    for wanted in (20.0, 60.0, 120.0):
        step = step_for(values, wanted)
        assert expected_bytes(rounded(values / np.float32(step))) == pytest.approx(wanted, rel=0.05)
