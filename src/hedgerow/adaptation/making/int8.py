"""The int8 copies of MobileNetV2 and EfficientNet-Lite2, at the joints of the fetched task."""

from pathlib import Path
from typing import Any

from hedgerow.adaptation.keeping import Say
from hedgerow.adaptation.quantise import Wanted, entry, quantise
from hedgerow.adaptation.sources import photographs
from hedgerow.models.fetch import fetch
from hedgerow.models.task import Task

AGREEMENT = {"mobilenet-v2": 0.97, "efficientnet-lite2": 0.97}


def make(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[dict[str, Any]]:
    """One copy of each model of the task."""
    task = Task.load(fetch("imagenet"))
    paths = photographs(data, say)
    entries = []
    for name, asked in AGREEMENT.items():
        model = task.model(name)
        path = folder / f"{name}-int8.onnx"
        wanted = Wanted(task, model, model.joints, asked, seed)
        record = quantise(wanted, paths, path, say=lambda text, name=name: say(f"{name}: {text}"))  # type: ignore[misc]
        speed, judged = record["figures"]["speed"], record["figures"]["judged"]
        say(f"{name}: {speed['ratio']:.2f} times as quick, agreement {judged['agreement']:.3f} with its own float32")
        entries.append(entry(model, model.joints, path))
    return entries
