"""A linear code over all places of the features: coarse patterns over the picture first, then axes of channels for each band of them.

The measure is that of `transform.py`. It also differs from place to place (the middle of a photograph matters more than its
edges) and neighbours are alike and add up in the answer. So rows and columns of places get axes of their own, in the measure
averaged over channels; their products are ordered by how much varies in them and cut into bands, each twice as wide as the last or
so; each band has its own axes of channels, in a measure and covariance of its own that lean a little on all the others'. In the end one
step size serves every element. Elements are put in order of their variance, so that a channel of the latent holds elements
that are alike and one table of frequencies fits them. The few that vary so much that their levels would leave the range of a byte are
told in steps of twice, four times... the common size.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.bottleneck.transform import RIDGE
from hedgerow.errors import UsageError

Floats = NDArray[np.float32]
Wide = NDArray[np.float64]
Whole = NDArray[np.int64]

BANDS = 8  # at most
LEANING = 0.2  # of a band's statistics come from all bands together, for a narrow band is seen in few numbers
PLACES_RIDGE = 1e-2
LEADING = 0.25  # of the axes of channels measure what varies over places
CHUNK = 64
GROUP = 64  # elements that share a table


@dataclass(frozen=True, slots=True)
class Band:
    """Patterns `begin` to `end` of those in order, and the channels' axes there: (kept, channels) and back."""

    begin: int
    end: int
    forward: Floats
    backward: Floats


@dataclass(frozen=True, slots=True)
class Places:
    """Features (c, H, W) are taken in patches, x of (d, h, w); the code is `elements` of all bands' rows, one after the other."""

    patch: int
    mean: Floats  # (d, h, w)
    down: Floats  # (h, h), of rows
    across: Floats  # (w, w), of columns
    order: Whole  # of the h * w patterns, the one that varies most first
    bands: tuple[Band, ...]
    elements: Whole  # places in the bands' rows, flat, in order of their variance
    gains: Floats | None = None  # (elements,), what each is multiplied by before it is rounded; None: nothing

    @property
    def up(self) -> Floats:
        """Undoes `down`."""
        return np.linalg.inv(self.down.astype(np.float64)).astype(np.float32)

    @property
    def back(self) -> Floats:
        """Undoes `across`."""
        return np.linalg.inv(self.across.astype(np.float64)).astype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Channels of the latent, and elements in each."""
        group = min(GROUP, len(self.elements))
        return len(self.elements) // group, group

    def apply(self, features: NDArray[np.floating]) -> Floats:
        """(n, c, H, W) -> (n, channels of the latent, elements of each), not yet rounded."""
        found = [self.rows_of(part) for part in _chunks(features)]
        return np.concatenate(found).reshape(len(features), *self.shape)

    def rows_of(self, features: NDArray[np.floating]) -> Floats:
        """(n, c, H, W) -> (n, elements): `apply` for a few pictures at a time."""
        x = patterns(folded(features, self.patch) - self.mean, self.down, self.across, self.order)
        rows = [np.matmul(band.forward, x[:, :, band.begin : band.end]).reshape(len(x), -1) for band in self.bands]
        kept = np.concatenate(rows, axis=1)[:, self.elements]
        return kept if self.gains is None else kept * self.gains

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For np.savez."""
        found: dict[str, NDArray[np.generic]] = {
            "patch": np.array(self.patch),
            "mean": self.mean,
            "down": self.down,
            "across": self.across,
            "order": self.order,
            "elements": self.elements,
            "edges": np.array([self.bands[0].begin, *(band.end for band in self.bands)]),
        }
        for number, band in enumerate(self.bands):
            found |= {f"forward{number}": band.forward, f"backward{number}": band.backward}
        return found

    @classmethod
    def of_arrays(cls, arrays: dict[str, NDArray[np.generic]]) -> "Places":
        """What `arrays` gave."""
        edges = arrays["edges"].astype(int).tolist()
        mean, down, across = (arrays[name].astype(np.float32) for name in ("mean", "down", "across"))
        bands = tuple(
            Band(
                begin,
                end,
                arrays[f"forward{number}"].astype(np.float32),
                arrays[f"backward{number}"].astype(np.float32),
            )
            for number, (begin, end) in enumerate(pairwise(edges))
        )
        order, elements = (arrays[name].astype(np.int64) for name in ("order", "elements"))
        return cls(int(arrays["patch"].item()), mean, down, across, order, bands, elements)


def folded(features: NDArray[np.floating], patch: int) -> Floats:
    """(n, c, H, W) -> (n, patch^2 * c, H / patch, W / patch), the channel fastest: what ONNX calls SpaceToDepth."""
    n, c, height, width = features.shape
    if height % patch or width % patch:
        raise UsageError(
            f"features of {height} x {width} places cannot be taken in patches of {patch}; choose a divisor"
        )
    parts = features.astype(np.float32).reshape(n, c, height // patch, patch, width // patch, patch)
    found: Floats = parts.transpose(0, 3, 5, 1, 2, 4).reshape(n, c * patch * patch, height // patch, width // patch)
    return found


def patterns(x: Floats, down: Floats, across: Floats, order: Whole) -> Floats:
    """(n, d, h, w) -> (n, d, h * w)."""
    turned: Floats = np.matmul(np.matmul(down, x), across.T)
    return turned.reshape(*x.shape[:2], -1)[:, :, order]


def fit(features: NDArray[np.floating], gradients: NDArray[np.floating], patch: int) -> Places:
    """From features and gradients of equal shape (n, c, H, W); every element is kept. UsageError where no gradient is."""
    total: Wide = np.sum([folded(part, patch).sum(axis=0, dtype=np.float64) for part in _chunks(features)], axis=0)
    mean = (total / len(features)).astype(np.float32)
    varies, matters = _moments(features, patch, mean), _moments(gradients, patch, None)
    if not np.isfinite(matters).all() or not matters.trace() > 0:
        raise UsageError("the answer does not depend on the features at this cut; choose another")
    forward, backward, variances = axes(varies, matters, RIDGE)
    leading = max(1, round(LEADING * len(forward)))
    widths = np.sqrt(variances[:leading] + 1e-12)[:, None]
    turn, slope = (forward[:leading] / widths).astype(np.float32), backward[:, :leading].T.astype(np.float32)
    (down, up), (across, back) = (_along(features, gradients, patch, mean, turn, slope, axis) for axis in (2, 3))
    order = _order(features, patch, mean, turn, down, across)
    edges = _edges(len(order))
    varies_each, matters_each = (
        _banded(_each(features, patch, mean, down, across, order), edges),
        _banded(_each(gradients, patch, None, up.T, back.T, order), edges),
    )
    bands = _bands(varies_each, matters_each, edges)
    places = Places(patch, mean, down, across, order, bands, np.arange(len(order) * len(mean)))
    return _kept(places, features, [len(mean)] * len(bands))


def fewer(places: Places, features: NDArray[np.floating], *, elements: int, least: float) -> Places:
    """With at most `elements` elements, of rows with a variance of at least `least` on `features` (n, c, H, W): those that vary
    most. Each band keeps its first row, so `elements` must be at least h * w."""
    rows = _variances(places, features)
    tallies = [_row_variances(places, rows, number)[1:] for number in range(len(places.bands))]
    ranked = sorted(((value, number) for number, tally in enumerate(tallies) for value in tally.tolist()), reverse=True)
    counts = [1] * len(places.bands)
    left = elements - places.bands[-1].end
    for value, number in ranked:
        wide = places.bands[number].end - places.bands[number].begin
        if value < least:
            break
        if wide <= left:
            counts[number] += 1
            left -= wide
    return _kept(places, features, counts)


def restrained(places: Places, features: NDArray[np.floating], *, most: float) -> Places:
    """With gains of 1, 1/2, 1/4... so that no element of these features (n, c, H, W) is beyond `most`; in order of what varies then."""
    peak = np.max([np.abs(places.rows_of(part)).max(axis=0) for part in _chunks(features)], axis=0)
    gains = np.exp2(-np.ceil(np.log2(np.maximum(peak / most, 1.0))))
    ranked = np.argsort(-_variances(places, features)[places.elements] * gains**2, kind="stable")
    return replace(places, elements=places.elements[ranked], gains=gains[ranked].astype(np.float32))


def _kept(places: Places, features: NDArray[np.floating], counts: list[int]) -> Places:
    """The first rows of each band, with their elements in order of their variance."""
    bands = tuple(
        Band(band.begin, band.end, band.forward[:count], band.backward[:, :count])
        for band, count in zip(places.bands, counts, strict=True)
    )
    total = sum(len(band.forward) * (band.end - band.begin) for band in bands)
    whole = Places(places.patch, places.mean, places.down, places.across, places.order, bands, np.arange(total))
    ranked = np.argsort(-_variances(whole, features), kind="stable")
    kept = total if total < GROUP else total // GROUP * GROUP
    return Places(places.patch, places.mean, places.down, places.across, places.order, bands, ranked[:kept])


def _variances(places: Places, features: NDArray[np.floating]) -> Wide:
    """Of each element, in the bands' order."""
    parts = [np.square(places.rows_of(part), dtype=np.float64).sum(axis=0) for part in _chunks(features)]
    found: Wide = np.zeros(int(places.elements.max()) + 1)
    found[places.elements] = np.sum(parts, axis=0) / len(features)
    return found


def _row_variances(places: Places, variances: Wide, number: int) -> Wide:
    """The mean variance of each row of a band."""
    sizes = [len(band.forward) * (band.end - band.begin) for band in places.bands]
    begin = sum(sizes[:number])
    found: Wide = variances[begin : begin + sizes[number]].reshape(len(places.bands[number].forward), -1).mean(axis=1)
    return np.minimum.accumulate(found)  # a band keeps its first rows


def axes(varies: Wide, matters: Wide, ridge: float) -> tuple[Wide, Wide, Wide]:
    """(forward, backward, variances): principal components of `varies` in the measure `matters`, both (d, d), the widest first."""
    root, inverse = roots(matters, ridge)
    variances, vectors = np.linalg.eigh(root @ varies @ root)
    ranked = np.argsort(variances)[::-1]
    vectors = vectors[:, ranked]
    return vectors.T @ root, inverse @ vectors, np.maximum(variances[ranked], 0)


def roots(matters: Wide, ridge: float) -> tuple[Wide, Wide]:
    """The square root of a measure (d, d) and its inverse; directions that no gradient touched still count a little: `ridge` of the
    mean."""
    values, vectors = np.linalg.eigh(matters + np.eye(len(matters)) * matters.trace() / len(matters) * ridge)
    root, inverse = ((vectors * np.sqrt(values) ** sign) @ vectors.T for sign in (1, -1))
    return root, inverse


def _chunks(features: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    return (features[at : at + CHUNK] for at in range(0, len(features), CHUNK))


def _moments(features: NDArray[np.floating], patch: int, mean: Floats | None) -> Wide:
    """Second moments of channels, over all places."""
    total: Wide = np.zeros(())
    for part in _chunks(features):
        rows = _flat(folded(part, patch) - (0 if mean is None else mean))
        total = total + (rows @ rows.T).astype(np.float64)
    return total / len(features)


def _flat(x: Floats) -> Floats:
    """(n, d, ...) -> (d, all)."""
    return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)


def _along(
    features: NDArray[np.floating],
    gradients: NDArray[np.floating],
    patch: int,
    mean: Floats,
    turn: Floats,
    slope: Floats,
    axis: int,
) -> tuple[Floats, Floats]:
    """(forward, backward) of the places along an axis, in the measure of the leading channels."""
    moments = []
    for source, middle, matrix in ((features, mean, turn), (gradients, 0, slope)):
        total: Wide = np.zeros(())
        for part in _chunks(source):
            turned = np.einsum("kd,ndhw->nkhw", matrix, folded(part, patch) - middle, optimize=True)
            rows = np.moveaxis(turned, axis, 0).reshape(turned.shape[axis], -1)
            total = total + (rows @ rows.T).astype(np.float64)
        moments.append(total / total.trace() * len(total))
    forward, backward, _ = axes(moments[0], moments[1], PLACES_RIDGE)
    return forward.astype(np.float32), backward.astype(np.float32)


def _order(
    features: NDArray[np.floating], patch: int, mean: Floats, turn: Floats, down: Floats, across: Floats
) -> Whole:
    """The patterns by falling variance of the leading channels."""
    plain = np.arange(mean.shape[1] * mean.shape[2])
    total: Wide = np.zeros(len(plain))
    for part in _chunks(features):
        x = patterns(folded(part, patch) - mean, down, across, plain)
        total += np.square(np.matmul(turn, x), dtype=np.float64).sum(axis=(0, 1))
    return np.argsort(-total, kind="stable")


def _edges(places: int) -> list[int]:
    """Where bands begin and the last ends: 0, 1, then by equal factors."""
    return sorted({0, *np.rint(np.geomspace(1, places, BANDS)).astype(int).tolist()})


def _each(
    features: NDArray[np.floating], patch: int, mean: Floats | None, down: Floats, across: Floats, order: Whole
) -> Iterator[Floats]:
    for part in _chunks(features):
        yield patterns(folded(part, patch) - (0 if mean is None else mean), down, across, order)


def _banded(parts: Iterator[Floats], edges: list[int]) -> list[Wide]:
    """Second moments of channels in each band, a place."""
    totals: list[Wide] = [np.zeros(()) for _ in edges[1:]]
    for part in parts:
        for number, (begin, end) in enumerate(pairwise(edges)):
            rows = _flat(part[:, :, begin:end])
            totals[number] = totals[number] + (rows @ rows.T).astype(np.float64) / (end - begin)
    return totals


def _bands(varies: list[Wide], matters: list[Wide], edges: list[int]) -> tuple[Band, ...]:
    """A step size serves all bands, so the measure keeps its size; only its directions lean on the others."""
    spans = pairwise(edges)
    widths = np.diff(edges)
    shared = [
        np.sum([each * width for each, width in zip(all_of, widths, strict=True)], axis=0)
        for all_of in (varies, matters)
    ]
    found = []
    for span, *own in zip(spans, varies, matters, strict=True):
        leant = [
            (1 - LEANING) * mine + LEANING * of_all * (mine.trace() / of_all.trace())
            for mine, of_all in zip(own, shared, strict=True)
        ]
        forward, backward, _ = axes(leant[0], leant[1], RIDGE)
        found.append(Band(*span, forward.astype(np.float32), backward.astype(np.float32)))
    return tuple(found)
