"""What a session takes from a profile beside the arms: the calendar's margins, and the calibrations of both sides."""

from hedgerow.codecs import Calibration
from hedgerow.core.records import Margins
from hedgerow.profiling.profile import Profile
from hedgerow.profiling.times import SAMPLES_FOR_QUANTILE


def margins_of(profile: Profile) -> Margins:
    """Timer lateness and cancellation as bounds of what was measured; delivery is not measured and stays as declared.

    Fewer than 1,000 timers have not shown how late one can be: their bound is never taken as less than the declared one.
    """
    declared = Margins()
    timer_ns = profile.timer_lateness.bound_ns
    if profile.timer_lateness.samples < SAMPLES_FOR_QUANTILE:
        timer_ns = max(timer_ns, declared.timer_ns)
    return Margins(timer_ns=timer_ns, cancel_ns=profile.cancellation.bound_ns, deliver_ns=declared.deliver_ns)


def calibrations(profile: Profile) -> dict[str, Calibration]:
    """By "MODEL@JOINT:CODEC", as lanes and the wire look for them."""
    return profile.calibrations()
