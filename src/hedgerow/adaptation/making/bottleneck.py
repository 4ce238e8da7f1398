"""Two bottlenecks of MobileNetV2: one with at most a quarter of its multiply-adds on the device, one with at most half.

The first reads the model after block 2 (17 % of the work) and imitates blocks 3 and 4 with the rest of its quarter: features after
block 4 take far fewer bytes than those after block 2, linear though these could be coded (docs/bottleneck.md has the figures of both). The
second reads it after block 9 (48 %) and is linear, over all places at once; nothing in it is trained. What decided, on
photographs that taught nothing: training a linear code further made its answers to crops of the part "calibrate" no better, and running
the tail in training lowered the divergence of the photographs that taught by a third and of others hardly.
"""

from pathlib import Path
from typing import Any

from hedgerow.adaptation.bottleneck.making import LINEAR_VERSIONS, Wanted
from hedgerow.adaptation.bottleneck.making import make as make_one
from hedgerow.adaptation.keeping import Say
from hedgerow.adaptation.sources import photographs
from hedgerow.models.fetch import fetch
from hedgerow.models.task import Task

MODEL = "mobilenet-v2"
QUARTER = Wanted(
    "mobilenet-v2-b25",
    "block2.output",
    "block4.output",
    4500,
    0.25,
    steps=6000,
    taught=0,
    versions=16,
    hidden=(48, 112),
)
HALF = Wanted(
    "mobilenet-v2-b50", "block9.output", "block9.output", 1700, 0.50, steps=0, taught=0, versions=LINEAR_VERSIONS
)


def make(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[dict[str, Any]]:
    """Both, as models of their own with the one joint "latent"; UsageError without PyTorch or with too few photographs."""
    from dataclasses import replace

    model = Task.load(fetch("imagenet", report=say)).model(MODEL)
    paths = photographs(data, say)
    return [make_one(replace(wanted, seed=seed), model, paths, folder, say) for wanted in (QUARTER, HALF)]
