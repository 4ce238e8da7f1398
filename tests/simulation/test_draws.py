"""Named streams of one seed: equal for an equal name, unlike for another, and not moved by what others draw."""

import numpy as np
import pytest

from hedgerow.errors import UsageError
from hedgerow.simulation.draws import Draws


def test_a_name_has_its_own_stream_whatever_else_is_drawn() -> None:
    alone = Draws(7).generator("device/3/lane").random(5)
    draws = Draws(7)
    draws.generator("device/4/lane").random(1000)
    assert np.array_equal(draws.generator("device/3/lane").random(5), alone)
    assert np.array_equal(draws.within("device/3").generator("lane").random(5), alone)
    assert not np.array_equal(draws.generator("device/4/lane").random(5), alone)
    assert not np.array_equal(Draws(8).generator("device/3/lane").random(5), alone)


def test_streams_of_neighbouring_names_are_uncorrelated() -> None:
    many = np.array([Draws(1).generator(f"device/{number}").standard_normal(2000) for number in range(20)])
    correlations = np.corrcoef(many)[~np.eye(20, dtype=bool)]
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)


def test_a_seed_below_nought_is_refused() -> None:
    with pytest.raises(UsageError, match="seed of -1"):
        Draws(-1)
