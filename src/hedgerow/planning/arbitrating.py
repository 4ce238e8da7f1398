"""Reads the rules of arbitration that a user declares (TOML) for a task; every error names the file, the place and what is right.

format = 1
wrong = 1.0                    # what a mistake costs of which nothing else is said
agreed_labels = "weighed"      # or "stand": a label that all views say is not weighed against the costs
memory = 0.5                   # optional: the weight of what the track showed before; 0: none
age_max_ms = 1000              # optional: from this age a view weighs nothing
streams = ["front"]            # optional: only these
matrix = [[0, 1], [5, 0]]      # optional: row = said, column = true, in the order of the task's labels

[weights]                      # optional: 1 unless declared; `hedgerow adapt temperature` proposes them
"mobilenet-v2" = 0.6

[versions]                     # optional: SHA-256 of the model's file; the task's own files unless declared
"mobilenet-v2" = "5c9b..."

[prior]                        # optional: how often a label is true, relative to 1 for those not named
pedestrian = 2.0

[groups."vulnerable road user"]
holds = ["pedestrian", "cyclist"]   # labels, by name or index, or other groups
inside = 0.2                   # optional: the group itself may be said; this is its cost when the truth is inside

[[cost]]                       # later ones overrule earlier ones
said = "vehicle"               # a label, a group, or "*"
true = "vulnerable road user"
cost = 50
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hedgerow.core.arbitration import Arbitration, Cost, Group
from hedgerow.errors import UsageError
from hedgerow.models.task import Task

FORMAT = 1
FILE_BYTES_MAX = 64 * 2**20
VERSION_DIGITS = 16
"""Of a model's SHA-256: what its views bear in events."""

_KEYS = (
    *("format", "wrong", "agreed_labels", "memory", "age_max_ms", "streams", "matrix"),
    *("weights", "versions", "prior", "groups", "cost"),
)  # fmt: skip
_EVERY = "*"


def version_of(model_id: str) -> str:
    """The version that a view of the model with this SHA-256 (hex) bears."""
    return model_id[:VERSION_DIGITS].lower()


def read_arbitration(path: str | Path, task: Task) -> Arbitration:
    """The rules in the file at `path`, for this task; UsageError names file, place and what would be right."""
    file = Path(path)
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise UsageError(f"{file} has more than {FILE_BYTES_MAX} bytes: not a file of rules")
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the rules {file}: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is not valid TOML: {error}") from None
    return arbitration_of(table, task, where=str(file))


def arbitration_for(given: Arbitration | str | Path | None, task: Task) -> Arbitration | None:
    """What a session was given: rules, their file, or nothing. UsageError for rules that do not fit the task."""
    if given is None or not isinstance(given, Arbitration):
        return None if given is None else read_arbitration(given, task)
    given.check()
    if given.labels != len(task.labels):
        raise UsageError(f"the rules are for {given.labels} labels; task '{task.name}' has {len(task.labels)}")
    return given


def plain_arbitration(task: Task) -> Arbitration:
    """Nothing declared: every mistake costs 1, all models weigh the same, and only the task's own versions count."""
    return arbitration_of({"format": FORMAT}, task, where="plain rules")


def arbitration_of(table: Mapping[str, Any], task: Task, *, where: str) -> Arbitration:
    """The rules of a parsed table (see the module's docstring)."""
    unknown = [key for key in table if key not in _KEYS]
    if unknown:
        raise UsageError(f"{where}: unknown key '{unknown[0]}'; known: {', '.join(_KEYS)}")
    if table.get("format") != FORMAT:
        raise UsageError(f"{where}: 'format' must be {FORMAT}, not {table.get('format')!r}")
    if not task.labels:
        raise UsageError(f"{where}: task '{task.name}' has no labels, so there is nothing to arbitrate; give it some")
    names = _Names(task.labels, _table(table, "groups", where), where)
    rules = Arbitration(
        labels=len(task.labels),
        wrong=_number(table, "wrong", 1.0, where),
        matrix=_matrix(table.get("matrix", []), where),
        costs=tuple(_cost(entry, names, number, where) for number, entry in enumerate(_costs(table, where), start=1)),
        groups=names.groups(),
        weights=_by_model(_table(table, "weights", where), task, f"{where}: [weights]"),
        versions=_versions(_table(table, "versions", where), task, f"{where}: [versions]"),
        prior=_prior(_table(table, "prior", where), names, where),
        agreed_stand=_agreed(table.get("agreed_labels", "weighed"), where),
        memory=_number(table, "memory", 0.0, where),
        age_max_ns=round(_number(table, "age_max_ms", 1000.0, where) * 1e6),
        streams=_texts(table.get("streams", []), f"{where}: 'streams'"),
    )
    try:
        rules.check()
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    return rules


class _Names:
    """Labels and groups by what the file calls them."""

    def __init__(self, labels: tuple[str, ...], groups: Mapping[str, Any], where: str) -> None:
        self._labels, self._where = labels, where
        self._places: dict[str, list[int]] = {}
        for index, label in enumerate(labels):
            self._places.setdefault(label, []).append(index)
        self._tables: dict[str, Mapping[str, Any]] = {}
        for name, group in groups.items():
            place = f"{where}: group '{name}'"
            if name in self._places or name == _EVERY:
                raise UsageError(f"{place} is called like a label; give it a name of its own")
            if not isinstance(group, Mapping) or not {"holds"} <= group.keys() <= {"holds", "inside"}:
                raise UsageError(f"{place} needs 'holds', a list of labels and groups, and may have 'inside'")
            self._tables[name] = group
        self._found: dict[str, tuple[int, ...]] = {}
        for name in self._tables:
            self._group(name, ())

    def groups(self) -> tuple[Group, ...]:
        """All declared groups, each with the labels below it."""
        return tuple(
            Group(name, self._found[name], None if "inside" not in group
                  else _number(group, "inside", 0.0, f"{self._where}: group '{name}'"))
            for name, group in self._tables.items()
        )  # fmt: skip

    def of(self, name: object, where: str) -> tuple[int, ...]:
        """The labels that a name, an index or "*" stands for."""
        if name == _EVERY:
            return tuple(range(len(self._labels)))
        if isinstance(name, str) and name in self._tables:
            return self._found[name]
        if isinstance(name, int) and not isinstance(name, bool) and 0 <= name < len(self._labels):
            return (name,)
        places = self._places.get(name, []) if isinstance(name, str) else []
        if len(places) > 1:
            raise UsageError(f"{where}: {len(places)} labels are called '{name}'; give the index, one of {places}")
        if not places:
            raise UsageError(
                f"{where}: no label or group {name!r}; labels have names or indices 0 to {len(self._labels) - 1}"
            )
        return tuple(places)

    def _group(self, name: str, above: tuple[str, ...]) -> tuple[int, ...]:
        if name in above:
            circle = " -> ".join([*above[above.index(name) :], name])
            raise UsageError(f"{self._where}: groups hold one another in a circle: {circle}")
        if name not in self._found:
            held, where = self._tables[name]["holds"], f"{self._where}: group '{name}'"
            if not isinstance(held, list) or not held:
                raise UsageError(f"{where}: 'holds' must be a list of at least one label or group, not {held!r}")
            found: dict[int, None] = {}
            for each in held:
                inner = isinstance(each, str) and each in self._tables
                found |= dict.fromkeys(self._group(each, (*above, name)) if inner else self.of(each, where))
            self._found[name] = tuple(sorted(found))
        return self._found[name]


def _table(table: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, Mapping):
        raise UsageError(f"{where}: [{key}] must be a table")
    return found


def _costs(table: Mapping[str, Any], where: str) -> list[Any]:
    found = table.get("cost", [])
    if not isinstance(found, list):
        raise UsageError(f"{where}: costs are tables [[cost]], with 'said', 'true' and 'cost'")
    return found


def _cost(entry: Any, names: _Names, number: int, where: str) -> Cost:
    place = f"{where}: [[cost]] number {number}"
    if not isinstance(entry, Mapping) or entry.keys() != {"said", "true", "cost"}:
        raise UsageError(f"{place} must have 'said', 'true' and 'cost', and nothing else")
    said, true = names.of(entry["said"], place), names.of(entry["true"], place)
    return Cost(said, true, _number(entry, "cost", 0.0, place))


def _number(table: Mapping[str, Any], key: str, otherwise: float, where: str) -> float:
    value = table.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < float("inf"):
        raise UsageError(f"{where}: '{key}' must be a number of 0 or more, not {value!r}")
    return float(value)


def _matrix(rows: Any, where: str) -> tuple[tuple[float, ...], ...]:
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise UsageError(f"{where}: 'matrix' must be a list of rows, one a label")
    return tuple(
        tuple(_number({"cost": cost}, "cost", 0.0, f"{where}: matrix row {number}") for cost in row)
        for number, row in enumerate(rows)
    )


def _by_model(table: Mapping[str, Any], task: Task, where: str) -> tuple[tuple[str, float], ...]:
    for name in table:
        if name not in {model.name for model in task.models}:
            known = ", ".join(model.name for model in task.models)
            raise UsageError(f"{where}: task '{task.name}' has no model '{name}'; it has {known}")
    return tuple((name, _number(table, name, 1.0, where)) for name in table)


def _versions(table: Mapping[str, Any], task: Task, where: str) -> tuple[tuple[str, str], ...]:
    found = {model.name: version_of(model.model_id) for model in task.models}
    for name, version in table.items():
        if name not in found:
            raise UsageError(f"{where}: task '{task.name}' has no model '{name}'; it has {', '.join(found)}")
        if not isinstance(version, str) or len(version) < VERSION_DIGITS:
            raise UsageError(
                f"{where}: the version of '{name}' must be at least the first {VERSION_DIGITS} digits of its SHA-256"
            )
        found[name] = version_of(version)
    return tuple(found.items())


def _prior(table: Mapping[str, Any], names: _Names, where: str) -> tuple[float, ...]:
    if not table:
        return ()
    prior = [1.0] * len(names.of(_EVERY, where))
    for name in table:
        for label in names.of(name, f"{where}: [prior]"):
            prior[label] = _number(table, name, 1.0, f"{where}: [prior]")
    return tuple(prior)


def _agreed(value: object, where: str) -> bool:
    if value not in ("weighed", "stand"):
        raise UsageError(f'{where}: \'agreed_labels\' must be "weighed" or "stand", not {value!r}')
    return value == "stand"


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise UsageError(f"{where} must be a list of names")
    return tuple(value)
