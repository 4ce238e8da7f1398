"""From a profile to the table of arms that the core chooses from.

Names: "local:MODEL"; "cloud:MODEL:CODEC" sends the raw sample; "split:MODEL@JOINT:CODEC" runs segments 0..JOINT here, sends
what is then alive, and the rest runs there (JOINT 0: the prepared input); "split:COPY>MODEL@JOINT:CODEC" is the same with a head in
another precision. Arms with gates: planning/composing.py.

Quality is the agreement with the task's reference, shrunk for the small sample: (agreeing + 1/2) / (samples + 1), after
Jeffreys, so that 20 of 20 counts as 0.976 and not as certainty. An arm that computes the reference itself from what loses nothing
has quality 1 by construction. Emulated slower devices stretch every device time by (factor - 1) x its idle median, bounds
included, as `emulation.slow_device` stretches the live segments.
"""

from collections.abc import Collection
from dataclasses import dataclass

from hedgerow.core.arms import Arm, ArmTable, CrossStep, Energy, LocalModel, RunStep
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.planning.composing import composed_arms, gates_of, shrunk
from hedgerow.planning.prune import pruned
from hedgerow.profiling.agreement import PREFIX_SHARES, arm_name, local_name, mixed_name, prefix_name
from hedgerow.profiling.profile import RAW_SAMPLE, CrossingProfile, ModelProfile, Profile
from hedgerow.profiling.times import IdleAndLoaded

ARMS_MAX = 64
RAW = "raw"
CLOUD = "cloud"


@dataclass(frozen=True, slots=True)
class Tiers:
    """How the two sides are assumed to be, relative to what was measured."""

    device_factor: float = 1.0
    cloud_factor: float = 1.0
    link: str = CLOUD
    lane: str = "cpu"

    def __post_init__(self) -> None:
        if not 1 <= self.device_factor < 1e6:
            raise UsageError(f"a slower device's factor is {self.device_factor:g}: give 1 or more")
        if not 0 < self.cloud_factor < 1e6:
            raise UsageError(f"a cloud's factor is {self.cloud_factor:g}: give a number above 0 (0.5: twice as fast)")

    def median_ns(self, measured: IdleAndLoaded) -> int:
        """What is expected on the device."""
        return measured.median_ns + self._extra_ns(measured)

    def bound_ns(self, measured: IdleAndLoaded) -> int:
        """What is promised on the device."""
        return measured.bound_ns + self._extra_ns(measured)

    def _extra_ns(self, measured: IdleAndLoaded) -> int:
        return round((self.device_factor - 1) * measured.median_ns)

    def cloud_ns(self, measured_ns: int) -> int:
        """What is expected in the cloud."""
        return round(measured_ns * self.cloud_factor)


def arm_table(
    profile: Profile,
    task: Task | None = None,
    *,
    cloud_factor: float = 1.0,
    device_factor: float = 1.0,
    link: str = CLOUD,
    lane: str = "cpu",
    server_models: Collection[str] | None = None,
    energy: Energy | None = None,
    money_per_mb: float = 0.0,
    money_per_cloud_s: float = 0.0,
    arms_max: int = ARMS_MAX,
) -> ArmTable:
    """The undominated arms of `profile`, at most `arms_max`, and the local models behind the reserves.

    `server_models` names what the server offers (None: everything). `cloud_factor` multiplies cloud times: those that the
    profile measured there, else this machine's. UsageError where the profile does not belong to
    `task` (None: not checked).
    """
    every = every_arm(
        profile,
        task,
        tiers=Tiers(device_factor, cloud_factor, link, lane),
        server_models=server_models,
        energy=energy,
        money_per_mb=money_per_mb,
        money_per_cloud_s=money_per_cloud_s,
    )
    return pruned(every, arms_max=arms_max)


def every_arm(
    profile: Profile,
    task: Task | None = None,
    *,
    tiers: Tiers | None = None,
    server_models: Collection[str] | None = None,
    energy: Energy | None = None,
    money_per_mb: float = 0.0,
    money_per_cloud_s: float = 0.0,
) -> ArmTable:
    """All arms of the profile, dominated ones included."""
    if task is not None:
        profile.check(task)
    tiers = tiers or Tiers()
    arms = [_local_arm(profile, model, tiers) for model in profile.models]
    for crossing in profile.crossings:
        for model in profile.models:
            name = arm_name(model.name, crossing.joint, crossing.codec)
            offered = server_models is None or model.name in server_models
            belongs = crossing.joint == RAW_SAMPLE or crossing.model == model.name
            if offered and belongs and name in profile.agreement:
                arms.append(_remote_arm(profile, model, crossing, tiers))
            copies = [each for each in profile.models if belongs and offered and each.precision_of == model.name]
            for copy in copies if crossing.joint > 0 else ():
                if mixed_name(copy.name, model.name, crossing.joint, crossing.codec) in profile.agreement:
                    arms.append(_remote_arm(profile, model, crossing, tiers, copy))
    locals_ = tuple(local_model(profile, model, tiers) for model in profile.models)
    gates = gates_of(profile, None if task is None else {model.name: model.gate for model in task.models})
    arms += composed_arms(profile, gates, locals_, arms)
    return ArmTable(tuple(arms), locals_, energy or Energy(), money_per_mb, money_per_cloud_s)


def local_model(profile: Profile, model: ModelProfile, tiers: Tiers) -> LocalModel:
    """One model's times on the device. A tail's bound is never less than that of any segment in it, or of a later tail."""
    segment_bounds = [tiers.bound_ns(each.time) for each in model.segments]
    tail_bounds: list[int] = []
    for segment, bound in zip(reversed(model.segments), reversed(segment_bounds), strict=True):
        tail_bounds.append(max(tiers.bound_ns(segment.tail), bound, tail_bounds[-1] if tail_bounds else 0))
    return LocalModel(
        name=model.name,
        lane=tiers.lane,
        quality=quality(profile, local_name(model.name), lossless_model=model.name),
        segment_median_ns=tuple(tiers.median_ns(each.time) for each in model.segments),
        segment_bound_ns=tuple(segment_bounds),
        tail_median_ns=tuple(tiers.median_ns(each.tail) for each in model.segments),
        tail_bound_ns=tuple(reversed(tail_bounds)),
        trunk=model.trunk,
        shared=model.shared,
        precision_of=model.precision_of,
    )


def quality(profile: Profile, arm: str, *, lossless_model: str | None) -> float:
    """Expected agreement of an arm; `lossless_model` is the model that it runs on what lost nothing, if it does so."""
    if lossless_model == profile.reference:
        return 1.0
    return round(shrunk(profile.agreement[arm].count, len(profile.samples)), 6)


def _local_arm(profile: Profile, model: ModelProfile, tiers: Tiers) -> Arm:
    name = local_name(model.name)
    last = len(model.segments) - 1
    run = RunStep("device", model.name, 0, last, tiers.median_ns(model.segments[0].tail), tiers.lane)
    return Arm(name, (run,), quality(profile, name, lossless_model=model.name))


def _remote_arm(
    profile: Profile, model: ModelProfile, crossing: CrossingProfile, tiers: Tiers, copy: ModelProfile | None = None
) -> Arm:
    """`copy`: the model in another precision that runs the head in its place."""
    ahead, name = copy or model, arm_name(model.name, crossing.joint, crossing.codec)
    if copy is not None:
        name = mixed_name(copy.name, model.name, crossing.joint, crossing.codec)
    last = len(model.segments) - 1
    head = [tiers.median_ns(segment.time) for segment in ahead.segments[: crossing.joint + 1]]
    decode_ns = crossing.decode.median_ns
    lossless = model.name if crossing.codec == RAW and copy is None else None
    share = quality(profile, name, lossless_model=lossless)
    cross = CrossStep(
        tiers.link,
        crossing.codec,
        crossing.bytes_median,
        tiers.median_ns(crossing.encode),
        tiers.bound_ns(crossing.encode),
        decode_ns=tiers.cloud_ns(decode_ns),
        down_bytes=model.answer_bytes,
        lane=tiers.lane,
        prefixes=_prefixes(profile, name, share),
    )
    there = tiers.cloud_ns(sum(cloud_segments_ns(profile, model)[crossing.joint + 1 :]))
    rest = RunStep(tiers.link, model.name, crossing.joint + 1, last, there)
    if crossing.joint == RAW_SAMPLE:
        return Arm(name, (cross, rest), share)
    here = RunStep("device", ahead.name, 0, crossing.joint, sum(head), tiers.lane)
    return Arm(name, (here, cross, rest), share)


def _prefixes(profile: Profile, arm: str, whole: float) -> tuple[tuple[float, float], ...]:
    """(share, agreement) of answers from the first part of what this arm sends, as far as they were measured; on few samples a
    part may seem better than the whole, and counts as no better."""
    named = {share: prefix_name(arm, share) for share in PREFIX_SHARES}
    return tuple(
        (share, min(whole, quality(profile, name, lossless_model=None)))
        for share, name in named.items()
        if name in profile.agreement
    )


def cloud_segments_ns(profile: Profile, model: ModelProfile) -> tuple[int, ...]:
    """Segment times in the cloud: as the server told them, else this machine's own medians (an estimate)."""
    told = profile.cloud.segments_ns.get(model.name)
    if told is not None and len(told) == len(model.segments):
        return told
    return tuple(segment.time.median_ns for segment in model.segments)
