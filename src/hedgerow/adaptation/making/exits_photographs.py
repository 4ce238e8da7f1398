"""The step "exits_photographs" of `make adapt`: exits on MobileNetV2 for photographs without labels, at most 5 % disagreement.

The promise is about MobileNetV2: an exit's answer disagrees with what the whole of MobileNetV2 would have said. So MobileNetV2's
own scores teach; how often either agrees with the task's reference is what a profile measures.
"""

from pathlib import Path
from typing import Any

from hedgerow.adaptation.exits.frozen import Wish, make_exits
from hedgerow.adaptation.exits.settling import Promise
from hedgerow.adaptation.exits.subject import pictures_of, subject_of
from hedgerow.adaptation.keeping import Say
from hedgerow.adaptation.sources import photographs

MODEL = "mobilenet-v2"
JOINTS = ("block10.output", "block14.output")
AT_MOST = 0.05


def make(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[dict[str, Any]]:
    """The exits' tables; none where what the photographs can prove pays for none. UsageError for too few photographs."""
    subject = subject_of(MODEL, say)
    pictures = pictures_of(photographs(data, say)[0].parent, subject, len(subject.labels), say)
    wish = Wish(Promise(AT_MOST), JOINTS, seed=seed)
    record = make_exits(folder, subject, pictures, wish, say)
    say(record["figures"]["summary"])
    entries: list[dict[str, Any]] = record["figures"]["entries"]
    return entries
