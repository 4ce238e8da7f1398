"""Which way of making ranges, and which blocks stay in float32: decided by the answers on calibrating pictures.

A way is chosen by divergence, not by agreement: with some hundred pictures one changed answer is most of a per cent, while the
divergence tells two ways apart that agree on every picture. Which block hurts is asked by leaving it alone in float32. When an
agreement is asked for, the worst blocks go back to float32, one after the other, until it is reached.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from hedgerow.adaptation.keeping import Checkpoint, Say, digest
from hedgerow.adaptation.quantise_judging import Floats, Likeness, likeness, scores
from hedgerow.adaptation.quantise_layers import Block, Layout
from hedgerow.adaptation.quantise_ranges import WAYS
from hedgerow.models.tensors import Tensors

HURT_SAMPLES = 64  # pictures on which each block is asked; the agreement itself is told on all
MEMORY = "answers.json"


class Judge:
    """How like the float32 model a model answers; what was judged before a stop is not judged again."""

    def __init__(
        self, original: bytes, inputs: Sequence[Tensors], checkpoint: Checkpoint, *, threads: int, seed: int
    ) -> None:
        self._inputs, self._threads, self._checkpoint = inputs, threads, checkpoint
        self._order = np.random.default_rng(seed).permutation(len(inputs))
        self.reference: Floats = scores(original, inputs, threads)
        kept = checkpoint.load(MEMORY)
        self._known: dict[str, dict[str, float]] = json.loads(kept) if kept else {}

    def like(self, model: bytes, *, at_most: int | None = None) -> Likeness:
        """On all pictures, or on so many of them, always the same."""
        chosen = self._order[:at_most]
        key = f"{digest(model)[:32]}/{len(chosen)}"
        if key not in self._known:
            answers = scores(model, [self._inputs[index] for index in chosen], self._threads)
            self._known[key] = asdict(likeness(answers, self.reference[chosen]))
            self._checkpoint.save(MEMORY, json.dumps(self._known).encode())
        found = self._known[key]
        return Likeness(found["agreement"], found["divergence"], int(found["samples"]))


@dataclass(frozen=True, slots=True)
class Hurt:
    """One block: the divergence of the whole with it in int8 and with it alone in float32."""

    block: str
    work_share: float
    divergence: float
    divergence_without: float
    agreement_without: float

    @property
    def share(self) -> float:
        """Of the divergence, what goes away when the block is left in float32."""
        return 1.0 - self.divergence_without / self.divergence if self.divergence > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class Mix:
    """What was decided: the way of making ranges, the blocks in float32, and how like the original that is."""

    way: str
    kept: tuple[str, ...]  # beside those that are never quantised
    like: Likeness
    tried: Mapping[str, Likeness]  # each way
    hurts: tuple[Hurt, ...]  # worst first


def made_by(layout: Layout, kept: Collection[str]) -> list[str]:
    """The layers in int8 when these blocks, and those that read the picture, stay in float32."""
    return [
        layer.made for block in layout.blocks for layer in block.layers if not block.first and block.name not in kept
    ]


Writer = Callable[[str, Collection[str]], bytes]  # a way of making ranges, blocks to keep in float32 -> the copy


def decide(layout: Layout, copy: Writer, judge: Judge, *, asked: float | None, say: Say) -> Mix:
    """The mix for this model; `asked` is the agreement to reach on the judge's pictures, if any."""
    tried = {}
    for way in WAYS:
        tried[way] = judge.like(copy(way, ()))
        say(f"ranges by {way}: agreement {tried[way].agreement:.3f}, divergence {tried[way].divergence:.4f}")
    best = min(WAYS, key=lambda way: tried[way].divergence)
    hurts = _hurts(layout, lambda kept: copy(best, kept), judge, say)
    kept: list[str] = []
    like = tried[best]
    if asked is not None:
        for hurt in hurts[:-1]:
            if like.agreement >= asked:
                break
            kept.append(hurt.block)
            like = judge.like(copy(best, kept))
            say(f"{len(kept)} blocks in float32, the last {hurt.block}: agreement {like.agreement:.3f}")
    return Mix(best, tuple(kept), like, tried, hurts)


def _hurts(layout: Layout, copy: Callable[[Collection[str]], bytes], judge: Judge, say: Say) -> tuple[Hurt, ...]:
    """Each block that may be int8, the worst first."""
    blocks: list[Block] = [block for block in layout.blocks if not block.first]
    whole = judge.like(copy(()), at_most=HURT_SAMPLES)
    hurts = []
    for count, block in enumerate(blocks, start=1):
        without = judge.like(copy((block.name,)), at_most=HURT_SAMPLES)
        hurts.append(Hurt(block.name, block.work_share, whole.divergence, without.divergence, without.agreement))
        say(f"block {count} of {len(blocks)}, {block.name}: divergence {without.divergence:.4f} without it")
    return tuple(sorted(hurts, key=lambda hurt: hurt.divergence_without))
