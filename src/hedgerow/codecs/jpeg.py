"""The input as a baseline JPEG: for photographs often the smallest payload of all, and cheap on any device."""

import io
import struct

from PIL import Image

from hedgerow.codecs._image import ImageCodec, ImageFormat, Size, settings_of
from hedgerow.codecs.calibration import Calibration
from hedgerow.codecs.registry import Family, register
from hedgerow.errors import PeerError

QUALITY = 75
SIDE_PIXELS_MAX = 65_500  # libjpeg's own limit
WORKING_BYTES_PER_PIXEL = 11

_TABLES = (0xDB, 0xC4, 0xE0)  # quantisation, Huffman, JFIF
_FRAME, _SCAN = 0xC0, 0xDA
_FRAME_HEADER = struct.Struct(">BHHB")


def read_size(file: bytes) -> Size:
    """(width, height) of a baseline JPEG of 8-bit YCbCr; PeerError for any other structure (ITU-T T.81, annex B).

    One frame, one scan, nothing behind it: progressive files are refused because a small one can ask for any number of
    passes over a big frame.
    """
    if file[:2] != b"\xff\xd8":
        raise PeerError("image is not a JPEG; the sender is broken")
    size: Size | None = None
    at = 2
    while True:
        marker, length = _segment(file, at)
        if marker == _SCAN:
            break
        if marker == _FRAME and size is None:
            size = _frame_size(file[at + 4 : at + 2 + length])
        elif marker not in _TABLES:
            raise PeerError(f"JPEG holds a segment 0x{marker:02x} that is not written here; the sender is broken")
        at += 2 + length
    if size is None or file.find(b"\xff\xd9", at + 2 + length) != len(file) - 2:
        raise PeerError("JPEG does not end where its payload ends; send it again")
    return size


def _segment(file: bytes, at: int) -> tuple[int, int]:
    """The marker at `at` and the length of its segment, which lies within the file."""
    if len(file) < at + 4 or file[at] != 0xFF:
        raise PeerError("JPEG breaks off or is damaged; send it again")
    length = int.from_bytes(file[at + 2 : at + 4], "big")
    if length < 2 or at + 2 + length > len(file):
        raise PeerError("JPEG holds a segment longer than itself; the sender is broken")
    return file[at + 1], length


def _frame_size(segment: bytes) -> Size:
    if len(segment) != _FRAME_HEADER.size + 9:
        raise PeerError("JPEG is not of three components; the sender is broken")
    precision, height, width, components = _FRAME_HEADER.unpack_from(segment)
    if (precision, components) != (8, 3):
        raise PeerError("JPEG is not of three components of 8 bits; the sender is broken")
    return width, height


def _save(image: Image.Image, buffer: io.BytesIO, quality: int) -> None:
    image.save(buffer, "JPEG", quality=quality)


_FORMAT = ImageFormat("JPEG", SIDE_PIXELS_MAX, WORKING_BYTES_PER_PIXEL, _save, read_size)


def _build(arguments: tuple[str, ...], calibration: Calibration | None) -> ImageCodec | None:
    settings = settings_of(arguments, QUALITY)
    if settings is None:
        return None
    loss = f"Colour at half resolution and detail as JPEG of quality {settings.quality} leaves it."
    return ImageCodec(_FORMAT, settings, settings.shrinking + loss)


register(Family("jpeg", "jpeg[:1-100[,SIDE]]", (f"jpeg:{QUALITY}",), _build))
