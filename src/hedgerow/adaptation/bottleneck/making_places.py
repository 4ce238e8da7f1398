"""Makes a bottleneck without training: the linear code over all places, as many of its elements as the budget allows, its scale."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.bottleneck.graph import Tail, part, tail_of
from hedgerow.adaptation.bottleneck.graph_places import assemble
from hedgerow.adaptation.bottleneck.pictures import Seen
from hedgerow.adaptation.bottleneck.places import Places, fewer, fit, restrained
from hedgerow.adaptation.bottleneck.transform import (
    ENVELOPE_BYTES,
    KEPT_VARIANCE,
    coded_bytes,
    expected_bytes,
    rounded,
    step_for,
)
from hedgerow.adaptation.keeping import Checkpoint, Say
from hedgerow.errors import UsageError
from hedgerow.models.graph import Graph

PLACES_MAX = 256  # patterns over the picture; features of more places are taken in patches
ELEMENT_WORK = 17  # of one element of the latent beside its axis: moving, scaling, rounding (models/work.py)
MOVING = 4  # of one element of the features: folding, centring, laying flat, gathering
FINEST = 0.6  # of the scale asked for
MOST = 48  # levels of an element at the scale asked for, of pictures that are seen: others, and finer scales, need room too
ELEMENTS_MIN = 64  # of the latent, where the features have as many
ROUNDS = 2  # of choosing elements and scale, which depend on each other


@dataclass(frozen=True, slots=True)
class Room:
    """Where the code stands: the pieces before and after it (`layers`: the one after it, to be trained through), the shape of what
    it reads, and the multiply-adds left for it."""

    head: bytes
    tail: bytes
    layers: Tail
    shape: tuple[int, int, int]
    work: float

    @classmethod
    def after(cls, graph: Graph, cut: str, shape: tuple[int, int, int], work: float) -> "Room":
        """UsageError where the budget leaves no room for an encoder, or the answer's gradients cannot be had."""
        tail = part(graph, cut, None)
        room = cls(part(graph, None, cut), tail, tail_of(tail), shape, work)
        patterns = shape[1] * shape[2] // room.patch**2  # one row of each band at least
        if room.elements < max(patterns, min(ELEMENTS_MIN, int(np.prod(shape)))):
            raise UsageError("the budget leaves no room for an encoder at this cut; cut earlier or allow more")
        return room

    @property
    def patch(self) -> int:
        """The smallest that leaves few enough places."""
        _, height, width = self.shape
        fits = (p for p in range(1, max(height, width)) if height % p == 0 and width % p == 0)
        return next((p for p in fits if height * width <= PLACES_MAX * p * p), 1)

    @property
    def elements(self) -> int:
        """That the encoder may compute."""
        channels, height, width = self.shape
        size, sides = channels * self.patch**2, (height + width) / self.patch
        fixed = channels * height * width * (sides + MOVING)
        return min(channels * height * width, int((self.work - fixed) / (size + ELEMENT_WORK)))


def make_places(
    room: Room,
    seen: Seen,
    first: NDArray[np.int64],
    wanted_bytes: int,
    *,
    seed: int,
    origin: str,
    checkpoint: Checkpoint,
    say: Say,
) -> tuple[bytes, dict[str, Any]]:
    """The file and its figures; `first` are the rows that set the scale."""
    whole = _fitted(room, seen.target, seed, checkpoint, say)
    asked = coded_bytes(wanted_bytes)
    places = fewer(whole, seen.target, elements=room.elements, least=0.0)
    for _ in range(ROUNDS):
        scale = step_for(places.apply(seen.target[first]), asked)
        places = fewer(whole, seen.target, elements=room.elements, least=KEPT_VARIANCE * (FINEST * scale) ** 2)
    places = restrained(places, seen.target, most=MOST * scale)
    u = places.apply(seen.target[first])
    scale = step_for(u, asked)
    say(f"latent {places.shape[0]} x {places.shape[1]}, {len(places.bands)} bands")
    figures = {
        "scale": round(scale, 6),
        "bytes_expected": round(expected_bytes(rounded(u / np.float32(scale))) + ENVELOPE_BYTES),
        "latent": list(places.shape),
    }
    return assemble(room.head, room.tail, places, scale=scale, origin=origin), figures


def _fitted(room: Room, features: NDArray[np.float16], seed: int, checkpoint: Checkpoint, say: Say) -> Places:
    kept = checkpoint.load("places.npz")
    if kept is not None:
        with np.load(io.BytesIO(kept), allow_pickle=False) as arrays:
            return Places.of_arrays(dict(arrays))
    from hedgerow.adaptation.bottleneck import training_bottleneck as training

    slopes = training.gradients(room.layers, features, seed=seed, say=say)
    places = fit(features, slopes, room.patch)
    buffer = io.BytesIO()
    np.savez(buffer, **places.arrays())  # type: ignore[arg-type]
    checkpoint.save("places.npz", buffer.getvalue())
    return places
