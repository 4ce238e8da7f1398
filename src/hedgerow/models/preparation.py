"""From a raw frame to what a model takes: segment 0 of every model of a picture task, the same on every tier.

Version 1, exactly: with s = the frame's shorter side, take the centred square of side s * crop / resize_shorter, resize it
to crop x crop (Pillow's filters, which look beyond the square's edge as resizing the whole frame would), divide by `scale`,
subtract `mean`, divide by `std`, each per channel, float32. A frame whose shorter side already is resize_shorter is only cut.
Rules: no randomness and no state, so two tiers with the same version and Pillow give the same values; another arithmetic is
another version.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hedgerow.errors import UsageError
from hedgerow.models.frames import FRAME_PIXELS_MAX
from hedgerow.models.tensors import Array, Tensors, TensorSpec

FRAME = "frame"
VERSION = 1
SIDE_PX_MAX = 4096

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_LAYOUTS = ("NCHW", "NHWC")
_REQUIRED = ("version", "resize_shorter", "crop", "interpolation", "scale", "mean", "std", "layout")
_OPTIONAL = ("input",)


@dataclass(frozen=True, slots=True)
class Preparation:
    """One model's preparation; fields are the keys of the task file. Wrong values raise UsageError naming the field."""

    version: int
    resize_shorter: int  # pixels
    crop: int  # pixels, both sides
    interpolation: str
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layout: str = "NCHW"
    input: str = "input"  # the model's input tensor
    _factor: tuple[np.float32, ...] = field(init=False, repr=False, compare=False)
    _shift: tuple[np.float32, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check_fields()
        object.__setattr__(self, "scale", float(self.scale))
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        factor = tuple(np.float32(1.0 / (self.scale * std)) for std in self.std)
        shift = tuple(np.float32(-mean / std) for mean, std in zip(self.mean, self.std, strict=True))
        object.__setattr__(self, "_factor", factor)
        object.__setattr__(self, "_shift", shift)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], *, where: str) -> "Preparation":
        """From a TOML table; `where` (file and table) begins each UsageError."""
        for key in table:
            if key not in _REQUIRED + _OPTIONAL:
                raise UsageError(f"{where}: unknown key '{key}'; known: {', '.join(_REQUIRED + _OPTIONAL)}")
        missing = [f"'{key}'" for key in _REQUIRED if key not in table]
        if missing:
            raise UsageError(f"{where}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
        try:
            return cls(**table)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error

    def to_table(self) -> dict[str, Any]:
        """The fields as plain values, in the task file's order."""
        return {
            key: list(value) if isinstance(value := getattr(self, key), tuple) else value
            for key in _REQUIRED + _OPTIONAL
        }

    @property
    def version_id(self) -> str:
        """Equal for equal arithmetic: `v1-` and 16 hex digits over all fields."""
        text = json.dumps(self.to_table(), sort_keys=True, separators=(",", ":"))
        return f"v{self.version}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def input_spec(self) -> tuple[TensorSpec, ...]:
        """One uint8 RGB frame of any size."""
        return (TensorSpec(FRAME, "uint8", ("height", "width", 3)),)

    @property
    def output_spec(self) -> tuple[TensorSpec, ...]:
        """The model's input, float32, batch of one."""
        return (TensorSpec(self.input, "float32", self._output_shape),)

    def check(self, tensors: Mapping[str, Array]) -> Array:
        """The frame in `tensors`, which must hold nothing else; UsageError when it is not a uint8 HWC RGB frame."""
        if set(tensors) != {FRAME}:
            raise UsageError(
                f"expected the one tensor '{FRAME}', not {', '.join(sorted(map(repr, tensors))) or 'none'}"
            )
        frame = tensors[FRAME]
        if not isinstance(frame, np.ndarray):
            raise UsageError(f"'{FRAME}' must be a NumPy array, not {type(frame).__name__}")
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise UsageError(
                f"'{FRAME}' must be uint8 (height, width, 3) in RGB order, not {frame.dtype.name} {tuple(frame.shape)}"
            )
        pixels = frame.shape[0] * frame.shape[1]
        if not 1 <= pixels <= FRAME_PIXELS_MAX:
            raise UsageError(f"'{FRAME}' has {pixels} pixels; allowed are 1 to {FRAME_PIXELS_MAX}")
        return frame

    def prepare(self, tensors: Mapping[str, Array]) -> Tensors:
        """{"frame": uint8 (height, width, 3)} -> {input: float32 (1, 3, crop, crop) or (1, crop, crop, 3)}."""
        square = self._square(self.check(tensors))
        output = np.empty(self._output_shape, np.float32)
        planes = output[0] if self.layout == "NCHW" else output[0].transpose(2, 0, 1)
        for channel, (factor, shift) in enumerate(zip(self._factor, self._shift, strict=True)):
            plane = planes[channel]
            plane[...] = square[..., channel]
            plane *= factor
            plane += shift
        return {self.input: output}

    @property
    def _output_shape(self) -> tuple[int, int, int, int]:
        return (1, 3, self.crop, self.crop) if self.layout == "NCHW" else (1, self.crop, self.crop, 3)

    def _square(self, frame: Array) -> NDArray[np.generic]:
        height, width = frame.shape[:2]
        shorter = min(height, width)
        if shorter == self.resize_shorter:
            top, left = (height - self.crop) // 2, (width - self.crop) // 2
            return frame[top : top + self.crop, left : left + self.crop]
        side = shorter * self.crop / self.resize_shorter
        left_px, top_px = (width - side) / 2, (height - side) / 2
        box = (left_px, top_px, left_px + side, top_px + side)
        picture = Image.fromarray(np.ascontiguousarray(frame))
        return np.asarray(picture.resize((self.crop, self.crop), _FILTERS[self.interpolation], box=box))

    def _check_fields(self) -> None:
        if type(self.version) is not int or self.version != VERSION:
            raise UsageError(f"preparation version {self.version!r} is not known; this Hedgerow knows {VERSION}")
        for name in ("resize_shorter", "crop"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= SIDE_PX_MAX:
                raise UsageError(f"'{name}' must be a whole number of pixels from 1 to {SIDE_PX_MAX}, not {value!r}")
        if self.crop > self.resize_shorter:
            raise UsageError(f"'crop' ({self.crop}) must not exceed 'resize_shorter' ({self.resize_shorter})")
        for name, known in (("interpolation", tuple(_FILTERS)), ("layout", _LAYOUTS)):
            if getattr(self, name) not in known:
                raise UsageError(f"'{name}' must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if not isinstance(self.input, str) or not self.input:
            raise UsageError(f"'input' must be the name of the model's input tensor, not {self.input!r}")
        if not _is_number(self.scale) or self.scale <= 0:
            raise UsageError(f"'scale' must be a number above 0, not {self.scale!r}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or len(values) != 3 or not all(map(_is_number, values)):
                raise UsageError(f"'{name}' must be three finite numbers (R, G, B), not {values!r}")
        if min(self.std) <= 0:
            raise UsageError(f"'std' must be above 0 in each channel, not {self.std!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
