"""The gates of MobileNetV2 and of its int8 copy before EfficientNet-Lite2, and the codec in which the rest is sent.

Calibrated on the photographs that do not judge; what comes of it is kept in cascade-MODEL.json, from which the benchmark reads it.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hedgerow.adaptation.gating import AT_MOST, CODECS, KEEPS, answers, check_enough, gate_for, smallest_codec
from hedgerow.adaptation.keeping import Made, Say, digest
from hedgerow.adaptation.parts import part_of
from hedgerow.adaptation.sources import of_parts, photographs
from hedgerow.models.fetch import fetch
from hedgerow.models.task import Task

SMALL = "mobilenet-v2"


def file_of(model: str) -> str:
    """The name of the file that holds a model's gate and the codec."""
    return f"cascade-{model}.json"


def make(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[dict[str, Any]]:
    """`gate` for the small model and its copies in another precision; UsageError when there are too few photographs."""
    task, smalls = _task(folder)
    paths = of_parts(photographs(data, say), "train", "calibrate")
    check_enough(len(paths), AT_MOST)
    which = digest("\n".join(path.name for path in paths).encode())
    reference = task.model(task.reference).model_id
    settings = {"reference": reference, "photographs": which, "at_most": AT_MOST, "codecs": CODECS, "keeps": KEEPS}
    gates, codec = {}, ""
    for name in smalls:
        origin = {"model": task.model(name).model_id, **settings}
        made = Made(folder / file_of(name), origin, renewable=True)
        record = made.record()
        if record is None:
            record = _calibrate(made, task, name, paths, codec, say)
        gates[name], codec = float(record["figures"]["gate"]["threshold"]), str(record["figures"]["codec"])
    return [{"name": name, "gate": gate} for name, gate in gates.items()]


def _task(folder: Path) -> tuple[Task, list[str]]:
    """The task as far as it is made, and the small model's names in it."""
    path = folder / "task.toml"
    task = Task.load(path if path.is_file() else fetch("imagenet"))
    return task, [each.name for each in task.models if SMALL in (each.name, each.precision_of)]


def _calibrate(made: Made, task: Task, model: str, paths: list[Path], codec: str, say: Say) -> dict[str, Any]:
    """The gate, and the codec where it is not known yet: it is the reference's alone."""
    kept, tried = made.checkpoint(), dict[str, dict[str, float]]()
    reference = answers(task, task.reference, paths, say=say, kept=kept)
    found = gate_for(answers(task, model, paths, say=say, kept=kept), reference, at_most=AT_MOST)
    say(f"{model}: from {found.threshold:.3f} on its answer stands, {found.stop_share:.0%} of {found.samples} samples")
    if not codec:
        places = [place for place, path in enumerate(paths) if part_of(path.stem) == "calibrate"]
        codec, tried = smallest_codec(task, [paths[at] for at in places], reference.of(places), say=say, kept=kept)
    figures = {"gate": asdict(found) | {"threshold": round(found.threshold, 6)}, "codec": codec, "codecs_tried": tried}
    text = json.dumps({"gate": round(found.threshold, 6), "codec": codec}, indent=1)
    record = made.keep({made.path: text.encode()}, figures)
    kept.clear()
    return record
