"""A profile as evidence: is it of this machine, is it recent, and are there samples enough for the bounds drawn from it?"""

from collections.abc import Iterator
from datetime import UTC, datetime

from hedgerow.doctor.findings import Finding, Level
from hedgerow.profiling import Profile
from hedgerow.profiling.profile import Machine
from hedgerow.profiling.times import SAMPLES_FOR_QUANTILE, IdleAndLoaded

_DAYS_MAX = 30
_AGAIN = "measure it again on this machine: hedgerow profile"


def evidence(profile: Profile, here: Machine, now: datetime) -> Iterator[Finding]:
    """`here`: this machine; `now`: with its time zone."""
    yield from _machine(profile.machine, here)
    yield _age(profile, now)
    if profile.quick:
        yield Finding(
            "profile kind",
            Level.WARN,
            "a quick profile",
            "its bounds stand on few samples",
            "hedgerow profile without --quick",
        )
    if profile.inputs == "generated":
        risk = "agreement between arms means little on inputs that no camera took"
        yield Finding(
            "profile inputs", Level.INFO, "measured on generated inputs", risk, "hedgerow profile --input FOLDER"
        )
    yield _samples(profile)


def _machine(there: Machine, here: Machine) -> Iterator[Finding]:
    hard = [name for name in ("processor", "cores") if getattr(there, name) != getattr(here, name)]
    soft = [
        name for name in ("system", "python", "onnxruntime", "hedgerow") if getattr(there, name) != getattr(here, name)
    ]
    differing = ", ".join(f"{name} {getattr(there, name)}, here {getattr(here, name)}" for name in (*hard, *soft))
    if hard:
        yield Finding("profile's machine", Level.DANGER, differing, "its bounds are another machine's", _AGAIN)
    elif soft:
        yield Finding("profile's machine", Level.WARN, differing, "its bounds are those of other software", _AGAIN)
    else:
        yield Finding("profile's machine", Level.OK, "measured on a machine of this kind, with this software")


def _age(profile: Profile, now: datetime) -> Finding:
    try:
        made = datetime.fromisoformat(profile.made)
    except ValueError:
        return Finding(
            "profile's age", Level.WARN, f"made at '{profile.made}', which is no time", "its age is unknown", _AGAIN
        )
    days = (now - (made if made.tzinfo else made.replace(tzinfo=UTC))).total_seconds() / 86400
    if days < -1:
        return Finding(
            "profile's age", Level.WARN, "made in the future", "a clock was wrong then or is now", "check the clock"
        )
    old = days > _DAYS_MAX
    risk = "dust, updates and wear change times"
    return Finding("profile's age", Level.WARN if old else Level.OK, f"{max(days, 0):.0f} days old", risk, _AGAIN)


def _samples(profile: Profile) -> Finding:
    """The least number of samples behind any bound that a certificate uses: segments, encoding, timer, cancellation, delivery (0: it was
    not measured)."""
    counts = {
        f"segment {each.name} of {model.name}": _count(each.time) for model in profile.models for each in model.segments
    }
    counts |= {
        f"encoding {each.codec} of {each.model or 'the sample'}": _count(each.encode) for each in profile.crossings
    }
    counts |= {"timer lateness": profile.timer_lateness.samples, "cancellation": profile.cancellation.samples}
    counts["delivery"] = 0 if profile.delivery is None else profile.delivery.samples
    few = {what: count for what, count in counts.items() if count < SAMPLES_FOR_QUANTILE}
    if not few:
        return Finding("profile's samples", Level.OK, f"at least {min(counts.values()):,} behind every bound")
    least = min(few, key=lambda what: few[what])
    seen = f"{len(few)} of {len(counts)} bounds stand on fewer than {SAMPLES_FOR_QUANTILE:,} samples ({least}: {few[least]:,})"
    risk = "fewer samples show no 0.999 quantile: the bound is the largest seen and a wider margin, not evidence for a certificate"
    return Finding("profile's samples", Level.WARN, seen, risk, "give `hedgerow profile` more --seconds")


def _count(times: IdleAndLoaded) -> int:
    return times.idle.samples + times.loaded.samples
