"""zstd behind two functions that keep the codecs' rules: a frame of a known size, no more memory than that.

Contexts of zstd are not safe to share, so each thread has its own. A frame is only unpacked after its own header was
read and says exactly the size that the tensor's shape asks for; the window that a frame may ask for is bounded as well.
"""

import threading

import zstandard

from hedgerow.errors import PeerError

LEVEL = 1
WINDOW_BYTES_MAX = 2**20  # level 1 uses half of it


class _Contexts(threading.local):
    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)


_contexts = _Contexts()


def compress(data: bytes | memoryview) -> bytes:
    """One zstd frame."""
    return _contexts.compressor.compress(data)


def decompress(frame: bytes | memoryview, *, size_bytes: int) -> bytes:
    """The `size_bytes` bytes of one frame; PeerError for any other content."""
    try:
        declared_bytes = zstandard.get_frame_parameters(frame).content_size
        if declared_bytes != size_bytes:
            raise PeerError(f"compressed tensor holds {declared_bytes} bytes, {size_bytes} belong to its shape")
        return _contexts.decompressor.decompress(frame, max_output_size=size_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise PeerError(f"compressed tensor does not unpack ({error}); the sender is broken") from None
