import math

import pytest

from hedgerow.emulation.slow_device import SlowDevice
from hedgerow.errors import UsageError


def test_the_stretched_time_is_the_factor_times_the_median() -> None:
    device = SlowDevice(2.5)
    assert 4_000_000 + device.extra_ns(4_000_000) == 10_000_000
    assert SlowDevice(1).extra_ns(4_000_000) == 0
    assert "emulated" in device.label
    assert "2.5" in device.label


@pytest.mark.parametrize("factor", [0.0, 0.99, -1.0, math.nan, math.inf])
def test_a_device_cannot_be_emulated_faster(factor: float) -> None:
    with pytest.raises(UsageError, match="factor"):
        SlowDevice(factor)
