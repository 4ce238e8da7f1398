import json
from collections.abc import Iterator

import pytest

from hedgerow.emulation.conditions import LinkConditions
from hedgerow.emulation.control import obey
from hedgerow.emulation.player import Player
from hedgerow.emulation.relay import Relay

from .peers import connect, echo_server, receive, silent


@pytest.fixture
def relay() -> Iterator[Relay]:
    with echo_server() as server:
        relay = Relay("127.0.0.1", server.port, player=Player(LinkConditions.of_mbps(8, 16, 2)), start_clock=False)
        relay.start()
        yield relay
        relay.stop()


def test_set_changes_what_is_named_and_clear_takes_it_back(relay: Relay) -> None:
    assert obey(relay, "set uplink_mbps=4 rtt_ms=30") == "ok set uplink_mbps=4 rtt_ms=30"
    assert relay.conditions == LinkConditions.of_mbps(4, 16, 30)
    assert obey(relay, "set downlink_mbps=none") == "ok set downlink_mbps=none"
    assert relay.conditions == LinkConditions.of_mbps(4, None, 30)
    assert obey(relay, "stall on") == "ok stall on"
    assert relay.conditions.stalled
    assert obey(relay, "clear") == "ok clear"
    assert relay.conditions == LinkConditions.of_mbps(8, 16, 2)


def test_what_is_answered_ok_is_in_force(relay: Relay) -> None:
    with connect(relay.port) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
        assert obey(relay, "blackout on") == "ok blackout on"
        sock.sendall(b"y")
        assert silent(sock)
        assert obey(relay, "blackout off") == "ok blackout off"
        assert receive(sock, 1) == b"y"
        assert obey(relay, "refuse on") == "ok refuse on"
        with pytest.raises(ConnectionRefusedError):
            connect(relay.port)
        assert obey(relay, "reset") == "ok reset"
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_start_begins_the_clock_and_stats_tell(relay: Relay) -> None:
    before = json.loads(obey(relay, "stats").removeprefix("ok stats "))
    assert (before["clock_s"], before["uplink_mbps"], before["emulated"]) == (None, 8.0, True)
    assert obey(relay, "start") == "ok start"
    assert json.loads(obey(relay, "stats").removeprefix("ok stats "))["clock_s"] >= 0


def test_trips_and_swallowing_are_ordered_by_lines(relay: Relay) -> None:
    for line in ("swallow up", "swallow off", "trip connect", "trip up 100", "trip down 7", "trip off"):
        assert obey(relay, line) == f"ok {line}"
    for line in ("swallow", "swallow both", "trip", "trip up", "trip up 0", "trip up -1", "trip sideways 3"):
        assert obey(relay, line).startswith("error ")
    assert json.loads(obey(relay, "stats").removeprefix("ok stats "))["tripped"] == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("jump", "unknown command 'jump'"),
        ("stall maybe", "'stall' takes on or off"),
        ("reset now", "'reset' takes nothing more"),
        ("set", "changes nothing"),
        ("set speed=3", "'speed' cannot be set"),
        ("set uplink_mbps=fast", "'uplink_mbps=fast' is not name=number"),
        ("set uplink_mbps=-3", "uplink_mbps is -3"),
        ("set rtt_ms=nan", "rtt_ms is nan"),
    ],
)
def test_a_bad_line_is_answered_and_changes_nothing(relay: Relay, line: str, message: str) -> None:
    answer = obey(relay, line)
    assert answer.startswith("error ")
    assert message in answer
    assert relay.conditions == LinkConditions.of_mbps(8, 16, 2)
