"""What a session takes from a profile beside the arms: the calendar's margins, and the calibrations of both sides."""

from hedgerow.codecs import Calibration
from hedgerow.core.records import Margins
from hedgerow.profiling.profile import Profile
from hedgerow.profiling.times import SAMPLES_FOR_QUANTILE, Times


def margins_of(profile: Profile) -> Margins:
    """Timer lateness, cancellation and delivery as bounds of what was measured.

    Fewer than 1,000 timers or deliveries have not shown how late one can be: their bound is never taken as less than the
    declared one.
    """
    declared = Margins()
    deliver_ns = declared.deliver_ns if profile.delivery is None else _bound_ns(profile.delivery, declared.deliver_ns)
    timer_ns = _bound_ns(profile.timer_lateness, declared.timer_ns)
    return Margins(timer_ns=timer_ns, cancel_ns=profile.cancellation.bound_ns, deliver_ns=deliver_ns)


def _bound_ns(measured: Times, declared_ns: int) -> int:
    return measured.bound_ns if measured.samples >= SAMPLES_FOR_QUANTILE else max(measured.bound_ns, declared_ns)


def calibrations(profile: Profile) -> dict[str, Calibration]:
    """By "MODEL@JOINT:CODEC", as lanes and the wire look for them."""
    return profile.calibrations()
