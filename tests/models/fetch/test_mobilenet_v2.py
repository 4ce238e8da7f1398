"""MobileNetV2's builder against the plain NumPy network of the oracle."""

import numpy as np
import onnxruntime
import pytest

from hedgerow.models.fetch import mobilenet_v2
from tests.models.fetch.small_networks import SIDE_PX, small_mobilenet_v2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_narrow_network_gives_the_oracles_logits(seed: int) -> None:
    small = small_mobilenet_v2(seed)
    model = mobilenet_v2.build(small.state, name="small", size_px=SIDE_PX, source="random", strides=(1, 2, 1))
    pictures = np.random.default_rng(seed).normal(0, 1, (2, 3, SIDE_PX, SIDE_PX)).astype(np.float32)
    (logits,) = onnxruntime.InferenceSession(model).run(None, {"input": pictures})
    expected = np.stack([small.logits(picture.astype(np.float64)) for picture in pictures])
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_the_published_depth_is_seventeen_blocks_that_shrink_the_picture_to_a_thirty_second() -> None:
    assert len(mobilenet_v2.STRIDES) == 17
    assert 2 * np.prod(mobilenet_v2.STRIDES) == 32
