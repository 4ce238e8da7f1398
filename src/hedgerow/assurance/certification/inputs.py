"""From a profile and a streams file to the inputs of a certificate, and from inputs to bounds.

Rules: every time in the inputs is as the profile has it; a bound is the profile's own rule (`profiling.times`), plus what an emulated
slower device adds, plus the lane's declared share, rounded up. Margins may be declared higher than measured, never lower.
"""

import hashlib
import math
from datetime import UTC, datetime

import msgspec

from hedgerow import __version__
from hedgerow.assurance.certification import document as d
from hedgerow.assurance.certification.streams import Declared
from hedgerow.core.records import Margins
from hedgerow.errors import UsageError
from hedgerow.profiling.agreement import arm_name, local_name
from hedgerow.profiling.profile import RAW_SAMPLE, CrossingProfile, ModelProfile, Profile
from hedgerow.profiling.times import IdleAndLoaded, Times


def profile_digest(profile: Profile) -> str:
    """SHA-256 (hex) of the profile's records."""
    return hashlib.sha256(msgspec.json.encode(profile)).hexdigest()


def inputs_of(text: str, profile: Profile) -> d.Inputs:
    """What a certificate of these streams on this profile rests on."""
    machine = profile.machine
    source = d.ProfileInput(
        profile_digest(profile), profile.made, profile.task_id, profile.task_name, machine.processor, profile.quick
    )
    return d.Inputs(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        hedgerow=__version__,
        streams=text,
        profile=source,
        timer=_times(profile.timer_lateness),
        cancel=_times(profile.cancellation),
        deliver=None if profile.delivery is None else _times(profile.delivery),
        models=tuple(_model(each) for each in profile.models),
        arms=tuple(_arms(profile)),
    )


def _at_least(measured: d.Measured | None, usual_ns: int) -> int:
    """The margin by the profile's own rule; the usual one for what was not measured."""
    return usual_ns if measured is None else _as_times(measured).margin_ns(usual_ns)


def _as_times(measured: d.Measured) -> Times:
    """As the profile's rules take it; they look at no quantile that is left out here."""
    return Times(measured.samples, measured.median_ns, 0, 0, measured.p999_ns, measured.max_ns)


def differences_from(inputs: d.Inputs, profile: Profile) -> list[str]:
    """In what a certificate's inputs are not as this profile has them, in words."""
    made = inputs_of(inputs.streams, profile)
    parts = ("profile", "timer", "cancel", "deliver", "models", "arms")
    return [
        f"inputs.{part} is not as in this profile" for part in parts if getattr(inputs, part) != getattr(made, part)
    ]


def _times(found: Times) -> d.Measured:
    return d.Measured(found.samples, found.median_ns, found.p999_ns, found.max_ns)


def _both(found: IdleAndLoaded) -> d.Measured:
    idle, loaded = found.idle, found.loaded
    return d.Measured(
        idle.samples + loaded.samples,
        idle.median_ns,
        max(idle.p999_ns, loaded.p999_ns),
        max(idle.max_ns, loaded.max_ns),
    )


def _model(model: ModelProfile) -> d.ModelInput:
    segments = tuple(d.SegmentInput(each.name, _both(each.time), _both(each.tail)) for each in model.segments)
    return d.ModelInput(model.name, model.lane, segments)


def _arms(profile: Profile) -> list[d.ArmInput]:
    """Every arm of the profile, as `planning.arms.every_arm` makes them."""
    arms = [
        d.ArmInput(local_name(model.name), model.lane, model.name, len(model.segments) - 1, None)
        for model in profile.models
    ]
    for crossing in profile.crossings:
        for model in profile.models:
            name = arm_name(model.name, crossing.joint, crossing.codec)
            belongs = crossing.joint == RAW_SAMPLE or crossing.model == model.name
            if belongs and name in profile.agreement:
                arms.append(_remote(name, model, crossing))
    return arms


def _remote(name: str, model: ModelProfile, crossing: CrossingProfile) -> d.ArmInput:
    return d.ArmInput(name, model.lane, model.name, crossing.joint, _both(crossing.encode))


def bound_ns(measured: d.Measured, declared: Declared, lane: str) -> int:
    """The certified bound of one duration on a lane."""
    slower = _as_times(measured).bound_ns + round((declared.device_factor - 1) * measured.median_ns)
    return math.ceil(slower * (1 + declared.lane(lane).margin_share))


def bounds_of(model: d.ModelInput, declared: Declared) -> d.BoundsClaim:
    """A model's bounds; a tail's is never less than that of any segment in it, or of a later tail."""
    alone = [bound_ns(each.alone, declared, model.lane) for each in model.segments]
    tails: list[int] = []
    for segment, bound in zip(reversed(model.segments), reversed(alone), strict=True):
        tails.append(max(bound_ns(segment.tail, declared, model.lane), bound, tails[-1] if tails else 0))
    fewest = min(part.samples for each in model.segments for part in (each.alone, each.tail))
    return d.BoundsClaim(model.name, model.lane, fewest, tuple(alone), tuple(reversed(tails)))


def hold_of(arm: d.ArmInput, bounds: dict[tuple[str, str], d.BoundsClaim], declared: Declared) -> d.HoldClaim:
    """The longest that an arm holds its lane between two joints; 0 if it takes nothing of it."""
    parts = bounds[arm.model, arm.lane].segment_ns[: arm.last + 1] if arm.last >= 0 else ()
    encode = () if arm.encode is None else (bound_ns(arm.encode, declared, arm.lane),)
    return d.HoldClaim(arm.name, arm.lane, max((*parts, *encode), default=0))


def margins_of_inputs(inputs: d.Inputs, declared: Declared) -> d.MarginsClaim:
    """Timer lateness, cancellation and delivery: the measured bounds, or what is declared if that is more.

    Fewer than 1,000 timers or deliveries have not shown how late one can be: their bound is never taken as less than the
    usual one.
    """
    usual = Margins()
    found = {
        "timer": (_at_least(inputs.timer, usual.timer_ns), declared.timer_ns),
        "cancel": (_at_least(inputs.cancel, 0), declared.cancel_ns),
        "deliver": (_at_least(inputs.deliver, usual.deliver_ns), declared.deliver_ns),
    }
    for name, (measured, wanted) in found.items():
        if 0 < wanted < measured:
            raise UsageError(
                f"[margins]: {name}_ms = {wanted / 1e6:g} is less than the profile's {measured / 1e6:g}; a margin may only be raised"
            )
    return d.MarginsClaim(*(max(pair) for pair in found.values()))
