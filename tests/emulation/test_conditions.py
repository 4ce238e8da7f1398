import math

import pytest

from hedgerow.emulation.conditions import LinkConditions
from hedgerow.errors import UsageError


def test_megabits_become_bytes_and_the_round_trip_is_halved() -> None:
    conditions = LinkConditions.of_mbps(8, None, 30)
    assert conditions.uplink_bytes_per_s == 1_000_000
    assert conditions.downlink_bytes_per_s is None
    assert conditions.one_way_ns == 15_000_000


@pytest.mark.parametrize("field", ["uplink_bytes_per_s", "downlink_bytes_per_s", "rtt_ms"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, 1e15])
def test_a_value_out_of_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=field.split("_")[0]):
        LinkConditions(**{field: value})  # type: ignore[arg-type]
