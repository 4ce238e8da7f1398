"""CIFAR-10: a residual network trained here from nothing, its exits, and the thresholds for at most 1 % disagreement.

Who sees what: the network and its exits are trained on the 50,000 training pictures; which exits to keep, and the path of their
thresholds, is chosen on 5,000 of them; the row of that path is calibrated on the test pictures whose names are in the parts
"train" and "calibrate" (they trained nothing), and judged on those of the part "judge".
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hedgerow.adaptation.exits.architecture import RECIPE, RESNET, SIDE_PX, Architecture
from hedgerow.adaptation.exits.choosing import ASKING_OVERHEAD, Costs
from hedgerow.adaptation.exits.network_file import exit_file, whole_file
from hedgerow.adaptation.exits.running import WithExits
from hedgerow.adaptation.exits.settling import Promise, judged, settle
from hedgerow.adaptation.keeping import NO_PYTORCH, Checkpoint, Made, digest
from hedgerow.adaptation.parts import part_of
from hedgerow.adaptation.sources import CIFAR_NAME, Labelled, cifar10
from hedgerow.errors import HostError, UsageError
from hedgerow.models.home import read_whole, write_whole
from hedgerow.models.preparation import FRAME, Preparation
from hedgerow.models.tensors import Tensors

NAME = "resnet"
AT_MOST, LEVEL = 0.01, 0.95
PATH_PICTURES = 5_000
FILE_BYTES_MAX = 2**30

PREPARATION = Preparation(
    version=1,
    resize_shorter=SIDE_PX,
    crop=SIDE_PX,
    interpolation="bilinear",
    scale=255.0,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)

Say = Callable[[str], None]


def make(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[dict[str, Any]]:
    """Train, write and calibrate, or find it done; the tables [[model]] of task "cifar10". UsageError without the data or PyTorch."""
    path = (data or Path("data")) / CIFAR_NAME
    source = read_whole(path, "file of CIFAR-10", bytes_max=FILE_BYTES_MAX, made_by="whoever holds the data")
    origin = {
        "what": "residual network with exits, trained together",
        "recipe": json.loads(json.dumps(asdict(RECIPE))),
        "architecture": json.loads(json.dumps(asdict(RESNET))),
        "seed": seed,
        "data": digest(source),
        "asked": {"at_most": AT_MOST, "level": LEVEL},
    }
    del source
    made = Made(folder / f"{NAME}.onnx", origin)
    record = made.record() or _made(made, data, seed=seed, say=say)
    write_whole(folder / "labels.txt", ("\n".join(record["figures"]["classes"]) + "\n").encode())
    return entries(record)


def entries(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables [[model]]: the whole network first, then each exit with its gate."""
    figures = record["figures"]
    joints = [stage.joint for stage in RESNET.exits]
    whole = {"name": NAME, "file": f"{NAME}.onnx", "joints": joints, "preparation": PREPARATION.to_table()}
    return [
        whole,
        *(
            {"name": name, "file": f"{name}.onnx", "trunk": NAME, "after": after, "gate": gate}
            for name, after, gate in zip(figures["exits"], figures["after"], figures["gates"], strict=True)
        ),
    ]


def prepared(data: Labelled) -> list[Tensors]:
    """Each picture as the network takes it."""
    return [PREPARATION.prepare({FRAME: picture}) for picture in data.pictures]


def calibrating(data: Labelled) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(samples that calibrate, samples that judge) of the test pictures, by their names."""
    judges = np.array([part_of(name) == "judge" for name in data.names])
    return np.flatnonzero(~judges), np.flatnonzero(judges)


def _made(made: Made, data: Path | None, *, seed: int, say: Say) -> dict[str, Any]:
    checkpoint = made.checkpoint()
    say("reading the training pictures")
    train = cifar10(data, "train")
    weights = _trained(train, checkpoint, seed=seed, say=say)
    source = f"trained by hedgerow on CIFAR-10 ({CIFAR_NAME}), seed {seed}"
    files = {NAME: whole_file(weights, RESNET, source)}
    names = [f"{NAME}-exit{number + 1}" for number in range(len(RESNET.exits))]
    files |= {name: exit_file(weights, RESNET, number, source) for number, name in enumerate(names)}
    say("choosing exits and calibrating them")
    figures = _calibrated(files, names, train, cifar10(data, "test"), seed=seed)
    kept = (NAME, *figures["exits"])
    folder = made.path.parent
    record = made.keep({folder / f"{name}.onnx": files[name] for name in kept}, figures)
    checkpoint.clear()
    return record


def _trained(train: Labelled, checkpoint: Checkpoint, *, seed: int, say: Say) -> dict[str, NDArray[Any]]:
    try:
        from hedgerow.adaptation.exits import training_resnet as training
    except ModuleNotFoundError as error:
        raise HostError(NO_PYTORCH) from error
    mean, std = (np.array(value, np.float32) * np.float32(255.0) for value in (PREPARATION.mean, PREPARATION.std))
    return training.trained(
        train.pictures,
        train.labels,
        len(train.classes),
        RESNET,
        RECIPE,
        seed=seed,
        mean=mean,
        std=std,
        checkpoint=checkpoint,
        progress=lambda epoch, loss: say(f"epoch {epoch} of {len(RECIPE.sides_px)}, loss {loss:.3f}"),
    )


def costs_of(architecture: Architecture) -> Costs:
    """Multiply-adds, asking an exit included."""
    depths = [architecture.stages.index(stage) + 1 for stage in architecture.exits]
    before = np.array([architecture.multiply_adds(depth) for depth in depths], dtype=np.float64)
    answered = np.array([architecture.multiply_adds(depth, with_exit=True) for depth in depths], dtype=np.float64)
    whole = float(architecture.multiply_adds(len(architecture.stages)))
    return Costs(before, answered - before + ASKING_OVERHEAD, whole)


def _calibrated(
    files: Mapping[str, bytes], names: Sequence[str], train: Labelled, test: Labelled, *, seed: int
) -> dict[str, Any]:
    joints = [stage.joint for stage in RESNET.exits]
    some = np.sort(np.random.default_rng(seed).permutation(len(train.names))[:PATH_PICTURES])
    with WithExits(files[NAME], [files[name] for name in names], joints) as model:
        seen = model.answers(prepared(train.take(some.tolist())))
        unseen = model.answers(prepared(test))
    costs = costs_of(RESNET)
    here, there = calibrating(test)
    settled = settle(seen, unseen.of(here), costs, Promise(AT_MOST, LEVEL, len(there)))
    if settled.calibrated is None:
        raise UsageError(f"CIFAR-10: {settled.why_not}; ask for more disagreement, or train longer")
    return {
        "classes": list(train.classes),
        "exits": [names[number] for number in settled.exits],
        "after": [joints[number] for number in settled.exits],
        "gates": settled.gates.tolist(),
        "path": settled.path.tolist(),
        "calibrated": asdict(settled.calibrated),
        **judged(unseen.of(there, settled.exits), test.labels[there], settled.gates, costs.of(settled.exits)),
        "all_exits": {
            name: {
                "accuracy": float((unseen.labels[:, number] == test.labels).mean()),
                "agreement": float(unseen.agrees[:, number].mean()),
            }
            for number, name in enumerate(names)
        },
    }
