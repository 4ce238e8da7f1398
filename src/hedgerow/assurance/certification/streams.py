"""A streams file: what must be answered by when, on which lanes, and the modes in which a vehicle may run.

Rules: every key is known, every value has its type and a possible size, names are unique and refer to something; what is
wrong is told in one line that names its place. Times are read in ms and kept in whole ns. `docs/certificate.md` shows a file.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hedgerow.core.certificate import Rule
from hedgerow.core.records import MS, SECOND, Criticality, Limits
from hedgerow.errors import UsageError

FORMAT = 1
STREAMS_BYTES_MAX = 1 << 20
MODES_MAX = 16
NAME_CHARACTERS_MAX = 64
TIME_MS_MAX = 86_400_000.0  # one day
TIME_MS_MIN = 0.001  # of what cannot be nothing
NOMINAL = "nominal"


@dataclass(frozen=True, slots=True)
class DeclaredStream:
    """One stream (lengths in ns). `reserves` None: every model of the profile; empty: only its safe value."""

    name: str
    period_ns: int
    deadline_ns: int
    capture_delay_ns: int
    jitter_ns: int
    criticality: Criticality
    reserves: tuple[str, ...] | None
    has_safe_value: bool
    safe_value: Any
    expiry_ns: int
    reuse_below: float | None = None
    reuse_age_max_ns: int = 0

    @property
    def latest_arrival_ns(self) -> int:
        """The longest time from capture to arrival."""
        return self.capture_delay_ns + self.jitter_ns

    @property
    def reserved(self) -> bool:
        """Whether an answer is promised at all."""
        return self.criticality is not Criticality.BACKGROUND


@dataclass(frozen=True, slots=True)
class DeclaredLane:
    """What is declared of a lane beyond its profile."""

    name: str
    margin_share: float = 0.0
    device_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """What one mode makes of one stream; `reserves` None: as declared."""

    stream: str
    reserves: tuple[str, ...] | None = None
    keep_every: int = 1


@dataclass(frozen=True, slots=True)
class DeclaredMode:
    """A way to run; streams that are not named run as declared."""

    name: str
    changes: tuple[Change, ...] = ()

    def change(self, stream: str) -> Change:
        return next((each for each in self.changes if each.stream == stream), Change(stream))


@dataclass(frozen=True, slots=True)
class Declared:
    """A whole streams file. Margins are 0 where the profile's stand."""

    streams: tuple[DeclaredStream, ...]
    lanes: tuple[DeclaredLane, ...]
    modes: tuple[DeclaredMode, ...]
    modes_declared: bool
    timer_ns: int
    cancel_ns: int
    deliver_ns: int
    rule: Rule

    def lane(self, name: str) -> DeclaredLane:
        return next((each for each in self.lanes if each.name == name), DeclaredLane(name))

    @property
    def device_factor(self) -> float:
        """The one factor by which the device is emulated slower."""
        return self.lanes[0].device_factor if self.lanes else 1.0

    def reserves(self, mode: DeclaredMode, stream: DeclaredStream) -> tuple[str, ...] | None:
        """What may stand in reserve for the stream in this mode; None: any model."""
        change = mode.change(stream.name)
        return stream.reserves if change.reserves is None else change.reserves


class _Table:
    """One TOML table, of which every key must be asked for."""

    def __init__(self, where: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise UsageError(f"{where} must be a table")
        self.where, self.values, self.left = where, values, set(values)

    def has(self, key: str) -> bool:
        return key in self.values

    def take(self, key: str, default: Any = None) -> Any:
        self.left.discard(key)
        return self.values.get(key, default)

    def number(self, key: str, default: float | None, *, low: float = 0.0, high: float = TIME_MS_MAX) -> float:
        """A finite number from `low` to `high`; UsageError also when it is missing and there is no default."""
        value = self.take(key, default)
        if value is None:
            raise UsageError(f"{self.where} needs {key}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{self.where}: {key} must be a number, not {_shown(value)}")
        if not low <= value <= high:
            raise UsageError(
                f"{self.where}: {key} is {_shown(value)}; it must be at least {low:g} and at most {high:g}"
            )
        return float(value)

    def ns(self, key: str, default_ms: float | None, *, above: bool = False, unit_ns: int = MS) -> int:
        low = TIME_MS_MIN if above else 0.0
        return round(self.number(key, default_ms, low=low, high=TIME_MS_MAX * MS / unit_ns) * unit_ns)

    def whole(self, key: str, default: int | None, *, low: int, high: int) -> int:
        value = self.number(key, default, low=low, high=high)
        if value != int(value):
            raise UsageError(f"{self.where}: {key} is {value!r}; it must be a whole number")
        return int(value)

    def name(self) -> str:
        value = self.take("name")
        if not isinstance(value, str) or not 0 < len(value) <= NAME_CHARACTERS_MAX or not value.isprintable():
            raise UsageError(f"{self.where} needs a name of 1 to {NAME_CHARACTERS_MAX} printable characters")
        return value

    def names(self, key: str) -> tuple[str, ...] | None:
        """A list of distinct names; None if the key is absent."""
        if not self.has(key):
            return None
        value = self.take(key)
        if not isinstance(value, list) or any(not isinstance(each, str) or not each for each in value):
            raise UsageError(f"{self.where}: {key} must be a list of names")
        if len(set(value)) != len(value):
            raise UsageError(f"{self.where}: {key} names something twice")
        return tuple(value)

    def tables(self, key: str) -> list[Any]:
        value = self.take(key, [])
        if not isinstance(value, list):
            raise UsageError(f"{self.where}: write [[{key}]], once for each")
        return value

    def end(self) -> None:
        if self.left:
            raise UsageError(f"{self.where}: unknown key '{min(self.left)}'; see docs/certificate.md")


def parse_streams(text: str) -> Declared:
    """Read a streams file's text; UsageError, naming the place, for anything that is not as it must be."""
    if len(text) > STREAMS_BYTES_MAX:
        raise UsageError(f"the streams file is larger than {STREAMS_BYTES_MAX} bytes")
    try:
        top = _Table("the streams file", tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"the streams file is not TOML: {error}") from None
    version = top.take("format")
    if version != FORMAT or isinstance(version, bool):
        raise UsageError(f"the streams file must say format = {FORMAT}; it says {_shown(version)}")
    streams = _each(top, "stream", _stream)
    lanes = _each(top, "lane", _lane)
    modes = _each(top, "mode", _mode)
    margins = _Table("[margins]", top.take("margins", {}))
    timer_ns, cancel_ns, deliver_ns = (margins.ns(key, 0.0) for key in ("timer_ms", "cancel_ms", "deliver_ms"))
    margins.end()
    rule = _rule(_Table("[rule]", top.take("rule", {})))
    top.take("guard", {})  # for the guard alone, which reads the same file and checks its own table
    top.end()
    nominal = modes or (DeclaredMode(NOMINAL),)
    declared = Declared(streams, lanes, nominal, bool(modes), timer_ns, cancel_ns, deliver_ns, rule)
    _check(declared)
    return declared


def _each(top: _Table, key: str, read: Callable[[_Table], Any]) -> Any:
    found = []
    for number, values in enumerate(top.tables(key), start=1):
        named = values.get("name") if isinstance(values, dict) else None
        where = f"{key} '{named}'" if isinstance(named, str) and named else f"[[{key}]] number {number}"
        table = _Table(where, values)
        found.append(read(table))
        table.end()
    names = [each.name for each in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two {key}s are called '{twice}'")
    return tuple(found)


def _stream(table: _Table) -> DeclaredStream:
    name = table.name()
    kind = table.take("criticality", Criticality.MISSION.value)
    if kind not in [each.value for each in Criticality]:
        raise UsageError(f"{table.where}: criticality is {_shown(kind)}; it must be safety, mission or background")
    period_ns, deadline_ns = table.ns("period_ms", None, above=True), table.ns("deadline_ms", None, above=True)
    delay_ns, jitter_ns = table.ns("capture_delay_ms", 0.0), table.ns("jitter_ms", 0.0)
    if delay_ns + jitter_ns >= deadline_ns:
        raise UsageError(f"{table.where}: a sample may arrive only at its deadline (capture_delay_ms + jitter_ms)")
    if jitter_ns >= period_ns:
        raise UsageError(f"{table.where}: jitter_ms must be less than period_ms, or samples overtake each other")
    reserves, criticality = table.names("reserves"), Criticality(kind)
    if criticality is Criticality.BACKGROUND and reserves:
        raise UsageError(f"{table.where}: a background stream holds no reserve; leave reserves out")
    has_safe_value = table.has("safe_value")
    if reserves == () and not has_safe_value and criticality is not Criticality.BACKGROUND:
        raise UsageError(f"{table.where}: without any reserve it needs a safe_value")
    safe_value, expiry_ns = table.take("safe_value"), table.ns("expiry_ms", 60_000.0, above=True)
    if table.has("reuse_below") != table.has("reuse_age_max_ms"):
        raise UsageError(f"{table.where}: reuse_below and reuse_age_max_ms go together")
    reuse = (table.number("reuse_below", None), table.ns("reuse_age_max_ms", None)) if table.has("reuse_below") else ()
    ends = (has_safe_value, safe_value, expiry_ns)
    return DeclaredStream(name, period_ns, deadline_ns, delay_ns, jitter_ns, criticality, reserves, *ends, *reuse)


def _lane(table: _Table) -> DeclaredLane:
    name, factor = table.name(), table.number("device_factor", 1.0, low=1.0, high=1e5)
    return DeclaredLane(name, table.number("margin_share", 0.0, high=100.0), factor)


def _mode(table: _Table) -> DeclaredMode:
    name, changes = table.name(), []
    streams = _Table(f"{table.where}: streams", table.take("streams", {}))
    for stream in streams.values:
        part = _Table(f"{table.where}, stream '{stream}'", streams.take(stream))
        keep = part.whole("keep_every", 1, low=1, high=1000)
        changes.append(Change(stream, part.names("reserves"), keep))
        part.end()
    return DeclaredMode(name, tuple(changes))


def _rule(table: _Table) -> Rule:
    usual = Rule()
    hot, cool = (
        table.number(key, None, low=-100.0, high=1000.0) if table.has(key) else None
        for key in ("hot_celsius", "cool_celsius")
    )
    if (hot is None) != (cool is None) or (hot is not None and cool is not None and cool >= hot):
        raise UsageError("[rule]: give hot_celsius and cool_celsius together, and the cool one lower")
    seconds = {
        key: table.ns(f"{key}_s", getattr(usual, f"{key}_ns") / SECOND, above=True, unit_ns=SECOND)
        for key in ("window", "return_after", "return_after_max", "hot_step")
    }
    if seconds["return_after_max"] < seconds["return_after"]:
        raise UsageError("[rule]: return_after_max_s is less than return_after_s")
    exceedances = table.whole("exceedances_max", usual.exceedances_max, low=0, high=1_000_000)
    table.end()
    return Rule(
        exceedances_max=exceedances,
        window_ns=seconds["window"],
        return_after_ns=seconds["return_after"],
        return_after_max_ns=seconds["return_after_max"],
        hot_celsius=hot,
        cool_celsius=cool,
        hot_step_ns=seconds["hot_step"],
    )


def _check(declared: Declared) -> None:
    """What only the whole file can tell."""
    limit = Limits().streams_max
    if not declared.streams:
        raise UsageError("the streams file has no [[stream]]")
    if len(declared.streams) > limit or len(declared.modes) > MODES_MAX:
        raise UsageError(f"the streams file has more than {limit} streams or {MODES_MAX} modes")
    if len({lane.device_factor for lane in declared.lanes}) > 1:
        raise UsageError("the lanes have different device_factors; one device is emulated at a time")
    known = {stream.name: stream for stream in declared.streams}
    for mode in declared.modes:
        for change in mode.changes:
            stream = known.get(change.stream)
            if stream is None:
                raise UsageError(f"mode '{mode.name}' names stream '{change.stream}', which is not declared")
            if not stream.reserved:
                raise UsageError(f"mode '{mode.name}': background stream '{stream.name}' has no reserve to change")
            if change.reserves == () and not stream.has_safe_value:
                raise UsageError(
                    f"mode '{mode.name}': stream '{stream.name}' has no safe_value to stand in for a reserve"
                )


def _shown(value: Any) -> str:
    """A value in a message, cut short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
