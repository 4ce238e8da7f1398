"""Inputs to try a model with: generated from a seed, or read from a file.

Generated values are those that most models accept: floats from the standard normal distribution, bytes over their whole
range, other integers 0 or 1 (an index or token that any table holds), dynamic axes as assumed in `shapes.py`.
What no rule can guess (strings, a sampling rate, a mask that must fit a length) has to be given.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from hedgerow.errors import EngineError, HostError, UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.graph import Graph
from hedgerow.models.shapes import assumed_axes, assumed_shape
from hedgerow.models.tensors import Array, Tensors, TensorSpec

SIZES = (None, 64, 256, 512, 32)  # of every dynamic axis but first ones, tried in this order; None: as assumed


def generate_inputs(specs: Sequence[TensorSpec], seed: int = 0, axes: Mapping[str, int] | None = None) -> Tensors:
    """One array for each spec; UsageError names an input that cannot be generated."""
    random = np.random.default_rng(seed)
    sizes = assumed_axes((spec.name, spec.shape) for spec in specs) | dict(axes or {})
    return {spec.name: _generate(spec, assumed_shape(spec.shape, sizes), random) for spec in specs}


def generate_working_inputs(graph: Graph, seed: int = 0, axes: Mapping[str, int] | None = None) -> Tensors:
    """Generated inputs on which the model runs whole: dynamic axes as assumed, else the next of `SIZES`.

    EngineError if it runs on none of them, saying what could be given instead.
    """
    with Chain(graph, ()) as chain:
        for size in SIZES:
            sizes = {} if size is None else _all_axes(graph.inputs, size)
            inputs = generate_inputs(graph.inputs, seed, sizes | dict(axes or {}))
            try:
                chain.run(inputs)
                return inputs
            except EngineError as error:
                last = error
    raise EngineError(f"{last}; it may want other inputs (--input) or sizes of dynamic axes (--axis)") from last


def load_inputs(path: Path, specs: Sequence[TensorSpec]) -> Tensors:
    """The arrays of an .npz file, named as the model's inputs; UsageError unless they fit these specs."""
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise UsageError(f"'{path}' holds one array; give an .npz file with an array for each input")
            tensors: Tensors = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise UsageError(f"no input file '{path}'") from error
    except IsADirectoryError as error:
        raise UsageError(f"'{path}' is a directory; give an .npz file") from error
    except OSError as error:
        raise HostError(f"cannot read '{path}': {error.strerror or error}") from error
    except (ValueError, EOFError, BadZipFile) as error:
        raise UsageError(f"'{path}' is not an .npz file of plain arrays") from error
    wanted = {spec.name for spec in specs}
    if set(tensors) != wanted:
        odd = sorted(wanted ^ set(tensors))[0]
        raise UsageError(f"'{path}' {'lacks' if odd in wanted else 'has, but the model lacks,'} an input '{odd}'")
    return {spec.name: _fitted(spec, tensors[spec.name]) for spec in specs}


def _all_axes(specs: Sequence[TensorSpec], size: int) -> dict[str, int]:
    """This size for every symbolic axis that the defaults do not take for a batch."""
    assumed = assumed_axes((spec.name, spec.shape) for spec in specs)
    return {name: size for name, default in assumed.items() if default > 1}


def _generate(spec: TensorSpec, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if spec.dtype == "object":
        raise UsageError(f"input '{spec.name}' cannot be generated (strings, a sequence, or a rare type); give --input")
    kind = np.dtype(spec.dtype)
    if kind.kind == "f":
        return random.standard_normal(shape).astype(kind)
    if kind == np.uint8:
        return random.integers(0, 256, shape, dtype=np.uint8)
    return random.integers(0, 2, shape).astype(kind)


def _fitted(spec: TensorSpec, array: Array) -> Array:
    """The array, checked; text becomes objects, as ONNX Runtime takes strings."""
    if spec.dtype == "object":
        return array.astype(np.object_) if array.dtype.kind == "U" else array
    spec.check(array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UsageError(f"input '{spec.name}' holds NaN or infinite values; clean it")
    return array
