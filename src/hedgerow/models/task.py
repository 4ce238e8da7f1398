"""A task: one question that several models answer, read from a TOML file or made of a single model.

Rules: everything that can be wrong in the file is found when it is loaded, and named with file and key; a sample is checked
whole before anything runs; answers are compared by meaning (the same label), or by value where there is no label.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hedgerow.errors import EngineError, UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.facts import model_facts
from hedgerow.models.frames import load_frame
from hedgerow.models.kin import check_kin, kept_joints
from hedgerow.models.preparation import FRAME, Preparation
from hedgerow.models.tensors import Array, Tensors, TensorSpec

KINDS = ("classification", "tensors")
AGREEMENT_TOLERANCE = 1e-3  # of the largest magnitude in the other answer
PROBABILITY_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class TaskModel:
    """One model of a task: where it lies, how a raw sample becomes its input, and the joints its live chain may keep.

    A branch goes on from joint `after` of the model `trunk` (its preparation is the trunk's, `inputs` what is alive there);
    `precision_of` names the model of which this is a copy in another precision. From a confidence of `gate` on its answer may
    stand without asking further; its scores divided by `temperature` give calibrated probabilities. See `models/kin.py`.
    """

    name: str
    path: Path
    preparation: Preparation | None
    joints: tuple[str, ...]
    model_id: str  # SHA-256 (hex) of the model's bytes
    inputs: tuple[TensorSpec, ...]  # of the model itself, after the preparation
    outputs: tuple[TensorSpec, ...]
    trunk: str = ""
    after: str = ""
    precision_of: str = ""
    gate: float | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What outputs mean; all None where the task has no labels to choose from."""

    label_index: int | None
    label: str | None
    confidence: float | None  # softmax probability, 0 to 1


@dataclass(frozen=True, slots=True)
class Task:
    """Models of one question, `reference` naming the one whose answer counts as right."""

    name: str
    kind: str
    models: tuple[TaskModel, ...]
    reference: str
    labels: tuple[str, ...] = ()
    task_id: str = field(init=False)  # SHA-256 (hex) of what decides an answer; joints and paths do not

    def __post_init__(self) -> None:
        self._check()
        models = [_deciding(model) for model in self.models]
        text = json.dumps([self.name, self.kind, self.reference, self.labels, models], separators=(",", ":"))
        object.__setattr__(self, "task_id", hashlib.sha256(text.encode()).hexdigest())

    @classmethod
    def load(cls, path: str | Path) -> "Task":
        """The task in the TOML file at `path`; UsageError, naming file and key, for anything wrong in it."""
        from hedgerow.models.task_file import read_task_file  # it builds on Task

        return read_task_file(Path(path))

    @classmethod
    def of_model(cls, path: str | Path, *, joints: tuple[str, ...] = ()) -> "Task":
        """A model alone: a task of one, which takes and gives the model's own tensors."""
        file = Path(path)
        facts = model_facts(file)
        model = TaskModel(file.stem, file, None, joints, facts.model_id, facts.inputs, facts.outputs)
        return cls(file.stem, "tensors", (model,), file.stem)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What a sample holds: one frame where the models have preparations, else the reference's own inputs."""
        model = self.model(self.reference)
        trunk = self.model(model.trunk) if model.trunk else model
        return trunk.inputs if model.preparation is None else model.preparation.input_spec

    def model(self, name: str) -> TaskModel:
        """The model of that name; UsageError listing the names there are."""
        for model in self.models:
            if model.name == name:
                return model
        known = ", ".join(model.name for model in self.models)
        raise UsageError(f"task '{self.name}' has no model '{name}'; it has {known}")

    def joints(self, name: str) -> tuple[str, ...]:
        """The joints that the model's live chain keeps, by depth: of a branch the trunk's up to its own, then its own."""
        found = kept_joints(self.model(name), {model.name: model for model in self.models})
        return tuple(joint for joint, _ in found)

    def open(self, name: str, threads: int = 1) -> Chain:
        """The live chain of one model, cut at its joints."""
        model = self.model(name)
        if not model.trunk:
            return Chain.open(model.path, joints=model.joints, preparation=model.preparation, threads=threads)
        with self.open(model.trunk, threads) as trunk:
            return Chain.open_branch(model.path, trunk, model.after, joints=model.joints, threads=threads)

    def open_all(self, threads: int = 1, *, opened: Callable[[str, float], None] | None = None) -> dict[str, Chain]:
        """Every model's live chain by name, in the task's order; branches share what is loaded of their trunks.

        `opened(name, seconds)` is told of each. If one does not open, those that did are closed.
        """
        chains: dict[str, Chain] = {}
        try:
            for model in sorted(self.models, key=lambda each: bool(each.trunk)):
                started = time.monotonic()
                if model.trunk:
                    trunk = chains[model.trunk]
                    chain = Chain.open_branch(model.path, trunk, model.after, joints=model.joints, threads=threads)
                else:
                    chain = self.open(model.name, threads)
                chains[model.name] = chain
                if opened is not None:
                    opened(model.name, time.monotonic() - started)
        except BaseException:
            for chain in chains.values():
                chain.close()
            raise
        return {model.name: chains[model.name] for model in self.models}

    def sample(self, value: Array | str | Path | Mapping[str, Array]) -> Tensors:
        """A checked raw sample: a frame (uint8 HWC RGB), a picture's path, or named tensors (batch included).

        Arrays are not copied. UsageError, naming the tensor: names, dtype, shape, NaN or infinite values; or the picture.
        """
        model = self.model(self.reference)
        if isinstance(value, str | Path):
            if model.preparation is None:
                raise UsageError(f"task '{self.name}' takes tensors ({_listing(self.inputs)}), not a picture file")
            return {FRAME: load_frame(value)}
        if model.preparation is not None:
            tensors = dict(value) if isinstance(value, Mapping) else {FRAME: value}
            model.preparation.check(tensors)
            return tensors
        return _check_tensors(self.inputs, value)

    def interpret(self, outputs: Mapping[str, Array]) -> Interpretation:
        """Top class of the first output that has one value per label; a task of tensors has no such meaning.

        Scores are taken as logits unless they already are probabilities. UsageError: not one sample; EngineError: NaN.
        """
        if self.kind != "classification":
            return Interpretation(None, None, None)
        scores = self.scores(outputs)
        index = int(np.argmax(scores))
        label = self.labels[index] if self.labels else None
        return Interpretation(index, label, _confidence(scores, index))

    def agrees(self, a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
        """Same top class; for a task of tensors the same names, shapes and, within AGREEMENT_TOLERANCE, values."""
        if self.kind == "classification":
            return bool(np.argmax(self.scores(a)) == np.argmax(self.scores(b)))
        return a.keys() == b.keys() and all(_close(a[name], b[name]) for name in a)

    def scores(self, outputs: Mapping[str, Array]) -> Array:
        """The first output that has one value per label, (labels,). UsageError: none, or not one sample; EngineError: NaN."""
        for array in outputs.values():
            if array.ndim and (not self.labels or array.shape[-1] == len(self.labels)) and array.dtype.kind == "f":
                if array.size != array.shape[-1]:
                    raise UsageError(f"one sample at a time is interpreted, not outputs of shape {tuple(array.shape)}")
                if not np.isfinite(array).all():
                    raise EngineError(f"a model of task '{self.name}' gave scores that are not finite numbers")
                return array.reshape(-1)
        raise UsageError(f"task '{self.name}' finds no class scores among the outputs {', '.join(outputs) or '(none)'}")

    def _check(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"task '{self.name}': kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        names = [model.name for model in self.models]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise UsageError(f"task '{self.name}' has two models named '{repeated[0]}'; give each its own name")
        self.model(self.reference)
        check_kin(self.models)
        if self.labels and self.kind != "classification":
            raise UsageError(f"task '{self.name}': labels belong to kind 'classification', not '{self.kind}'")
        if len({model.preparation is None for model in self.models}) > 1:
            raise UsageError(f"task '{self.name}': give all its models a preparation, or none, as they share one input")
        for model in self.models:
            self._check_model(model)

    def _check_model(self, model: TaskModel) -> None:
        if model.trunk:
            pass  # it takes what is alive at a joint (`check_kin`)
        elif model.preparation is not None:
            _check_prepared(model, model.preparation)
        elif not _same_interface(model.inputs, self.inputs):
            raise UsageError(
                f"model '{model.name}' takes {_listing(model.inputs)}, but the reference takes {_listing(self.inputs)}"
            )
        if self.labels and not any(_may_hold(spec, len(self.labels)) for spec in model.outputs):
            raise UsageError(
                f"model '{model.name}' has no output with one value for each of the {len(self.labels)} labels; "
                f"it gives {_listing(model.outputs)}"
            )


def _deciding(model: TaskModel) -> tuple[str | None, ...]:
    """What decides the model's answer."""
    own = (model.name, model.model_id, _version(model.preparation))
    return (*own, model.trunk, model.after) if model.trunk else own


def _version(preparation: Preparation | None) -> str | None:
    return None if preparation is None else preparation.version_id


def _listing(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(
        f"'{s.name}' {s.dtype} ({', '.join('?' if a is None else str(a) for a in s.shape)})" for s in specs
    )


def _same_interface(one: tuple[TensorSpec, ...], other: tuple[TensorSpec, ...]) -> bool:
    """Equal names, dtypes, ranks and fixed axes; how an open axis is called does not matter."""

    def plain(specs: tuple[TensorSpec, ...]) -> list[tuple[str, str, list[int | None]]]:
        return sorted((s.name, s.dtype, [axis if isinstance(axis, int) else None for axis in s.shape]) for s in specs)

    return plain(one) == plain(other)


def _may_hold(spec: TensorSpec, values: int) -> bool:
    return bool(spec.shape) and (spec.shape[-1] == values or not isinstance(spec.shape[-1], int))


def _check_prepared(model: TaskModel, preparation: Preparation) -> None:
    (made,) = preparation.output_spec
    if len(model.inputs) != 1 or model.inputs[0].name != made.name:
        raise UsageError(
            f"model '{model.name}' takes {_listing(model.inputs)}, its preparation makes '{made.name}'; "
            "set preparation.input to the model's one input"
        )
    takes = model.inputs[0]
    fits = len(takes.shape) == len(made.shape) and all(
        not isinstance(axis, int) or axis == size for axis, size in zip(takes.shape, made.shape, strict=True)
    )
    if not fits or takes.dtype != made.dtype:
        raise UsageError(f"model '{model.name}' takes {_listing((takes,))}, its preparation makes {_listing((made,))}")


def _check_tensors(specs: tuple[TensorSpec, ...], value: Array | Mapping[str, Array]) -> Tensors:
    if not isinstance(value, Mapping):
        if len(specs) != 1:
            raise UsageError(f"give named tensors: {_listing(specs)}")
        value = {specs[0].name: value}
    tensors = dict(value)
    if set(tensors) != {spec.name for spec in specs}:
        given = ", ".join(sorted(map(repr, tensors))) or "none"
        raise UsageError(f"expected the tensors {_listing(specs)}; given: {given}")
    sizes: dict[str, int] = {}
    for spec in specs:
        array = tensors[spec.name]
        if not isinstance(array, np.ndarray):
            raise UsageError(f"tensor '{spec.name}' must be a NumPy array, not {type(array).__name__}")
        spec.check(array)
        _check_axes(spec, array, sizes)
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise UsageError(f"tensor '{spec.name}' holds NaN or infinite values; clean the input")
    return tensors


def _check_axes(spec: TensorSpec, array: Array, sizes: dict[str, int]) -> None:
    """An open axis is never empty, and one symbol means one size throughout the sample."""
    for axis, size in zip(spec.shape, array.shape, strict=True):
        if size == 0 and axis != 0:
            raise UsageError(f"tensor '{spec.name}' is empty: shape {tuple(array.shape)}")
        if isinstance(axis, str) and sizes.setdefault(axis, size) != size:
            raise UsageError(f"tensor '{spec.name}' has {size} along '{axis}', another tensor has {sizes[axis]}")


def _confidence(scores: Array, index: int) -> float:
    values = scores.astype(np.float64)
    if values.min() >= 0 and math.isclose(float(values.sum()), 1.0, abs_tol=PROBABILITY_TOLERANCE):
        return min(float(values[index]), 1.0)
    return float(1.0 / np.exp(values - values[index]).sum())


def _close(a: Array, b: Array) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    bound = AGREEMENT_TOLERANCE * float(np.abs(b).max(initial=0.0))
    return bool(np.allclose(a, b, rtol=0.0, atol=bound))
