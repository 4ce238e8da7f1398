"""`int8`: MobileNetV2's int8 copy against its own float32: how much quicker, by turns in one thread, and how often it agrees."""

from typing import Any

from hedgerow.adaptation import quantise
from hedgerow.adaptation.quantise import Wanted
from hedgerow.adaptation.sources import enough, judged
from hedgerow.benchmarks.adapting.setting import Setting
from hedgerow.errors import UsageError
from hedgerow.models.task import Task

MODEL, COPY = "mobilenet-v2", "mobilenet-v2-int8"


def measure_copy(setting: Setting, name: str, copy: str) -> dict[str, Any]:
    """The figures of one copy on the photographs that judge; UsageError before `make adapt`."""
    task = Task.load(setting.made("imagenet"))
    known = {model.name: model for model in task.models}
    if copy not in known:
        raise UsageError(f"task '{task.name}' has no model '{copy}': run `make adapt` first")
    paths = judged(setting.data, setting.holdout, setting.say)
    enough(len(paths), 2, "photographs to judge on")
    wanted = Wanted(task, known[name], known[copy].joints)
    found = quantise.measure(wanted, known[copy].path.read_bytes(), paths, setting.say)
    speed, like = found["speed"], found["judged"]
    return {
        "speedup": round(speed["ratio"], 3),
        "agreement": round(like["agreement"], 4),
        "speedup_interval": [round(speed["low"], 3), round(speed["high"], 3)],
        "agreement_interval": [round(like["low"], 4), round(like["high"], 4)],
        "photographs": like["samples"],
        "float32_ms": round(speed["first_ms"], 3),
        "int8_ms": round(speed["second_ms"], 3),
        "bytes": found["bytes"],
        "bytes_float32": found["bytes_float32"],
        "agreement_with_reference": found.get("agreement_with_reference"),
        "agreement_with_reference_float32": found.get("agreement_with_reference_float32"),
    }


def measure(setting: Setting) -> dict[str, Any]:
    """The figures of MobileNetV2's copy."""
    return measure_copy(setting, MODEL, COPY)
