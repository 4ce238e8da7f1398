"""Scenarios: what is simulated, as short TOML files that a user writes without Python. `docs/scenarios.md` tells every key.

A scenario names a profile, what streams there are, how the links are used (by their radio), how fast device and cloud are, and
the prices. What is a list of numbers is swept: every combination is a cell of the comparison. Rules: every key is
known and of its type and range, or the file is refused whole, with the place; nothing is guessed.
"""

import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from hedgerow.core.records import MS, SECOND, Criticality, Prices
from hedgerow.errors import HostError, UsageError
from hedgerow.profiling.profile import Profile
from hedgerow.simulation.faults import Fault
from hedgerow.simulation.parts import (
    BatteryPart,
    BudgetPart,
    Celsius,
    FaultPart,
    FleetPart,
    Length,
    Mj,
    Ms,
    Patterns,
    RadioPart,
    Seconds,
    Share,
    VariantPart,
)
from hedgerow.simulation.power import Tariff
from hedgerow.simulation.reusing import REUSE_BELOW, Still
from hedgerow.simulation.sensors import Sensor

FORMAT: Final = 1
FILE_BYTES_MAX: Final = 1_000_000
CELLS_MAX: Final = 10_000
_ABOUT: Final = "docs/scenarios.md tells every key"

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@: -]*$")]
Factor = Annotated[float, Meta(gt=0.0, lt=1e6)]


class StreamPart(Struct, frozen=True, forbid_unknown_fields=True):
    """[[stream]]: a sensor. Without `deadline_ms` it has the swept one."""

    name: Name
    period_ms: Length | None = None
    deadline_ms: Length | None = None
    kind: str = "periodic"
    criticality: str = "mission"
    jitter_ms: Ms = 0.0
    delay_ms: Ms = 0.0
    phase_ms: Ms = 0.0
    burst_mean: Annotated[float, Meta(ge=1.0, le=1e6)] = 10.0
    gap_ms: Length = 2000.0
    safe_value: bool = False
    reuse_age_ms: Ms = 0.0
    still_share: Share = 0.0
    still_s: Seconds = 3.0
    unnoticed_share: Share = 0.0

    @property
    def still(self) -> Still | None:
        """How its scene stands still and moves, if the scenario says that it does."""
        return Still(self.still_share, self.still_s, self.unnoticed_share) if self.still_share else None

    def sensor(self, period_ms: float, deadline_ms: float) -> Sensor:
        """The sensor, where `period_ms` and `deadline_ms` stand for what the file leaves open."""
        try:
            criticality = Criticality(self.criticality)
        except ValueError:
            raise UsageError(
                f"stream '{self.name}': criticality '{self.criticality}' is none of {', '.join(Criticality)}"
            ) from None
        return Sensor(
            self.name,
            _ns(self.deadline_ms or deadline_ms),
            _ns(self.period_ms or period_ms),
            self.kind,
            criticality,
            _ns(self.jitter_ms),
            _ns(self.delay_ms),
            _ns(self.phase_ms),
            self.burst_mean,
            _ns(self.gap_ms),
            self.safe_value,
            reuse_below=REUSE_BELOW if self.reuse_age_ms else None,
            reuse_age_max_ns=_ns(self.reuse_age_ms),
        )


class GroupPart(Struct, frozen=True, forbid_unknown_fields=True):
    """[[group]]: the links whose radio begins with one of `radios` ("" matches every link), and what is swept over them."""

    name: Name
    radios: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]
    deadlines_ms: Annotated[tuple[Length, ...], Meta(min_length=1, max_length=16)]
    device_factors: Annotated[tuple[Annotated[float, Meta(ge=1.0, lt=1e6)], ...], Meta(min_length=1, max_length=16)]
    period_ms: Length = 100.0
    seconds: Seconds | None = None
    rtt_offset_ms: Annotated[float, Meta(ge=-600_000.0, le=600_000.0)] = 0.0

    def takes(self, radio: str) -> bool:
        """Whether a link of this radio belongs here."""
        return any(radio.lower().startswith(each.lower()) for each in self.radios)


class PricePart(Struct, frozen=True, forbid_unknown_fields=True):
    """[[price]]: one point of the sweep of prices, all in mJ."""

    disagreement_mj: Mj = 2000.0
    reserve_mj: Mj = 20.0
    money_mj: Mj = 0.0

    def prices(self) -> Prices:
        return Prices(self.money_mj, self.disagreement_mj, self.reserve_mj)


class DevicePart(Struct, frozen=True, forbid_unknown_fields=True):
    """[device]: what disturbs it. `neighbour_*`: another process that comes and goes (exponential means). Battery and heat
    are read, and the core told of them, every `reading_ms`."""

    heat: bool = False
    ambient_c: Annotated[float, Meta(ge=-60.0, le=120.0)] = 25.0
    rise_c: Annotated[float, Meta(ge=0.0, le=200.0)] = 60.0
    time_constant_s: Seconds = 60.0
    throttle_at_c: Celsius = 75.0
    release_at_c: Celsius = 70.0
    slowdown: Annotated[float, Meta(ge=1.0, le=100.0)] = 1.5
    reading_ms: Length = 1000.0
    neighbour_busy_s: Seconds | None = None
    neighbour_away_s: Seconds | None = None
    persistence: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.9
    run_length: Annotated[float, Meta(ge=1.0, le=1e6)] = 5.0
    active_mw: Mj = 4000.0
    radio_mw: Mj = 1200.0
    radio_tail_mj: Mj = 2.0


class CloudPart(Struct, frozen=True, forbid_unknown_fields=True):
    """[cloud]: how fast (times what the profile measured) and how many."""

    factor: Factor = 1.0
    replicas: Annotated[int, Meta(ge=0, le=10_000)] = 1
    replicas_max: Annotated[int, Meta(ge=0, le=10_000)] = 0
    queue_length_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 64
    batch_max: Annotated[int, Meta(ge=1, le=1024)] = 1
    batch_wait_ms: Ms = 0.0
    batch_share: Share = 1.0
    start_ms: Ms = 8000.0
    is_cold: bool = False


class TariffPart(Struct, frozen=True, forbid_unknown_fields=True):
    """[tariff]: money for traffic (10^6 bytes) and for seconds of cloud time, in one unit. `free_mb` are free in each world;
    the core does not know of them, the report does."""

    money_per_mb: Mj = 0.0
    money_per_cloud_s: Mj = 0.0
    free_mb: Mj = 0.0

    def tariff(self) -> Tariff:
        return Tariff(self.money_per_mb, self.money_per_cloud_s, self.free_mb)


class Scenario(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file. `where` is its folder, for the paths in it."""

    format: Annotated[int, Meta(ge=1)]
    name: Name
    group: Annotated[tuple[GroupPart, ...], Meta(min_length=1, max_length=64)]
    price: Annotated[tuple[PricePart, ...], Meta(min_length=1, max_length=64)] = (PricePart(),)
    note: str = ""
    profile: str = "photographs"
    seconds: Seconds = 60.0
    stream: Annotated[tuple[StreamPart, ...], Meta(max_length=64)] = ()
    device: DevicePart = DevicePart()
    cloud: CloudPart = CloudPart()
    tariff: TariffPart = TariffPart()
    links: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=1024)], ...], Meta(max_length=1000)] = ()
    fault: Annotated[tuple[FaultPart, ...], Meta(max_length=256)] = ()
    battery: BatteryPart | None = None
    radio: RadioPart | None = None
    budget: BudgetPart | None = None
    fleet: FleetPart | None = None
    models: Patterns = ()
    without: Patterns = ()
    variant: Annotated[tuple[VariantPart, ...], Meta(max_length=16)] = ()
    audit_share: Share = 0.0
    where: str = ""

    def streams(self) -> tuple[StreamPart, ...]:
        """The declared ones, or one camera."""
        return self.stream or (StreamPart("camera"),)

    def group_of(self, radio: str) -> GroupPart | None:
        """The first group that takes links of this radio."""
        return next((group for group in self.group if group.takes(radio)), None)

    def variants(self) -> tuple["Scenario", ...]:
        """The scenario once for each [[variant]], which differs in nothing but what it leaves out."""
        return tuple(
            msgspec.structs.replace(
                self,
                name=each.name,
                models=each.models or self.models,
                without=(*self.without, *each.without),
                variant=(),
            )
            for each in self.variant
        )

    def faults(self, span_ns: int) -> tuple[Fault, ...]:
        """Every fault of a world that lasts so long, in order of its beginning."""
        found = [fault for part in self.fault for fault in part.spells(span_ns)]
        return tuple(sorted(found, key=lambda fault: (fault.from_ns, fault.kind)))

    def load_profile(self) -> Profile:
        """The profile that it names: a shipped one, or a file beside the scenario."""
        if self.profile in shipped_profiles():
            return Profile.load(shipped_profiles()[self.profile])
        return Profile.load(Path(self.where) / self.profile)


def _ns(ms: float) -> int:
    return round(ms * MS)


def span_ns(scenario: Scenario, group: GroupPart) -> int:
    """How long each world of a group lasts."""
    return round((group.seconds or scenario.seconds) * SECOND)


def shipped() -> dict[str, Path]:
    """The scenarios that come with the package, by name."""
    return _files("scenarios", ".toml")


def shipped_profiles() -> dict[str, Path]:
    """The profiles that come with the package, by name."""
    return _files("profiles", ".json")


def _files(folder: str, ending: str) -> dict[str, Path]:
    found = Path(str(resources.files("hedgerow.simulation"))) / folder
    return {path.stem: path for path in sorted(found.glob(f"*{ending}"))}


def load(source: str | Path) -> Scenario:
    """Read a scenario file, or a shipped one by name; UsageError says what is wrong where, HostError that it cannot be read."""
    path = Path(source)
    if not path.exists() and str(source) in shipped():
        path = shipped()[str(source)]
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UsageError(f"{path} is larger than {FILE_BYTES_MAX} bytes: that is no scenario")
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no scenario {source}; give a TOML file, or one of {', '.join(shipped())}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder, not a scenario; for a folder of links write --links {path}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file in UTF-8: give a TOML file") from None
    except OSError as error:
        raise HostError(f"cannot read the scenario {path}: {error.strerror}") from None
    return parse(text, name=str(path), where=str(path.parent))


def parse(text: str, *, name: str, where: str = "") -> Scenario:
    """A scenario's text; UsageError with the line (bad TOML) or the place (bad content)."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is not TOML: {error}") from None
    if document.get("format", FORMAT) != FORMAT:
        raise UsageError(f"{name} has format {document['format']!r}; this version reads format {FORMAT}")
    if "where" in document:
        raise UsageError(f"{name}: unknown key 'where'; {_ABOUT}")
    try:
        found = msgspec.convert(document, Scenario, strict=True)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name}: {error}; {_ABOUT}") from None
    found = msgspec.structs.replace(found, where=where)
    _check(found, name)
    return found


def _check(scenario: Scenario, name: str) -> None:
    """What types and ranges do not say."""
    if not all(map(math.isfinite, _numbers(scenario))):
        raise UsageError(f"{name}: every number must be finite")
    names = [part.name for part in scenario.streams()]
    if len(set(names)) != len(names):
        raise UsageError(f"{name}: two streams have the same name")
    for what, values in _swept(scenario):
        if len(set(values)) != len(values):
            raise UsageError(f"{name}: {what} names a value twice: each would count twice")
    groups = [group.name for group in scenario.group]
    if len(set(groups)) != len(groups):
        raise UsageError(f"{name}: two groups have the same name")
    device = scenario.device
    if (device.neighbour_busy_s is None) != (device.neighbour_away_s is None):
        raise UsageError(f"{name}: [device] needs both neighbour_busy_s and neighbour_away_s, or neither")
    if device.release_at_c > device.throttle_at_c:
        raise UsageError(f"{name}: [device] release_at_c must not be above throttle_at_c")
    _check_parts(scenario, name)
    if scenario.cloud.replicas == 0 and scenario.cloud.replicas_max == 0:
        raise UsageError(f"{name}: [cloud] has no replicas and may start none: give replicas or replicas_max")
    for group in scenario.group:
        for part in scenario.streams():
            try:
                sensor = part.sensor(group.period_ms, group.deadlines_ms[0])
            except UsageError as error:
                raise UsageError(f"{name}: {error}") from None
            if sensor.phase_ns >= span_ns(scenario, group):
                raise UsageError(f"{name}: stream '{part.name}' begins after the world of '{group.name}' has ended")
            if sensor.period_ns > span_ns(scenario, group):
                raise UsageError(f"{name}: stream '{part.name}' has a period longer than the world of '{group.name}'")
    cells = sum(len(group.deadlines_ms) * len(group.device_factors) for group in scenario.group) * len(scenario.price)
    if cells > CELLS_MAX:
        raise UsageError(f"{name}: {cells} combinations are swept: the limit is {CELLS_MAX}")


def _check_parts(scenario: Scenario, name: str) -> None:
    """What single parts say against themselves."""
    try:
        for fault in scenario.fault:
            fault.check(max(span_ns(scenario, group) for group in scenario.group))
        if scenario.radio is not None:
            scenario.radio.figures()
        if scenario.fleet is not None:
            scenario.fleet.check()
    except UsageError as error:
        raise UsageError(f"{name}: {error}; {_ABOUT}") from None
    variants = [each.name for each in scenario.variant]
    if len(set(variants)) != len(variants):
        raise UsageError(f"{name}: two variants have the same name")
    if scenario.variant and scenario.fleet is not None:
        raise UsageError(f"{name}: a fleet has no variants: give two scenarios with without = [...]")
    if scenario.fleet is not None and not scenario.links:
        raise UsageError(f"{name}: [fleet] needs links = [...]: what its cells are like")


def _swept(scenario: Scenario) -> list[tuple[str, tuple[object, ...]]]:
    """What is swept, by its place in the file."""
    found: list[tuple[str, tuple[object, ...]]] = [("[[price]]", tuple(each.prices() for each in scenario.price))]
    for group in scenario.group:
        found.append((f"deadlines_ms of '{group.name}'", group.deadlines_ms))
        found.append((f"device_factors of '{group.name}'", group.device_factors))
    return found


def _numbers(value: object) -> list[float]:
    if isinstance(value, Struct):
        return [each for field in value.__struct_fields__ for each in _numbers(getattr(value, field))]
    if isinstance(value, tuple):
        return [each for item in value for each in _numbers(item)]
    return [float(value)] if isinstance(value, int | float) else []
