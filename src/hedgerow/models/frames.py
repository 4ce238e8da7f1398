"""Reads a picture file into the raw sample that tasks take: a uint8 frame, height x width x RGB, upright."""

import io
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from hedgerow.errors import UsageError

FRAME_PIXELS_MAX = 40_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM")  # few decoders, little to attack

# What Pillow's decoders raise on damaged files, beside OSError.
_DAMAGED = (SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, OverflowError)


def load_frame(path: str | Path) -> NDArray[np.uint8]:
    """The picture at `path` as uint8 (height, width, 3) RGB, turned as its EXIF orientation says.

    Raises UsageError, naming the file, when it is missing, not a picture of one of FORMATS, damaged, above FRAME_PIXELS_MAX
    pixels or has more than 8 bits a channel.
    """
    return _load(path, str(path))


def decode_frame(data: bytes, name: str) -> NDArray[np.uint8]:
    """The same for the bytes of a picture file, which errors call `name`."""
    return _load(io.BytesIO(data), name)


def _load(source: str | Path | io.BytesIO, name: str) -> NDArray[np.uint8]:
    try:
        with Image.open(source, formats=FORMATS) as picture:
            if picture.width * picture.height > FRAME_PIXELS_MAX:
                raise UsageError(
                    f"{name} has {picture.width} x {picture.height} pixels, more than {FRAME_PIXELS_MAX}; make it smaller"
                )
            if picture.mode[0] in "IF":
                raise UsageError(f"{name} has more than 8 bits a channel; convert it to 8 bits first")
            upright = ImageOps.exif_transpose(picture)
            return np.array(upright.convert("RGB"), dtype=np.uint8)
    except UnidentifiedImageError as error:
        raise UsageError(f"{name} is not a picture that can be read; give one of {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UsageError(f"{name} has more than {FRAME_PIXELS_MAX} pixels; make it smaller") from error
    except OSError as error:
        raise UsageError(f"cannot read the picture {name}: {error.strerror or error}") from error
    except _DAMAGED as error:
        raise UsageError(f"the picture {name} is damaged: {error}") from error
