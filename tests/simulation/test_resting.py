"""The collector of cycles rests within, and is afterwards as it was, also after an error and also when held twice."""

import gc

import pytest

from hedgerow.simulation.resting import collector_at_rest


def test_it_rests_within_and_works_again_afterwards() -> None:
    assert gc.isenabled()
    with collector_at_rest():
        assert not gc.isenabled()
        with collector_at_rest():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_wakes_it_as_well() -> None:
    with pytest.raises(ValueError, match="inside"), collector_at_rest():
        raise ValueError("inside")
    assert gc.isenabled()
