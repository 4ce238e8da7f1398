"""A camera's frames coded one after another, each from the one before it: fewer bytes than a JPEG each, and state at both ends.

It stands outside the table of codecs and of arms (docs/decisions/0013-video.md): there a payload decodes by itself, and a request
that is never sent costs the next one nothing. Here both ends must have seen the same frames. So packets are numbered; after a gap
nothing is decoded until a key frame, which stands alone, and `wants_key` asks for one. Encoders give one packet a frame, at once.

Needs PyAV (extra `video`), whose wheel brings FFmpeg and its encoders: x264 is GPL-2.0-or-later, libvpx (VP8) BSD-3-Clause, FFmpeg's
own MPEG-4 encoder LGPL. FFmpeg's decoders are large: they get packets of our own server or session, never of strangers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import HostError, PeerError, UsageError

Frame = NDArray[np.uint8]
PIXELS_MAX: Final = 4096 * 2304
PACKET_BYTES_MAX: Final = 16 * 2**20
CLIP_FRAMES_MAX: Final = 2000
CLIP_BYTES_MAX: Final = 2 * 2**30  # of its frames once decoded
MISSING: Final = "video needs PyAV: pip install 'hedgerow[video]'"


@dataclass(frozen=True, slots=True)
class Packet:
    """One coded frame. `number` counts from 0 in the order of encoding; a `key` needs none before it."""

    number: int
    key: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Family:
    """How FFmpeg calls encoder and decoder; `quality` gives the options for 1 (worst) to 100."""

    encoder: str
    decoder: str
    options: Mapping[str, str]
    quality: Callable[[int], dict[str, str]]


FAMILIES: Final = {
    "h264": Family(
        "libx264", "h264", {"preset": "veryfast", "tune": "zerolatency", "bf": "0"},
        lambda quality: {"crf": f"{51 - 0.41 * quality:.1f}"},
    ),
    "vp8": Family(
        "libvpx", "vp8", {"deadline": "realtime", "cpu-used": "6", "lag-in-frames": "0", "error-resilient": "1"},
        lambda quality: {"crf": f"{round(63 - 0.59 * quality)}", "b": "20000000"},
    ),
    "mpeg4": Family("mpeg4", "mpeg4", {"bf": "0"}, lambda quality: {"qscale": f"{round(31 - 0.3 * quality)}"}),
}  # fmt: skip


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise HostError(MISSING) from error
    return av


def _family(name: str, width: int, height: int) -> Family:
    if name not in FAMILIES:
        raise UsageError(f"no video codec '{name}'; there are {', '.join(FAMILIES)}")
    if min(width, height) < 16 or width * height > PIXELS_MAX or width % 2 or height % 2:
        raise UsageError(
            f"video frames have even sides from 16 on and at most {PIXELS_MAX} pixels, not {width} x {height}"
        )
    return FAMILIES[name]


class VideoEncoder:
    """One camera's frames, uint8 RGB (height, width, 3), to packets. `key_every` frames one is a key frame by itself."""

    def __init__(
        self, name: str, width: int, height: int, *, rate: float = 25.0, quality: int = 70, key_every: int = 250
    ) -> None:
        family, av = _family(name, width, height), _av()
        if not 1 <= quality <= 100:
            raise UsageError(f"quality is from 1 to 100, not {quality}")
        self._frame, self._key_type = av.VideoFrame.from_ndarray, av.video.frame.PictureType.I
        self._shape, self._number, self._wanted = (height, width, 3), 0, True
        context = av.CodecContext.create(family.encoder, "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.framerate = Fraction(rate).limit_denominator(1000)
        context.time_base, context.gop_size, context.thread_count = 1 / context.framerate, key_every, 1
        settings = family.quality(quality)
        if "qscale" in settings:  # a fixed quantiser is a flag in FFmpeg's own encoders
            scale = int(settings.pop("qscale"))
            context.qmin = context.qmax = scale
        if "b" in settings:
            context.bit_rate = int(settings.pop("b"))
        context.options = {**family.options, **settings}
        self._context = context

    def ask_for_key(self) -> None:
        """Let the next packet stand alone: the other side has lost its place."""
        self._wanted = True

    def encode(self, frame: Frame) -> Packet:
        """The next packet; UsageError for a frame of another size."""
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise UsageError(f"this encoder takes uint8 frames of {self._shape}, not {frame.dtype.name} {frame.shape}")
        picture = self._frame(np.ascontiguousarray(frame), format="rgb24").reformat(format="yuv420p")
        picture.pts = self._number
        if self._wanted:
            picture.pict_type = self._key_type
        packets = self._context.encode(picture)
        if len(packets) != 1:
            raise HostError(
                f"the encoder gave {len(packets)} packets for a frame instead of one; this build of FFmpeg waits"
            )
        self._wanted, number = False, self._number
        self._number += 1
        return Packet(number, bool(packets[0].is_keyframe), bytes(packets[0]))

    def close(self) -> None:
        """Give back what the encoder holds."""
        self._context = None


class VideoDecoder:
    """Packets back to frames. After a gap it returns None and sets `wants_key` until a key packet comes."""

    def __init__(self, name: str, width: int, height: int) -> None:
        self._family, self._shape = _family(name, width, height), (height, width, 3)
        self._errors: tuple[type[Exception], ...] = (_av().error.FFmpegError, ValueError)
        self._context: Any = None
        self._next = 0
        self.wants_key = True

    def decode(self, packet: Packet) -> Frame | None:
        """The frame, or None where one before it is missing; PeerError for what does not decode or is of another size."""
        if len(packet.data) > PACKET_BYTES_MAX or not packet.data:
            raise PeerError(f"a video packet of {len(packet.data)} bytes; 1 to {PACKET_BYTES_MAX} are taken")
        if packet.number != self._next or self.wants_key:
            self.wants_key = not packet.key
            if self.wants_key:
                return None
            self._context = _av().CodecContext.create(self._family.decoder, "r")
            self._context.thread_count = 1
            self._context.options = {"flags": "low_delay"}
        self._next = packet.number + 1
        try:
            return self._decoded(packet.data)
        except self._errors as error:
            self.wants_key = True
            raise PeerError(f"video packet {packet.number} does not decode ({error}); send a key frame") from None

    def _decoded(self, data: bytes) -> Frame:
        frames = self._context.decode(_av().Packet(data))
        if len(frames) != 1:
            raise ValueError(f"{len(frames)} frames in one packet")
        if (frames[0].height, frames[0].width, 3) != self._shape:
            raise ValueError(f"a frame of {frames[0].width} x {frames[0].height}")
        found: Frame = frames[0].to_ndarray(format="rgb24")
        return found


def read_clip(path: Path) -> list[Frame]:
    """All frames of a video file, uint8 RGB; HostError without PyAV, UsageError for a file that is none or too long."""
    av = _av()
    frames: list[Frame] = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                if (
                    len(frames) >= CLIP_FRAMES_MAX
                    or (len(frames) + 1) * frame.width * frame.height * 3 > CLIP_BYTES_MAX
                ):
                    raise UsageError(
                        f"{path} has more frames than {CLIP_FRAMES_MAX} or {CLIP_BYTES_MAX} bytes of them; cut it"
                    )
                frames.append(frame.to_ndarray(format="rgb24"))
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise UsageError(f"{path} is no video that can be read ({error})") from None
    if not frames:
        raise UsageError(f"{path} holds no frame")
    return frames
