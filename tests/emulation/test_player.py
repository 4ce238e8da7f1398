from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.player import Player
from hedgerow.emulation.script import Script
from hedgerow.emulation.traces import Trace, TraceRow

TRACE = Trace((TraceRow(0.0, 50, 8), TraceRow(1.0, 60, 8)), name="two rows", at_end="hold")
SCRIPT = Script.parse('[[event]]\nat_s = 0\nkind = "stall"\nfor_s = 0.4\n[[event]]\nat_s = 2\nkind = "reset"\n')


def test_a_script_lies_over_a_trace() -> None:
    player = Player(TRACE, SCRIPT)
    assert not player.before_start().stalled
    assert player.at(0.0).stalled
    assert player.at(0.4) == TRACE.at(0.4)
    assert player.at(1.2).rtt_ms == 60
    assert [player.next_change_s(t) for t in (0.0, 0.4, 1.0, 2.0)] == [0.4, 1.0, 2.0, None]
    assert player.resets(1.9, 2.0) == 1


def test_a_steady_link_never_changes() -> None:
    steady = LinkConditions.of_mbps(5, 5, 10)
    player = Player(steady)
    assert player.before_start() == player.at(1e6) == steady
    assert player.next_change_s(0.0) is None
