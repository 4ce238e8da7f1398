"""How much a frame differs from an earlier one of the same camera: one cheap figure, for reusing an answer while it is small.

A frame is summed up as the mean luminance of ROWS x COLUMNS blocks, which averages a sensor's noise away; what differs between
two summaries is taken apart into brightness as a whole (a cloud, an exposure step: left out) and the rest, block by block. The
figure is the mean over the AREA x AREA blocks that changed most, so that a small thing which enters counts as much as in a frame
where all else moves, divided by the earlier frame's own contrast plus a floor: 0 is the same picture, 1 another one. That again is
divided by how sure the earlier answer was: a sure one bears more change than one that might be tipped by a breath.
It is a ratio without a unit; what it means for a model's answers is calibrated (adaptation/reusing.py).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hedgerow.models.preparation import FRAME
from hedgerow.models.tensors import Tensors

ROWS: Final = 24
COLUMNS: Final = 32
AREA: Final = 4  # 4 x 4 of the 24 x 32 blocks: a fiftieth of the picture
FLOOR: Final = 4.0  # of 255: a picture of less contrast than this is as good as blank
Looks = NDArray[np.float32]
"""A frame's summary."""
SURE_MIN: Final = 0.05  # below this an answer is as good as a guess
_WEIGHTS: Final = np.array([0.299, 0.587, 0.114], np.float32)  # of R, G and B in luminance (ITU-R BT.601)
_SIDE_MAX: Final = 192  # of larger frames every n-th row and column is looked at


def summary(sample: Tensors) -> Looks | None:
    """Mean luminance (0 to 255) of the blocks, float32 (ROWS, COLUMNS); None where the sample is no frame or smaller than that."""
    frame = sample.get(FRAME)
    if frame is None or frame.ndim != 3 or frame.shape[0] < ROWS or frame.shape[1] < COLUMNS:
        return None
    step = max(1, min(frame.shape[:2]) // _SIDE_MAX)
    thin = frame[::step, ::step]
    sums = np.add.reduceat(thin, _starts(thin.shape[0], ROWS), axis=0, dtype=np.uint32)
    blocks = np.add.reduceat(sums, _starts(thin.shape[1], COLUMNS), axis=1).astype(np.float32)
    pixels = np.outer(_lengths(thin.shape[0], ROWS), _lengths(thin.shape[1], COLUMNS)).astype(np.float32)
    found: Looks = (blocks @ _WEIGHTS) / pixels
    return found


def change(before: Looks, after: Looks, sure: float = 1.0) -> float:
    """How much the frame of summary `after` differs from that of `before`, which was answered with confidence `sure` (0 to 1); not
    negative."""
    difference = after - before
    squares = np.square(difference - difference.mean())
    sums = np.cumsum(np.cumsum(np.pad(squares, ((1, 0), (1, 0))), axis=0), axis=1)
    areas = sums[AREA:, AREA:] - sums[:-AREA, AREA:] - sums[AREA:, :-AREA] + sums[:-AREA, :-AREA]
    most = max(0.0, float(areas.max())) / AREA**2
    return float(np.sqrt(most) / (float(before.std()) + FLOOR) / max(sure, SURE_MIN))


def _starts(length: int, parts: int) -> NDArray[np.int64]:
    return np.arange(parts) * length // parts


def _lengths(length: int, parts: int) -> NDArray[np.int64]:
    return np.diff(np.arange(parts + 1) * length // parts)
