"""Gives a model that is there already exits at its joints: it stays as it is, and teaches them.

What happens, in order, each step kept so that a stop costs little: every candidate joint gets a head (see `heads`); the
training pictures are put through the model once, in several views; tails are aligned; heads are trained; the best are chosen on one
in five of the training pictures; their gates are calibrated on the part "calibrate" and judged on the part "judge".
"""

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hedgerow.adaptation.exits.choosing import ASKING_OVERHEAD, Costs
from hedgerow.adaptation.exits.features import gather, preparing
from hedgerow.adaptation.exits.heads import Head, heads_at, work_of
from hedgerow.adaptation.exits.running import Answers, WithExits
from hedgerow.adaptation.exits.settling import EXITS_MAX, Promise, judged, settle, summary
from hedgerow.adaptation.exits.subject import Pictures, Subject, classes_of
from hedgerow.adaptation.keeping import NO_PYTORCH, Checkpoint, Made, Say
from hedgerow.adaptation.risk import samples_needed
from hedgerow.adaptation.sources import enough
from hedgerow.errors import HostError, UsageError
from hedgerow.models.chain import Chain
from hedgerow.models.cuts import Cut, choose_cuts, find_cuts
from hedgerow.models.graph import Graph

if TYPE_CHECKING:
    from hedgerow.adaptation.exits.training_heads import HeadRecipe

CANDIDATES_MAX = 4
VIEWS_WANTED, VIEWS_MAX = 1_500, 8
TRAIN_MIN, CHOOSE_MIN, JUDGE_MIN = 20, 5, 5
TAIL_EPOCHS, TAIL_RATE = 8, 1e-4
SMALL_EPOCHS, SMALL_RATE = 20, 2e-3


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks of the exits."""

    promise: Promise
    joints: tuple[str, ...] = ()  # none: the task's own, or, for a model alone, some spread over its depth
    exits_max: int = EXITS_MAX
    seed: int = 0


def make_exits(folder: Path, subject: Subject, pictures: Pictures, wish: Wish, say: Say) -> dict[str, Any]:
    """The record of what was made: exit files in `folder`, and `entries`, the tables [[model]]. Made once, it is only read.

    UsageError: too few pictures, no fitting joint, no PyTorch.
    """
    graph = Graph.open(subject.path)
    cuts = candidates(graph, subject, wish.joints)
    origin = {
        "what": "exits of a frozen model",
        "model": graph.model_id,
        "preparation": subject.preparation.version_id,
        "joints": [cut.name for cut in cuts],
        "pictures": pictures.fingerprint,
        "asked": asdict(wish.promise),
        "exits_max": wish.exits_max,
        "seed": wish.seed,
        "recipe": [VIEWS_WANTED, VIEWS_MAX, TAIL_EPOCHS, TAIL_RATE, SMALL_EPOCHS, SMALL_RATE],
    }
    made = Made(folder / f"{subject.name}-exits.json", origin)
    record = made.record()
    if record is not None:
        return record
    check_counts(pictures, wish.promise)
    classes = classes_of(subject)
    heads = [head for cut in cuts for head in heads_at(graph, cut, classes, seed=wish.seed)[:1]]
    if not heads:
        raise UsageError(
            f"'{subject.name}' has no joint of one picture-like tensor among {', '.join(c.name for c in cuts) or 'none'}"
        )
    checkpoint = made.checkpoint()
    trained = _trained(heads, subject, pictures, wish, checkpoint, say)
    source = f"exit of {subject.name} ({graph.model_id[:16]}), made by hedgerow, seed {wish.seed}"
    files = [head.file(source) for head in trained]
    say("choosing exits and calibrating them")
    figures, kept = _settled(graph, subject, pictures, wish, trained, files)
    say(figures["summary"])
    contents = {
        folder / f"{entry['name']}.onnx": files[number] for entry, number in zip(figures["entries"], kept, strict=True)
    }
    contents[made.path] = (json.dumps(figures["entries"], indent=1) + "\n").encode()
    record = made.keep(contents, figures)
    checkpoint.clear()
    return record


def candidates(graph: Graph, subject: Subject, joints: Sequence[str]) -> list[Cut]:
    """The joints asked for; else the task's own; else some of one tensor, spread over the work between a tenth and nine tenths."""
    if joints or subject.joints:
        return choose_cuts(graph, list(joints or subject.joints))
    found = [cut for cut in find_cuts(graph) if 0.1 <= cut.work_before <= 0.9 and len(cut.tensors[0].shape) == 4]
    if not found:
        raise UsageError(
            f"'{subject.name}' has no cut of one tensor between a tenth and nine tenths of its work; name --joints"
        )
    wanted = np.linspace(0.2, 0.8, CANDIDATES_MAX)
    best = {min(found, key=lambda cut, at=at: (abs(cut.work_before - at), cut.index)).name for at in wanted}  # type: ignore[misc]
    return choose_cuts(graph, sorted(best))


def check_counts(pictures: Pictures, promise: Promise) -> None:
    """UsageError, saying how many would be enough, before anything is computed."""
    needed = samples_needed(promise.at_most, promise.level, promise.unseen)
    count = len(pictures.named("calibrate"))
    if count < needed:
        raise UsageError(
            f"{count} of the {len(pictures.frames)} pictures calibrate; to show that at most {promise.at_most:g} disagree at "
            f"{promise.level:g}, {needed} are needed even without a disagreement: about {int(np.ceil(needed / 0.3))} pictures in all "
            "would be enough"
        )
    enough(len(pictures.fitting), TRAIN_MIN, "pictures to train on (a third of all)")
    enough(len(pictures.choosing), CHOOSE_MIN, "pictures to choose exits on (a twelfth of all)")
    enough(len(pictures.named("judge")), JUDGE_MIN, "pictures to judge on (three tenths of all)")


def task_tables(
    subject: Subject, joints: Sequence[str], here: Callable[[Path], str]
) -> tuple[dict[str, Any], list[dict[str, Any]], bytes | None]:
    """([task], the tables [[model]], the labels' file or None) to which the exits are added; `here` says where a file lies."""
    if subject.task is None:
        entry = {"name": subject.name, "file": here(subject.path), "joints": list(joints)}
        head = {"name": subject.name, "kind": "classification", "reference": subject.name}
        return head, [entry | {"preparation": subject.preparation.to_table()}], None
    table = tomllib.loads(subject.task.read_text(encoding="utf-8"))
    models = [each | {"file": here(subject.task.parent / each["file"])} for each in table["model"]]
    for each in models:
        if each["name"] == subject.name:
            each["joints"] = [
                *each.get("joints", []),
                *(joint for joint in joints if joint not in each.get("joints", [])),
            ]
    head = dict(table["task"])
    labels = (subject.task.parent / head["labels"]).read_bytes() if "labels" in head else None
    return head | ({} if labels is None else {"labels": "labels.txt"}), models, labels


def _trained(
    heads: Sequence[Head], subject: Subject, pictures: Pictures, wish: Wish, checkpoint: Checkpoint, say: Say
) -> list[Head]:
    try:
        from hedgerow.adaptation.exits import training_heads as training
    except ModuleNotFoundError as error:
        raise HostError(NO_PYTORCH) from error
    names = sorted(pictures.fitting)
    views = max(1, min(VIEWS_MAX, VIEWS_WANTED // len(names)))
    joints = [head.joint for head in heads]
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        say(f"{done} of {len(names)} training pictures seen, {views} views each")

    with Chain.open(subject.path, joints=joints) as chain:
        seen = gather(
            chain,
            joints,
            preparing(subject.preparation),
            None,
            {name: pictures.frames[name] for name in names},
            views=views,
            seed=wish.seed,
            checkpoint=checkpoint,
            progress=progress,
        )
    marks = pictures.labels_of(names)
    labels = None if marks is None else marks[seen.picture]
    found = []
    for head in heads:
        recipe = _recipe(training, head.kind)
        start = head
        if head.kind == "tail":
            start = head.with_weights(training.aligned(head, seen.whole[head.joint]))
        weights = training.trained(
            start,
            seen.joints[head.joint],
            seen.teacher,
            labels,
            recipe,
            seed=wish.seed,
            checkpoint=checkpoint,
            progress=lambda epoch, loss, head=head, recipe=recipe: say(  # type: ignore[misc]
                f"{head.kind} after {head.joint}: epoch {epoch} of {recipe.epochs}, loss {loss:.3f}"
            ),
        )
        found.append(start.with_weights(weights))
    return found


def _recipe(training: Any, kind: str) -> "HeadRecipe":
    found: HeadRecipe = (
        training.HeadRecipe(TAIL_EPOCHS, TAIL_RATE) if kind == "tail" else training.HeadRecipe(SMALL_EPOCHS, SMALL_RATE)
    )
    return found


def _settled(
    graph: Graph, subject: Subject, pictures: Pictures, wish: Wish, heads: Sequence[Head], files: Sequence[bytes]
) -> tuple[dict[str, Any], list[int]]:
    joints = [head.joint for head in heads]
    cuts = {cut.name: cut for cut in choose_cuts(graph, joints)}
    before = np.array([cuts[joint].work_before * graph.work for joint in joints])
    costs = Costs(before, np.array(work_of(files)) + ASKING_OVERHEAD, float(graph.work))
    judges = pictures.named("judge")
    prepare = preparing(subject.preparation)
    with WithExits(subject.path, files, joints) as model:

        def answers(names: Sequence[str]) -> Answers:
            return model.answers([prepare(pictures.frames[name]) for name in names])

        choosing, calibrating, judging = (
            answers(names) for names in (pictures.choosing, pictures.named("calibrate"), judges)
        )
    settled = settle(choosing, calibrating, costs, wish.promise, wish.exits_max)
    alone = {
        head.joint: {
            "kind": head.kind,
            "work_before": float(cuts[head.joint].work_before),
            "work_asking": float(costs.asking[number] / costs.whole),
            "agreement_judged": float(judging.agrees[:, number].mean()),
        }
        for number, head in enumerate(heads)
    }
    entries = [
        {
            "name": f"{subject.name}-exit-{joints[number].split('.')[0]}",
            "file": f"{subject.name}-exit-{joints[number].split('.')[0]}.onnx",
            "trunk": subject.name,
            "after": joints[number],
            "gate": float(gate),
        }
        for number, gate in zip(settled.exits, settled.gates, strict=True)
    ]
    figures: dict[str, Any] = {"entries": entries, "candidates": alone, "path": settled.path.tolist()}
    if settled.calibrated is None:
        return figures | {"summary": f"no exit is kept: {settled.why_not}"}, []
    figures |= {"summary": summary(settled.calibrated), "calibrated": asdict(settled.calibrated)}
    figures |= judged(
        judging.of(range(len(judges)), settled.exits),
        pictures.labels_of(judges),
        settled.gates,
        costs.of(settled.exits),
    )
    return figures, settled.exits
