"""Early exits on CIFAR-10: how much sooner the answer is there, and whether the disagreement asked for is kept.

The gates are those of the task file, frozen when it was made; they are judged on test pictures that calibrated nothing. Times are of
single pictures on one thread, the whole network and the one with exits by turns. Then 100 times the 10,000 test pictures,
which trained nothing, are split in two halves at random: one calibrates along the frozen path, the other judges.
"""

from typing import Any

import numpy as np

from hedgerow.adaptation.exits.architecture import RESNET
from hedgerow.adaptation.exits.cifar import AT_MOST, LEVEL, NAME, calibrating, costs_of, prepared
from hedgerow.adaptation.exits.running import Answers, WithExits, speedup
from hedgerow.adaptation.exits.settling import Promise, calibrate, judged
from hedgerow.adaptation.keeping import read_record
from hedgerow.adaptation.risk import Floats
from hedgerow.adaptation.sources import cifar10
from hedgerow.benchmarks.adapting.setting import RESPLITS, Setting
from hedgerow.models.task import Task

TIMED = 2_000


def measure(setting: Setting) -> dict[str, Any]:
    """speedup, disagreement_asked and _got, accuracy_full and _exits, resplits_kept, and what stands behind them."""
    path = setting.made("cifar10")
    task = Task.load(path)
    record = read_record(path.parent / f"{NAME}.adapt.json")
    exits = [task.model(name) for name in record["figures"]["exits"]]
    gates = np.array([each.gate for each in exits], dtype=np.float64)
    test = cifar10(setting.data, "test")
    inputs = prepared(test)
    with WithExits(task.model(NAME).path, [each.path for each in exits], [each.after for each in exits]) as model:
        setting.say("exits_image: answering 10,000 test pictures of CIFAR-10")
        answers = model.answers(inputs)
        _, there = calibrating(test)
        setting.say(f"exits_image: timing {TIMED} of them, with exits and without by turns")
        timed = np.random.default_rng(0).permutation(there)[:TIMED]
        gain, with_exits, whole = speedup(model, [inputs[index] for index in timed], gates.tolist())
    depths = [[stage.joint for stage in RESNET.exits].index(each.after) for each in exits]
    figures = judged(answers.of(there), test.labels[there], gates, costs_of(RESNET).of(depths))
    setting.say(f"exits_image: {RESPLITS} resplits")
    shares = resplits(answers, np.array(record["figures"]["path"]), seed=0)
    return {
        "speedup": gain,
        "disagreement_asked": AT_MOST,
        **figures,
        "resplits_kept": int((shares <= AT_MOST).sum()),
        "resplits": RESPLITS,
        "resplit_disagreement_mean": float(shares.mean()),
        "resplit_disagreement_worst": float(shares.max()),
        "mean_us_with_exits": float(with_exits.mean() * 1e6),
        "mean_us_whole": float(whole.mean() * 1e6),
        "median_us_whole": float(np.median(whole) * 1e6),
    }


def resplits(answers: Answers, path: Floats, *, seed: int, count: int = RESPLITS) -> Floats:
    """(count,): the judging half's disagreement, calibrated on the other half."""
    chance = np.random.default_rng(seed)
    samples = len(answers.whole)
    shares = np.empty(count)
    for number in range(count):
        order = chance.permutation(samples)
        here, there = order[: samples // 2], order[samples // 2 :]
        found, _ = calibrate(answers.of(here), range(path.shape[1]), path, Promise(AT_MOST, LEVEL, len(there)))
        judging = answers.of(there)
        given = judging.given(path[found.row]) if found.row >= 0 else judging.whole
        shares[number] = float((given != judging.whole).mean())
    return shares
