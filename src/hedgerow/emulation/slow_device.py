"""Stretches measured times to stand for a slower device. Every figure made with it carries `label`."""

import math
from dataclasses import dataclass

from hedgerow.errors import UsageError


@dataclass(frozen=True, slots=True)
class SlowDevice:
    """A device `factor` times as slow as this one (1 or more). Raises UsageError for any other factor."""

    factor: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.factor) or self.factor < 1:
            raise UsageError(f"a slower device's factor is {self.factor:g}: give 1 or more")

    def extra_ns(self, profiled_median_ns: int) -> int:
        """What to add to a segment whose median on this machine is `profiled_median_ns`."""
        return round((self.factor - 1) * profiled_median_ns)

    @property
    def label(self) -> str:
        """The words to print beside a figure."""
        return f"emulated device: this processor's median segment times x {self.factor:g}"
