"""EfficientNet-Lite's builder against the plain NumPy network of the oracle, and its padding against known values."""

import numpy as np
import onnxruntime
import pytest

from hedgerow.models.fetch import efficientnet_lite
from tests.models.fetch.oracle import same_pads
from tests.models.fetch.small_networks import SMALL_STAGES, small_efficientnet_lite


@pytest.mark.parametrize("side_px", [32, 33, 34, 36])
def test_a_narrow_network_gives_the_oracles_logits_at_even_and_odd_sides(side_px: int) -> None:
    small = small_efficientnet_lite()
    model = efficientnet_lite.build(small.state, name="small", size_px=side_px, source="random", stages=SMALL_STAGES)
    pictures = np.random.default_rng(3).normal(0, 1, (2, 3, side_px, side_px)).astype(np.float32)
    (logits,) = onnxruntime.InferenceSession(model).run(None, {"input": pictures})
    expected = np.stack([small.logits(picture.astype(np.float64)) for picture in pictures])
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "pads", "result"),
    [
        (260, 3, 2, (0, 1), 130),  # the odd pixel goes after
        (65, 5, 2, (2, 2), 33),
        (130, 3, 2, (0, 1), 65),
        (17, 5, 2, (2, 2), 9),
        (9, 3, 1, (1, 1), 9),
        (8, 1, 1, (0, 0), 8),
    ],
)
def test_same_padding_by_hand(side: int, kernel: int, stride: int, pads: tuple[int, int], result: int) -> None:
    assert efficientnet_lite.same_padding(side, kernel=kernel, stride=stride) == (pads, result)


def test_same_padding_follows_the_documented_rule() -> None:
    for side in range(1, 80):
        for kernel in (1, 3, 5, 7):
            for stride in (1, 2, 3):
                pads, _ = efficientnet_lite.same_padding(side, kernel=kernel, stride=stride)
                assert pads == same_pads(side, kernel, stride)


def test_lite2_has_twenty_one_blocks() -> None:
    assert sum(blocks for blocks, _, _ in efficientnet_lite.LITE2_STAGES) == 21
