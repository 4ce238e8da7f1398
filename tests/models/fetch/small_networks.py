"""Random weights of narrow networks in the layouts of the two checkpoints, with the oracle's view of each."""

from dataclasses import dataclass

import numpy as np

from tests.models.fetch.oracle import Floats, Layer, State, random_classifier, random_layer, run_network

CLASSES = 7
SIDE_PX = 33


@dataclass(frozen=True)
class Small:
    """Random weights and how the oracle runs them."""

    state: State
    stem: Layer
    blocks: tuple[tuple[Layer, ...], ...]
    head: Layer
    classifier: str
    epsilon: float
    symmetric: bool

    def logits(self, x: Floats) -> Floats:
        """The oracle's answer for one picture."""
        return run_network(
            x,
            self.state,
            stem=self.stem,
            blocks=self.blocks,
            head=self.head,
            classifier=self.classifier,
            epsilon=self.epsilon,
            symmetric=self.symmetric,
        )


def _fill(state: State, rng: np.random.Generator, layers: list[tuple[Layer, int, int]]) -> None:
    for (weight, norm, kernel, _stride), outputs, inputs in layers:
        random_layer(state, rng, (weight, norm), (outputs, inputs, kernel, kernel))


def small_mobilenet_v2(seed: int = 1) -> Small:
    """Blocks of widths 3, 5, 5 (the last one residual) with strides 1, 2, 1 after a stem of 4."""
    state: State = {}
    stem: Layer = ("features.0.0.weight", "features.0.1", 3, 2)
    first: tuple[Layer, ...] = (
        ("features.1.conv.0.0.weight", "features.1.conv.0.1", 3, 1),
        ("features.1.conv.1.weight", "features.1.conv.2", 1, 1),
    )
    layers: list[tuple[Layer, int, int]] = [(stem, 4, 3), (first[0], 4, 1), (first[1], 3, 4)]
    blocks = [first]
    for number, (width, wide, wider, stride) in enumerate(((3, 6, 5, 2), (5, 10, 5, 1)), start=2):
        prefix = f"features.{number}.conv"
        block: tuple[Layer, ...] = (
            (f"{prefix}.0.0.weight", f"{prefix}.0.1", 1, 1),
            (f"{prefix}.1.0.weight", f"{prefix}.1.1", 3, stride),
            (f"{prefix}.2.weight", f"{prefix}.3", 1, 1),
        )
        layers += [(block[0], wide, width), (block[1], wide, 1), (block[2], wider, wide)]
        blocks.append(block)
    head: Layer = ("features.4.0.weight", "features.4.1", 1, 1)
    rng = np.random.default_rng(seed)
    _fill(state, rng, [*layers, (head, 8, 5)])
    random_classifier(state, rng, "classifier.1", CLASSES, 8)
    return Small(state, stem, tuple(blocks), head, "classifier.1", 1e-5, symmetric=True)


# (blocks, kernel, first stride): even and odd sides, kernels of 3 and 5, a residual block
SMALL_STAGES = ((1, 3, 1), (2, 5, 2), (1, 3, 2))


def small_efficientnet_lite(seed: int = 2) -> Small:
    """Blocks of widths 3, 5, 5, 6 after a stem of 4, as in SMALL_STAGES."""
    state: State = {}
    stem: Layer = ("_conv_stem.weight", "_bn0", 3, 2)
    layers: list[tuple[Layer, int, int]] = [(stem, 4, 3)]
    blocks = []
    plan = ((4, 4, 3, 3, 1), (3, 9, 5, 5, 2), (5, 10, 5, 5, 1), (5, 10, 6, 3, 2))
    for index, (width, wide, wider, kernel, stride) in enumerate(plan):
        prefix = f"_blocks.{index}"
        expand: Layer = (f"{prefix}._expand_conv.weight", f"{prefix}._bn0", 1, 1)
        depthwise: Layer = (f"{prefix}._depthwise_conv.weight", f"{prefix}._bn1", kernel, stride)
        project: Layer = (f"{prefix}._project_conv.weight", f"{prefix}._bn2", 1, 1)
        layers += [(depthwise, wide, 1), (project, wider, wide)]
        if index > 0:
            layers.append((expand, wide, width))
        blocks.append((expand, depthwise, project) if index > 0 else (depthwise, project))
    head: Layer = ("_conv_head.weight", "_bn1", 1, 1)
    rng = np.random.default_rng(seed)
    _fill(state, rng, [*layers, (head, 8, 6)])
    random_classifier(state, rng, "_fc", CLASSES, 8)
    return Small(state, stem, tuple(blocks), head, "_fc", 1e-3, symmetric=False)
