"""Measures which values each activation takes on calibrating pictures, and makes ranges of it in several ways.

A wide range loses precision everywhere, a narrow one cuts off the rare large values; which is worse differs from model to
model, so every way is tried and the answers decide (`quantise_mix`). The ways, each per tensor:
`extremes`, the least and greatest value seen; `typical`, the mean over pictures of each picture's own extremes; `generous`,
that and one standard deviation more; `mixed`, `typical` where values are of both signs, half a deviation more where an
activation cuts off below 0; `least-error`, the range with the least mean squared rounding error.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from hedgerow.adaptation.quantise_layers import Layout
from hedgerow.adaptation.quantise_write import STEPS, Range
from hedgerow.models.engines import get_engine
from hedgerow.models.tensors import Array, Tensors

WAYS = ("mixed", "typical", "generous", "extremes", "least-error")
VALUES_A_PICTURE = 256  # of each tensor, kept for `least-error`
SHRINKS = np.linspace(0.3, 1.0, 29)
COARSE_SHRINKS = np.linspace(0.4, 1.0, 13)


@dataclass(slots=True)
class Seen:
    """What one tensor was seen to hold: each picture's extremes, and some values of each."""

    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)

    def add(self, array: Array) -> None:
        """One picture's tensor."""
        flat = array.reshape(-1)
        self.lows.append(float(flat.min()))
        self.highs.append(float(flat.max()))
        stride = max(1, flat.size // VALUES_A_PICTURE) | 1  # odd, so that it does not follow the rows of a picture
        self.values.append(flat[::stride][:VALUES_A_PICTURE].copy())


def touched(layout: Layout) -> list[str]:
    """The tensors that need a range: all that layers read and make."""
    names = [name for layer in layout.layers.values() for name in (*layer.reads, layer.result)]
    return list(dict.fromkeys(names))


def observe(
    layout: Layout, inputs: Iterable[Tensors], threads: int, look: Callable[[Tensors], None] = lambda tensors: None
) -> dict[str, Seen]:
    """Run the float32 model on these inputs and look at every tensor that may be quantised; `look` sees them too."""
    names = touched(layout)
    fed = {spec.name for spec in layout.graph.inputs}
    asked = [name for name in names if name not in fed]
    engine = get_engine("onnxruntime")
    program = engine.load(_showing(layout, asked), threads=threads)
    seen = {name: Seen() for name in names}
    for tensors in inputs:
        made = {**program.run(tensors, engine.call()), **tensors}
        for name in names:
            seen[name].add(made[name])
        look(made)
    return seen


def _showing(layout: Layout, names: Iterable[str]) -> bytes:
    """The model with these tensors for its outputs."""
    proto = onnx.ModelProto()
    proto.CopyFrom(layout.graph.proto)
    proto.graph.ClearField("output")
    for name in names:
        value = onnx.ValueInfoProto(name=name)
        value.type.CopyFrom(layout.graph.types[name])
        proto.graph.output.append(value)
    return proto.SerializeToString()


def ranges(layout: Layout, seen: Mapping[str, Seen], way: str) -> dict[str, Range]:
    """A range for each tensor, within what its activation leaves."""
    bounds = {layer.result: layer.bounds for layer in layout.layers.values() if layer.activation is not None}
    found = {}
    for name, each in seen.items():
        least, most = bounds.get(name, (-np.inf, np.inf))
        low, high = _range(each, way, cut_off=name in bounds)
        found[name] = (max(min(low, 0.0), least), min(max(high, 0.0), most))
    return found


def _range(seen: Seen, way: str, *, cut_off: bool) -> Range:
    lows, highs = np.array(seen.lows), np.array(seen.highs)
    if way == "extremes":
        return float(lows.min()), float(highs.max())
    deviations = {"typical": 0.0, "generous": 1.0, "mixed": 0.5 if cut_off else 0.0}.get(way)
    if deviations is not None:
        low, high = lows.mean() - deviations * lows.std(), highs.mean() + deviations * highs.std()
        return float(max(low, lows.min())), float(min(high, highs.max()))
    return _least_error(np.concatenate(seen.values).astype(np.float64), float(lows.min()), float(highs.max()))


def _least_error(values: NDArray[np.float64], low: float, high: float) -> Range:
    best, found = np.inf, (low, high)
    for below in (1.0,) if low >= 0.0 else COARSE_SHRINKS:
        for above in SHRINKS:
            ends = (min(0.0, low * below), max(0.0, high * above))
            step = (ends[1] - ends[0]) / STEPS or 1.0
            rounded = np.clip(np.rint((values - ends[0]) / step), 0, STEPS) * step + ends[0]
            error = float(np.square(rounded - values).mean())
            if error < best:
                best, found = error, ends
    return found
