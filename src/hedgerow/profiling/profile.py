"""The profile: everything that was measured for one task on one machine, as one readable, versioned JSON file.

Rules: it names machine, date and hashes, and is refused for another task, other joints or another format; times are
whole nanoseconds; a file is whole or absent. Names of arms: "local:MODEL", "cloud:MODEL:CODEC" (the raw sample
crosses), "split:MODEL@JOINT:CODEC" (what is alive after segment JOINT crosses; 0 is the prepared input),
"split:COPY>MODEL@JOINT:CODEC" (the same, the head run by a copy in another precision), and "ARM|SHARE" (the same, answered from the
first part of what is sent; only agreement). Arms with gates are not measured but
composed of these, sample by sample (planning/composing.py).
"""

from pathlib import Path
from typing import Any

import msgspec

from hedgerow.codecs import Calibration
from hedgerow.errors import UsageError
from hedgerow.models.home import read_whole, write_whole
from hedgerow.models.task import Task
from hedgerow.profiling.layout import readable
from hedgerow.profiling.times import IdleAndLoaded, Times

FORMAT = 1
PROFILE_BYTES_MAX = 64 * 2**20
RAW_SAMPLE = -1


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured, and with what."""

    processor: str
    cores: int
    memory_mib: int
    system: str
    python: str
    onnxruntime: str
    hedgerow: str


class SegmentProfile(msgspec.Struct, frozen=True):
    """One segment alone, and everything from it to the end of the model in one go (the tail of the joint before it)."""

    name: str
    time: IdleAndLoaded
    tail: IdleAndLoaded


class ModelProfile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model on one device lane. `confidence` per sample is None where answers have none.

    `trunk`, `shared` and `precision_of` say whose kin it is (core/arms.py: LocalModel); `gate` is the task file's when it was measured.
    Left out where there is none, so that a profile of models without kin is, byte for byte and by its digest, what it was.
    """

    name: str
    model_id: str
    chain_id: str
    lane: str
    open_seconds: float
    answer_bytes: int
    confidence: tuple[float | None, ...]
    segments: tuple[SegmentProfile, ...]
    trunk: str = ""
    shared: int = -1
    precision_of: str = ""
    gate: float | None = None


class CrossingProfile(msgspec.Struct, frozen=True):
    """What crosses after segment `joint` of `model` in `codec`; joint -1 is the raw sample, of no model ("").

    `decode` was measured on this machine too. `calibration` is what codec and server need to know beforehand, if any.
    """

    model: str
    joint: int
    codec: str
    bytes_median: int
    bytes_p90: int
    encode: IdleAndLoaded
    decode: Times
    calibration: dict[str, Any] | None = None


class Agreement(msgspec.Struct, frozen=True):
    """How an arm's answers agree with the reference's: `per_sample` has a 1 or a 0 for each of the profile's samples."""

    mean: float
    per_sample: str

    @property
    def count(self) -> int:
        """Samples in which they agree."""
        return self.per_sample.count("1")


class CloudProfile(msgspec.Struct, frozen=True):
    """What the server took. `segments_ns` per model is None where it could not be measured: this machine's then stands.

    `round_trip` is of empty messages, `uplink_mbps` of a probe's bytes; None where no server was reached.
    """

    address: str
    estimated: bool
    segments_ns: dict[str, tuple[int, ...] | None]
    decode_ns: int | None = None
    round_trip: Times | None = None
    uplink_mbps: float | None = None


class Profile(msgspec.Struct, frozen=True):
    """See the module's docstring. `delivery`: from a run's end to the caller, None in older files. `inputs` is "pictures", "tensors" or "generated" (agreement then means little)."""

    format: int
    made: str
    machine: Machine
    task_id: str
    task_name: str
    reference: str
    quick: bool
    threads: int
    busy_processes: int
    inputs: str
    samples: tuple[str, ...]
    start_up_seconds: float
    timer_lateness: Times
    cancellation: Times
    models: tuple[ModelProfile, ...]
    crossings: tuple[CrossingProfile, ...]
    agreement: dict[str, Agreement]
    cloud: CloudProfile
    delivery: Times | None = None

    def model(self, name: str) -> ModelProfile:
        """The model of that name; UsageError lists the names there are."""
        for model in self.models:
            if model.name == name:
                return model
        raise UsageError(f"the profile has no model '{name}'; it has {', '.join(each.name for each in self.models)}")

    def check(self, task: Task) -> None:
        """UsageError unless this was measured for `task`, with the joints that its models have now."""
        again = "measure it again with `hedgerow profile`"
        if self.task_id != task.task_id:
            raise UsageError(
                f"the profile was measured for task '{self.task_name}' ({self.task_id[:12]}), not for"
                f" '{task.name}' ({task.task_id[:12]}); {again}"
            )
        for wanted in task.models:
            names = [segment.name for segment in self.model(wanted.name).segments[1:-1]]
            kept = task.joints(wanted.name) if wanted.trunk else wanted.joints
            if _as_sets(names) != _as_sets(kept):
                raise UsageError(f"the profile was measured with other joints of model '{wanted.name}'; {again}")

    def calibrations(self) -> dict[str, Calibration]:
        """Calibrations by "MODEL@JOINT:CODEC": for this side's codecs and for the server's."""
        return {
            f"{each.model}@{each.joint}:{each.codec}": Calibration.from_dict(each.calibration)
            for each in self.crossings
            if each.calibration is not None
        }

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all; HostError when the disk is full or not writable."""
        write_whole(Path(path), readable(msgspec.to_builtins(self)).encode())

    @classmethod
    def load(cls, path: str | Path) -> "Profile":
        """Read a file; UsageError, naming it, when it is missing, cut short, of another format or not a profile."""
        return _load(Path(path))


def _as_sets(names: Any) -> list[frozenset[str]]:
    """Joints as sets of tensor names, in a fixed order: how a cut's tensors are listed does not matter."""
    return sorted((frozenset(name.split("+")) for name in names), key=sorted)


def _load(path: Path) -> Profile:
    data = read_whole(path, "profile", bytes_max=PROFILE_BYTES_MAX, made_by="hedgerow profile")
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not a whole profile ({error}); make it again with `hedgerow profile`") from None
    version = found.get("format") if isinstance(found, dict) else None
    if version != FORMAT:
        raise UsageError(f"{path} is not a profile of format {FORMAT} (its format: {version!r}); make it again")
    try:
        profile = msgspec.convert(found, Profile)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path} is a damaged profile: {error}; make it again with `hedgerow profile`") from None
    _check_lengths(profile, path)
    return profile


def _check_lengths(profile: Profile, path: Path) -> None:
    """What types cannot say: every model has segments, every list is per sample, the reference is there."""
    count = len(profile.samples)
    wrong = [name for name, each in profile.agreement.items() if len(each.per_sample) != count]
    wrong += [each.name for each in profile.models if len(each.confidence) != count or len(each.segments) < 2]
    lengths = {each.name: len(each.segments) for each in profile.models}
    wrong += [
        each.name
        for each in profile.models
        if each.trunk and not 0 <= each.shared < min(len(each.segments), lengths.get(each.trunk, 0)) - 1
    ]
    if profile.reference not in {each.name for each in profile.models}:
        wrong.append(profile.reference)
    if wrong:
        raise UsageError(f"{path} is a damaged profile: '{wrong[0]}' does not fit the rest; make it again")
    profile.calibrations()
