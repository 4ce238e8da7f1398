"""Calibrated probabilities: a temperature changes how sure, never which."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.models.calibrated import likeliest, logits_of, probabilities

SCORES = np.array([[1.0, 3.0, -2.0], [0.0, 0.0, 5.0]])


def test_without_a_temperature_it_is_the_softmax() -> None:
    expected = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(SCORES), expected, rtol=1e-12)
    np.testing.assert_allclose(probabilities(expected), expected, rtol=1e-12)  # given as probabilities already
    np.testing.assert_array_equal(logits_of(SCORES), SCORES)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=9), st.floats(0.1, 10))
def test_a_temperature_keeps_the_order_and_the_sum(scores: list[float], temperature: float) -> None:
    shares = probabilities(np.array(scores), temperature)
    assert shares.sum() == pytest.approx(1.0)
    assert shares.max() == pytest.approx(shares[int(np.argmax(scores))])
    if temperature > 1:
        assert shares.max() <= probabilities(np.array(scores)).max() + 1e-12


def test_the_likeliest_come_first_and_equal_ones_by_index() -> None:
    assert likeliest(np.array([0.2, 0.3, 0.3, 0.2]), 3) == ((1, 2, 0), (0.3, 0.3, 0.2))
    assert likeliest(np.array([0.25, 0.75]), 5) == ((1, 0), (0.75, 0.25))
