"""The threshold of reuse: calibrated on sequences made from the photographs that do not judge, and on two of three real clips."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hedgerow.adaptation import clips
from hedgerow.adaptation.keeping import Made, Say, digest
from hedgerow.adaptation.reusing import AGE_MAX_MS, AT_MOST, PATH, Watcher, calibrate
from hedgerow.adaptation.sources import of_parts, photographs
from hedgerow.models.fetch import fetch
from hedgerow.models.task import Task

SMALL = "mobilenet-v2"
FILE = "reuse.json"
SEQUENCES_MAX = 150


def make(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[dict[str, Any]]:
    """No model of its own: reuse.json holds what a stream declares. UsageError when there are too few photographs."""
    task = Task.load(fetch("imagenet", report=say))
    models = (SMALL, task.reference)
    paths = of_parts(photographs(data, say), "train", "calibrate")[:SEQUENCES_MAX]
    which = digest("\n".join(path.name for path in paths).encode())
    settings = {"at_most": AT_MOST, "age_max_ms": AGE_MAX_MS, "path": PATH, "clips": clips.CALIBRATE, "test": "betting"}
    origin = {"task": task.task_id, "photographs": which, "seed": seed, **settings}
    made = Made(folder / FILE, origin, renewable=True)
    if made.record() is None:
        with Watcher(task, models) as watcher:
            tracks = watcher.made(paths, seed=seed, say=say) + watcher.filmed(clips.CALIBRATE, say=say)
        found = calibrate(tracks)
        shown = {"reuse_below": found.reuse_below, "reuse_age_max_ms": found.age_max_ms}
        made.keep({made.path: json.dumps(shown).encode()}, asdict(found))
        say(
            f"reuse_below {found.reuse_below:g} for at most {found.age_max_ms:g} ms: {found.reused:.0%} of frames reused"
        )
    return []
