"""Prove that a model may be cut: run it whole, then as head and tail cut apart at every candidate, and compare.

A cut is *wrong* where an output differs in shape, in dtype, in which values are finite, or by more than 1e-4 of the
largest magnitude of that output as computed whole. Smaller differences are the runtime's: it fuses other nodes when
the graph ends elsewhere. Head and tail are loaded from separately extracted models, on the engine that serves.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hedgerow.errors import EngineError, UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.cuts import Cut, find_cuts
from hedgerow.models.graph import Graph
from hedgerow.models.samples import generate_working_inputs
from hedgerow.models.split import Piece, split
from hedgerow.models.tensors import Array, Tensors

RELATIVE_MAX = 1e-4
_TINY = float(np.finfo(np.float32).tiny)

Splitter = Callable[[Graph, Sequence[Cut]], Iterable[Piece]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One comparison: bit-equal or not, the largest difference over the largest magnitude of that output (None where
    the two cannot be compared), whether the largest element of every output is in the same place, and what is wrong
    ("" if nothing)."""

    bit_equal: bool
    relative: float | None
    top1_agrees: bool
    wrong: str


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict on each cut tried, in order; `candidates` counts those there are."""

    candidates: int
    verdicts: tuple[tuple[Cut, Verdict], ...]

    def to_dict(self) -> dict[str, int | float | None]:
        """Counts of cuts tried, bit-equal, with the same top-1 and wrong; and the worst relative difference."""
        relatives = [verdict.relative for _, verdict in self.verdicts if verdict.relative is not None]
        return {
            "cuts": len(self.verdicts),
            "bit_equal": sum(verdict.bit_equal for _, verdict in self.verdicts),
            "worst_relative": max(relatives, default=None),
            "top1_agree": sum(verdict.top1_agrees for _, verdict in self.verdicts),
            "wrong": len(self.wrong),
        }

    @property
    def wrong(self) -> list[tuple[Cut, str]]:
        """The cuts that are wrong, each with what is."""
        return [(cut, verdict.wrong) for cut, verdict in self.verdicts if verdict.wrong]


def verify(
    graph: Graph,
    inputs: Tensors | None = None,
    *,
    k: int = 1,
    seed: int = 0,
    axes: Mapping[str, int] | None = None,
    limit: int | None = None,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
    splitter: Splitter = split,
) -> Report:
    """Try candidates of 1..k tensors (at most `limit`, spread over the depth), telling `progress(done, of)` of each.

    Without `inputs` they are generated from `seed`, with `axes` for the sizes of dynamic axes. Without candidates
    the model is loaded whole and nothing is run.

    EngineError if the model does not run whole on these inputs, or draws random numbers (no two runs are equal).
    """
    cuts = find_cuts(graph, k)
    chosen = _spread(cuts, limit)
    if not chosen:
        Chain(graph, (), threads=threads).close()
        return Report(candidates=0, verdicts=())
    if graph.random_operators:
        raise EngineError(f"the model draws random numbers ({graph.random_operators[0]}): no two runs of it can agree")
    inputs = generate_working_inputs(graph, seed, axes) if inputs is None else inputs
    with Chain(graph, (), threads=threads) as chain:
        whole = chain.run(inputs).tensors
    verdicts = []
    for count, cut in enumerate(chosen, start=1):
        verdicts.append((cut, _try_cut(graph, cut, inputs, whole, threads, splitter)))
        if progress is not None:
            progress(count, len(chosen))
    return Report(candidates=len(cuts), verdicts=tuple(verdicts))


def compare(whole: Tensors, pieced: Tensors) -> Verdict:
    """The verdict on two sets of outputs with the same names."""
    verdicts = [_compare_values(name, whole[name], pieced[name]) for name in whole]
    relatives = [verdict.relative for verdict in verdicts if verdict.relative is not None]
    return Verdict(
        bit_equal=all(verdict.bit_equal for verdict in verdicts),
        relative=max(relatives, default=None),
        top1_agrees=all(verdict.top1_agrees for verdict in verdicts),
        wrong="; ".join(verdict.wrong for verdict in verdicts if verdict.wrong),
    )


def _spread(cuts: list[Cut], limit: int | None) -> list[Cut]:
    """At most `limit` of the cuts, evenly from first to last."""
    if limit is None or limit >= len(cuts):
        return cuts
    if limit < 1:
        raise UsageError(f"the limit must be at least 1 cut, not {limit}")
    return [cuts[index * len(cuts) // limit] for index in range(limit)]


def _try_cut(graph: Graph, cut: Cut, inputs: Tensors, whole: Tensors, threads: int, splitter: Splitter) -> Verdict:
    """Load head and tail and compare; a piece that does not load or run is wrong, not an error of the check."""
    try:
        with Chain(graph, (cut,), splitter(graph, (cut,)), threads=threads) as chain:
            return compare(whole, chain.run(inputs).tensors)
    except EngineError as error:
        return Verdict(bit_equal=False, relative=None, top1_agrees=False, wrong=str(error))


def _compare_values(name: str, whole: object, pieced: object) -> Verdict:
    """Arrays, or the lists and dictionaries of them that sequences and maps come as."""
    left, right = list(_arrays(whole)), list(_arrays(pieced))
    if len(left) != len(right):
        return Verdict(False, None, False, f"output '{name}' has {len(right)} parts, not {len(left)}")
    parts = [_compare_arrays(name, one, other) for one, other in zip(left, right, strict=True)]
    relatives = [part.relative for part in parts if part.relative is not None]
    wrong = next((part.wrong for part in parts if part.wrong), "")
    return Verdict(
        all(part.bit_equal for part in parts),
        max(relatives, default=None),
        all(part.top1_agrees for part in parts),
        wrong,
    )


def _arrays(value: object) -> Iterator[Array]:
    if isinstance(value, dict):
        yield from (array for key in value for array in _arrays([key, value[key]]))
    elif isinstance(value, list | tuple):
        yield from (array for item in value for array in _arrays(item))
    else:
        yield np.asarray(value)


def _compare_arrays(name: str, whole: Array, pieced: Array) -> Verdict:
    if whole.shape != pieced.shape or whole.dtype != pieced.dtype:
        wrong = f"output '{name}' is {pieced.dtype}{list(pieced.shape)}, not {whole.dtype}{list(whole.shape)}"
        return Verdict(False, None, False, wrong)
    if whole.dtype.kind not in "fiub":
        equal = bool(np.array_equal(whole, pieced))
        return Verdict(equal, 0.0 if equal else None, equal, "" if equal else f"output '{name}' has other values")
    if whole.tobytes() == pieced.tobytes():
        return Verdict(True, 0.0, True, "")
    left, right = whole.astype(np.float64), pieced.astype(np.float64)
    finite = np.isfinite(left)
    agrees = _top1_agrees(left, right)
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True) or not np.isfinite(right[finite]).all():
        return Verdict(False, None, agrees, f"output '{name}' is finite in other places")
    relative = _relative(left[finite], right[finite])
    wrong = f"output '{name}' differs by {relative:.1e} of its largest value" if relative > RELATIVE_MAX else ""
    return Verdict(False, relative, agrees, wrong)


def _relative(whole: NDArray[np.float64], pieced: NDArray[np.float64]) -> float:
    """max|difference| / max|whole|, over at least one value that differs in bits (perhaps only in a zero's sign)."""
    difference = float(np.abs(whole - pieced).max(initial=0.0))
    return difference / max(float(np.abs(whole).max(initial=0.0)), _TINY)


def _top1_agrees(whole: Array, pieced: Array) -> bool:
    """Whether the largest element along the last axis of `pieced` is one of the largest of `whole` everywhere."""
    if whole.ndim == 0 or whole.shape[-1] < 2 or not whole.size:
        return True
    chosen = np.take_along_axis(whole, np.argmax(pieced, axis=-1, keepdims=True), axis=-1)
    return bool(np.array_equal(chosen, whole.max(axis=-1, keepdims=True), equal_nan=True))
