"""How good the answer of whoever gave it is: the calibrated share, and whether it agrees at this very sample.

Behind a gate lie the samples of which the gate's model was unsure, so what it answers there, and what the other side answers there,
is not what each answers over all samples. Rules: of an arm with gates every answer is judged over the samples on the same side
of its gates, by the profile's own confidences and answers; the one pseudo-sample of `planning.arms.shrunk` is spread over the sides
by their size, so that the sides together have the quality that the arm's parts have; where a table stands without
samples, the table's own figures stand.
"""

from collections.abc import Mapping, Sequence

from hedgerow.core.arms import Arm, ArmTable, GateStep
from hedgerow.planning.composing import crossing_part
from hedgerow.profiling.agreement import local_name, prefix_name

Confidences = Mapping[str, Sequence[float | None]]


def gates(arm: Arm) -> tuple[tuple[str, float], ...]:
    """(model, least confidence) of each gate, in order: the model is the one that has just run."""
    steps = enumerate(arm.steps)
    return tuple((arm.before(place), step.at_least) for place, step in steps if isinstance(step, GateStep))


def side(arm_gates: Sequence[tuple[str, float]], confidences: Confidences, sample: int) -> int:
    """The first gate at which this sample stops, or how many there are."""
    for place, (model, at_least) in enumerate(arm_gates):
        known = confidences.get(model)
        sure = known[sample % len(known)] if known else None
        if sure is not None and sure >= at_least:
            return place
    return len(arm_gates)


class Answering:
    """For one table: `bits` by the profile's names (a 1 or a 0 a sample), `confidences` by model (one a sample)."""

    def __init__(self, table: ArmTable, bits: Mapping[str, str], confidences: Confidences) -> None:
        self._table, self._bits, self._confidences = table, bits, confidences
        self._locals = {model.name: model.quality for model in table.locals}
        self._gates = [gates(arm) for arm in table.arms]
        self._names = [crossing_part(arm.name) for arm in table.arms]
        self._sides: dict[int, list[int]] = {}
        self._shares: dict[tuple[int, int, str], float] = {}
        self._gated = any(self._gates)

    def remote_quality(self, column: int, sample: int, part: float = 1.0) -> float:
        """Of an answer from afar under this arm, from `part` of what it sends."""
        crossing = self._table.arms[column].crossing
        if part < 1.0 and crossing is not None:
            return crossing.quality_of(part)
        return self._quality(column, self._names[column], sample, float(self._table.quality[column]))

    def local_quality(self, column: int, model: str, sample: int) -> float:
        """Of this model's answer here under this arm (-1: none)."""
        return self._quality(column, local_name(model), sample, self._locals[model])

    def remote_agrees(self, column: int, sample: int, part: float = 1.0) -> bool:
        """Whether it agrees at this sample; what loses nothing does."""
        crossing = self._table.arms[column].crossing
        if part < 1.0 and crossing is not None:
            measured = max((share for share, _ in crossing.prefixes if share <= part), default=0.0)
            return self._agrees(prefix_name(self._names[column], measured), sample, 0.0)
        return self._agrees(self._names[column], sample, float(self._table.quality[column]))

    def local_agrees(self, model: str, sample: int) -> bool:
        return self._agrees(local_name(model), sample, self._locals[model])

    def _agrees(self, name: str, sample: int, quality: float) -> bool:
        bits = self._bits.get(name)
        return quality >= 1.0 or (bits is not None and bits[sample % len(bits)] == "1")

    def _quality(self, column: int, name: str, sample: int, otherwise: float) -> float:
        if not self._gated or column < 0 or not self._gates[column] or name not in self._bits or otherwise >= 1.0:
            return otherwise
        if column not in self._sides:
            count = len(self._bits[name])
            self._sides[column] = [side(self._gates[column], self._confidences, each) for each in range(count)]
        sides = self._sides[column]
        key = (column, sides[sample % len(sides)], name)
        if key not in self._shares:
            self._shares[key] = self._share(*key)
        return self._shares[key]

    def _share(self, column: int, where: int, name: str) -> float:
        sides, bits = self._sides[column], self._bits[name]
        mine = [bit for bit, each in zip(bits, sides, strict=True) if each == where]
        part = len(mine) / len(bits)
        return (mine.count("1") + 0.5 * part) / (len(mine) + part)
