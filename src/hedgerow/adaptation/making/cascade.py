"""The gates of MobileNetV2 and of its int8 copy before EfficientNet-Lite2, and the codec in which the rest is sent.

Calibrated on the photographs that do not judge; what comes of it is kept in cascade.json, from which the benchmark reads it.
"""

import hashlib
import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hedgerow.adaptation.gating import AT_MOST, CODECS, KEEPS, answers, gate_for, smallest_codec
from hedgerow.adaptation.keeping import Made, Say
from hedgerow.adaptation.sources import of_parts, photographs
from hedgerow.models.fetch import fetch
from hedgerow.models.task import Task

SMALL = "mobilenet-v2"
FILE = "cascade.json"


def make(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[dict[str, Any]]:
    """`gate` for the small model and its copies in another precision; UsageError when there are too few photographs."""
    task, smalls = _task(folder)
    paths = of_parts(photographs(data, say), "train", "calibrate")
    which = hashlib.sha256("\n".join(path.name for path in paths).encode()).hexdigest()
    ids = {each.name: each.model_id for each in task.models if each.name in (*smalls, task.reference)}
    made = Made(
        folder / FILE, {"models": ids, "photographs": which, "at_most": AT_MOST, "codecs": CODECS, "keeps": KEEPS}
    )
    record = made.record()
    if record is None:
        record = _calibrate(made, task, smalls, paths, say)
    return [{"name": name, "gate": gate["threshold"]} for name, gate in record["figures"]["gates"].items()]


def _task(folder: Path) -> tuple[Task, list[str]]:
    """The task as far as it is made, and the small model's names in it."""
    path = folder / "task.toml"
    path = path if path.is_file() else fetch("imagenet")
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["model"]
    return Task.load(path), [each["name"] for each in entries if SMALL in (each["name"], each.get("precision_of"))]


def _calibrate(made: Made, task: Task, smalls: list[str], paths: list[Path], say: Say) -> dict[str, Any]:
    kept = made.checkpoint()
    reference = answers(task, task.reference, paths, say=say, kept=kept)
    gates = {}
    for name in smalls:
        found = gate_for(answers(task, name, paths, say=say, kept=kept), reference, at_most=AT_MOST)
        gates[name] = asdict(found) | {"threshold": round(found.threshold, 6)}
        say(
            f"{name}: from {found.threshold:.3f} on its answer stands, {found.stop_share:.0%} of {found.samples} samples"
        )
    places = [place for place, path in enumerate(paths) if path in of_parts(paths, "calibrate")]
    wanted = type(reference)(reference.label[places], reference.confidence[places], reference.payload_bytes[places])
    codec, tried = smallest_codec(task, [paths[place] for place in places], wanted, say=say, kept=kept)
    figures = {"gates": gates, "codec": codec, "codecs_tried": tried}
    text = json.dumps({"gates": {name: gate["threshold"] for name, gate in gates.items()}, "codec": codec}, indent=1)
    record = made.keep({made.path: text.encode()}, figures)
    kept.clear()
    return record
