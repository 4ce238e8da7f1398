"""Views of all kinds for `check_policy`, always the same ones: what a policy must choose well or badly in, but soundly."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hedgerow.core.arms import ArmTable
from hedgerow.core.chance import RANGE, draw
from hedgerow.core.policies import View
from hedgerow.core.policies.checking_world import PERIOD_NS
from hedgerow.core.policies.examples import steady
from hedgerow.core.records import MS


def made_views(table: ArmTable, count: int) -> Iterator[View]:
    """Views of all kinds, always the same ones: links from 1 ms to 10 s, reserves that need the whole time or none of it."""
    arms, rows = len(table.arms), 4
    for number in range(count):
        view = steady(table, request=number, now_ns=number * PERIOD_NS)
        network = np.array([[_spread(1.0, 1e4, number, row, arm) for arm in range(arms)] for row in range(rows)])
        weights = np.array([_share(number, "weight", row) + 1e-3 for row in range(rows)])
        available = _spread(0.5, 500.0, number, "available") * MS
        some = np.array([draw(number, "admissible", arm) % 4 > number % 4 - 1 for arm in range(arms)])
        yield replace(
            view,
            network_ns=network * MS * table.is_remote,
            weights=weights / np.add.reduce(weights),
            admissible=some if number % 8 else np.zeros(arms, dtype=np.bool_),
            available_ns=available,
            time_left_ns=available + _spread(0.1, 500.0, number, "left") * MS,
            reserve_quality=_share(number, "quality"),
            samples=np.array([[_spread(1, 1e3, number, row, "trip") * MS, 1e3, 1.0] for row in range(rows)]),
            in_flight=number % 5,
            battery_fraction=_share(number, "battery"),
            seed=number + 1,
        )


def _share(*purpose: str | int) -> float:
    return draw(0, *purpose) / RANGE


def _spread(low: float, high: float, *purpose: str | int) -> float:
    """More often near `low`: the square of an even share."""
    share = _share(*purpose)
    return low + (high - low) * share * share
