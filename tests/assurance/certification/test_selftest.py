"""The self-test finds nothing on sets like those of a vehicle, and would find what there is."""

import pytest

from hedgerow.assurance.certification.runner import worst_segments
from hedgerow.assurance.certification.selftest import Counts, selftest, try_one
from hedgerow.core.modes import Modes
from hedgerow.core.records import RequestArrived

FOUND_LATE_ONCE = (2249, 2662, 3436, 3949, 4428, 5229, 5362)
"""Sets of seed 0 in which a core was late that waited for too long before it gave way, or dropped what it had promised."""


def test_a_few_sets_are_sound() -> None:
    found = selftest(60, seed=11)
    assert found.faults == []
    assert found.sound
    assert found.sets == 60
    assert found.certified >= 6
    assert found.accepted_of_feasible == found.feasible_by_brute_force > 0
    assert found.mutated_rejected == found.mutated == found.certified
    assert found.core_requests > 100
    assert found.mode_changes > 20


@pytest.mark.parametrize("number", FOUND_LATE_ONCE)
def test_what_was_late_once_is_so_no_more(number: int) -> None:
    counts = Counts()
    try_one(0, number, counts)
    assert counts.certified == 1
    assert counts.faults == []


def test_a_set_is_a_function_of_seed_and_number() -> None:
    one, other = Counts(), Counts()
    try_one(4, 17, one)
    try_one(4, 17, other)
    assert one.as_dict() == other.as_dict()


def test_a_blind_checker_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hedgerow.assurance.certification.checker.check", lambda document: [])
    found = selftest(20, seed=1)
    assert not found.sound
    assert found.mutated_rejected == 0 < found.mutated


def test_longer_work_than_certified_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes that take twice their bounds."""
    place = "hedgerow.assurance.certification.selftest.worst_segments"
    monkeypatch.setattr(place, lambda model, boosted=None: [each * 2 for each in worst_segments(model, boosted)])
    found = selftest(60, seed=1)
    assert found.late_in_certified > 0
    assert not found.sound


def test_a_core_that_breaks_its_promise_after_a_change_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that leaves out samples for good once a mode was left, whichever is in force then."""
    arrived = Modes.arrived

    def forgetful(self: Modes, event: RequestArrived, now_ns: int) -> bool:
        assert self.governor is not None
        return arrived(self, event, now_ns) and (self.governor._left_ns is None or event.request % 2 == 0)

    monkeypatch.setattr(Modes, "arrived", forgetful)
    found = selftest(60, seed=11)
    assert not found.sound
    assert all("across a change of modes" in each for each in found.faults)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_more_sets_are_sound() -> None:
    found = selftest(2500, seed=2026, processes=2)
    assert found.faults == []
    assert found.sound
    assert found.certified >= 250
