"""Axes along which few bits tell what matters: principal components in the measure of the answer's sensitivity.

Near the features x of one picture, the Kullback-Leibler divergence of the answer from the uncut one is about d' F d / 2 for a
change d, with F = E[g g'] over gradients g of log p(y), y drawn from the model's own answer. Averaged over pictures and places
it is one matrix H for every patch of p x p places, so sqrt(H) x is measured in units in which every direction matters alike.
There the principal components are rotated in, and one step size serves all of them (Goyal, "Theoretical foundations of transform
coding", 2001: reverse water-filling). Axis 0 matters most; the divergence of an error e in these axes is about |e|^2 / 2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import UsageError

Floats = NDArray[np.float32]

RIDGE = 1e-3  # of the mean sensitivity: directions that no gradient touched still count a little
THETA = (
    0.0  # of a step by which values round towards 0 earlier; 0.1 cost 10 % more divergence at equal bytes after block 9
)
LEVEL_MAX = 127
KEPT_VARIANCE = 0.01  # axes with less than this, in squared steps at the finest scale, are left out of the latent
ENVELOPE_BYTES = 48  # of a payload: header, checksum, the coder's state


@dataclass(frozen=True, slots=True)
class Transform:
    """Patches of `patch` x `patch` places of `channels` channels, d = channels * patch^2 values: z = forward (x - mean)."""

    patch: int
    mean: Floats  # (d,)
    forward: Floats  # (d, d)
    backward: Floats  # (d, d)
    variances: Floats  # (d,) of z, falling

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For np.savez."""
        return {
            "patch": np.array(self.patch),
            "mean": self.mean,
            "forward": self.forward,
            "backward": self.backward,
            "variances": self.variances,
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> "Transform":
        """What `arrays` gave."""
        mean, forward, backward, variances = (
            arrays[name].astype(np.float32) for name in ("mean", "forward", "backward", "variances")
        )
        return cls(int(arrays["patch"]), mean, forward, backward, variances)

    def apply(self, features: Floats) -> Floats:
        """(n, channels, height, width) -> z (n, d, height / patch, width / patch)."""
        z: Floats = np.einsum(
            "kd,ndhw->nkhw", self.forward, patches(features, self.patch) - self.mean[:, None, None], optimize=True
        )
        return z


def patches(features: Floats, patch: int) -> Floats:
    """(n, c, h, w) -> (n, c * patch^2, h / patch, w / patch), the channel slowest, then row, then column."""
    n, c, h, w = features.shape
    if h % patch or w % patch:
        raise UsageError(f"features of {h} x {w} places cannot be taken in patches of {patch}; choose a divisor")
    parts = features.reshape(n, c, h // patch, patch, w // patch, patch)
    folded: Floats = parts.transpose(0, 1, 3, 5, 2, 4).reshape(n, c * patch * patch, h // patch, w // patch)
    return np.ascontiguousarray(folded)


def fit(features: Floats, gradients: Floats, patch: int) -> Transform:
    """From features and gradients of equal shape (n, channels, height, width)."""
    rows = np.moveaxis(patches(features, patch), 1, 0).reshape(features.shape[1] * patch**2, -1).astype(np.float64)
    slopes = np.moveaxis(patches(gradients, patch), 1, 0).reshape(len(rows), -1).astype(np.float64)
    mean = rows.mean(axis=1)
    rows -= mean[:, None]
    covariance = rows @ rows.T / rows.shape[1]
    measure = slopes @ slopes.T / slopes.shape[1]
    if not np.isfinite(measure).all() or not measure.trace() > 0:
        raise UsageError("the answer does not depend on the features at this cut; choose another")
    measure += np.eye(len(measure)) * measure.trace() / len(measure) * RIDGE
    values, vectors = np.linalg.eigh(measure)
    root, inverse = ((vectors * np.sqrt(values) ** sign) @ vectors.T for sign in (1, -1))
    variances, axes = np.linalg.eigh(root @ covariance @ root)
    order = np.argsort(variances)[::-1]
    axes, variances = axes[:, order], np.maximum(variances[order], 0)
    single = [each.astype(np.float32) for each in (mean, axes.T @ root, inverse @ axes, variances)]
    return Transform(patch, *single)


def rounded(steps: Floats) -> NDArray[np.int64]:
    """The levels of values given in steps; what the exported encoder does."""
    levels = np.sign(steps) * np.floor(np.abs(steps) + np.float32(0.5 - THETA))
    found: NDArray[np.int64] = np.clip(levels, -LEVEL_MAX, LEVEL_MAX).astype(np.int64)
    return found


def expected_bytes(levels: NDArray[np.int64]) -> float:
    """Bytes a sample of levels (n, channels, h, w) at the entropy of each channel: what tables a channel come near to."""
    bits = 0.0
    for channel in range(levels.shape[1]):
        _, counts = np.unique(levels[:, channel], return_counts=True)
        share = counts / counts.sum()
        bits += float(-(counts * np.log2(share)).sum())
    return bits / 8 / len(levels)


def coded_bytes(payload_bytes: int) -> int:
    """What the coder may take of a payload of so many bytes."""
    return max(payload_bytes - ENVELOPE_BYTES, 16)


def step_for(values: Floats, bytes_wanted: float) -> float:
    """The step at which values (n, channels, h, w) cost this many bytes a sample, found by halving."""
    low, high = 1e-6 * float(np.abs(values).max()), float(np.abs(values).max())
    for _ in range(24):
        step = float(np.sqrt(low * high))
        low, high = (step, high) if expected_bytes(rounded(values / np.float32(step))) > bytes_wanted else (low, step)
    return float(np.sqrt(low * high))
