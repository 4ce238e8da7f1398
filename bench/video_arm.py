"""Inter-frame coding against a JPEG a frame on three real clips: bytes and time a frame, and answers that stay the same.

    python bench/video_arm.py [--clips NAME ...] [--frames 60] [--json]

Needs the extra `video`. The clips are H.264 files themselves, so what a second H.264 encoder saves on them is a little flattered, and
so is a JPEG's agreement. Times are wall times on this machine, one thread each way. "Loss" drops one packet in twenty and counts the
frames that cannot be decoded until the key frame that is asked for has come, a round trip of three frames later.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow import codecs
from hedgerow.adaptation import clips
from hedgerow.codecs.video import FAMILIES, VideoDecoder, VideoEncoder
from hedgerow.models.chain import Chain
from hedgerow.models.fetch import fetch
from hedgerow.models.task import Task
from hedgerow.profiling.crossings import LIMITS

Frame = NDArray[np.uint8]
WAYS = ("jpeg:75", "jpeg:85", "jpeg:90", *(f"{name}:{quality}" for name in FAMILIES for quality in (60, 75, 90)))
LOST_EVERY = 20
ROUND_TRIP_FRAMES = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One way on one clip."""

    clip: str
    way: str
    bytes_per_frame: float
    encode_ms: float
    decode_ms: float
    agreement: float
    undecodable_after_loss: float


def over_jpeg(spec: str, frames: list[Frame]) -> tuple[list[Frame], list[int], list[float], list[float]]:
    """Decoded frames, bytes, and times to encode and decode in ms."""
    codec, out, sizes, there, back = codecs.get(spec), list[Frame](), list[int](), list[float](), list[float]()
    for frame in frames:
        began = time.perf_counter()
        payload = codec.encode({"frame": frame})
        sent = time.perf_counter()
        out.append(codec.decode(payload, limits=LIMITS)["frame"].astype(np.uint8))
        there.append((sent - began) * 1e3)
        back.append((time.perf_counter() - sent) * 1e3)
        sizes.append(len(payload))
    return out, sizes, there, back


def over_video(spec: str, frames: list[Frame]) -> tuple[list[Frame], list[int], list[float], list[float]]:
    """The same, coded across frames."""
    name, quality = spec.split(":")
    height, width, _ = frames[0].shape
    encoder, decoder = VideoEncoder(name, width, height, quality=int(quality)), VideoDecoder(name, width, height)
    out, sizes, there, back = list[Frame](), list[int](), list[float](), list[float]()
    for frame in frames:
        began = time.perf_counter()
        packet = encoder.encode(frame)
        sent = time.perf_counter()
        found = decoder.decode(packet)
        assert found is not None
        out.append(found)
        there.append((sent - began) * 1e3)
        back.append((time.perf_counter() - sent) * 1e3)
        sizes.append(len(packet.data))
    return out, sizes, there, back


def lost_share(spec: str, frames: list[Frame]) -> float:
    """The share of frames that do not come out when every LOST_EVERY-th packet is lost and a key frame then asked for."""
    name, quality = spec.split(":")
    height, width, _ = frames[0].shape
    encoder, decoder = VideoEncoder(name, width, height, quality=int(quality)), VideoDecoder(name, width, height)
    missing, asked_at = 0, -1
    for number, frame in enumerate(frames):
        if asked_at >= 0 and number >= asked_at + ROUND_TRIP_FRAMES:
            encoder.ask_for_key()
            asked_at = -1
        packet = encoder.encode(frame)
        lost = number % LOST_EVERY == LOST_EVERY - 1
        if lost or decoder.decode(packet) is None:
            missing += 1
            asked_at = number if asked_at < 0 and not lost else asked_at
    return missing / len(frames)


def labels(task: Task, chain: Chain, frames: list[Frame]) -> list[int | None]:
    return [task.interpret(chain.run(task.sample(frame)).tensors).label_index for frame in frames]


def rows_of(name: str, frames: list[Frame], task: Task, chain: Chain, say: Callable[[str], None]) -> list[Row]:
    own, rows = labels(task, chain, frames), []
    for way in WAYS:
        video = way.partition(":")[0] in FAMILIES
        out, sizes, there, back = (over_video if video else over_jpeg)(way, frames)
        agreement = float(np.mean([a == b for a, b in zip(own, labels(task, chain, out), strict=True)]))
        lost = lost_share(way, frames) if video else 1 / LOST_EVERY
        rows.append(
            Row(name, way, float(np.mean(sizes)), float(np.median(there)), float(np.median(back)), agreement, lost)
        )
        say(f"{name} {way}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", nargs="*", default=[*clips.CALIBRATE, *clips.JUDGE])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    task = Task.load(fetch("imagenet"))
    with task.open(task.reference) as chain:
        rows = [
            row
            for name, frames in clips.frames_of(tuple(told.clips), lambda text: print(text, file=sys.stderr)).items()
            for row in rows_of(name, frames[: told.frames], task, chain, lambda text: print(text, file=sys.stderr))
        ]
    if told.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print(
        f"{'clip':24}{'way':10}{'bytes':>9}{'encode ms':>11}{'decode ms':>11}{'agreement':>11}{'not decoded, 1 in 20 lost':>27}"
    )
    for row in rows:
        print(
            f"{row.clip:24}{row.way:10}{row.bytes_per_frame:9,.0f}{row.encode_ms:11.1f}{row.decode_ms:11.1f}"
            f"{row.agreement:11.3f}{row.undecodable_after_loss:27.3f}"
        )


if __name__ == "__main__":
    main()
