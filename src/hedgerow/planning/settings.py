"""What a session takes from a profile beside the arms: the calendar's margins, and the calibrations of both sides."""

from hedgerow.codecs import Calibration
from hedgerow.core.records import Margins
from hedgerow.profiling.profile import Profile


def margins_of(profile: Profile) -> Margins:
    """Timer lateness, cancellation and delivery as bounds of what was measured; of few timers or deliveries, no less than the
    usual ones (`Times.margin_ns`)."""
    usual = Margins()
    deliver_ns = usual.deliver_ns if profile.delivery is None else profile.delivery.margin_ns(usual.deliver_ns)
    timer_ns = profile.timer_lateness.margin_ns(usual.timer_ns)
    return Margins(timer_ns=timer_ns, cancel_ns=profile.cancellation.bound_ns, deliver_ns=deliver_ns)


def calibrations(profile: Profile) -> dict[str, Calibration]:
    """By "MODEL@JOINT:CODEC", as lanes and the wire look for them."""
    return profile.calibrations()
