"""What each codec costs: bytes, and milliseconds to encode and decode, on features and on a frame.

    python bench/codec_costs.py [--runs 300] [--photographs FOLDER]

Features are synthetic (half-normal, half of them 0, as after a ReLU), of shape (1, 64, 14, 14), float32. The frame is the
first photograph of the folder, or of those fetched by `hedgerow fetch photographs`, its shorter side resized to 260
pixels; without either, synthetic gradients with noise, and the table says so. Medians of `--runs` runs in one thread.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hedgerow.codecs import Codec, CodecLimits, calibrate, get, names
from hedgerow.models.home import home
from hedgerow.models.tensors import Tensors

SIDE_PIXELS = 260
LIMITS = CodecLimits()


def features(seed: int) -> Tensors:
    drawn = np.random.default_rng(seed).normal(size=(1, 64, 14, 14)).clip(min=0.0)
    return {"features": drawn.astype(np.float32)}


def frame(folder: Path) -> tuple[str, Tensors]:
    """Where the frame comes from, and the frame."""
    files = sorted(folder.glob("*.jpg")) + sorted(folder.glob("*.png"))
    if files:
        with Image.open(files[0]) as opened:
            picture = opened.convert("RGB")
        scale = SIDE_PIXELS / min(picture.size)
        size = (max(SIDE_PIXELS, round(picture.width * scale)), max(SIDE_PIXELS, round(picture.height * scale)))
        return files[0].name, {"frame": np.asarray(picture.resize(size, Image.Resampling.BILINEAR))}
    rows, columns = np.mgrid[0:SIDE_PIXELS, 0:SIDE_PIXELS]
    slopes = np.stack([rows * 0.5, columns * 0.7, (rows + columns) * 0.3], axis=-1)
    noise = np.random.default_rng(0).normal(scale=6, size=slopes.shape)
    return "synthetic", {"frame": (slopes + noise).clip(0.0, 255.0).astype(np.uint8)}


def latent(seed: int) -> Tensors:
    """Small whole numbers as a bottleneck makes them: (1, 64, 14, 14) int8, each channel of its own spread."""
    random = np.random.default_rng(seed)
    spread = np.linspace(2.0, 0.2, 64).reshape(1, 64, 1, 1)
    return {"latent": np.rint(random.laplace(scale=spread, size=(1, 64, 14, 14))).clip(-127, 127).astype(np.int8)}


def median_ms(action: Callable[[], object], runs: int) -> float:
    durations_ns = []
    for _ in range(runs):
        start_ns = time.perf_counter_ns()
        action()
        durations_ns.append(time.perf_counter_ns() - start_ns)
    return statistics.median(durations_ns) / 1e6


def row(label: str, codec: Codec, tensors: Tensors, runs: int) -> str:
    payload = codec.encode(tensors)
    encode_ms = median_ms(lambda: codec.encode(tensors), runs)
    decode_ms = median_ms(lambda: codec.decode(payload, limits=LIMITS), runs)
    return f"{label:24} {len(payload):>9} {encode_ms:>10.3f} {decode_ms:>10.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--photographs", type=Path, default=home() / "photographs")
    options = parser.parse_args()
    samples = [features(seed) for seed in range(8)]
    heading = f"{'codec':24} {'bytes':>9} {'encode ms':>10} {'decode ms':>10}"
    print(f"features {samples[0]['features'].shape} float32, synthetic\n{heading}")
    for spec in names():
        codec = get(spec)
        if codec.kind == "input" or spec.startswith("ints"):
            continue
        print(row(spec, codec, samples[0], options.runs))
        if codec.kind == "features":
            calibrated = get(spec, calibration=calibrate(spec, samples))
            print(row(f"{spec} calibrated", calibrated, samples[0], options.runs))
    latents = [latent(seed) for seed in range(8)]
    print(f"\nlatent {latents[0]['latent'].shape} int8, synthetic\n{heading}")
    print(row("ints", get("ints"), latents[0], options.runs))
    for spec in ("ints:channel", "ints:progressive"):
        print(row(f"{spec} calibrated", get(spec, calibration=calibrate(spec, latents)), latents[0], options.runs))
    source, picture = frame(options.photographs)
    print(f"\nframe {picture['frame'].shape} uint8, {source}\n{heading}")
    for spec in ("raw", "jpeg:50", "jpeg:75", "jpeg:90", "webp:50", "webp:80"):
        print(row(spec, get(spec), picture, options.runs))


if __name__ == "__main__":
    main()
