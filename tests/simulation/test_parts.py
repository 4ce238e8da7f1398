"""The parts of a scenario: each error names the file and says what is wrong, and what is declared becomes what it says."""

import pytest

from hedgerow.core.records import SECOND
from hedgerow.errors import UsageError
from hedgerow.simulation import scenario
from hedgerow.simulation.parts import SPELLS_MAX, FaultPart, FleetPart
from tests.simulation.worlds import PLAIN
from tests.simulation.worlds import scenario as declared

FLEET = "[fleet]\ndevices = [3]\n"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('[[fault]]\nkind = "meteor"\nat_s = 1\n', "'meteor' is none of blackout"),
        ('[[fault]]\nkind = "one-way-loss"\nat_s = 1\nstage = "left"\n', "no stage 'left'; it has up, down"),
        ('[[fault]]\nkind = "stall"\nat_s = 1\nstage = "up"\n', "it has none: leave it out"),
        ('[[fault]]\nkind = "stall"\nat_s = 1\nfor_s = 2\nevery_s = 2\n', "every_s must be above for_s"),
        ('[[fault]]\nkind = "stall"\n', "`at_s`"),
        ('[[fault]]\nkind = "stall"\nat_s = 1\nstrength = 1.5\n', "<= 1.0"),
        ('[[fault]]\nkind = "reset"\nat_s = 0\nfor_s = 0\nevery_s = 0.001\n', f"more than {SPELLS_MAX} times"),
        ("[battery]\nwh = 0\n", "> 0.0"),
        ('[radio]\nname = "6g"\n', "'6g' is none of lte, wifi"),
        ("[device]\nthrottle_at_c = 50\n", "release_at_c must not be above"),
        ("[budget]\nhot_c = inf\n", "<= 200"),
        (FLEET, "either cells or devices_per_cell"),
        (FLEET + "cells = 1\ndevices_per_cell = 2\n", "either cells or devices_per_cell"),
        (FLEET + 'cells = 1\nstagger = "often"\n', "'often' is none of random, even, none"),
        (FLEET + "cells = 1\n[fleet.outage]\nat_s = 1\n", "`for_s`"),
        ("[fleet]\ncells = 1\ndevices = []\n", "length >= 1"),
    ],
)
def test_what_cannot_be_is_refused_with_the_file_and_the_reason(more: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"(?s)test.toml: .*{words}.*docs/scenarios.md|test.toml: .*{words}"):
        declared(more)


def test_a_fleet_needs_links() -> None:
    with pytest.raises(UsageError, match=r"\[fleet\] needs links"):
        declared(FLEET + "cells = 1\n", plain=PLAIN.replace('links = ["wifi-site"]\n', ""))


def test_a_fault_comes_once_or_again_until_the_worlds_end() -> None:
    once, again = FaultPart("stall", 1.5), FaultPart("stall", 1.5, 0.5, 0.3, None, 2.0)
    assert [fault.from_ns for fault in once.spells(10 * SECOND)] == [1.5 * SECOND]
    assert [fault.from_ns / SECOND for fault in again.spells(10 * SECOND)] == [1.5, 3.5, 5.5, 7.5, 9.5]
    assert {(fault.for_ns, fault.strength) for fault in again.spells(10 * SECOND)} == {(SECOND // 2, 0.3)}
    assert list(once.spells(SECOND)) == []
    assert next(FaultPart("one-way-loss", 0.0).spells(SECOND)).stage == "up"


def test_faults_are_in_order_whatever_the_files_order_is() -> None:
    found = declared('[[fault]]\nkind = "stall"\nat_s = 5\n[[fault]]\nkind = "heat"\nat_s = 2\n').faults(10 * SECOND)
    assert [fault.kind for fault in found] == ["heat", "stall"]


def test_a_device_stays_in_its_cell_however_many_there_are() -> None:
    assert [FleetPart((9,), cells=3).cell_of(number) for number in range(5)] == [0, 1, 2, 0, 1]
    assert [FleetPart((9,), devices_per_cell=2).cell_of(number) for number in range(5)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("name", scenario.shipped())
def test_every_shipped_scenario_loads_with_its_profile(name: str) -> None:
    found = scenario.load(name)
    assert found.name == name
    assert found.load_profile().models
