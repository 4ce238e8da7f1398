"""Bytes at an agreement of 0.95: trained bottlenecks, plain few-bit cuts and JPEG or WebP, each over its whole range of rates.

Agreement is with MobileNetV2's own uncut answers, on photographs that nothing was trained or calibrated on; bytes are the mean of
whole payloads, envelope included. A curve's figure is the smallest measured rate at which the agreement is reached, by the same
rule for all. JPEG and WebP get the square that the model looks at, in several sizes, and not the frame around it. Plain cuts
are allowed a little more than half of the work (block 10 has 51 %), because that is where they were best.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from hedgerow import codecs
from hedgerow.adaptation.bottleneck.graph import LATENT, STEPS, rescaled, scale_of
from hedgerow.adaptation.bottleneck.transform import rounded
from hedgerow.adaptation.making.bottleneck import HALF, MODEL, QUARTER
from hedgerow.adaptation.sources import enough, judged, of_parts, photographs
from hedgerow.adaptation.witnesses import labels_of
from hedgerow.benchmarks.adapting.setting import Setting
from hedgerow.codecs import Codec, CodecLimits, calibrate
from hedgerow.codecs.calibration import METHODS
from hedgerow.codecs.ints import IntsCodec
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.frames import load_frame
from hedgerow.models.graph import Graph
from hedgerow.models.preparation import FRAME, Preparation
from hedgerow.models.task import Task, TaskModel
from hedgerow.models.tensors import Array, Tensors, TensorSpec

ASKED = 0.95
SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.35, 1.6, 2.0)
PREFIXES = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
PLAIN_CUTS = ("block9.output", "block10.output")
PLAIN_BITS = (4, 3, 2)
QUALITIES = (20, 35, 50, 60, 70, 80, 88, 94)
SIDES = (224, 192, 160)
CALIBRATING = 120
LIMITS = CodecLimits()
Answers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Point:
    """One setting: mean bytes of a payload, share of equal answers, and of right ones where labels are known."""

    setting: str
    bytes: float
    agreement: float
    accuracy: float | None
    encode_ms: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one way to cross, by rising bytes; `share` of the multiply-adds is done before the crossing."""

    name: str
    share: float
    points: tuple[Point, ...]

    def best(self) -> Point:
        """The smallest that reaches what is asked, else the one that agrees most."""
        reached = [point for point in self.points if point.agreement >= ASKED]
        return min(reached, key=lambda p: p.bytes) if reached else max(self.points, key=lambda p: p.agreement)


@dataclass(frozen=True, slots=True)
class Material:
    """The judged and the calibrating photographs, the uncut model and its answers."""

    task: Task
    model: TaskModel
    preparation: Preparation
    judged: list[Path]
    calibrating: list[Path]
    right: Answers
    labels: NDArray[np.generic] | None

    def point(self, setting: str, sizes: Sequence[int], said: Sequence[int], encode_s: Sequence[float]) -> Point:
        """What these payload sizes and answers amount to."""
        answers = np.asarray(said)
        accuracy = None if self.labels is None else float((answers == self.labels).mean())
        encode_ms = 1e3 * float(np.median(encode_s))
        return Point(setting, float(np.mean(sizes)), float((answers == self.right).mean()), accuracy, encode_ms)


def measure(setting: Setting) -> dict[str, float | int]:
    """The figures of `hedgerow bench adapt`; the curves behind them: `python bench/bottleneck_curves.py`."""
    found = {curve.name: curve for curve in curves(setting)}
    points = {name: curve.best() for name, curve in found.items()}
    plain, images = (min(_of(found, kind), key=_order) for kind in ("plain", "image"))
    quarter, half = points["25 %"], points["50 %"]
    figures: dict[str, float | int] = {
        "bytes_25": round(quarter.bytes),
        "bytes_50": round(half.bytes),
        "jpeg_bytes": round(images.bytes),
        "plain_bytes_50": round(plain.bytes),
        "agreement": round(min(quarter.agreement, half.agreement), 4),
        "agreement_jpeg": round(images.agreement, 4),
        "agreement_plain": round(plain.agreement, 4),
        "device_share_25": round(found["25 %"].share, 4),
        "device_share_50": round(found["50 %"].share, 4),
        "encode_ms_25": round(quarter.encode_ms, 2),
        "encode_ms_50": round(half.encode_ms, 2),
        "encode_ms_jpeg": round(images.encode_ms, 2),
    }
    for name, point in (("25", quarter), ("50", half), ("jpeg", images)):
        if point.accuracy is not None:
            figures[f"accuracy_{name}"] = round(point.accuracy, 4)
    return figures


def _of(found: dict[str, Curve], kind: str) -> list[Point]:
    return [curve.best() for name, curve in found.items() if name.startswith(kind)]


def _order(point: Point) -> tuple[bool, float]:
    return point.agreement < ASKED, point.bytes


def curves(setting: Setting) -> list[Curve]:
    """Every curve: "25 %" and "50 %" over the scale, the same with "prefix" behind, "plain CUT", "image FORMAT"."""
    material = prepare(setting)
    found: list[Curve] = []
    for name, wanted in (("25 %", QUARTER), ("50 %", HALF)):
        path = setting.made("imagenet").parent / f"{wanted.name}.onnx"
        if not path.is_file():
            raise UsageError(f"there is no {path}: run `make adapt` (or `hedgerow adapt all --only bottleneck`) first")
        setting.say(f"bottleneck {name}: {len(SCALES)} scales, {len(PREFIXES)} prefixes")
        found += ours(material, name, path.read_bytes())
    for cut in PLAIN_CUTS:
        setting.say(f"plain cuts after {cut}")
        found.append(plain_cut(material, cut))
    for image in ("jpeg", "webp"):
        setting.say(f"{image}: {len(QUALITIES)} qualities in {len(SIDES)} sizes")
        found.append(image_curve(material, image))
    return found


def prepare(setting: Setting) -> Material:
    """UsageError where there is nothing to judge on, or no bottleneck's task."""
    task = Task.load(setting.made("imagenet"))
    model = task.model(MODEL)
    paths = judged(setting.data, setting.holdout, setting.say)
    enough(len(paths), 2, "photographs to judge on")
    calibrating = of_parts(photographs(setting.data, setting.say), "calibrate", "train")[:CALIBRATING]
    enough(len(calibrating), 2, "photographs to calibrate on")
    if model.preparation is None:
        raise UsageError(f"model '{model.name}' has no preparation")
    with task.open(MODEL) as chain:
        right = np.array([_top(chain.run({FRAME: load_frame(path)}).tensors) for path in paths])
    labels = labels_of(paths, task)
    known = None if labels is None else np.asarray(labels)
    return Material(task, model, model.preparation, paths, calibrating, right, known)


def ours(material: Material, name: str, data: bytes) -> list[Curve]:
    """The bottleneck over its scale, and the prefixes of its own scale's payloads."""
    whole = Graph.open(material.model.path).work
    graph = Graph.open(data)
    share = graph.head_work(graph.head_of([LATENT])) / whole
    with Chain.open(data, joints=[STEPS], preparation=material.preparation) as chain:
        seen = [_only(chain.run({FRAME: load_frame(path)}, 0, 1).tensors) for path in material.calibrating]
        steps = [chain.run({FRAME: load_frame(path)}, 0, 1).tensors for path in material.judged]
    points: list[Point] = []
    prefixes: list[Point] = []
    for factor in SCALES:
        scale = scale_of(data) * factor
        levels: list[Tensors] = [{LATENT: rounded(u / np.float32(scale)).astype(np.int8)} for u in seen]
        with Chain.open(rescaled(data, scale), joints=[STEPS, LATENT]) as chain:
            latents = [chain.run(each, 2, 2).tensors for each in steps]
            points.append(
                _crossed(material, f"scale {factor:g}", _calibrated("ints:channel", levels), latents, _behind(chain, 3))
            )
            if factor == 1.0:
                prefixes = _prefixes(material, _calibrated("ints:progressive", levels), latents, _behind(chain, 3))
    return [Curve(name, share, _rising(points)), Curve(f"{name} prefix", share, _rising(prefixes))]


def _behind(chain: Chain, first: int) -> Callable[[Tensors], Tensors]:
    """The chain's outputs from what is alive before segment `first`."""
    return lambda tensors: chain.run(tensors, first).tensors


def _calibrated(spec: str, samples: Sequence[Tensors]) -> Codec:
    return codecs.get(spec, calibration=calibrate(spec, samples))


def _prefixes(
    material: Material, codec: Codec, latents: Sequence[Tensors], answer: Callable[[Tensors], Tensors]
) -> list[Point]:
    """The answers when only the first part of each payload has come; nothing decodable is no answer."""
    assert isinstance(codec, IntsCodec)
    payloads = [codec.encode(each) for each in latents]
    with_specs = _specs(latents[0])
    found = []
    for part in PREFIXES:
        said, sizes = [], []
        for payload in payloads:
            kept = payload[: round(part * len(payload))]
            partial = codec.decode_prefix(kept, limits=LIMITS, expected=with_specs)
            said.append(-1 if partial is None else _top(answer(partial.tensors)))
            sizes.append(len(kept))
        found.append(material.point(f"first {part:.0%}", sizes, said, [0.0]))
    return found


def _specs(tensors: Tensors) -> tuple[TensorSpec, ...]:
    """The specs of these very tensors."""
    return tuple(TensorSpec(name, array.dtype.name, array.shape) for name, array in tensors.items())


def _crossed(
    material: Material, name: str, codec: Codec, sent: Sequence[Tensors], answer: Callable[[Tensors], Tensors]
) -> Point:
    sizes, said, times = [], [], []
    for tensors in sent:
        started = perf_counter()
        payload = codec.encode(tensors)
        times.append(perf_counter() - started)
        sizes.append(len(payload))
        said.append(_top(answer(codec.decode(payload, limits=LIMITS))))
    return material.point(name, sizes, said, times)


def plain_cut(material: Material, cut: str) -> Curve:
    """Few-bit features of the uncut model: one range a tensor as it is, or calibrated ranges by every method."""
    graph = Graph.open(material.model.path)
    share = graph.head_work(graph.head_of([cut])) / graph.work
    points = []
    with Chain.open(material.model.path, joints=[cut], preparation=material.preparation) as chain:
        seen = [chain.run({FRAME: load_frame(path)}, 0, 1).tensors for path in material.calibrating]
        sent = [chain.run({FRAME: load_frame(path)}, 0, 1).tensors for path in material.judged]
        for name, codec in _plain_codecs(seen):
            points.append(_crossed(material, name, codec, sent, _behind(chain, 2)))
    return Curve(f"plain {cut}", share, _rising(points))


def _plain_codecs(seen: Sequence[Tensors]) -> Iterator[tuple[str, Codec]]:
    for bits in PLAIN_BITS:
        yield f"q{bits}", codecs.get(f"q{bits}")
        for spec in (f"q{bits}", f"q{bits}:channel"):
            for method in METHODS:
                yield f"{spec} {method}", codecs.get(spec, calibration=calibrate(spec, seen, method=method))


def image_curve(material: Material, family: str) -> Curve:
    """The square that the model looks at as an image file, in several sizes."""
    looks_at = material.preparation
    whole = replace(looks_at, resize_shorter=looks_at.crop)  # the square is all there is
    squares = [_square(load_frame(path), looks_at) for path in material.judged]
    points = []
    with material.task.open(MODEL) as chain:
        for side in SIDES:
            for quality in QUALITIES:
                spec = f"{family}:{quality},{side}"  # a smaller square stays as it is
                points.append(
                    _crossed(
                        material,
                        spec,
                        codecs.get(spec),
                        squares,
                        lambda tensors: chain.run(whole.prepare(tensors), 1).tensors,
                    )
                )
    return Curve(f"image {family}", 0.0, _rising(points))


def _square(frame: Array, preparation: Preparation) -> Tensors:
    """The middle of a frame that the model would look at, in the frame's own pixels."""
    height, width = frame.shape[:2]
    side = round(min(height, width) * preparation.crop / preparation.resize_shorter)
    top, left = (height - side) // 2, (width - side) // 2
    return {FRAME: np.ascontiguousarray(frame[top : top + side, left : left + side])}


def _rising(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.bytes))


def _only(tensors: Tensors) -> NDArray[np.float32]:
    (array,) = tensors.values()
    return array.astype(np.float32)


def _top(tensors: Tensors) -> int:
    return int(np.argmax(_only(tensors)))
