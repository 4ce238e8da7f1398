"""Makes one bottleneck and keeps it: what is asked for, how large its encoder may be, training, the rate, one ONNX file.

Trained on the parts "train" and "calibrate" of the photographs; the part "judge" is not looked at. The scale is then set so that
the payload of "calibrate" has the bytes asked for, whatever the agreement; the agreement is judged afterwards on other pictures
(`hedgerow bench adapt`), over a range of scales of the same weights.
"""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.bottleneck.graph import LATENT, Block, assemble, blocks_of, part, tail_of
from hedgerow.adaptation.bottleneck.making_places import Room, make_places
from hedgerow.adaptation.bottleneck.pictures import VIEWS, Seen, see, versions, views
from hedgerow.adaptation.bottleneck.transform import (
    ENVELOPE_BYTES,
    KEPT_VARIANCE,
    Transform,
    coded_bytes,
    expected_bytes,
    fit,
    rounded,
    step_for,
)
from hedgerow.adaptation.keeping import Checkpoint, Made, Say, digest
from hedgerow.adaptation.parts import part_of
from hedgerow.adaptation.sources import enough, of_parts
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.cuts import choose_cuts
from hedgerow.models.graph import Graph
from hedgerow.models.preparation import Preparation
from hedgerow.models.task import TaskModel

PICTURES_MIN = 12  # below it nothing is learned that holds for other pictures
GRADIENT_VERSIONS = 1  # the axes are measured on photographs as they are, like those to come
LATENT_SHARE = 0.115  # of what the budget leaves for the encoder goes to the latent, where blocks come before it
LATENT_LEAST = 8  # channels, where the model has as many
LATENT_WORK_MAX = 0.02  # of the model's work goes to it at most
QUANTISING = 12  # multiply-adds an element, as `models/work.py` counts what rounds
SLIMMING_PICTURES = 24
TRAINED_VERSIONS = 8  # of each photograph, where the recipe does not say otherwise
LINEAR_VERSIONS = 4  # where nothing is trained: as it is, mirrored, moved by a sixteenth


@dataclass(frozen=True, slots=True)
class Wanted:
    """One bottleneck. The encoder reads `cut`; the decoder gives `target` (the cut itself, or a later place of the model, whose
    work the encoder then imitates with less). `budget` is the greatest share of the model's multiply-adds up to the latent.
    """

    name: str
    cut: str
    target: str
    bytes: int
    budget: float
    steps: int
    taught: int  # of the steps, the last ones, which run the model's tail
    versions: int
    hidden: tuple[
        int, ...
    ] = ()  # channels kept of each block between; none given: equal shares, as many as the budget allows
    middle: int = 128
    learning_rate: float = 2e-3
    seed: int = 0

    @property
    def linear(self) -> bool:
        """Nothing is trained and nothing imitated: the code over all places."""
        return self.steps == 0 and self.target == self.cut


def make(wanted: Wanted, model: TaskModel, paths: Sequence[Path], folder: Path, say: Say) -> dict[str, Any]:
    """The table [[model]] of this bottleneck of `model`, made unless it is there. UsageError, HostError, EngineError."""
    preparation = _preparation(model)
    chosen = of_parts(paths, "train", "calibrate")
    enough(len(chosen), PICTURES_MIN, "photographs to train and calibrate on (7 of 10 of those given)")
    names = digest("\n".join(path.name for path in chosen).encode())
    made = Made(folder / f"{wanted.name}.onnx", {"model": model.model_id, "photographs": names, **asdict(wanted)})
    if made.record() is None:
        (_make_linear if wanted.linear else _make)(wanted, model, chosen, made, say)
    entry = {"name": wanted.name, "file": str(made.path), "joints": [LATENT]}
    return entry | {"preparation": preparation.to_table()}


def _preparation(model: TaskModel) -> Preparation:
    if model.preparation is None:
        raise UsageError(f"model '{model.name}' has no preparation; a bottleneck is trained on photographs")
    return model.preparation


def _make(wanted: Wanted, model: TaskModel, paths: Sequence[Path], made: Made, say: Say) -> None:
    from hedgerow.adaptation.bottleneck import training_bottleneck as training

    graph = Graph.open(model.path)
    checkpoint = made.checkpoint()
    plan = plan_for(graph, wanted)
    say(f"{wanted.name}: {len(paths)} photographs, {wanted.versions} versions of each")
    seen = _see(wanted, model, paths, say)
    rows = len(paths) * min(GRADIENT_VERSIONS, wanted.versions)
    transform = _transform(plan, seen.target[:rows], wanted.seed, checkpoint, say)
    first = np.flatnonzero([part_of(path.stem) == "calibrate" for path in paths])
    z = transform.apply(seen.target[: len(paths)].astype(np.float32))
    step = step_for(z, coded_bytes(wanted.bytes))
    finest = step * training.SCALES[0]
    latent = min(plan.latent_max, max(8, int(np.sum(transform.variances > KEPT_VARIANCE * finest**2))))
    say(f"latent {latent} x {z.shape[2]} x {z.shape[3]}, hidden channels {list(plan.hidden) or 'none'}")
    blocks = training.slimmed(plan.blocks, plan.hidden, seen.source[:SLIMMING_PICTURES])
    network = training.Network(training.Shape(latent, wanted.middle), transform, step, blocks, seed=wanted.seed)

    lessons = training.Lessons(
        seen.source,
        seen.target,
        seen.logits,
        tail_of(plan.tail),
        transform,
        step,
        wanted.steps,
        wanted.taught,
        wanted.learning_rate,
        wanted.seed,
    )
    training.train(network, lessons, checkpoint=checkpoint, say=say)
    u = training.encode_all(network, seen.source[: len(paths)])
    judged = u[first] if len(first) else u
    scale = step_for(judged, coded_bytes(wanted.bytes))
    data = assemble(
        plan.head,
        plan.tail,
        training.weights_of(network, transform, step, refined=wanted.steps > 0),
        patch=transform.patch,
        blocks=training.blocks_as_trained(network),
        scale=scale,
        origin=f"bottleneck of {model.name} at {wanted.cut}, from model {model.model_id}",
    )
    figures = {
        "scale": round(scale, 6),
        "bytes_expected": round(expected_bytes(rounded(judged / np.float32(scale))) + ENVELOPE_BYTES),
        "latent": [latent, *z.shape[2:]],
    }
    _keep(wanted, graph, made, data, figures)


def _make_linear(wanted: Wanted, model: TaskModel, paths: Sequence[Path], made: Made, say: Say) -> None:
    graph = Graph.open(model.path)
    before = choose_cuts(graph, [wanted.cut])[0].work_before
    left = (wanted.budget - before) * graph.work
    room = Room.after(graph, wanted.cut, _places(graph, wanted.cut), left)
    say(f"{wanted.name}: {len(paths)} photographs, {min(wanted.versions, len(VIEWS))} views of each")
    seen = _see(wanted, model, paths, say)
    first = np.flatnonzero([part_of(path.stem) == "calibrate" for path in paths])
    if not len(first):
        first = np.arange(len(paths))
    origin = f"bottleneck of {model.name} at {wanted.cut}, from model {model.model_id}"
    data, figures = make_places(
        room, seen, first, wanted.bytes, seed=wanted.seed, origin=origin, checkpoint=made.checkpoint(), say=say
    )
    _keep(wanted, graph, made, data, figures)


def _keep(wanted: Wanted, graph: Graph, made: Made, data: bytes, figures: dict[str, Any]) -> None:
    """UsageError where the file does more than its budget allows."""
    share = share_before_latent(data, graph)
    if share > wanted.budget:
        raise UsageError(
            f"{wanted.name}: {share:.1%} of the work lies before the latent, {wanted.budget:.1%} are allowed"
        )
    made.keep({made.path: data}, {"device_share": round(share, 4)} | figures)
    made.checkpoint().clear()


@dataclass(frozen=True, slots=True)
class Plan:
    """The model's pieces, and the sizes that follow from the budget."""

    head: bytes
    tail: bytes
    blocks: tuple[Block, ...]
    hidden: tuple[int, ...]
    patch: int
    latent_max: int


def plan_for(graph: Graph, wanted: Wanted) -> Plan:
    """UsageError for cuts that a bottleneck cannot be put at, or a budget that the head alone exceeds."""
    before = choose_cuts(graph, [wanted.cut])[0].work_before
    target = _places(graph, wanted.target)
    blocks = () if wanted.target == wanted.cut else blocks_of(part(graph, wanted.cut, wanted.target))
    patch = 2 if target[1] % 2 == 0 and target[2] % 2 == 0 else 1
    left = (wanted.budget - before) * graph.work
    places = target[1] * target[2] // patch**2
    each = places * (target[0] * patch**2 + QUANTISING)  # multiply-adds of one channel of the latent
    least = LATENT_LEAST * each
    room = max(min(left * (LATENT_SHARE if blocks else 0.98), LATENT_WORK_MAX * graph.work), least)
    latent_max = int(min(target[0] * patch**2, room / each))
    if left < least:
        raise UsageError(
            f"{before:.1%} of the work lies before '{wanted.cut}', which leaves no room for an encoder within"
            f" {wanted.budget:.1%}; cut earlier or allow more"
        )
    hidden = wanted.hidden or _hidden(graph, wanted.cut, blocks, left - latent_max * each)
    if len(hidden) != len(blocks) or any(not 8 <= n <= b.hidden for n, b in zip(hidden, blocks, strict=True)):
        raise UsageError(f"hidden channels {list(hidden)} do not fit the {len(blocks)} blocks before '{wanted.target}'")
    return Plan(part(graph, None, wanted.cut), part(graph, wanted.target, None), blocks, hidden, patch, latent_max)


def _hidden(graph: Graph, cut: str, blocks: Sequence[Block], left: float) -> tuple[int, ...]:
    """The same share of each block's hidden channels, in eights, as much as this many multiply-adds allow."""
    _, height, width = _places(graph, cut)
    works, places = [], float(height * width)
    for block in blocks:
        out, _ = block.weights["project.weight"].shape[:2]
        given, kernel = block.weights["expand.weight"].shape[1], block.weights["depthwise.weight"].shape[2]
        after = places / block.stride**2
        works.append(places * (given + 1) + after * (kernel**2 + 1 + out))
        left -= after * out if block.residual else 0
        places = after
    share = min(1.0, left / max(1.0, sum(work * block.hidden for work, block in zip(works, blocks, strict=True))))
    return tuple(int(share * block.hidden) // 8 * 8 for block in blocks)


def _places(graph: Graph, name: str) -> tuple[int, int, int]:
    """(channels, height, width) of a tensor with a batch axis; UsageError for any other."""
    shape = graph.spec(name).shape if graph.knows(name) else ()
    sizes = [axis for axis in shape[1:] if isinstance(axis, int)]
    if len(shape) != 4 or len(sizes) != 3:
        raise UsageError(f"a bottleneck needs a tensor (batch, channels, height, width) at '{name}', not {shape}")
    return sizes[0], sizes[1], sizes[2]


def _see(wanted: Wanted, model: TaskModel, paths: Sequence[Path], say: Say) -> Seen:
    preparation = _preparation(model)
    joints = list(dict.fromkeys((wanted.cut, wanted.target)))
    if wanted.linear:
        count = min(wanted.versions, len(VIEWS))
        frames = views(paths, preparation, count=count)
    else:
        count = wanted.versions
        frames = versions(paths, preparation, count=count, seed=wanted.seed)
    with Chain.open(model.path, joints=joints, preparation=preparation) as chain:
        return see(chain, (1, len(joints)), frames, len(paths) * count, say)


def _transform(plan: Plan, features: NDArray[np.float16], seed: int, checkpoint: Checkpoint, say: Say) -> Transform:
    from hedgerow.adaptation.bottleneck import training_bottleneck as training

    kept = checkpoint.load("transform.npz")
    if kept is not None:
        with np.load(io.BytesIO(kept), allow_pickle=False) as arrays:
            return Transform.of_arrays(dict(arrays))
    slopes = training.gradients(tail_of(plan.tail), features, seed=seed, say=say)
    transform = fit(features.astype(np.float32), slopes, plan.patch)
    buffer = io.BytesIO()
    np.savez(buffer, **transform.arrays())  # type: ignore[arg-type]
    checkpoint.save("transform.npz", buffer.getvalue())
    return transform


def share_before_latent(data: bytes, whole: Graph) -> float:
    """Multiply-adds of a bottleneck's file up to its latent, encoder included, as a share of those of the uncut model."""
    graph = Graph.open(data)
    return graph.head_work(graph.head_of([LATENT])) / whole.work
