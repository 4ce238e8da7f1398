"""How many answers are reused, and how often such a stream's answers are those of answering every frame: on sequences made from
photographs that judge, and on the real clip that had no part in calibrating (left out, and said, where it cannot be read)."""

from hedgerow.adaptation import clips
from hedgerow.adaptation.keeping import read_record
from hedgerow.adaptation.making.reuse import FILE, SMALL
from hedgerow.adaptation.reusing import Watcher, judge
from hedgerow.adaptation.sources import judged
from hedgerow.benchmarks.adapting.setting import Setting
from hedgerow.models.task import Task

SEQUENCES_MAX = 100


def measure(setting: Setting) -> dict[str, float | int]:
    """`reused` and `agreement` over all judged frames, MobileNetV2 answering; those of the parts beside them."""
    path = setting.made("imagenet")
    figures = read_record((path.parent / FILE).with_suffix(".adapt.json"))["figures"]
    task, paths = Task.load(path), judged(setting.data, setting.holdout, setting.say)[:SEQUENCES_MAX]
    with Watcher(task, (SMALL,)) as watcher:
        made = watcher.made(paths, seed=1, say=setting.say)
        real = watcher.filmed(clips.JUDGE, say=setting.say)
    rule = (SMALL, float(figures["reuse_below"]), float(figures["age_max_ms"]))
    found = judge([*made, *real], *rule)
    parts = {"made": made, "filmed": real}
    told = {
        f"{part}_{key}": value
        for part, tracks in parts.items()
        if tracks
        for key, value in judge(tracks, *rule).items()
    }
    return {"reused": found["reused"], "agreement": found["agreement"], **told}
