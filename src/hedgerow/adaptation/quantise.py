"""Makes the int8 copy of a model: a second precision of the same chain, with the same float32 tensors at the same joints.

Ranges and rounding come from pictures of the part "train", every choice from these and "calibrate" (a range is two numbers: it
is not learnt by heart), the figures from "judge". The copy is kept beside a
record of what it was made from, what was tried, which blocks hurt, and how well and how quickly it answers; making it again
from the same gives the same bytes and does nothing. A step that was stopped goes on with what it had found out.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hedgerow.adaptation.keeping import Made, Say, digest
from hedgerow.adaptation.quantise_equalise import Peaks, spread
from hedgerow.adaptation.quantise_judging import Likeness, by_turns, enough_to_tell, likeness, scores
from hedgerow.adaptation.quantise_layers import Layout, lay_out
from hedgerow.adaptation.quantise_mix import Judge, Mix, decide, made_by
from hedgerow.adaptation.quantise_ranges import observe, ranges
from hedgerow.adaptation.quantise_rounding import Moments
from hedgerow.adaptation.quantise_write import Range, write
from hedgerow.adaptation.sources import check_readable, enough, of_parts
from hedgerow.errors import UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.cuts import choose_cuts
from hedgerow.models.frames import load_frame
from hedgerow.models.graph import Graph
from hedgerow.models.preparation import FRAME
from hedgerow.models.task import Task, TaskModel
from hedgerow.models.tensors import Tensors

VERSION = 4  # raised when the same settings make another file
RANGE_PICTURES = 128  # at most; of the part "train"
RANGE_PICTURES_MIN = 8
JUDGING_PICTURES_MIN = 6  # of "calibrate" and of "judge", each
PICTURES_ENOUGH = 300  # in a folder: some hundred to choose by, and as many to tell agreement to 3 %
THREADS_MAX = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to make: `model` of `task`, at `joints`, `agreement` to be reached on the pictures that choose, if asked for."""

    task: Task
    model: TaskModel
    joints: tuple[str, ...]
    agreement: float | None = None
    seed: int = 0


def quantise(wanted: Wanted, pictures: Sequence[Path], output: Path, *, say: Say) -> dict[str, Any]:
    """Make `output` and its record, unless both are there; returns the record.

    UsageError: a model without preparation, quantised already or not float32; too few pictures, or one that cannot be read;
    another file under that name.
    """
    check(wanted)
    parts = {part: of_parts(pictures, part) for part in ("train", "calibrate", "judge")}
    check_parts({part: len(paths) for part, paths in parts.items()})
    made = Made(output, _origin(wanted, pictures))
    record = made.record()
    if record is not None:
        return record
    graph = Graph.open(wanted.model.path)
    choose_cuts(graph, wanted.joints)  # refuses joints that are none, which nothing would ask before the copy is timed
    layout = lay_out(graph, wanted.joints)
    check_readable(parts["judge"])  # the others are read at once, these after minutes
    if layout.left_out:
        counted = ", ".join(f"{name} ({count})" for name, count in layout.left_out.items())
        say(f"stays in float32, as no int8 form is known here: {counted}")
    mix, data = _make(wanted, layout, parts, made, say)
    figures = measure(wanted, data, parts["judge"], say)
    figures |= {"mix": _mix_record(mix, wanted), "layers": _layers_record(layout, mix)}
    record = made.keep({output: data}, figures)
    made.checkpoint().clear()
    return record


def check(wanted: Wanted) -> None:
    """UsageError for a model that pictures cannot calibrate, or an agreement that nothing can reach."""
    if wanted.model.preparation is None:
        raise UsageError(
            f"model '{wanted.model.name}' has no preparation, so pictures cannot become its input; name it in a task file"
        )
    if wanted.task.kind != "classification":
        raise UsageError(f"task '{wanted.task.name}' is of kind '{wanted.task.kind}'; agreement is told by classes")
    if wanted.agreement is not None and not 0.0 < wanted.agreement <= 1.0:
        raise UsageError(f"the agreement asked for must be above 0 and at most 1, not {wanted.agreement}")


def check_parts(counts: Mapping[str, int]) -> None:
    """UsageError when a part holds too few pictures, saying how many in all would be enough."""
    for part, least in (("train", RANGE_PICTURES_MIN), ("calibrate", JUDGING_PICTURES_MIN), ("judge", 2)):
        what = f"pictures in the part '{part}' (of {sum(counts.values())}; {PICTURES_ENOUGH} in all are good)"
        enough(counts[part], least, what)


def _origin(wanted: Wanted, pictures: Sequence[Path]) -> dict[str, Any]:
    listed = "\n".join(f"{path.stem} {_file_digest(path)}" for path in sorted(pictures, key=lambda path: path.stem))
    assert wanted.model.preparation is not None
    return {
        "int8": VERSION,
        "model": wanted.model.model_id,
        "joints": list(wanted.joints),
        "preparation": wanted.model.preparation.version_id,
        "pictures": digest(listed.encode()),
        "agreement": wanted.agreement,
        "seed": wanted.seed,
    }


@lru_cache(maxsize=4096)
def _file_digest(path: Path) -> str:
    try:
        return digest(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the picture {path}: {error.strerror or error}") from error


def _make(
    wanted: Wanted, layout: Layout, parts: Mapping[str, Sequence[Path]], made: Made, say: Say
) -> tuple[Mix, bytes]:
    threads = usable_threads()
    every = max(1, -(-len(parts["train"]) // RANGE_PICTURES))
    chosen = parts["train"][::every]
    inputs = [prepared(wanted.model, path) for path in (*parts["calibrate"], *parts["train"])]
    judge = Judge(wanted.model.path.read_bytes(), inputs, made.checkpoint(), threads=threads, seed=wanted.seed)
    say(f"looking at the activations of {len(chosen)} pictures")
    peaks = Peaks(layout)
    observe(layout, (prepared(wanted.model, path) for path in chosen), threads, look=peaks.add)
    even, margin = spread(layout, peaks, lambda model: judge.like(model).divergence)
    say(
        f"looking again, channels spread with a margin of {margin:g}"
        if margin
        else "looking again, channels as they are"
    )
    layout = lay_out(Graph.open(even), wanted.joints)
    moments = Moments(layout, wanted.seed)
    seen = observe(layout, (prepared(wanted.model, path) for path in chosen), threads, look=moments.add)
    say("rounding the weights so that sums stay right")
    weights = moments.weights(layout)
    known: dict[str, dict[str, Range]] = {}

    def copy(way: str, kept: Collection[str]) -> bytes:
        if way not in known:
            known[way] = ranges(layout, seen, way)
        return write(layout, known[way], made_by(layout, kept), wanted.joints, weights)

    mix = decide(layout, copy, judge, asked=wanted.agreement, say=say)
    return mix, copy(mix.way, mix.kept)


def measure(wanted: Wanted, data: bytes, paths: Sequence[Path], say: Say) -> dict[str, Any]:
    """Speed by turns, bytes, agreement with the float32 model and with the task's reference, on pictures that chose nothing."""
    threads = usable_threads()
    say(f"judging on {len(paths)} pictures that chose nothing")
    inputs = [prepared(wanted.model, path) for path in paths]
    original = wanted.model.path.read_bytes()
    ours, theirs = scores(data, inputs, threads), scores(original, inputs, threads)
    like = likeness(ours, theirs)
    figures: dict[str, Any] = {"judged": _like_record(like), "bytes": len(data), "bytes_float32": len(original)}
    reference = wanted.task.model(wanted.task.reference)
    if reference.name != wanted.model.name and reference.preparation is not None:
        right = scores(reference.path.read_bytes(), [prepared(reference, path) for path in paths], threads)
        figures["agreement_with_reference"] = likeness(ours, right).agreement
        figures["agreement_with_reference_float32"] = likeness(theirs, right).agreement
    say("timing both by turns in one thread")
    figures["speed"] = asdict(speed(wanted, data, inputs[0]))
    return figures


def speed(wanted: Wanted, data: bytes | Path, tensors: Tensors) -> Any:
    """Both precisions as live chains at the same joints, by turns, in one thread."""
    with Chain.open(wanted.model.path, joints=wanted.joints) as whole, Chain.open(data, joints=wanted.joints) as copy:
        return by_turns(whole, copy, tensors)


def prepared(model: TaskModel, path: Path) -> Tensors:
    """The model's input for a picture; UsageError names one that cannot be read."""
    assert model.preparation is not None
    return model.preparation.prepare({FRAME: load_frame(path)})


def usable_threads() -> int:
    """Threads for work that is not timed."""
    return max(1, min(THREADS_MAX, os.cpu_count() or 1))


def _like_record(like: Likeness) -> dict[str, Any]:
    low, high = like.interval()
    return asdict(like) | {"low": low, "high": high}


def _mix_record(mix: Mix, wanted: Wanted) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ranges": mix.way,
        "kept_in_float32": list(mix.kept),
        "calibrated": _like_record(mix.like),
        "tried": {way: _like_record(like) for way, like in mix.tried.items()},
        "hurts": [asdict(hurt) | {"share": hurt.share} for hurt in mix.hurts],
    }
    if wanted.agreement is not None:
        found |= {"asked": wanted.agreement, "reached": mix.like.agreement >= wanted.agreement}
        low, high = mix.like.interval()
        if low < wanted.agreement < high:
            found["pictures_to_tell"] = enough_to_tell(mix.like.agreement, wanted.agreement)
    return found


def _layers_record(layout: Layout, mix: Mix) -> dict[str, Any]:
    return {
        "int8": len(made_by(layout, mix.kept)),
        "first_in_float32": [block.name for block in layout.blocks if block.first],
        "operators_in_float32": dict(layout.left_out),
    }


def entry(model: TaskModel, joints: Sequence[str], path: Path) -> dict[str, Any]:
    """The table [[model]] of the copy, for a task file."""
    assert model.preparation is not None
    return {
        "name": f"{model.name}-int8",
        "file": str(path),
        "joints": list(joints),
        "precision_of": model.name,
        "preparation": model.preparation.to_table(),
    }
