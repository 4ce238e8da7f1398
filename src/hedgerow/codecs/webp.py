"""The input as a lossy WebP: smaller than JPEG, several times slower to write.

On 20 photographs of 260 pixels: quality 75 with this effort took 21 % fewer bytes than JPEG 75 at the same 34 dB, and
about seven times the time to encode. Worth it where the uplink costs more than the processor.
"""

import io

from PIL import Image

from hedgerow.codecs._image import ImageCodec, ImageFormat, Size, settings_of
from hedgerow.codecs.calibration import Calibration
from hedgerow.codecs.registry import Family, register
from hedgerow.errors import PeerError

QUALITY = 80
EFFORT = 2  # libwebp's method, 0 to 6; see bench/codec_costs.py
SIDE_PIXELS_MAX = 16_383  # 14 bits in the frame header
WORKING_BYTES_PER_PIXEL = 20

_HEAD_BYTES = 30


def read_size(file: bytes) -> Size:
    """(width, height) of a simple lossy WebP file: RIFF, one VP8 chunk, one key frame; PeerError for any other.

    Extended files (animation, alpha, metadata) and lossless ones are refused: their decoders allocate by headers of
    their own. Source: the WebP container specification and RFC 6386, section 9.1.
    """
    if len(file) < _HEAD_BYTES or file[:4] != b"RIFF" or file[8:16] != b"WEBPVP8 ":
        raise PeerError("image is not a simple lossy WebP; the sender is broken")
    riff_bytes = int.from_bytes(file[4:8], "little")
    chunk_bytes = int.from_bytes(file[16:20], "little")
    if riff_bytes + 8 != len(file) or chunk_bytes + chunk_bytes % 2 + 20 != len(file):
        raise PeerError("WebP does not end where its payload ends; send it again")
    if file[20] & 1 or file[23:26] != b"\x9d\x01\x2a":
        raise PeerError("WebP does not begin with a key frame; the sender is broken")
    width, height = (int.from_bytes(file[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return width, height


def _save(image: Image.Image, buffer: io.BytesIO, quality: int) -> None:
    image.save(buffer, "WEBP", quality=quality, method=EFFORT)


_FORMAT = ImageFormat("WEBP", SIDE_PIXELS_MAX, WORKING_BYTES_PER_PIXEL, _save, read_size)


def _build(arguments: tuple[str, ...], calibration: Calibration | None) -> ImageCodec | None:
    settings = settings_of(arguments, QUALITY)
    if settings is None:
        return None
    loss = f"Colour at half resolution and detail as WebP of quality {settings.quality} leaves it."
    return ImageCodec(_FORMAT, settings, settings.shrinking + loss)


register(Family("webp", "webp[:1-100[,SIDE]]", (f"webp:{QUALITY}",), _build))
