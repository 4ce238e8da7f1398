"""Turns a model's outputs into a view for arbitration, and what was decided into an answer's label.

The exponential is here and not in the core: its bits differ between processors, so its result is rounded into an event.
"""

from collections.abc import Callable

from hedgerow.core.views import Arbitrated, Seen
from hedgerow.models.calibrated import LABELS_KEPT, likeliest, probabilities
from hedgerow.models.task import Interpretation, Task
from hedgerow.models.tensors import Tensors
from hedgerow.planning.arbitrating import version_of

"""Of a view: a thousand numbers a request would fill the journal, and what is beyond the fifth hardly ever decides."""

See = Callable[[str, Tensors], Seen | None]


def blind(model: str, outputs: Tensors) -> Seen | None:
    """No view of anything: nothing arbitrates."""
    return None


class Seer:
    """Views of one task's models, each with the temperature of the task file. `known`: the other side has proven that it runs
    this very file; else its views bear no version, and count only for a model of which none was declared."""

    def __init__(self, task: Task, *, known: bool = True) -> None:
        self._task = task
        self._temperature = {model.name: model.temperature or 1.0 for model in task.models}
        self._version = {model.name: version_of(model.model_id) if known else "" for model in task.models}

    def __call__(self, model: str, outputs: Tensors) -> Seen | None:
        """None for a task without labels."""
        if self._task.kind != "classification":
            return None
        shares = probabilities(self._task.scores(outputs), self._temperature[model])
        return Seen(self._version[model], *likeliest(shares, LABELS_KEPT))


def settled(task: Task, meaning: Interpretation, said: Arbitrated) -> tuple[Interpretation, str | None]:
    """What an answer means once it was arbitrated, and what the rules say: the same, unless it is the device's own of a safety
    stream."""
    suggested = said.group or _name(task, said.suggested)
    if said.label != said.suggested or said.label < 0:
        return meaning, suggested
    if said.label == meaning.label_index and not said.group:
        return meaning, suggested
    return Interpretation(said.label, suggested, said.probability), suggested


def _name(task: Task, label: int) -> str | None:
    return task.labels[label] if task.labels and label >= 0 else None
