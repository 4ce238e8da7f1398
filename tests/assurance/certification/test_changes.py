"""A change of modes is proven only if what began under one mode, work that holds the lane or a dearer reserve, is borne by the other."""

import msgspec
import pytest

from hedgerow.assurance.certification import checker
from hedgerow.assurance.certification import document as d
from hedgerow.assurance.certification.brute_force import LaneJob, lateness, play_lane
from hedgerow.assurance.certification.proving import prove
from hedgerow.views.certificates import show_certificate
from hedgerow.views.literal import literal_console
from tests.assurance.certification.examples import MS, inputs

STREAMS = """
format = 1
[[stream]]
name = "front"
period_ms = 100
deadline_ms = FRONT
reserves = ["small"]
safe_value = 0
[[stream]]
name = "side"
period_ms = 200
deadline_ms = SIDE
reserves = RESERVES
safe_value = 0
[[mode]]
name = "all"
[[mode]]
name = "less"
streams.side = { LESS }
"""


def proven(front_ms: int, side_ms: int, reserves: str, less: str) -> d.Document:
    """Small takes 3 + 9 + 9 ms, big 3 + 24 + 24 ms; optional work takes up to 24 ms."""
    text = STREAMS.replace("FRONT", str(front_ms)).replace("SIDE", str(side_ms))
    document = prove(inputs(text.replace("RESERVES", reserves).replace("LESS", less))).document
    assert document is not None
    assert checker.check(document) == []
    return document


def held_ns(document: d.Document) -> list[int]:
    return [mode.lanes[0].blocking_ns for mode in document.modes]


def late(document: d.Document, held: int, costs_ms: dict[str, int]) -> bool:
    """Whether any is late if all come at once just after the lane was taken for `held` ns: acted out."""
    streams = document.modes[0].lanes[0].streams
    jobs = [LaneJob(each.stream, 0, each.within_ns, (costs_ms[each.stream] * MS,)) for each in streams]
    return any(each > 0 for each in lateness(jobs, play_lane(jobs, held + document.margins.timer_ns)))


def test_what_the_mode_that_is_left_lets_hold_the_lane_counts() -> None:
    document = proven(54, 54, '["small"]', "reserves = []")
    nominal, less = held_ns(document)
    assert (nominal, less) == (4 * MS, 24 * MS)
    costs = {"front": 21, "side": 21}
    assert not late(document, nominal, costs)
    assert late(document, less, costs)  # a piece that began just before the return
    assert not document.changes[0].proven


def test_a_dearer_reserve_in_flight_counts() -> None:
    document = proven(74, 98, '["small", "big"]', "keep_every = 2")
    assert held_ns(document) == [24 * MS] * 2
    assert document.modes[0].lanes[0].streams[1].reserves == ("small", "big")
    assert not late(document, 24 * MS, {"front": 21, "side": 21})
    assert late(document, 24 * MS, {"front": 21, "side": 51})
    assert not document.changes[0].proven


@pytest.mark.parametrize(
    ("side_ms", "reserves", "less"),
    [
        (98, '["small"]', "keep_every = 2"),
        (120, '["small", "big"]', "keep_every = 2"),
        (98, '["small"]', "reserves = []"),
    ],
)
def test_what_both_modes_bear_together_is_proven(side_ms: int, reserves: str, less: str) -> None:
    assert proven(74, side_ms, reserves, less).changes[0].proven


def test_the_checker_rejects_a_change_that_is_only_claimed_to_be_proven() -> None:
    document = proven(54, 54, '["small"]', "reserves = []")
    claimed = d.ChangeClaim("all", "less", proven=True)
    assert checker.check(msgspec.structs.replace(document, changes=(claimed,)).sealed())


def test_what_an_unproven_change_means_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show_certificate(proven(54, 54, '["small"]', "reserves = []"), literal_console(), modes_declared=True)
    told = " ".join(capsys.readouterr().out.split())
    assert "change between 'all' and 'less': not proven: samples in flight at that change may be late" in told
    assert "withdraws the mode returned to" in told
