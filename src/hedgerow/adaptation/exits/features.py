"""What a frozen model makes of each training picture: at its joints, as a mean over 2 x 2, and at its end. Kept as half floats.

Each picture is seen several times: first as it is, then as random squares of it (from the whole down to 35 % of its area), mirrored or not.
Chance comes from (seed, name of the picture), so that what was gathered before a stop is what would be gathered after it.
"""

import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.exits.heads import pooled
from hedgerow.adaptation.keeping import Checkpoint
from hedgerow.models.chain import Chain
from hedgerow.models.preparation import FRAME, Preparation
from hedgerow.models.tensors import Array, Tensors

AREA_MIN = 0.35
PICTURES_A_FILE = 50  # what is lost at most when gathering is stopped


@dataclass(frozen=True, slots=True)
class Gathered:
    """n views of pictures: `joints[name]` (n, c, h, w) means over 2 x 2, `whole[name]` the joint's own tensor for each picture as it
    is, `teacher` (n, classes) the scores to learn from, `picture` (n,) which picture each is of; its first view is as it is."""

    joints: Mapping[str, NDArray[np.float16]]
    whole: Mapping[str, NDArray[np.float16]]
    teacher: NDArray[np.float32]
    picture: NDArray[np.int64]


def gather(
    chain: Chain,
    joints: Sequence[str],
    prepare: Callable[[Array], Tensors],
    teach: Callable[[Array], NDArray[np.float32]] | None,
    pictures: Mapping[str, Array],
    *,
    views: int,
    seed: int,
    checkpoint: Checkpoint,
    progress: Callable[[int], None],
) -> Gathered:
    """Run the model on `views` views of each picture. `chain` has exactly `joints`; `prepare` makes its input of a frame;
    `teach` gives another model's scores for a frame (None: the model's own)."""
    names = sorted(pictures)
    parts: list[dict[str, NDArray[np.generic]]] = []
    for start in range(0, len(names), PICTURES_A_FILE):
        some = names[start : start + PICTURES_A_FILE]
        key = f"views-{start}.npz"
        kept = checkpoint.load(key)
        if kept is None:
            kept = _packed([_views(chain, joints, prepare, teach, name, pictures[name], views, seed) for name in some])
            checkpoint.save(key, kept)
        with np.load(io.BytesIO(kept)) as archive:
            parts.append({each: archive[each] for each in archive.files})
        progress(len(some))
    whole = {each: np.concatenate([part[each] for part in parts]) for each in parts[0]}
    return Gathered(
        {name: whole[f"joint {name}"] for name in joints},
        {name: whole[f"whole {name}"] for name in joints},
        np.asarray(whole["teacher"], np.float32),
        np.repeat(np.arange(len(names)), views),
    )


def view(frame: Array, chance: np.random.Generator) -> Array:
    """A random square of the frame, mirrored half of the time."""
    height, width = frame.shape[:2]
    side = max(1, int(min(height, width) * np.sqrt(chance.uniform(AREA_MIN, 1.0))))
    top, left = (int(chance.integers(0, size - side + 1)) for size in (height, width))
    square = frame[top : top + side, left : left + side]
    return np.ascontiguousarray(square[:, ::-1] if chance.random() < 0.5 else square)


def preparing(preparation: Preparation) -> Callable[[Array], Tensors]:
    """Frame to the model's input."""
    return lambda frame: preparation.prepare({FRAME: frame})


def _views(
    chain: Chain,
    joints: Sequence[str],
    prepare: Callable[[Array], Tensors],
    teach: Callable[[Array], NDArray[np.float32]] | None,
    name: str,
    frame: Array,
    views: int,
    seed: int,
) -> dict[str, NDArray[np.generic]]:
    chance = np.random.default_rng([seed, zlib.crc32(name.encode())])
    found: dict[str, list[NDArray[np.generic]]] = {}
    for number in range(views):
        seen = frame if number == 0 else view(frame, chance)
        tensors = prepare(seen)
        for index, joint in enumerate(joints, start=1):
            tensors = chain.run(tensors, index, index).tensors
            found.setdefault(f"joint {joint}", []).append(pooled(tensors[joint]).astype(np.float16))
            if number == 0:
                found[f"whole {joint}"] = [tensors[joint].astype(np.float16)]
        (scores,) = chain.run(tensors, len(joints) + 1).tensors.values()
        found.setdefault("teacher", []).append(scores if teach is None else teach(seen))
    return {each: np.concatenate(values) for each, values in found.items()}


def _packed(parts: list[dict[str, NDArray[np.generic]]]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{each: np.concatenate([part[each] for part in parts]) for each in parts[0]})  # type: ignore[arg-type]
    return buffer.getvalue()
