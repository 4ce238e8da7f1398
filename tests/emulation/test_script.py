from pathlib import Path

import pytest

from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.script import Script
from hedgerow.errors import UsageError

BASE = LinkConditions.of_mbps(8, 16, 20)


def event(at_s: float, kind: str, **fields: float) -> str:
    return f'[[event]]\nat_s = {at_s}\nkind = "{kind}"\n' + "".join(
        f"{name} = {value}\n" for name, value in fields.items()
    )


def test_events_lie_over_the_course_from_their_time_on() -> None:
    script = Script.parse(
        event(1, "rate", uplink_mbps=1, rtt_ms=100)
        + event(2, "stall", for_s=0.5)
        + event(3, "rate", rtt_ms=5)
        + event(4, "clear")
    )
    assert script.over(BASE, 0.9) == BASE
    assert script.over(BASE, 1.0) == LinkConditions.of_mbps(1, 16, 100)
    assert script.over(BASE, 2.0).stalled
    assert not script.over(BASE, 2.5).stalled
    assert script.over(BASE, 3.5) == LinkConditions.of_mbps(1, 16, 5)
    assert script.over(BASE, 4.0) == BASE


def test_spans_overlap_and_clear_ends_them() -> None:
    script = Script.parse(
        event(1, "blackout", for_s=9) + event(2, "refuse", for_s=9) + event(3, "clear") + event(3, "stall", for_s=1)
    )
    both = script.over(BASE, 2.5)
    assert both.blackout
    assert both.refused
    after = script.over(BASE, 3.0)
    assert (after.stalled, after.blackout, after.refused) == (True, False, False)


def test_a_stall_of_the_course_is_not_lifted_by_a_script() -> None:
    assert Script.parse(event(1, "clear")).over(LinkConditions(stalled=True), 2.0).stalled


def test_changes_and_resets_are_announced_in_order() -> None:
    script = Script.parse(event(5, "reset") + event(1, "stall", for_s=2.5) + event(5, "reset"))
    assert script.next_change_s(0.0) == 1
    assert script.next_change_s(1.0) == 3.5
    assert script.next_change_s(3.5) == 5
    assert script.next_change_s(5.0) is None
    assert script.resets(-1.0, 4.9) == 0
    assert script.resets(4.9, 5.0) == 2
    assert script.resets(5.0, 9.0) == 0


BAD = {
    "not TOML": ("[[event]\n", "not TOML"),
    "empty": ("", "must hold"),
    "other tables": ('title = "x"\n' + event(1, "clear"), "must hold"),
    "not tables": ("event = [1]\n", "event 1 is not a table"),
    "no kind": ("[[event]]\nat_s = 1\n", "event 1: kind is None"),
    "unknown kind": (event(1, "clear") + event(2, "explode"), "event 2: kind is 'explode'"),
    "no time": ('[[event]]\nkind = "reset"\n', "event 1: 'reset' lacks at_s"),
    "no length": (event(1, "stall"), "event 1: 'stall' lacks for_s"),
    "nothing changes": (event(1, "rate"), "changes nothing"),
    "unknown field": (event(1, "rate", uplink_mpbs=3), "knows no uplink_mpbs"),
    "negative": (event(1, "rate", rtt_ms=-3), "rtt_ms is -3"),
    "NaN": ('[[event]]\nat_s = nan\nkind = "reset"\n', "at_s is nan"),
    "text": ('[[event]]\nat_s = "1"\nkind = "reset"\n', "at_s is '1', not a number"),
    "truth": ('[[event]]\nat_s = true\nkind = "reset"\n', "not a number"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_script_is_refused_with_its_event(tmp_path: Path, case: str) -> None:
    text, message = BAD[case]
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        Script.load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_script_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no script"):
        Script.load(tmp_path / "absent.toml")
