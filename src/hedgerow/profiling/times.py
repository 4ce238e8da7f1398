"""Many measured durations as a few numbers, and the bound that is drawn from them.

Rules: a quantile is a value that was seen (the next higher one), so with fewer than 1,000 samples the 0.999 quantile is
the largest; the count is always kept beside it, and the fewer there are the wider is the margin above what was seen:

    samples     bound
    1,000 up    0.999 quantile + 10 %
    100 up      largest + 20 %
    fewer       largest + 50 %
"""

from collections.abc import Iterable

import msgspec
import numpy as np

from hedgerow.errors import UsageError

_QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)
SAMPLES_FOR_QUANTILE = 1000
MARGIN_SHARE = 0.10  # above the 0.999 quantile of SAMPLES_FOR_QUANTILE or more
MARGIN_SHARE_SOME = 0.20  # above the largest of SAMPLES_SOME or more
MARGIN_SHARE_FEW = 0.50  # above the largest of fewer
SAMPLES_SOME = 100


class Times(msgspec.Struct, frozen=True):
    """Durations of one thing, in ns: how many were measured, and quantiles of them."""

    samples: int
    median_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int

    @property
    def bound_ns(self) -> int:
        """What the next such duration is taken not to exceed; see the module's docstring."""
        return _bound_ns(self.samples, self.p999_ns, self.max_ns)

    def margin_ns(self, usual_ns: int) -> int:
        """The bound; of fewer than 1,000 samples, which have not shown how late one can be, never less than the usual one."""
        return max(self.bound_ns, usual_ns if self.samples < SAMPLES_FOR_QUANTILE else 0)


def _bound_ns(samples: int, p999_ns: int, max_ns: int) -> int:
    if samples >= SAMPLES_FOR_QUANTILE:
        return round(p999_ns * (1 + MARGIN_SHARE))
    return round(max_ns * (1 + (MARGIN_SHARE_SOME if samples >= SAMPLES_SOME else MARGIN_SHARE_FEW)))


def times(durations_ns: Iterable[int]) -> Times:
    """Summarise at least one duration (ns); UsageError for none."""
    values = np.sort(np.fromiter(durations_ns, dtype=np.int64))
    if not len(values):
        raise UsageError("no duration was measured; give the profile more time")
    ranks = [min(int(np.ceil(share * len(values))) - 1, len(values) - 1) for share in _QUANTILES]
    return Times(len(values), *(int(values[max(rank, 0)]) for rank in ranks))


class IdleAndLoaded(msgspec.Struct, frozen=True):
    """The same durations on a quiet machine and beside a busy process."""

    idle: Times
    loaded: Times

    @property
    def median_ns(self) -> int:
        """The idle median: what is expected."""
        return self.idle.median_ns

    @property
    def bound_ns(self) -> int:
        """What is promised: the bound of both together, by their common count and the larger of their quantiles."""
        idle, loaded = self.idle, self.loaded
        return _bound_ns(
            idle.samples + loaded.samples, max(idle.p999_ns, loaded.p999_ns), max(idle.max_ns, loaded.max_ns)
        )
