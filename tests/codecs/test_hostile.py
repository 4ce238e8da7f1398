"""Payloads made to make us allocate: each is refused, and a fresh process never grows beyond the declared limit.

The processes are real ones, so that what zstd, libjpeg and libwebp take from the system is counted as well.
"""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import zstandard

from hedgerow.codecs import CodecLimits, get
from hedgerow.codecs.base import WORKING_FACTOR
from hedgerow.codecs.envelope import Item, seal

LIMITS = CodecLimits(tensor_bytes_max=8 * 2**20)
SMALL_BYTES = 2 * 2**20  # contexts, buffers, what the interpreter takes in passing
ELEMENTS = LIMITS.tensor_bytes_max // 4

# Reads payload files given as arguments; prints the growth of the resident set's peak, and how many were refused.
SCRIPT = """
import sys
from pathlib import Path
from hedgerow.codecs import CodecLimits, get, names, unseal
from hedgerow.codecs.conformance import sample_for
from hedgerow.errors import PeerError

def status_kib(key):
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))

limits = CodecLimits(tensor_bytes_max=int(sys.argv[1]))
for spec in names():  # load every library before the measurement begins
    get(spec).decode(get(spec).encode(sample_for(get(spec))), limits=limits)
payloads = [Path(name).read_bytes() for name in sys.argv[3:]]
Path("/proc/self/clear_refs").write_text("5")
before_kib = status_kib("VmRSS")
refused = 0
for payload in payloads:
    try:
        get(sys.argv[2]).decode(payload, limits=limits)
    except PeerError:
        refused += 1
print((status_kib("VmHWM") - before_kib) * 1024, refused)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    grown_bytes: int
    refused: int


def decode_elsewhere(folder: Path, spec: str, payloads: list[bytes]) -> Outcome:
    files = [folder / f"{place}.payload" for place in range(len(payloads))]
    for file, payload in zip(files, payloads, strict=True):
        file.write_bytes(payload)
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(LIMITS.tensor_bytes_max), spec, *map(str, files)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    grown, refused = done.stdout.split()
    return Outcome(int(grown), int(refused))


def working_bytes_max(payload: bytes) -> int:
    """What the limits promise where no payload may be longer than this one."""
    return replace(LIMITS, payload_bytes_max=len(payload)).working_bytes_max


def needs_proc() -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of the resident set is read from /proc, which this system does not have")


def frame_header(*, content_bytes: int, window_log: int | None = None) -> bytes:
    """The beginning of a zstd frame that claims `content_bytes` (RFC 8878, section 3.1.1)."""
    if window_log is None:
        return b"\x28\xb5\x2f\xfd" + b"\xe0" + struct.pack("<Q", content_bytes)
    return b"\x28\xb5\x2f\xfd" + b"\xc0" + bytes(((window_log - 10) << 3,)) + struct.pack("<Q", content_bytes)


def jpeg_of(width: int, height: int) -> bytes:
    payload = get("jpeg:75").encode({"frame": np.zeros((8, 8, 3), np.uint8)})
    file = payload[payload.index(b"\xff\xd8") :]
    at = file.index(b"\xff\xc0") + 5
    return file[:at] + struct.pack(">HH", height, width) + file[at + 4 :]


def webp_of(width: int, height: int) -> bytes:
    payload = get("webp:80").encode({"frame": np.zeros((8, 8, 3), np.uint8)})
    file = payload[payload.index(b"RIFF") :]
    return file[:26] + struct.pack("<HH", width, height) + file[30:]


def quantised_bombs() -> list[bytes]:
    shape = (1, ELEMENTS)
    zeros = zstandard.ZstdCompressor(level=1).compress(b"\0" * (64 * 2**20))
    hidden = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(b"\0" * (64 * 2**20))
    bodies = [
        zeros,
        hidden,
        frame_header(content_bytes=2**40),
        frame_header(content_bytes=2**62),
        frame_header(content_bytes=ELEMENTS, window_log=41),
        frame_header(content_bytes=64 * 2**20, window_log=27),
    ]
    declared = [seal("q8", [Item("x", "float32", shape, b"\1" + body)]) for body in bodies]
    too_big = [seal("q8", [Item("x", "float32", (2**31 - 1,) * axes, b"\1" + zeros)]) for axes in (1, 2, 3, 8)]
    together = [seal("q8", [Item(str(number), "float32", (1, ELEMENTS // 2), b"\1" + zeros) for number in range(3)])]
    header = b"\2q8\0\1" + b"\xff\xff\xff\xff\x07" + b"x"
    long_name = [struct.pack("<2sBI", b"HG", 1, zlib.crc32(header)) + header]
    return declared + too_big + together + long_name


def test_zstd_and_shape_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    needs_proc()
    bombs = quantised_bombs()
    outcome = decode_elsewhere(tmp_path, "q8", bombs)
    assert outcome.refused == len(bombs)
    assert outcome.grown_bytes < SMALL_BYTES


@pytest.mark.parametrize(("spec", "make", "side"), [("jpeg:75", jpeg_of, 65_500), ("webp:80", webp_of, 16_383)])
def test_image_bombs_are_refused_in_little_memory(
    tmp_path: Path, spec: str, make: Callable[[int, int], bytes], side: int
) -> None:
    needs_proc()
    bombs = [
        seal(spec, [Item("frame", "uint8", (side, side, 3), make(side, side))]),
        seal(spec, [Item("frame", "uint8", (8, 8, 3), make(side, side))]),
        seal(spec, [Item("frame", "uint8", (8, 8, 3), make(side, 8))]),
        seal(spec, [Item("frame", "uint8", (side, 8, 3), make(side, side))]),
    ]
    outcome = decode_elsewhere(tmp_path, spec, bombs)
    assert outcome.refused == len(bombs)
    assert outcome.grown_bytes < SMALL_BYTES


@pytest.mark.parametrize("spec", ["raw", "q8", "q8:channel", "q4", "q3:channel", "q2"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "int64"])
def test_the_biggest_tensor_is_decoded_in_the_declared_working_memory(tmp_path: Path, spec: str, dtype: str) -> None:
    needs_proc()
    elements = LIMITS.tensor_bytes_max // np.dtype(dtype).itemsize
    array = np.random.default_rng(0).integers(-9, 9, (1, 4, elements // 4)).astype(dtype)
    payload = get(spec).encode({"x": array})
    outcome = decode_elsewhere(tmp_path, spec, [payload])
    assert outcome.refused == 0
    assert outcome.grown_bytes < working_bytes_max(payload) + SMALL_BYTES


@pytest.mark.parametrize(("spec", "bytes_per_pixel"), [("jpeg:75", 12), ("webp:80", 20)])
def test_the_biggest_frame_is_decoded_in_the_declared_working_memory(
    tmp_path: Path, spec: str, bytes_per_pixel: int
) -> None:
    needs_proc()
    side = int((WORKING_FACTOR * LIMITS.tensor_bytes_max / bytes_per_pixel) ** 0.5)
    frame = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    payload = get(spec).encode({"frame": frame})
    outcome = decode_elsewhere(tmp_path, spec, [payload])
    assert outcome.refused == 0
    assert outcome.grown_bytes < working_bytes_max(payload) + SMALL_BYTES
