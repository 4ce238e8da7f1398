"""What passes between segments, codecs and tiers: named arrays, and what is known about them beforehand."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import UsageError

Array = NDArray[np.generic]
Tensors = dict[str, Array]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, NumPy dtype name and shape of one tensor; an axis is a size, a symbol (str) or unknown (None)."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def check(self, array: Array) -> None:
        """Raise UsageError unless `array` has this dtype, rank and every fixed axis."""
        if array.dtype.name != self.dtype:
            raise UsageError(f"tensor '{self.name}' must be {self.dtype}, not {array.dtype.name}")
        fixed_wrong = len(array.shape) != len(self.shape) or any(
            isinstance(axis, int) and axis != size for axis, size in zip(self.shape, array.shape, strict=False)
        )
        if fixed_wrong:
            wanted = ", ".join("?" if axis is None else str(axis) for axis in self.shape)
            raise UsageError(f"tensor '{self.name}' must have shape ({wanted}), not {tuple(array.shape)}")

    def static_bytes(self, default_axis: int = 1) -> int:
        """Bytes of such a tensor, every symbolic or unknown axis taken as `default_axis`."""
        size = np.dtype(self.dtype).itemsize
        for axis in self.shape:
            size *= axis if isinstance(axis, int) else default_axis
        return size
