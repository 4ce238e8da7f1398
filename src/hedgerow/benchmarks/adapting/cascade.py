"""How a cascade of MobileNetV2 and EfficientNet-Lite2 does on photographs that neither gate nor codec was chosen with."""

from hedgerow.adaptation.gating import play
from hedgerow.adaptation.keeping import read_record
from hedgerow.adaptation.making.cascade import SMALL, file_of
from hedgerow.adaptation.sources import judged
from hedgerow.benchmarks.adapting.setting import Setting
from hedgerow.models.task import Task


def measure(setting: Setting) -> dict[str, float | int]:
    """Shares of the judging photographs that are sent and whose answer is the reference's, and bytes saved beside sending all."""
    path = setting.made("imagenet")
    figures = read_record((path.parent / file_of(SMALL)).with_suffix(".adapt.json"))["figures"]
    task, paths = Task.load(path), judged(setting.data, setting.holdout, setting.say)
    gate = float(figures["gate"]["threshold"])
    found = play(task, SMALL, gate, str(figures["codec"]), paths, say=setting.say)
    return {"escalated": found.escalated, "agreement": found.agreement, "bytes_saved": found.bytes_saved}
