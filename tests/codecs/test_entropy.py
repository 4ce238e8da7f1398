"""zstd frames of exactly the size that is asked for, in any thread."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.codecs._entropy import WINDOW_BYTES_MAX, compress, decompress
from hedgerow.errors import PeerError


@given(st.binary(min_size=1, max_size=2000))
@settings(deadline=None)
def test_bytes_come_back(data: bytes) -> None:
    assert decompress(memoryview(compress(data)), size_bytes=len(data)) == data


def test_more_than_a_window_comes_back() -> None:
    data = os.urandom(4 * WINDOW_BYTES_MAX)
    assert decompress(compress(data), size_bytes=len(data)) == data


@pytest.mark.parametrize("size_bytes", [0, 999, 1001, 2**40])
def test_a_frame_of_another_size_is_refused(size_bytes: int) -> None:
    with pytest.raises(PeerError, match="holds 1000 bytes"):
        decompress(compress(b"\0" * 1000), size_bytes=size_bytes)


def test_a_frame_that_hides_its_size_is_refused() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"\0" * 1000)
    with pytest.raises(PeerError):
        decompress(frame, size_bytes=1000)


def test_damage_anywhere_gives_a_peer_error_and_leaves_the_context_usable() -> None:
    frame = compress(bytes(range(256)) * 8)
    for length in range(len(frame)):
        with pytest.raises(PeerError):
            decompress(frame[:length], size_bytes=2048)
        assert len(decompress(frame, size_bytes=2048)) == 2048
    with pytest.raises(PeerError, match="does not unpack"):
        decompress(frame + b"\0", size_bytes=2048)
    with pytest.raises(PeerError, match="does not unpack"):
        decompress(frame + frame, size_bytes=2048)


def test_threads_do_not_disturb_each_other() -> None:
    datas = [bytes([number]) * 5000 + os.urandom(5000) for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        frames = list(pool.map(compress, datas * 20))
        backs = list(pool.map(lambda frame: decompress(frame, size_bytes=10_000), frames))
    assert backs == datas * 20
