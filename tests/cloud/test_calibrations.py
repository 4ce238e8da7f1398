"""Calibrations from devices: kept by id, limited, checked."""

import json

import numpy as np
import pytest

from hedgerow.cloud.calibrations import CalibrationStore
from hedgerow.codecs import Calibration, calibrate
from hedgerow.wire.faults import FaultError, FaultKind


def some(seed: int) -> Calibration:
    return calibrate("q4", [{"x": np.random.default_rng(seed).standard_normal((2, 8)).astype(np.float32)}])


def text_of(calibration: Calibration) -> str:
    return json.dumps(calibration.to_dict())


def test_what_was_put_is_found_by_its_id() -> None:
    store = CalibrationStore(count_max=2, bytes_max=10_000)
    calibration = some(0)
    assert store.put(text_of(calibration)) == calibration.id
    assert store.get(calibration.id) == calibration
    assert store.ids == (calibration.id,)


def test_the_least_recently_used_goes_when_it_is_full() -> None:
    store = CalibrationStore(count_max=2, bytes_max=10_000)
    first, second, third = some(0), some(1), some(2)
    store.put(text_of(first))
    store.put(text_of(second))
    store.get(first.id)
    store.put(text_of(third))
    assert store.ids == (first.id, third.id)
    with pytest.raises(FaultError) as caught:
        store.get(second.id)
    assert caught.value.fault.kind is FaultKind.WRONG_CODEC


@pytest.mark.parametrize("text", ["", "garbage", "[]", "1", "{}", '{"spec": "q4"}', "[" * 9000, '{"a": NaN}'])
def test_what_is_no_calibration_is_refused(text: str) -> None:
    store = CalibrationStore(count_max=2, bytes_max=10_000)
    with pytest.raises(FaultError) as caught:
        store.put(text)
    assert caught.value.fault.kind is FaultKind.BAD_PAYLOAD
    assert store.ids == ()


def test_a_changed_range_does_not_pass_for_the_id_it_names() -> None:
    changed = some(0).to_dict() | {"tensors": some(1).to_dict()["tensors"]}
    with pytest.raises(FaultError):
        CalibrationStore(count_max=2, bytes_max=10_000).put(json.dumps(changed))


def test_a_long_one_is_refused_before_it_is_read() -> None:
    with pytest.raises(FaultError) as caught:
        CalibrationStore(count_max=2, bytes_max=100).put(" " * 101)
    assert caught.value.fault.kind is FaultKind.TOO_LARGE
