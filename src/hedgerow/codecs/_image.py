"""What the image codecs share: one uint8 RGB frame in, one strictly checked image file out.

Image decoders are old and big, so a payload reaches Pillow only after our own reading of the file's structure: only the
chunks that our own encoders write, the frame's size as the envelope declares it (itself within the limits), the file
ending where the payload ends. Pillow's errors for what is left are listed one by one.
"""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hedgerow.codecs.base import WORKING_FACTOR, CodecLimits, Kind
from hedgerow.codecs.envelope import Item, check_maker, item_of, seal, unseal
from hedgerow.errors import PeerError, UsageError
from hedgerow.models.tensors import Array, Tensors, TensorSpec

Size = tuple[int, int]
SIDE_MIN, SIDE_MAX = 2, 65_500

# What Pillow and the libraries under it raise for broken files; MemoryError is theirs for broken sizes.
DECODER_ERRORS = (
    Image.DecompressionBombError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """One image format: how Pillow calls it, its greatest side, how it is saved, and how its structure is read.

    `working_bytes_per_pixel` is what decoding was seen to hold (10.3 for JPEG, 19.4 for WebP), rounded up.
    `read_size` gets the file's bytes and gives (width, height); PeerError unless the structure is one that we write.
    """

    name: str
    side_pixels_max: int
    working_bytes_per_pixel: int
    save: Callable[[Image.Image, io.BytesIO, int], None]
    read_size: Callable[[bytes], Size]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a spec's arguments say: the quality, 1 to 100, and the shorter side that larger frames are shrunk to, if any."""

    quality: int
    side: int | None = None

    @property
    def shrinking(self) -> str:
        """The part of the loss that comes before the image format's own."""
        return f"Larger frames are shrunk to a shorter side of {self.side} px. " if self.side else ""


@dataclass(frozen=True, slots=True)
class ImageCodec:
    """One frame as an image file of a fixed quality, shrunk before if the spec says so."""

    format: ImageFormat
    settings: Settings
    loss: str
    kind: Kind = "input"
    calibration_id: str = ""

    @property
    def name(self) -> str:
        side = f",{self.settings.side}" if self.settings.side else ""
        return f"{self.format.name.lower()}:{self.settings.quality}{side}"

    def encode(self, tensors: Tensors) -> bytes:
        if len(tensors) != 1:
            raise UsageError(f"codec '{self.name}' takes one frame, not {len(tensors)} tensors")
        ((name, frame),) = tensors.items()
        self._check_frame(name, frame)
        frame = _shrunk(frame, self.settings.side)
        buffer = io.BytesIO()
        self.format.save(Image.fromarray(np.ascontiguousarray(frame)), buffer, self.settings.quality)
        return seal(self.name, [item_of(name, frame, buffer.getvalue())])

    def _check_frame(self, name: str, frame: Array) -> None:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise UsageError(
                f"codec '{self.name}' takes uint8 frames of shape (height, width, 3), not '{name}'"
                f" of {frame.dtype.name} {frame.shape}"
            )
        if not 1 <= min(frame.shape[:2]) <= max(frame.shape[:2]) <= self.format.side_pixels_max:
            raise UsageError(
                f"codec '{self.name}' takes sides of 1 to {self.format.side_pixels_max} pixels, not {frame.shape[:2]}"
            )

    def decode(
        self, payload: bytes | memoryview, *, limits: CodecLimits, expected: tuple[TensorSpec, ...] | None = None
    ) -> Tensors:
        contents = unseal(payload, limits=limits, expected=expected)
        check_maker(contents, self.name, self.calibration_id)
        if len(contents.items) != 1:
            raise PeerError(f"payload of codec '{self.name}' holds {len(contents.items)} tensors instead of one frame")
        item = contents.items[0]
        return {item.name: self._frame(item, limits)}

    def _frame(self, item: Item, limits: CodecLimits) -> Array:
        if item.dtype != "uint8" or len(item.shape) != 3 or item.shape[2] != 3 or not item.elements:
            raise PeerError(f"frame '{item.name}' is declared as {item.dtype} {item.shape}; the sender is broken")
        height, width, _ = item.shape
        if height * width > limits.pixels_max:
            raise PeerError(f"frame of {width} x {height} pixels, {limits.pixels_max} at most are taken")
        working_bytes = height * width * self.format.working_bytes_per_pixel
        if working_bytes > WORKING_FACTOR * limits.tensor_bytes_max:
            raise PeerError(
                f"frame of {width} x {height} pixels needs {working_bytes} bytes to decode; send a smaller one"
            )
        file = bytes(item.body)
        if self.format.read_size(file) != (width, height):
            raise PeerError(f"image in frame '{item.name}' is not of the declared {width} x {height} pixels")
        return self._pixels(file, (width, height))

    def _pixels(self, file: bytes, size: Size) -> Array:
        try:
            with Image.open(io.BytesIO(file), formats=(self.format.name,)) as image:
                if image.size != size or image.mode != "RGB" or image.format != self.format.name:
                    raise PeerError(f"image is {image.format} {image.mode} {image.size}, expected RGB {size}")
                return np.array(image)
        except DECODER_ERRORS as error:
            raise PeerError(f"image does not decode ({type(error).__name__}: {error}); the sender is broken") from None


def settings_of(arguments: tuple[str, ...], default: int) -> Settings | None:
    """The settings in a spec's arguments; None for anything else."""
    if len(arguments) > 2 or not all(text.isascii() and text.isdigit() and text[0] != "0" for text in arguments):
        return None
    numbers = [int(text[:6]) for text in arguments]
    quality = numbers[0] if numbers else default
    side = numbers[1] if len(numbers) > 1 else None
    if quality > 100 or (side is not None and not SIDE_MIN <= side <= SIDE_MAX):
        return None
    return Settings(quality, side)


def _shrunk(frame: Array, side: int | None) -> Array:
    """The frame with its shorter side at most `side`, in proportion."""
    height, width = frame.shape[:2]
    shorter = min(height, width)
    if side is None or shorter <= side:
        return frame
    size = max(1, round(width * side / shorter)), max(1, round(height * side / shorter))
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(frame)).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    )
