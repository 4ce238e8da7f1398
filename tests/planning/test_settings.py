"""Margins come from measured bounds; calibrations are the profile's."""

import msgspec

from hedgerow.core.records import Margins
from hedgerow.planning import calibrations, margins_of
from hedgerow.profiling import Profile
from hedgerow.profiling.times import Times, times


def _with(profile: Profile, timer: int, count: int) -> Profile:
    return msgspec.structs.replace(
        profile, timer_lateness=times([timer] * count), cancellation=times([3_000_000] * 200)
    )


def test_a_thousand_timers_speak_for_themselves(tensor_profile: Profile) -> None:
    found = margins_of(_with(tensor_profile, 1_000_000, 1000))
    assert (found.timer_ns, found.cancel_ns) == (1_100_000, 3_600_000)


def test_deliveries_are_measured_and_older_profiles_take_what_is_declared(tensor_profile: Profile) -> None:
    def of(delivery: Times | None) -> int:
        return margins_of(msgspec.structs.replace(tensor_profile, delivery=delivery)).deliver_ns

    assert tensor_profile.delivery is not None
    assert of(None) == Margins().deliver_ns
    assert of(times([1_000_000] * 1000)) == 1_100_000
    assert of(times([1_000_000] * 60)) == Margins().deliver_ns
    assert of(times([4_000_000] * 60)) == 6_000_000


def test_fewer_never_lower_the_declared_margin_but_may_raise_it(tensor_profile: Profile) -> None:
    assert margins_of(_with(tensor_profile, 1_000_000, 60)).timer_ns == Margins().timer_ns
    assert margins_of(_with(tensor_profile, 8_000_000, 60)).timer_ns == 12_000_000


def test_calibrations_are_found_by_place_and_codec(tensor_profile: Profile) -> None:
    assert calibrations(tensor_profile) == tensor_profile.calibrations()
    assert "tiny@2:q4:channel" in calibrations(tensor_profile)
