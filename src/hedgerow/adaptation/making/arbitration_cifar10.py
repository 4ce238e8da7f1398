"""The temperature of each model of the CIFAR-10 task (the whole network and its exits) and the weights of their views.

Fitted on pictures of CIFAR-10's test set that are in the part "calibrate": nothing was trained on any of them.
"""

from pathlib import Path
from typing import Any

from hedgerow.adaptation.keeping import Made, Say, digest
from hedgerow.adaptation.making.arbitration import FILE, figures_of
from hedgerow.adaptation.sources import cifar10
from hedgerow.adaptation.weighing import fit, rules_text, summary
from hedgerow.adaptation.witnesses import classifiers, scores
from hedgerow.errors import UsageError
from hedgerow.models.task import Task

SAMPLES = 1000


def make(folder: Path, data: Path | None, *, seed: int, say: Say) -> list[dict[str, Any]]:
    """`temperature` for each model; UsageError where the network is not made yet."""
    path = folder / "task.toml"
    if not path.is_file():
        raise UsageError("there is no network for CIFAR-10 yet: `hedgerow adapt all --only exits_cifar10` makes it")
    task, test = Task.load(path), cifar10(data, "test").of("calibrate")
    test = test.take(range(min(SAMPLES, len(test.names))))
    ids = {model.name: model.model_id for model in task.models}
    made = Made(folder / FILE, {"models": ids, "samples": digest("\n".join(test.names).encode())}, renewable=True)
    record = made.record()
    if record is None:
        scored = {name: scores(task, name, list(test.pictures), say=say) for name in classifiers(task)}
        fitted, weights = fit(scored, test.labels, task.reference)
        for line in summary(fitted, weights):
            say(line)
        record = made.keep({made.path: rules_text(weights, len(test.names)).encode()}, figures_of(fitted, weights))
    return [{"name": name, "temperature": found["temperature"]} for name, found in record["figures"]["models"].items()]
